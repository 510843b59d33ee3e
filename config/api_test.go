package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cutover/config"
)

// front is a context with API Gateway.
func front(change context) context {
	all := context{"front": "apigateway"}
	for key, value := range change {
		all[key] = value
	}
	return all
}

// TestFrontMistakes has what no front can have.
func TestFrontMistakes(t *testing.T) {
	const certificate = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
	users := func(change func(*config.Service)) func(*config.Deployment) {
		return func(d *config.Deployment) { change(&d.Services[0]) }
	}
	api := func(api config.API) func(*config.Deployment) {
		return users(func(s *config.Service) { s.API = api })
	}
	domain := func(change context) context {
		all := context{"front": "apigateway", "ui": "on", "uiDomain": "forum.example.com", "uiHostedZoneId": "Z0123456789ABCDEFGHIJ", "uiCertificateArn": certificate}
		for key, value := range change {
			all[key] = value
		}
		return all
	}
	asked := func(change context) context {
		all := context{"ui": "on", "certificateArn": certificate, "domain": "api.example.com", "directAccess": "off"}
		for key, value := range change {
			all[key] = value
		}
		return all
	}
	testMistakes(t, []mistake{
		{name: "another API", context: context{"front": "apigatewayv2"},
			want: `front: "apigatewayv2": an HTTP API sends another path to the load balancer than it got, and has no cache: choose apigateway, which is a REST API`},
		{name: "another front", context: context{"front": "nginx"}, want: `front: "nginx" is unknown: choose one of none, apigateway`},
		{name: "another scheme", context: context{"scheme": "private"}, want: `scheme: "private" is unknown: choose one of internet-facing, internal`},
		{name: "no door at all", context: context{"directAccess": "off"},
			want: `directAccess: off leaves no way to the load balancer: set front to apigateway, or ui to on, first`},
		{name: "a web ACL at nothing", context: context{"waf": "on"}, want: `waf: the web ACL is at the REST API: set front to apigateway, or waf to off`},
		{name: "a web ACL at CloudFront", context: context{"ui": "on", "scheme": "internal", "waf": "on"},
			want: `waf: the web ACL is at the REST API: set front to apigateway, or waf to off`},
		{name: "a certificate for no name", context: front(context{"certificateArn": certificate}),
			want: `front: apigateway asks the load balancer by HTTPS, and the certificate is for a name that nothing says: set domain, or remove certificateArn`},
		{name: "a page before a public load balancer", context: context{"ui": "on"},
			want: `ui: CloudFront would ask the public load balancer in plain text: set front to apigateway, or scheme to internal, or certificateArn and domain`},
		{name: "rules without room for the secret header", context: asked(context{}), change: users(func(s *config.Service) { s.Paths = []string{"/a", "/b", "/c", "/d", "/e"} }),
			want: `directAccess: off: each rule asks for the header X-Origin-Secret as well, which leaves 4 of the 5 values of its conditions, and service "users" has 5 paths (/a, /b, /c, /d, /e): give it Routes with fewer each, or set front to apigateway, or scheme to internal`},
		{name: "testers without room for the secret header", context: asked(context{}), change: users(func(s *config.Service) {
			s.Paths, s.Testers = []string{"/a", "/b", "/c"}, map[string][]string{"X-Tester": {"x", "y"}}
		}),
			want: `directAccess: off: each rule asks for the header X-Origin-Secret as well, which leaves 4 of the 5 values of its conditions, and service "users" has 5 values (/a or /b or /c with header X-Tester x or y): give it Routes with fewer each, or fewer Testers, or set front to apigateway, or scheme to internal`},
		{name: "a monolith without room for the secret header", context: asked(context{}), change: func(d *config.Deployment) { d.Monolith.Paths = []string{"/api/*", "/a", "/b", "/c", "/d"} },
			want: `directAccess: off: each rule asks for the header X-Origin-Secret as well, which leaves 4 of the 5 values of its conditions, and service "api" has 5 paths (/api/*, /a, /b, /c, /d): give it fewer Paths, or set front to apigateway, or scheme to internal`},
		{name: "root paths without room for the secret header", context: asked(context{"rootService": "users"}), change: func(d *config.Deployment) { d.Monolith.Paths = []string{"/api*", "/live*"} },
			want: `directAccess: off: each rule asks for the header X-Origin-Secret as well, which leaves 4 of the 5 values of its conditions, and the root paths are /, /api, /api/, /live, /live/: remove rootService, or set front to apigateway, or scheme to internal`},
		{name: "a service that is called as the secret", context: asked(context{}), change: users(func(s *config.Service) { s.Name = "origin-secret" }),
			want: `service "origin-secret": its target group has the id OriginSecret, like what CloudFront sends to the load balancer: rename the service`},
		{name: "no prefix list", context: context{"ui": "on", "scheme": "internal", "directAccess": "off"},
			want: "cloudFrontPrefixListId \"\" with directAccess: with directAccess=off the load balancer admits the addresses of CloudFront alone, and their list has another id in each region: give it, as `aws ec2 describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.global.cloudfront.origin-facing` shows it; with directAccess=on leave it out"},
		{name: "a prefix list that is none", context: context{"ui": "on", "scheme": "internal", "directAccess": "off", "cloudFrontPrefixListId": "cloudfront"},
			want: `cloudFrontPrefixListId: "cloudfront" is not a prefix list: it looks like "pl-0123456789abcdef0"`},
		{name: "a prefix list for nothing", context: front(context{"cloudFrontPrefixListId": "pl-3b927c52"}),
			want: `cloudFrontPrefixListId: "pl-3b927c52" is for an internal load balancer behind CloudFront alone, with directAccess=off: leave it out`},
		{name: "calls through a closed door", context: front(context{"directAccess": "off", "store": "dynamodb"}), change: users(func(s *config.Service) { s.StoreCalls = []string{"threads"} }),
			want: `directAccess: off: services call others through the load balancer, which would admit the front alone: let the Discovery of those that are called begin with ServiceConnect{} or CloudMap{}, or set directAccess to on`},
		{name: "a function that calls into the VPC", context: context{"scheme": "internal"}, change: users(func(s *config.Service) { s.Compute, s.Calls = config.Lambda{}, []string{"threads"} }),
			want: `scheme: internal: the function of "users" calls "threads", and a function is outside of the VPC, where it reaches no internal load balancer: choose Fargate{} for it, or set scheme to internet-facing`},
		{name: "a domain without its zone", context: domain(context{"uiHostedZoneId": ""}),
			want: `uiDomain "forum.example.com", uiHostedZoneId "", uiCertificateArn "` + certificate + `": a domain of the page needs all three: give the others, or none`},
		{name: "a domain without a page", context: domain(context{"ui": "off"}), want: `uiDomain: "forum.example.com" is for the page: set ui to on, or remove it`},
		{name: "a domain that is none", context: domain(context{"uiDomain": "forum"}), want: `uiDomain: "forum" is not a DNS name: it looks like "forum.example.com"`},
		{name: "a zone that is none", context: domain(context{"uiHostedZoneId": "example.com"}), want: `uiHostedZoneId: "example.com" is not a hosted zone: it looks like "Z0123456789ABCDEFGHIJ"`},
		{name: "a certificate that is none", context: domain(context{"uiCertificateArn": "forum"}), want: `uiCertificateArn: "forum" is not an ACM certificate: it looks like "arn:aws:acm:us-east-1:ACCOUNT:certificate/ID"`},
		{name: "a certificate of another region", context: domain(context{"uiCertificateArn": strings.Replace(certificate, "us-east-1", "eu-west-1", 1)}),
			want: `uiCertificateArn: the certificate is in eu-west-1: CloudFront takes certificates of us-east-1 only`},
		{name: "a page for all paths", context: context{"ui": "on", "scheme": "internal"}, change: func(d *config.Deployment) { d.Monolith.Paths = []string{"/*"} },
			want: `ui: "/*" takes all paths, and none is left for the page: let the services have narrower paths`},
		{name: "another load balancer", context: front(nil), change: with(config.Service{Name: "tags", LoadBalancer: "press", Paths: []string{"/t"}, Order: 5}),
			want: `front: apigateway: service "tags" is behind load balancer "press", which has a host name of its own, and a front has one load balancer: remove LoadBalancer, or the front`},
		{name: "a route by host", context: front(nil), change: with(config.Service{Name: "tags", Routes: []config.Route{{Order: 5, Paths: []string{"/t"}, Hosts: []string{"t.example.com"}}}}),
			want: `front: apigateway: service "tags": Hosts ["t.example.com"]: a front asks the load balancer by another host name: remove Hosts, or the front`},
		{name: "a path that is no resource", context: front(nil), change: with(config.Service{Name: "tags", Paths: []string{"/t$x/y"}, Order: 5}),
			want: `service "tags": path "/t$x/y": API Gateway takes no resource "t$x": it has letters, digits and . _ : - alone`},
		{name: "a service called like the front", context: front(nil), change: with(config.Service{Name: "front", Paths: []string{"/t"}, Order: 5}),
			want: `the REST API: its stack is called Front, like that of service "front": rename one`},
		{name: "another authorization", context: front(nil), change: api(config.API{WriteAuthorization: "IAM"}),
			want: `service "users": API.WriteAuthorization "IAM" is unknown: choose "AWS_IAM", or leave it out`},
		{name: "signatures that nobody checks", change: api(config.API{WriteAuthorization: config.AWSIAM}),
			want: `service "users": API.WriteAuthorization: only API Gateway checks signatures: set front to apigateway, or leave it out`},
		{name: "a rate without a burst", context: front(nil), change: api(config.API{RateLimit: 10}),
			want: `service "users": API.RateLimit 10 and API.BurstLimit 0: give both, each 1 or more, or none`},
		{name: "a cache of another path", context: front(nil), change: api(config.API{Cache: []config.Cached{{Path: "/api/user", TTLSeconds: 5}}}),
			want: `service "users": API.Cache "/api/user": it is no path of the service, as "/api/threads" or "/api/threads/*": choose one of "/api/users", "/api/users/*"`},
		{name: "a cache for too long", context: front(nil), change: api(config.API{Cache: []config.Cached{{Path: "/api/users", TTLSeconds: 3601}}}),
			want: `service "users": API.Cache "/api/users": TTLSeconds 3601: it must be from 1 to 3600`},
		{name: "a cache twice", context: front(nil), change: api(config.API{Cache: []config.Cached{{Path: "/api/users", TTLSeconds: 1}, {Path: "/api/users", TTLSeconds: 2}}}),
			want: `service "users": API.Cache "/api/users": it is listed twice: remove one`},
		{name: "a cache that hides writes", context: front(context{"store": "dynamodb"}), change: api(config.API{Cache: []config.Cached{{Path: "/api/users/*", TTLSeconds: 1}}}),
			want: `service "users": API.Cache "/api/users/*": the service takes writes, and a kept answer would hide them: remove it`},
		{name: "a body that is none", context: front(nil), change: api(config.API{Validate: []config.Validated{{Method: "GET", Path: "/api/users", Schema: "user.json"}}}),
			want: `service "users": API.Validate "GET /api/users": a body is checked of POST, PUT or PATCH: choose one`},
		{name: "a body of another path", context: front(nil), change: api(config.API{Validate: []config.Validated{{Method: "POST", Path: "/api/threads", Schema: "user.json"}}}),
			want: `service "users": API.Validate "POST /api/threads": it is no path of the service, as "/api/threads" or "/api/threads/*": choose one of "/api/users", "/api/users/*"`},
		{name: "a schema elsewhere", context: front(nil), change: api(config.API{Validate: []config.Validated{{Method: "POST", Path: "/api/users", Schema: "../user.json"}}}),
			want: `service "users": API.Validate "POST /api/users": Schema "../user.json" is no file below the root of the repository`},
		{name: "a body twice", context: front(nil), change: api(config.API{Validate: []config.Validated{{Method: "PUT", Path: "/api/users/*", Schema: "a"}, {Method: "PUT", Path: "/api/users/*", Schema: "b"}}}),
			want: `service "users": API.Validate "PUT /api/users/*": it is listed twice: remove one`},
		{name: "a task without the load balancer", context: front(context{"phase": "switched"}), change: api(config.API{Direct: true}),
			want: `service "users": API.Direct: it runs on ec2: choose Lambda{}, or leave it out`},
		{name: "a function before its time", context: front(nil), change: users(func(s *config.Service) { s.Compute, s.API.Direct = config.Lambda{}, true }),
			want: `service "users": API.Direct: the load balancer still sends requests for users-lambda to the monolith: leave it out until the service is switched`},
		{name: "a function beside the monolith", context: front(context{"phase": "parallel"}), change: users(func(s *config.Service) { s.Compute, s.API.Direct = config.Lambda{}, true }),
			want: `service "users": API.Direct: the load balancer still sends requests for users-lambda to the monolith: leave it out until the service is switched`},
		{name: "a function on its way", context: front(context{"phase": "switched"}), change: users(func(s *config.Service) { s.Compute, s.Next, s.API.Direct = config.Lambda{}, config.Fargate{}, true }),
			want: `service "users": API.Direct: the service is on its way to fargate, and the load balancer decides how far: leave it out until Next is gone`},
		{name: "a function without a front", context: context{"phase": "switched"}, change: users(func(s *config.Service) { s.Compute, s.API.Direct = config.Lambda{}, true }),
			want: `service "users": API.Direct: only API Gateway calls a function without the load balancer: set front to apigateway, or leave it out`},
	})
}

