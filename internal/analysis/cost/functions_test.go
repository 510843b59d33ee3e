package cost

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A function that a load balancer invokes costs by request and by the memory of its time, on its architecture.
// Nothing is added to the total, and CDK's own functions are not counted.
func TestFunctions(t *testing.T) {
	const group = `, "G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"TargetType": "lambda", "Targets": [{"Id": {"Fn::GetAtt": ["F", "Arn"]}}]}}`
	for _, test := range []struct {
		name, properties, more string
		functions, traffic     []string
	}{
		{"x86", `"MemorySize": 256`, group, []string{
			"web: a million requests cost US$ 0.28, if each takes 20 ms at 256 MiB; above 31.8 million a month, a Fargate task of 0.25 vCPU, 0.5 GB for US$ 9.01 costs less",
			"web: if no request may wait for a cold start, each execution environment of provisioned concurrency adds US$ 2.74 a month",
		}, []string{"0.20 per million requests to functions", "0.0000166667 per GB of a function's memory and second of its invocations"}},
		{"ARM", `"MemorySize": 256, "Architectures": ["arm64"]`, group, []string{
			"web: a million requests cost US$ 0.27, if each takes 20 ms at 256 MiB; above 27.0 million a month, a Fargate task of 0.25 vCPU, 0.5 GB, ARM for US$ 7.21 costs less",
			"web: if no request may wait for a cold start, each execution environment of provisioned concurrency adds US$ 2.19 a month",
		}, []string{"0.20 per million requests to functions", "0.0000133334 per GB of a function's memory and second of its invocations, on ARM"}},
		{"not behind a load balancer", `"MemorySize": 256`, "", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "web", ` + test.properties + `}}` + test.more + `}}`}))
			if err != nil {
				t.Fatal(err)
			}
			e := estimates[0]
			if diff := cmp.Diff(test.functions, e.Functions); diff != "" {
				t.Errorf("functions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(sorted(test.traffic), sorted(e.Traffic)); diff != "" {
				t.Errorf("traffic (-want +got):\n%s", diff)
			}
			if e.Total != 0 || len(e.Unpriced)+len(e.Unknown) > 0 {
				t.Errorf("total %v, without a price %s, unknown %s", e.Total, strings.Join(e.Unpriced, ", "), strings.Join(e.Unknown, ", "))
			}
		})
	}
}
