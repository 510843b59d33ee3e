package alb

import (
	"fmt"
	"strings"
	"testing"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Network Load Balancers whose targets are no tasks are left out, with all that they say. Targets of an
// Application Load Balancer that are no tasks are refused.
func TestKinds(t *testing.T) {
	const application = `"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}, "G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"},
		"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "Lb"}, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G"}}]}}`
	const network = `"Nlb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network", "Strange": 1}},
		"T": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Protocol": "TCP", "HealthCheckProtocol": "TCP", "Targets": [{"Id": "i-1"}], "TargetGroupAttributes": [{"Key": "preserve_client_ip.enabled", "Value": "true"}]}},
		"M": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 81, "Protocol": "TCP", "LoadBalancerArn": {"Ref": "Nlb"}, "AlpnPolicy": ["HTTP2Only"], "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "T"}}]}}`
	for _, test := range []struct{ resources, want, refused string }{
		{application, "[S/G S/L S/Lb]", ""},
		{application + ", " + network, "[S/G S/L S/Lb]", ""},
		{network, "[]", ""},
		{strings.Replace(network, `"Targets": [{"Id": "i-1"}],`, "", 1), "[]", "S/Nlb/Properties.Strange: not honoured"},
		{strings.NewReplacer(`"Targets": [{"Id": "i-1"}],`, "", `, "Strange": 1`, "", `"AlpnPolicy": ["HTTP2Only"],`, "").Replace(network), "[S/M S/Nlb S/T]", ""},
		{`"A": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1, "TargetGroupARNs": [{"Ref": "T"}]}}, ` + network, "[]", ""},
		{application + `, "A": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1, "TargetGroupARNs": [{"Ref": "G"}]}}`, "[]",
			"S/A/Properties.TargetGroupARNs[0]: the instances of the group answer for target group S/G, and nothing stands for them here"},
		{strings.Replace(application, `TargetGroup"}`, `TargetGroup", "Properties": {"TargetType": "ip", "Targets": [{"Id": "10.0.0.1"}, {"Id": "10.0.0.2"}]}}`, 1), "[]",
			"S/G/Properties.Targets[1]: 10.0.0.2 does not answer here: only tasks of ECS services are targets"},
	} {
		balancer, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := model.Read(read(t, `{"Resources": {`+test.resources+`}}`))
		next := NewProvider(balancer, Ports{Free: true}, StandIns{}, func(provider.Event) {}).Plan(m, nil).(*plan)
		if got := fmt.Sprint(next.resources.Keys()); got != test.want {
			t.Errorf("%s\nis planned as %s, want %s", test.resources, got, test.want)
		}
		if err := next.Check(); test.refused == "" && err != nil || test.refused != "" && !strings.Contains(fmt.Sprint(err), test.refused) {
			t.Errorf("%s\nis refused with %v, want %q", test.resources, err, test.refused)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
	}
}
