package model

import (
	"fmt"
	"strings"
	"testing"
)

// What AWS refuses to create has a problem, and what it takes to the very end has none.
func TestRefused(t *testing.T) {
	listener := func(protocol, properties string) string {
		return `"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "` + protocol + `", ` + properties + `}}`
	}
	fixed := `"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]`
	rule := func(conditions ...string) string {
		return listener("HTTP", fixed) + `, "R": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "L"}, "Priority": 1,
			"Conditions": [` + strings.Join(conditions, ", ") + `], "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]}}`
	}
	list := func(values ...string) string { return `["` + strings.Join(values, `", "`) + `"]` }
	path := func(values ...string) string { return `{"Field": "path-pattern", "Values": ` + list(values...) + `}` }
	host := func(values ...string) string { return `{"Field": "host-header", "Values": ` + list(values...) + `}` }
	header := func(name, value string) string {
		return fmt.Sprintf(`{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": %q, "Values": [%q]}}`, name, value)
	}
	method := func(value string) string {
		return `{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["` + value + `"]}}`
	}
	query := func(key, value string) string {
		return fmt.Sprintf(`{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": %q, "Value": %q}]}}`, key, value)
	}
	redirect := func(protocol, config string) string {
		return listener(protocol, `"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"`+config+`}}]`)
	}
	answer := func(config string) string {
		return listener("HTTP", `"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", `+config+`}}]`)
	}
	forward := func(groups int) string {
		var tuples, resources []string
		for i := range groups {
			resources = append(resources, fmt.Sprintf(`"G%d": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"}`, i))
			tuples = append(tuples, fmt.Sprintf(`{"TargetGroupArn": {"Ref": "G%d"}, "Weight": 1}`, i))
		}
		return strings.Join(resources, ", ") + ", " + listener("HTTP", `"DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [`+strings.Join(tuples, ", ")+`]}}]`)
	}
	group := func(properties string) string {
		return `"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {` + properties + `}}`
	}
	long := strings.Repeat("x", 127)
	const in = "S/R/Properties.Conditions"
	for _, test := range []struct{ resources, want string }{
		{rule(path("/a", "/b", "/c", "/d", "/e")), ""},
		{rule(path("/a", "/b", "/c", "/d", "/e", "/f")), in + ": AWS refuses 6 values: the conditions of a rule can have 5"},
		{rule(path("/a", "/b", "/c"), method("GET"), query("a", "b")), ""},
		{rule(path("/a", "/b", "/c"), method("GET"), query("a", "b"), header("X", "a")), in + ": AWS refuses 6 values"},
		{rule(path("/*/*/*"), host("?.*.*.com")), ""},
		{rule(path("/*/*/*"), host("?.*.*.*.com")), in + ": AWS refuses 7 wildcards: the conditions of a rule can have 6"},
		{rule(path("/*/*/*/?"), header("X", "*"), query("*", "*")), in + ": AWS refuses 7 wildcards"},
		{rule(path("/" + long)), ""},
		{rule(path("/" + long + "x")), in + `[0].Values[0]: AWS refuses "/xxx`},
		{rule(path(`/aZ09_-.$/~'@:+&*?`)), ""},
		{rule(path("/a b")), in + `[0].Values[0]: AWS refuses "/a b": a path can have 128 characters: letters, digits`},
		{rule(path("/%2F")), `AWS refuses "/%2F"`},
		{rule(path("/ä")), `AWS refuses "/ä"`},
		{rule(host("a.b", "*.Example.com", "1-2.org")), ""},
		{rule(host("localhost")), `AWS refuses "localhost": a host can have 128 characters`},
		{rule(host("shop.example:80")), `AWS refuses "shop.example:80"`},
		{rule(host("shop.example.*")), "with letters behind the last dot"},
		{rule(host(long[:124] + ".com")), ""},
		{rule(host(long[:125] + ".com")), "a host can have 128 characters"},
		{rule(header(long[:40], long+"x")), ""},
		{rule(header(long[:41], "a")), "HttpHeaderName: AWS refuses 41 characters: the name of a header can have 40"},
		{rule(header("X", long+"xx")), "a value can have 128 characters"},
		{rule(method("M-SEARCH_X")), ""},
		{rule(method("get")), `AWS refuses "get": a method can have 40 characters: capital letters`},
		{rule(method("*")), "without wildcards"},
		{rule(method(strings.Repeat("M", 40))), ""},
		{rule(method(strings.Repeat("M", 41))), "a method can have 40 characters"},
		{rule(query(long+"x", long+"x")), ""},
		{rule(query(long+"xx", "a")), "Key: AWS refuses 129 characters: it can have 128"},
		{rule(query("a", long+"xx")), "Value: AWS refuses 129 characters"},

		{redirect("HTTP", ""), "S/L/Properties.DefaultActions[0].RedirectConfig: AWS refuses a redirect to itself"},
		{redirect("HTTP", `, "Query": "a=b"`), "AWS refuses a redirect to itself"},
		{redirect("HTTP", `, "Protocol": "HTTP", "Port": "80", "Host": "#{host}", "Path": "/#{path}"`), "AWS refuses a redirect to itself"},
		{redirect("HTTP", `, "Protocol": "HTTPS"`), ""},
		{redirect("HTTP", `, "Port": "8080"`), ""},
		{redirect("HTTP", `, "Host": "www.#{host}"`), ""},
		{redirect("HTTP", `, "Path": "/#{host}/#{port}/#{path}", "Query": "#{query}&#{protocol}"`), ""},
		{redirect("HTTPS", `, "Protocol": "HTTP"`), "RedirectConfig.Protocol: AWS refuses a redirect from HTTPS to HTTP"},
		{redirect("HTTPS", `, "Port": "80", "Protocol": "HTTPS", "Path": "/"`), ""},
		{redirect("HTTP", `, "Port": "0"`), "RedirectConfig.Port: expected a whole number from 1 to 65535"},
		{redirect("HTTP", `, "Path": "new"`), `RedirectConfig.Path: "new" does not begin with /`},
		{redirect("HTTP", `, "Path": "/#{query}"`), "RedirectConfig.Path: unknown placeholder #{query}; this part can have #{host}, #{path}, #{port}"},
		{redirect("HTTP", `, "Host": "#{path}"`), "RedirectConfig.Host: unknown placeholder #{path}; this part can have #{host}"},
		{redirect("HTTP", `, "Path": "/`+long+`"`), ""},
		{redirect("HTTP", `, "Path": "/`+long+`x"`), "RedirectConfig.Path: AWS refuses 129 characters: this part can have 128"},

		{answer(`"ContentType": "application/json", "MessageBody": "` + strings.Repeat("ä", 1024) + `"`), ""},
		{answer(`"MessageBody": "` + strings.Repeat("x", 1025) + `"`), "FixedResponseConfig.MessageBody: AWS refuses 1025 characters: a fixed response can have 1024"},
		{answer(`"ContentType": "text/xml"`), `FixedResponseConfig.ContentType: AWS refuses "text/xml": a fixed response can be text/plain, text/css`},

		{forward(5), ""},
		{forward(6), "S/L/Properties.DefaultActions[0]: AWS refuses 6 target groups: an action can have 5"},
		{listener("HTTP", `"DefaultActions": [{"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {"ClientId": "x"}}, {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "404"}}]`),
			`S/L/Properties.DefaultActions[0].Type: "authenticate-oidc" is not an action that is evaluated: nothing here logs clients in with OpenID Connect`},
		{listener("HTTP", `"DefaultActions": [{"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": {"Issuer": "x"}}, {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]`), "nothing here validates tokens of clients"},

		{group(`"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 9`), ""},
		{group(`"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 10`), "S/G/Properties.HealthCheckTimeoutSeconds: AWS refuses a timeout of 10 s: it must be below the interval, 10 s"},
		{group(`"HealthCheckTimeoutSeconds": 30`), "HealthCheckTimeoutSeconds: AWS refuses a timeout of 30 s: it must be below the interval, 30 s"},
		{group(`"HealthCheckIntervalSeconds": 5`), "S/G/Properties.HealthCheckIntervalSeconds: AWS refuses an interval of 5 s: it must be above the timeout, 5 s"},
		{group(`"HealthCheckIntervalSeconds": 6`), ""},
		{group(`"HealthCheckPath": "/` + strings.Repeat("x", 1023) + `"`), ""},
		{group(`"HealthCheckPath": "/` + strings.Repeat("x", 1024) + `"`), "HealthCheckPath: AWS refuses 1025 characters: a path can have 1024"},
		{group(`"HealthCheckIntervalSeconds": 5, "Protocol": "TCP"`), ""},
		{group(`"HealthCheckIntervalSeconds": 5, "TargetType": "lambda"`), ""},
		{group(`"HealthCheckIntervalSeconds": 30, "HealthCheckEnabled": true, "TargetType": "lambda"`), "HealthCheckIntervalSeconds: AWS refuses an interval of 30 s: it must be above the timeout, 30 s"},
		{group(`"HealthCheckEnabled": true, "TargetType": "lambda", "TargetGroupAttributes": [{"Key": "lambda.multi_value_headers.enabled", "Value": "true"}]`), ""},
		{group(`"TargetType": "lambda", "TargetGroupAttributes": [{"Key": "lambda.multi_value_headers.enabled", "Value": "yes"}]`), `(lambda.multi_value_headers.enabled): expected true or false, found "yes"`},
		{group(`"TargetGroupAttributes": [{"Key": "lambda.multi_value_headers.enabled", "Value": "false"}]`), "(lambda.multi_value_headers.enabled): AWS refuses it for a target group of type instance: only one of type lambda has it"},
		{group(`"TargetType": "lambda", "Targets": [{"Id": "arn:a"}, {"Id": "arn:b"}]`), "S/G/Properties.Targets[1]: AWS refuses a second target: a target group has one Lambda function"},
		{group(`"TargetType": "lambda", "Port": 80`), "S/G/Properties.Port: AWS refuses it for a target group of type lambda: leave it out"},
		{group(`"TargetType": "lambda", "Protocol": "HTTP"`), "S/G/Properties.Protocol: AWS refuses it for a target group of type lambda"},
		{group(`"TargetType": "lambda", "VpcId": "vpc-1"`), "S/G/Properties.VpcId: AWS refuses it for a target group of type lambda"},
		{group(`"TargetType": "lambda", "HealthCheckPort": "80"`), "S/G/Properties.HealthCheckPort: AWS refuses it for a target group of type lambda"},
		{group(`"TargetType": "lambda", "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]`), "S/G/Properties.TargetGroupAttributes (deregistration_delay.timeout_seconds): AWS refuses it for a target group of type lambda"},
		{group(`"TargetType": "lambda", "TargetGroupAttributes": [{"Key": "stickiness.enabled", "Value": "false"}]`), "(stickiness.enabled): AWS refuses it for a target group of type lambda"},
		{group(`"TargetType": "lambda", "TargetGroupAttributes": [{"Key": "slow_start.duration_seconds", "Value": "30"}]`), "(slow_start.duration_seconds): AWS refuses it for a target group of type lambda"},
		{group(`"TargetGroupAttributes": [{"Key": "slow_start.duration_seconds", "Value": "30"}, {"Key": "load_balancing.algorithm.type", "Value": "weighted_random"}]`), "cannot have slow start and weighted random together"},
	} {
		m := read(t, test.resources)
		var got []string
		add := func(b *Base) {
			if err := b.Problem(); err != nil {
				got = append(got, err.Error())
			}
		}
		for _, l := range m.Listeners {
			add(&l.Base)
		}
		for _, r := range m.Rules {
			add(&r.Base)
		}
		for _, g := range m.TargetGroups {
			add(&g.Base)
		}
		for _, l := range m.Listeners {
			if len(l.Settings) > 0 {
				t.Errorf("%.300s\nhas the settings %v, of which the problem says enough", test.resources, l.Settings)
			}
		}
		if all := strings.Join(got, "\n"); test.want == "" && all != "" || !strings.Contains(all, test.want) {
			t.Errorf("%.300s\nis refused with %q, want %q", test.resources, all, test.want)
		}
	}
}