// TestAPIResources: each path has a resource, one for all below, and so has each path above.
func TestAPIResources(t *testing.T) {
	service := func(name string, paths ...string) config.Service { return config.Service{Name: name, Paths: paths} }
	for _, c := range []struct {
		services []config.Service
		want     string
	}{
		{nil, "/ /{proxy+} /api= /api/{proxy+}="},
		{[]config.Service{service("users", "/api/users*")}, "/ /{proxy+} /api= /api/{proxy+}= /api/users=users /api/users/{proxy+}=users"},
		{[]config.Service{service("a", "/x/y/z/*", "/health"), service("b", "/x/?/q")},
			"/ /{proxy+} /api= /api/{proxy+}= /health=a /health/{proxy+}=a /x=b /x/{proxy+}=b /x/y /x/y/{proxy+} /x/y/z=a /x/y/z/{proxy+}=a"},
		{[]config.Service{service("all", "/*")}, "/=all /{proxy+}=all /api= /api/{proxy+}="},
	} {
		d := config.Deployment{Monolith: service("api", "/api*"), Services: c.services}
		var got []string
		for _, r := range d.APIResources() {
			one := r.Path
			if r.Service == "api" {
				one += "="
			} else if r.Service != "" {
				one += "=" + r.Service
			}
			got = append(got, one)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%v: the resources are %s, want %s", c.services, text, c.want)
		}
	}
}

