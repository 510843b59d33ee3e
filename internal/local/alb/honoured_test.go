package alb

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"cutover/internal/model"
)

// theBalancer and theGroup are what was read, apart from where.
func theBalancer(m *model.Model) model.LoadBalancer {
	lb := *m.LoadBalancers[0]
	lb.Base = model.Base{}
	return lb
}

func theGroup(m *model.Model) model.TargetGroup {
	group := *m.TargetGroups[0]
	group.Base = model.Base{}
	return group
}

func TestReadDefaults(t *testing.T) {
	m := model.Read(read(t, `{"Resources": {"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}, "G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup"}}}`))
	if _, err := Read(m); err != nil {
		t.Fatal(err)
	}
	wantLB := model.LoadBalancer{Type: "application", Name: "Lb", IdleTimeout: time.Minute, ClientKeepAlive: time.Hour, HTTP2: true, ForwardedFor: "append", DesyncMitigation: "defensive"}
	if got := theBalancer(m); !reflect.DeepEqual(got, wantLB) {
		t.Errorf("load balancer is %+v, want %+v", got, wantLB)
	}
	wantGroup := model.TargetGroup{Name: "G", Protocol: "HTTP", ProtocolVersion: "HTTP1", TargetType: "instance", Algorithm: "round_robin", StickinessType: "lb_cookie", DeregistrationDelay: 5 * time.Minute, MinHealthy: 1,
		Health: model.HealthCheck{Protocol: "HTTP", Path: "/", Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2, Codes: []model.CodeRange{{From: 200, To: 200}}}}
	if got := theGroup(m); !reflect.DeepEqual(got, wantGroup) {
		t.Errorf("target group is %+v, want %+v", got, wantGroup)
	}
}

