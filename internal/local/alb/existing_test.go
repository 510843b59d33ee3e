package alb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:9000": "http://127.0.0.1:9000", "https://shop.example/": "https://shop.example:443", "http://shop": "http://shop:80", "http://[::1]": "http://[::1]:80",
		"127.0.0.1:9000": "is no URL of a program", "ftp://a": "is no URL", "http://": "is no URL", "http://a:b": "is no URL", "": "is no URL",
		"http://a/b": "has more than a scheme", "http://u:p@a": "has more than", "http://a?b": "has more than", "http://a#b": "has more than",
	} {
		u, err := ParseTarget(text)
		if got := fmt.Sprint(u, err); !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Whatever the targets of a group are on AWS, here is one address that is checked at its own port.
func TestHere(t *testing.T) {
	group := func(properties string) *model.TargetGroup {
		m := model.Read(read(t, `{"Resources": {"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {`+properties+`}}}}`))
		return m.TargetGroups[0]
	}
	for _, c := range []struct{ properties, target, want string }{
		{`"TargetType": "instance", "HealthCheckPath": "/a", "HealthCheckPort": "8081"`, "", "ip HTTP HTTP1 HTTP:0/a 30s false"},
		{`"TargetType": "instance", "HealthCheckPath": "/a"`, "https://a:1", "ip HTTPS HTTP1 HTTPS:0/a 30s false"},
		{`"TargetType": "ip", "Protocol": "HTTPS", "HealthCheckProtocol": "HTTPS"`, "http://a:1", "ip HTTP HTTP1 HTTP:0/ 30s false"},
		{`"TargetType": "ip", "Protocol": "HTTPS", "ProtocolVersion": "GRPC", "HealthCheckProtocol": "HTTPS"`, "", "ip HTTPS HTTP1 HTTPS:0/ 30s false"},
		{`"TargetType": "lambda"`, "http://a:1", "ip HTTP HTTP1 TCP:0 5s false"},
		{`"TargetType": "lambda", "HealthCheckEnabled": true, "HealthCheckPath": "/h"`, "http://a:1", "ip HTTP HTTP1 HTTP:0/h 35s false"},
	} {
		var target *url.URL
		if c.target != "" {
			target, _ = url.Parse(c.target)
		}
		g := here(group(c.properties), target)
		got := fmt.Sprintf("%s %s %s %s:%d%s %v %v", g.TargetType, g.Protocol, g.ProtocolVersion, g.Health.Protocol, g.Health.Port, g.Health.Path, g.Health.Interval, g.Health.Disabled)
		if got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.properties, c.target, got, c.want)
		}
	}
}

// A program that does not pass the health check of its group gets requests all the same, and a warning says so.
func TestUnhealthyStandIn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	target, err := ParseTarget(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {}}`,
		assembly.ExistingFile: `{"Metadata": {"cutover:existing": {}}, "Resources": {
			"G": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Metadata": {"cutover:arn": "g"}, "Properties": {"Name": "shop", "TargetType": "ip", "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4}}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	balancer, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer balancer.Shutdown(t.Context())
	var told []provider.Event
	p := NewProvider(balancer, Ports{Free: true}, StandIns{Targets: map[string]*url.URL{"shop": target}}, func(e provider.Event) { told = append(told, e) })
	plan := p.Plan(model.Read(a), nil)
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	if err := plan.Update(t.Context(), "existing"); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].State != provider.Warning || !strings.Contains(told[0].Message, server.URL+" does not pass the health check of the target group (Health checks failed with these codes: [418])") {
		t.Errorf("told %v", told)
	}
	if picked := balancer.group("existing/G").pick(""); picked == nil || picked.Address != target.Host {
		t.Errorf("picked %v", picked)
	}
}