// The kinds of load balancers are told apart, and what registers targets is known.
func TestTargets(t *testing.T) {
	m := read(t, `
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
		"Nlb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Type": "network"}},
		"A": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "Lb"}, "Certificates": [{"CertificateArn": "arn:x"}], "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "F"}}]}},
		"B": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": {"Ref": "Nlb"}, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "F"}}]}},
		"C": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", "LoadBalancerArn": "arn:lb", "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "F"}}]}},
		"D": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "TCP_UDP", "LoadBalancerArn": "arn:lb", "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "F"}}]}},
		"F": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"TargetType": "lambda", "Targets": [{"Id": {"Fn::GetAtt": ["Function", "Arn"]}}]}},
		"V": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"TargetType": "lambda", "Targets": [{"Id": {"Ref": "Live"}}]}},
		"I": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"TargetType": "ip", "Targets": [{"Id": "10.0.0.1", "Port": 81, "AvailabilityZone": "all"}]}},
		"Live": {"Type": "AWS::Lambda::Alias"},
		"T": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Protocol": "TLS"}},
		"Function": {"Type": "AWS::Lambda::Function"},
		"Old": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1, "TargetGroupARNs": ["arn:x", {"Ref": "F"}]}},
		"New": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": 1, "MaxSize": 1, "TrafficSources": [{"Identifier": {"Ref": "T"}, "Type": "elbv2"}]}}`)
	var kinds []string
	for _, l := range m.Listeners {
		kinds = append(kinds, fmt.Sprintf("%s %t %s %d", l.Resource.LogicalID, l.Application(), l.LoadBalancerID, l.Certificates))
	}
	if got, want := strings.Join(kinds, ", "), "A true S/Lb 1, B false S/Nlb 0, C true arn:lb 0, D false arn:lb 0"; got != want {
		t.Errorf("listeners are %s, want %s", got, want)
	}
	f, addresses, tls, version := m.TargetGroups[0], m.TargetGroups[1], m.TargetGroups[2], m.TargetGroups[3]
	if got := fmt.Sprint(f.Application(), tls.Application(), f.Targets, f.Problem(), version.Targets, addresses.Targets); got != "true false [{S/Function 0}] <nil> [{S/Live 0}] [{10.0.0.1 81}]" {
		t.Errorf("target groups are %s", got)
	}
	if got := m.AutoScalingGroups[1].TargetGroups; len(got) != 1 || got["TargetGroupARNs[1]"] != f {
		t.Errorf("Old registers with %v", got)
	}
	if got := m.AutoScalingGroups[0].TargetGroups; len(got) != 1 || got["TrafficSources[0].Identifier"] != tls {
		t.Errorf("New registers with %v", got)
	}
}