func TestReadEverything(t *testing.T) {
	m := model.Read(read(t, `{
		"Conditions": {"No": {"Fn::Equals": ["a", "b"]}},
		"Resources": {
		"Gone": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Condition": "No", "Properties": {"TargetType": "lambda"}},
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Name": "forum", "Type": "application", "Scheme": "internet-facing", "IpAddressType": "ipv4",
			"Subnets": [{"Ref": "AWS::NoValue"}], "SecurityGroups": [{"Fn::GetAtt": ["Missing", "GroupId"]}], "Tags": [{"Key": "a", "Value": "b"}],
			"LoadBalancerAttributes": [
				{"Key": "idle_timeout.timeout_seconds", "Value": "4000"}, {"Key": "client_keep_alive.seconds", "Value": "60"},
				{"Key": "routing.http2.enabled", "Value": "false"}, {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
				{"Key": "routing.http.preserve_host_header.enabled", "Value": "true"}, {"Key": "routing.http.xff_header_processing.mode", "Value": "remove"},
				{"Key": "routing.http.xff_client_port.enabled", "Value": "true"}, {"Key": "routing.http.desync_mitigation_mode", "Value": "defensive"},
				{"Key": "deletion_protection.enabled", "Value": "true"}, {"Key": "access_logs.s3.enabled", "Value": "true"},
				{"Key": "access_logs.s3.bucket", "Value": {"Fn::GetAtt": ["G", "TargetGroupName"]}}, {"Key": "connection_logs.s3.enabled", "Value": "false"}]}},
		"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Lb"}, "Port": 443, "Protocol": "HTTPS",
			"SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "Certificates": [{"CertificateArn": "arn:x"}], "MutualAuthentication": {"Mode": "off"},
			"ListenerAttributes": [{"Key": "routing.http.response.server.enabled", "Value": "true"}],
			"DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G"}}]}},
		"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "users", "Port": 3000, "Protocol": "HTTPS", "ProtocolVersion": "HTTP1", "TargetType": "ip", "VpcId": {"Ref": "AWS::StackId"},
			"HealthCheckEnabled": true, "HealthCheckIntervalSeconds": "6", "HealthCheckPath": "/ready?deep=1", "HealthCheckPort": "8081", "HealthCheckProtocol": "HTTPS",
			"HealthCheckTimeoutSeconds": 2, "HealthyThresholdCount": 3, "UnhealthyThresholdCount": 4, "Matcher": {"HttpCode": "200,202-204,400-499"},
			"TargetGroupAttributes": [
				{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}, {"Key": "slow_start.duration_seconds", "Value": "30"},
				{"Key": "stickiness.enabled", "Value": "true"}, {"Key": "stickiness.type", "Value": "lb_cookie"}, {"Key": "stickiness.lb_cookie.duration_seconds", "Value": "7"},
				{"Key": "load_balancing.algorithm.type", "Value": "round_robin"}, {"Key": "load_balancing.cross_zone.enabled", "Value": "use_load_balancer_configuration"},
				{"Key": "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "Value": "2"},
				{"Key": "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "Value": "off"}]}}}}`))
	if _, err := Read(m); err != nil {
		t.Fatal(err)
	}
	wantLB := model.LoadBalancer{Type: "application", Name: "forum", IdleTimeout: 4000 * time.Second, ClientKeepAlive: time.Minute, DropInvalidHeaders: true, PreserveHost: true, ForwardedFor: "remove", ForwardedPort: true, AccessLogs: true, DeletionProtection: true, DesyncMitigation: "defensive"}
	if got := theBalancer(m); !reflect.DeepEqual(got, wantLB) {
		t.Errorf("load balancer is %+v, want %+v", got, wantLB)
	}
	wantGroup := model.TargetGroup{Name: "users", Protocol: "HTTPS", ProtocolVersion: "HTTP1", TargetType: "ip", Port: 3000, Algorithm: "round_robin", StickinessType: "lb_cookie", SlowStart: 30 * time.Second, Stickiness: 7 * time.Second, MinHealthy: 2,
		Health: model.HealthCheck{Protocol: "HTTPS", Port: 8081, Path: "/ready?deep=1", Interval: 6 * time.Second, Timeout: 2 * time.Second, Healthy: 3, Unhealthy: 4, Codes: []model.CodeRange{{From: 200, To: 200}, {From: 202, To: 204}, {From: 400, To: 499}}}}
	if len(m.TargetGroups) != 1 || !reflect.DeepEqual(theGroup(m), wantGroup) {
		t.Errorf("target groups are %+v, want %+v", m.TargetGroups, wantGroup)
	}
}

