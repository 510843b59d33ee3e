package alb

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"cutover/internal/model"
	"cutover/internal/rules"
)

// A request is answered by each listener on its port, and a path alone by port 80 or the lowest one.
func TestRoutes(t *testing.T) {
	listener := func(id, balancer string, port, code int) string {
		return fmt.Sprintf(`%q: {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": %q}, "Port": %d, "Protocol": "HTTP", "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "%d"}}]}}`, id, balancer, port, code)
	}
	rule := func(id, listener, condition string, code int) string {
		return fmt.Sprintf(`%q: {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": %q}, "Priority": %d, "Conditions": [%s], "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "%[3]d"}}]}}`, id, listener, code, condition)
	}
	lbs := `"A": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}, "B": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}`
	table := func(resources ...string) *rules.Table {
		table, err := rules.Build(model.Read(read(t, `{"Resources": {`+strings.Join(append(resources, lbs), ", ")+`}}`)))
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	local := rule("Local", "L", `{"Field": "source-ip", "SourceIpConfig": {"Values": ["127.0.0.1/32"]}}`, 201)
	kind := rule("Kind", "L", `{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["a"]}}`, 202)
	one, two := table(listener("L", "A", 8080, 200), local, kind), table(listener("L", "A", 80, 200), listener("M", "B", 80, 404), listener("N", "B", 70, 500))
	for _, test := range []struct {
		table *rules.Table
		asked Asked
		want  string
	}{
		{one, Asked{Request: "/"}, "201"},
		{one, Asked{Request: "GET /"}, "201"},
		{one, Asked{Request: "/", Source: netip.MustParseAddr("10.0.0.1")}, "200"},
		{one, Asked{Request: "/", Source: netip.MustParseAddr("10.0.0.1"), Header: http.Header{"X-Kind": {"a"}}}, "202"},
		{one, Asked{Request: "http://h:8080/"}, "201"},
		{one, Asked{Request: "http://h/"}, "no load balancer listens on port 80; choose from 8080"},
		{two, Asked{Request: "/"}, "200 404"},
		{two, Asked{Request: "http://h:70/"}, "500"},
		{two, Asked{Request: "http://h:90/"}, "no load balancer listens on port 90; choose from 70, 80"},
		{two, Asked{Request: "nonsense"}, `request "nonsense"`},
		{table(), Asked{Request: "/"}, "no load balancer listens on port 80"},
	} {
		routes, err := Routes(test.table, test.asked)
		var got []string
		for _, route := range routes {
			got = append(got, route.Action)
			if route.Request != test.asked.Request || route.Targets == nil {
				t.Errorf("%v has the route %+v", test.asked, route)
			}
		}
		if text := strings.Join(got, " "); err == nil && text != test.want || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v: %s, %v, want %s", test.asked, text, err, test.want)
		}
	}
}
