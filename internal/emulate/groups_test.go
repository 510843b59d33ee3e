package emulate

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"cutover/internal/nightly"
)

// TestEgress: a security group may reach everything, until its template, or a resource of its own, says what it may reach.
func TestEgress(t *testing.T) {
	nightly.Test(t, "it deploys security groups on an emulated AWS")
	a := services(t)
	endpoint := a.Endpoint()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn := cloudformation.NewFromConfig(config)
	const group = `"%s": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupName": "%[1]s", "GroupDescription": "d", "VpcId": {"Ref": "Vpc"} %s}},`
	const rule = `"%sRule": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {"GroupId": {"Fn::GetAtt": ["%[1]s", "GroupId"]}, "IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "DestinationSecurityGroupId": {"Fn::GetAtt": ["Silent", "GroupId"]}}},`
	const everything = `, "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]`
	template := `{"Resources": {` + fmt.Sprintf(group, "Silent", "") + fmt.Sprintf(group, "Ruled", "") + fmt.Sprintf(rule, "Ruled") +
		fmt.Sprintf(group, "Open", everything) + fmt.Sprintf(rule, "Open") + `"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}}`
	if status, reason := deploying(t, cfn, "groups")(cfntypes.ChangeSetTypeCreate, template); status != "CREATE_COMPLETE" {
		t.Fatal(status, reason)
	}
	text, _ := ask(t, a, http.MethodPost, "ec2", "", "Action=DescribeSecurityGroups&Version=2016-11-15", "Content-Type", "application/x-www-form-urlencoded")
	var found struct {
		Groups []struct {
			Name   string `xml:"groupName"`
			Egress []struct {
				Protocol string     `xml:"ipProtocol"`
				Groups   []struct{} `xml:"groups>item"`
				Ranges   []struct{} `xml:"ipRanges>item"`
			} `xml:"ipPermissionsEgress>item"`
		} `xml:"securityGroupInfo>item"`
	}
	if err := xml.Unmarshal([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, g := range found.Groups {
		var rules []string
		for _, p := range g.Egress {
			rules = append(rules, fmt.Sprintf("%s to %d addresses, %d groups", p.Protocol, len(p.Ranges), len(p.Groups)))
		}
		slices.Sort(rules)
		got[g.Name] = strings.Join(rules, "; ")
	}
	for name, want := range map[string]string{
		"Silent": "-1 to 1 addresses, 0 groups",
		"Ruled":  "tcp to 0 addresses, 1 groups",
		"Open":   "-1 to 1 addresses, 0 groups; tcp to 0 addresses, 1 groups",
	} {
		if got[name] != want {
			t.Errorf("%s may reach %s, want %s", name, got[name], want)
		}
	}
	if _, err := cfn.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: aws.String("groups")}); err != nil {
		t.Fatal(err)
	}
}