// TestSignedResources: a write needs a signature wherever API Gateway sends one that may be the service's, and nowhere else. A
// read needs none.
func TestSignedResources(t *testing.T) {
	for pattern, want := range map[string]string{
		"/api/users*":   "[/api/{proxy+} /api/users /api/users/{proxy+}]",
		"/api/users/*":  "[/api/users/{proxy+}]",
		"/api/users":    "[/api/users]",
		"/api/us*":      "[/api/{proxy+} /api/us /api/us/{proxy+} /api/users /api/users/{proxy+}]",
		"/api/*/photos": "[/api/{proxy+} /api/users/{proxy+}]",
		"*/photos":      "[/{proxy+} /api/{proxy+} /api/users/{proxy+}]",
	} {
		d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}}, Services: []config.Service{
			{Name: "signed", Paths: []string{pattern}, API: config.API{WriteAuthorization: config.AWSIAM}}, {Name: "other", Paths: []string{"/api/users*"}},
		}}
		got := []string{}
		for _, r := range d.APIResources() {
			signed := map[bool][]string{}
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "REPORT"} {
				i := slices.IndexFunc(r.Methods, func(m config.APIMethod) bool { return m.Name == method })
				if i < 0 {
					i = slices.IndexFunc(r.Methods, func(m config.APIMethod) bool { return m.Name == config.AnyMethod })
				}
				signed[r.Methods[i].IAM] = append(signed[r.Methods[i].IAM], method)
			}
			if len(signed[true]) > 0 {
				got = append(got, r.Path)
				if len(signed[false]) != 3 || signed[true][0] != "POST" {
					t.Errorf("%s: at %s a signature is asked for of %v, and none of %v", pattern, r.Path, signed[true], signed[false])
				}
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: a signature is asked for at %v, want %s", pattern, got, want)
		}
	}
}

// TestUIPatterns: what one pattern covers has none of its own.
func TestUIPatterns(t *testing.T) {
	d := config.Deployment{Monolith: config.Service{Paths: []string{"/shop/a", "/api*"}}, Services: []config.Service{{Paths: []string{"/shop*", "/api/users*"}}, {Paths: []string{"/shop/b"}}}}
	if got := fmt.Sprint(d.UIPatterns()); got != "[/api* /shop*]" {
		t.Errorf("the patterns are %s", got)
	}
}
