package isolation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const function = `
	"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]},
		"Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": {"Fn::GetAtt": ["Table", "Arn"]}},
			{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/web-lambda:*"},
			{"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "arn:aws:ssm:us-east-1:123456789012:parameter/key"}]}}]}},
	"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "web", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "Tags": [{"Key": "service", "Value": "web"}]}},
	"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "web-lambda", "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Tags": [{"Key": "service", "Value": "web"}]}},
	"Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
	"Alias": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "Function"}, "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}, "Name": "live"}},
	"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"TargetType": "lambda", "Targets": [{"Id": {"Ref": "Alias"}}]}},
	"Permission": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "Alias"}, "Principal": "elasticloadbalancing.amazonaws.com",
		"SourceArn": {"Fn::Sub": "arn:aws:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:targetgroup/web-lambda/*"}}}`

// A load balancer may invoke the alias for its target group, and the function's role reaches the function's table.
func TestFunctions(t *testing.T) {
	i := mustRead(t, function)
	var invoke []Grant
	for _, g := range i.Grants {
		if g.Actions[0] == "lambda:InvokeFunction" {
			invoke = append(invoke, g)
		}
	}
	want := []Grant{{Identity: "service elasticloadbalancing.amazonaws.com", Effect: "Allow", Actions: []string{"lambda:InvokeFunction"},
		Resources: []string{"arn:aws:lambda:us-east-1:123456789012:function:web-lambda:live"},
		Condition: "aws:SourceArn StringLike arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web-lambda/*"}}
	if diff := cmp.Diff(want, invoke); diff != "" {
		t.Errorf("who may invoke it (-want +got):\n%s", diff)
	}
	access := []Access{{Identity: "web-lambda: function", Service: "web", Actions: []string{"dynamodb:GetItem"}}}
	access[0].Connects = true // as whoever reaches DynamoDB
	if diff := cmp.Diff(access, i.Stores[0].Accesses); diff != "" {
		t.Errorf("who reaches the table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"web-lambda: function may do ssm:GetParameter on arn:aws:ssm:us-east-1:123456789012:parameter/key"}, i.Foreign([]string{"web"})); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	if text := Document(i, i, []string{"web"}); !strings.Contains(text, "A function (web-lambda) is in no VPC.") || !strings.Contains(text, "name: load balancers, for their target group.") {
		t.Errorf("the document does not say where the function is:\n%s", text)
	}
	if text := Document(mustRead(t, shop), mustRead(t, shop), []string{"shop"}); strings.Contains(text, "is in no VPC") {
		t.Errorf("the document tells of functions where there are none:\n%s", text)
	}
}
