package isolation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A security group that exists already reaches whatever lets it in: what it lets out is not known.
func TestExistingGroups(t *testing.T) {
	i := mustRead(t, `"Tasks": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": "vpc-0a",
			"SecurityGroupIngress": [{"SourceSecurityGroupId": "sg-0a", "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}],
			"SecurityGroupEgress": [{"DestinationSecurityGroupId": "sg-0b", "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}]}},
		"More": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": {"Ref": "Tasks"}, "SourceSecurityGroupId": "sg-0c", "IpProtocol": "-1"}}`)
	var reaches []string
	for _, r := range i.Reaches {
		reaches = append(reaches, r.String())
	}
	if diff := cmp.Diff([]string{
		"Tasks → the security group sg-0b: tcp 5432–5432",
		"the security group sg-0a → Tasks: tcp 3000–3000",
		"the security group sg-0c → Tasks: any",
	}, reaches); diff != "" {
		t.Errorf("who connects to whom (-want +got):\n%s", diff)
	}
}
