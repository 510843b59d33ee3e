package deployable

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/model"
)

// A permission for load balancers that names no source is for those of every account.
func TestPermissionOfEveryAccount(t *testing.T) {
	const invoke = `"Action": "lambda:InvokeFunction", "FunctionName": "f", "Principal": "elasticloadbalancing.amazonaws.com"`
	const warning = "S/P: load balancers of every account may invoke the function: give SourceArn or SourceAccount"
	for more, want := range map[string][]string{
		"": {warning},
		`, "SourceArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/g/*"`: nil,
		`, "SourceAccount": {"Ref": "AWS::AccountId"}`:                                         nil,
	} {
		if diff := cmp.Diff(want, Warnings(read(t, resource("P", model.LambdaPermission, invoke+more)))); diff != "" {
			t.Errorf("with %q (-want +got):\n%s", more, diff)
		}
	}
}
