package emulate

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"cutover/internal/database"
	"cutover/internal/nightly"
	"cutover/internal/onaws"
)

// environment are the variables that lead to the emulated AWS.
func (a *AWS) environment() func(string) string {
	all := map[string]string{"AWS_ENDPOINT_URL": a.Endpoint(), "AWS_REGION": Region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
	return func(name string) string { return all[name] }
}

// The databases are made by the outputs of a stack. moto runs no SQL, and answers every query with no row.
func TestDatabases(t *testing.T) {
	nightly.Test(t, "it sets up databases on an emulated AWS")
	a := services(t)
	stacks := cloudformation.NewFromConfig(aws.Config{Region: Region, BaseEndpoint: aws.String(a.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	set, err := stacks.CreateChangeSet(t.Context(), &cloudformation.CreateChangeSetInput{
		StackName: aws.String("run-Data"), ChangeSetName: aws.String("c"), ChangeSetType: "CREATE", TemplateBody: aws.String(`{
			"Resources": {"Some": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/run/some", "Type": "String", "Value": "x"}}},
			"Outputs": {"DatabaseArn": {"Value": "arn:aws:rds:us-east-1:123456789012:cluster:run"}, "DatabaseSecretArn": {"Value": "arn:secret"}, "Databases": {"Value": "users"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stacks.ExecuteChangeSet(t.Context(), &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.Id}); err != nil {
		t.Fatal(err)
	}
	own, err := database.Setup("users")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	setup := onaws.Setup{Stack: "run-Data", Did: func(_ string, changed bool) {
		if changed {
			made++
		}
	}}
	if err := setup.Run(t.Context(), a.environment()); err != nil || made != len(database.Closed())+len(own) {
		t.Errorf("%d steps are taken, %v", made, err)
	}
	setup.Stack = "none-Data"
	if err := setup.Run(t.Context(), a.environment()); err == nil || err.Error() != "there is no stack none-Data in us-east-1: no service has a database there, or the environment is not deployed" {
		t.Errorf("without a stack: %v", err)
	}
}