// Every setting that is not honoured is refused at its place.
func TestReadRefuses(t *testing.T) {
	lb := func(properties string) string {
		return `{"Resources": {"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {` + properties + `}}}}`
	}
	lbAttribute := func(key, value string) string {
		return lb(fmt.Sprintf(`"LoadBalancerAttributes": [{"Key": %q, "Value": %q}]`, key, value))
	}
	group := func(properties string) string {
		return `{"Resources": {"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {` + properties + `}}}}`
	}
	groupAttribute := func(pairs ...string) string {
		var list []string
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, fmt.Sprintf(`{"Key": %q, "Value": %q}`, pairs[i], pairs[i+1]))
		}
		return group(`"TargetGroupAttributes": [` + strings.Join(list, ",") + `]`)
	}
	listener := func(property string) string {
		return `{"Resources": {"L": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": 80, "Protocol": "HTTP", ` + property + `,
			"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]}}}}`
	}
	tests := []struct{ template, want string }{
		{lb(`"EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": "on"`), `S/Lb/Properties.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: not honoured`},
		{lb(`"Name": {"Ref": "Lb"}`), "S/Lb/Properties.Name: expected a string that is known before the deployment, found S/Lb"},
		{lb(`"LoadBalancerAttributes": 1`), "S/Lb/Properties.LoadBalancerAttributes: expected a list, found the number 1"},
		{lb(`"LoadBalancerAttributes": [1]`), "S/Lb/Properties.LoadBalancerAttributes[0]: expected an object, found the number 1"},
		{lb(`"LoadBalancerAttributes": {"Fn::Split": 1}`), "S/Lb/Properties.LoadBalancerAttributes"},
		{lbAttribute("idle_timeout.timeout_seconds", "0"), `LoadBalancerAttributes (idle_timeout.timeout_seconds): expected a whole number from 1 to 4000, found "0"`},
		{lbAttribute("routing.http2.enabled", "yes"), `(routing.http2.enabled): expected true or false, found "yes"`},
		{lbAttribute("routing.http.desync_mitigation_mode", "off"), `(routing.http.desync_mitigation_mode): "off" is none of defensive, strictest, monitor`},
		{lbAttribute("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "true"), "true is not honoured"},
		{lbAttribute("connection_logs.s3.enabled", "true"), "(connection_logs.s3.enabled): true is not honoured"},
		{lbAttribute("routing.http.xff_header_processing.mode", "rewrite"), `(routing.http.xff_header_processing.mode): "rewrite" is none of append, preserve, remove`},
		{lbAttribute("brand.new", "x"), "(brand.new): not honoured: what it does is not known here"},
		{listener(`"MutualAuthentication": {"Mode": "verify"}`), `S/L/Properties.MutualAuthentication: "verify" is not honoured`},
		{listener(`"AlpnPolicy": ["HTTP2Only"]`), "S/L/Properties.AlpnPolicy: not honoured: no protocol is agreed on"},
		{listener(`"ListenerAttributes": [{"Key": "routing.http.response.server.enabled", "Value": "false"}]`), "(routing.http.response.server.enabled): false is not honoured"},
		{listener(`"ListenerAttributes": [{"Key": "routing.http.request.x_amzn_tls_version.header_name", "Value": "Tls"}]`), "ListenerAttributes (routing.http.request.x_amzn_tls_version.header_name): not honoured"},
		{group(`"TargetType": "alb"`), `S/G/Properties.TargetType: "alb" is not honoured: only instance, ip, lambda is known here`},
		{group(`"TargetType": "lambda", "Targets": [{"Id": "arn:aws:s3:::f"}]`),
			"S/G/Properties.Targets[0]: arn:aws:s3:::f does not answer here: only Lambda functions are targets"},
		{group(`"Protocol": "HTTP", "HealthCheckEnabled": false`), `S/G/Properties.HealthCheckEnabled: false is not honoured`},
		{group(`"ProtocolVersion": "GRPC"`), `S/G/Properties.ProtocolVersion: "GRPC" is not honoured: only HTTP1 is known here`},
		{group(`"HealthCheckEnabled": false`), "S/G/Properties.HealthCheckEnabled: false is not honoured"},
		{group(`"HealthCheckPath": "ready"`), `S/G/Properties.HealthCheckPath: "ready" does not begin with /`},
		{group(`"HealthCheckPort": "0"`), `S/G/Properties.HealthCheckPort: expected a whole number from 1 to 65535, found "0"`},
		{group(`"HealthCheckIntervalSeconds": 2.5`), "S/G/Properties.HealthCheckIntervalSeconds: expected a whole number from 5 to 300, found the number 2.5"},
		{group(`"Matcher": {"HttpCode": "200-"}`), `S/G/Properties.Matcher.HttpCode: "200-": expected codes from 200 to 499`},
		{group(`"Matcher": {"HttpCode": "500"}`), `S/G/Properties.Matcher.HttpCode: "500": expected codes`},
		{group(`"Matcher": {"GrpcCode": "0"}`), "S/G/Properties.Matcher.GrpcCode: not honoured: gRPC is not spoken here"},
		{group(`"Targets": [{"Id": "i-1"}]`), "S/G/Properties.Targets[0]: i-1 does not answer here: only tasks of ECS services are targets"},
		{group(`"TargetControlPort": 1`), "S/G/Properties.TargetControlPort: not honoured"},
		{groupAttribute("load_balancing.algorithm.type", "weighted_random"), `"weighted_random" is not honoured: only round_robin, least_outstanding_requests is known here`},
		{groupAttribute("load_balancing.algorithm.anomaly_mitigation", "on"), "on is not honoured"},
		{groupAttribute("slow_start.duration_seconds", "10"), "expected 0 or a whole number from 30 to 900, found 10"},
		{groupAttribute("slow_start.duration_seconds", "30", "load_balancing.algorithm.type", "least_outstanding_requests"), "cannot have slow start and least outstanding requests together"},
		{groupAttribute("stickiness.enabled", "true", "stickiness.type", "app_cookie"), `TargetGroupAttributes (stickiness.type): "app_cookie" is not honoured: only lb_cookie is known here`},
		{groupAttribute("lambda.multi_value_headers.enabled", "true"), "(lambda.multi_value_headers.enabled): AWS refuses it for a target group of type instance"},
		{`{"Transform": "AWS::LanguageExtensions"}`, "S: the macro AWS::LanguageExtensions changes the template"},
	}
	for _, test := range tests {
		if config, err := Read(model.Read(read(t, test.template))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s\nis read as %v, error %v, want one with %q", test.template, config, err, test.want)
		}
	}

	// All at once.
	_, err := Read(model.Read(read(t, group(`"TargetType": "alb", "ProtocolVersion": "GRPC", "New": 1`))))
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 3 {
		t.Errorf("%d errors, want 3:\n%v", len(lines), err)
	}
}

// A redirect to a listener that is served here leads to its local port; one to
// elsewhere is left alone.
func TestRedirectToLocalPort(t *testing.T) {
	config, err := Read(model.Read(read(t, `{"Resources": {
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
		"Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Lb"}, "Port": 80, "Protocol": "HTTP",
			"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]}},
		"Other": {"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": {"ListenerArn": {"Ref": "Listener"}, "Priority": 1,
			"Conditions": [{"Field": "path-pattern", "Values": ["/other"]}],
			"Actions": [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "8443", "StatusCode": "HTTP_301"}}]}},
		"Secure": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Lb"}, "Port": 443, "Protocol": "HTTPS",
			"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "secure"}}]}}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	b := serve(t, config)
	c := client(t)
	for path, want := range map[string]string{"/a?b=c": "https://127.0.0.1:443/a?b=c", "/other": "https://127.0.0.1:8443/other"} {
		if response, _ := b.get(c, path); response.Header.Get("Location") != want {
			t.Errorf("%s leads to %s, want %s", path, response.Header.Get("Location"), want)
		}
	}
	secure := listen(t, b.balancer, "S/Secure")
	response, _ := b.get(c, "/a?b=c")
	if got, want := response.Header.Get("Location"), "https://"+secure+"/a?b=c"; got != want {
		t.Fatalf("Location is %s, want %s", got, want)
	}
	r, _ := http.NewRequest("GET", response.Header.Get("Location"), nil)
	if _, body := b.do(secureClient(b, "h2"), r); body != "secure" {
		t.Errorf("following it gives %q", body)
	}
}

// FuzzRead reads whatever package assembly can, and says so if it cannot.
func FuzzRead(f *testing.F) {
	f.Add(template{rules: []object{onPath("/api*", weigh(10, "A", 1, "B", 2))}, loadBalancer: []object{attribute("idle_timeout.timeout_seconds", "60")}}.json(f))
	f.Add(`{"Resources": {"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Matcher": {"HttpCode": "200-299"}, "TargetGroupAttributes": [{"Key": 1}]}}}}`)
	f.Fuzz(func(t *testing.T, template string) {
		a, err := readAssembly(t, template)
		if err != nil {
			return
		}
		config, err := Read(model.Read(a))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		b, err := New(Options{Functions: &bench{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Configure(config); err != nil {
			t.Errorf("what was read cannot be configured: %v", err)
		}
	})
}
