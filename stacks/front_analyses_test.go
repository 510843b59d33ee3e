package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/deployment"
	"cutover/internal/analysis/controls"
	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/criticalpath"
	"cutover/internal/analysis/diagram"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// TestAnalysesOfFronts: each front has a price, meets the controls, is drawn before the load balancer, and grants nothing too wide. The control of
// our own fails while the old door is open.
func TestAnalysesOfFronts(t *testing.T) {
	nightly.Test(t, "it synthesizes three fronts")
	const gateway, cloudFront = "API Gateway's VPC link → LoadBalancerSecurityGroup: tcp ", "CloudFront → LoadBalancerSecurityGroup: tcp "
	for name, want := range map[string]struct {
		open    bool     // the old door
		address int      // public IPv4 addresses
		reaches string   // the load balancer, beside those behind it
		drawn   []string // arrows, without ids
	}{
		"both": {false, 3, gateway + "80–80", []string{`client_1 --> CloudFront_1`, `CloudFront_1 -->|"/api*"| APIGateway_1`, `CloudFront_1 -->|"else"| page_1`, `client_1 -->|"signed requests"| APIGateway_1`,
			`APIGateway_1 -->|"VPC link"| loadbalancerHTTP80_1`}},
		"apigateway": {true, 3, gateway + "443–443", []string{`client_1 --> APIGateway_1`, `APIGateway_1 -->|"VPC link"| loadbalancerHTTPS443_1`, `client_1 -->|"past the front"| loadbalancerHTTPS443_1`}},
		"internal":   {true, 1, "the VPC → LoadBalancerSecurityGroup: tcp 80–80", []string{`client_1 --> CloudFront_1`, `CloudFront_1 -->|"/api*"| loadbalancerHTTP80_1`, `client_1 -->|"past the front"| loadbalancerHTTP80_1`}},
		"closed":     {false, 1, cloudFront + "80–80", []string{`client_1 --> CloudFront_1`, `CloudFront_1 -->|"/api*"| loadbalancerHTTP80_1`}},
		"public":     {true, 3, "the internet → LoadBalancerSecurityGroup: tcp 443–443", []string{`client_1 --> CloudFront_1`, `CloudFront_1 -->|"/api*"| loadbalancerHTTPS443_1`, `client_1 -->|"past the front"| loadbalancerHTTPS443_1`}},
		"asked": {false, 3, "the internet → LoadBalancerSecurityGroup: tcp 443–443", []string{`client_1 --> CloudFront_1`, `CloudFront_1 -->|"/api*"| loadbalancerHTTPS443_1`,
			`loadbalancerHTTPS443_1 -->|"10000 /api*"| api_1`, `loadbalancerHTTPS443_1 -->|"else"| api_1`, `loadbalancerHTTPS443_1 -->|"without X-Origin-Secret"| 403_1`}},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "both" && name != "closed" && name != "asked" {
				nightly.Test(t, "synthesizes each front")
			}
			d := deployment.Forum
			if fronts()[name]["front"] != nil {
				d = fronted()
			}
			a := synthDeployment(t, d, fronts()[name])
			meetsControls(t, a)
			m := model.Read(a)
			own := slices.IndexFunc(controls.All, func(c controls.Control) bool { return c.ID == "Cutover.1" })
			equal(t, "the old door is open", want.open, len(controls.All[own].Check(m)) > 0)

			estimates, err := cost.Read(m)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "without a price", []string(nil), estimates[0].Unpriced)
			for _, unknown := range estimates[0].Unknown {
				if !strings.Contains(unknown, "AWS::Region is only known at deployment") { // of CloudFront's alarm, which is there in one region
					t.Errorf("unknown: %s", unknown)
				}
			}
			addresses := slices.IndexFunc(estimates[0].Lines, func(l cost.Line) bool { return l.Name == "public IPv4 address" })
			equal(t, "addresses", cost.Cents(365*want.address), estimates[0].Lines[addresses].Amount)

			text, err := diagram.Requests(diagram.Layer{Assembly: a})
			if err != nil {
				t.Fatal(err)
			}
			for _, arrow := range want.drawn {
				if !strings.Contains(text, "    "+arrow+"\n") {
					t.Errorf("no arrow %s in\n%s", arrow, text)
				}
			}
			if past := strings.Contains(text, "past the front"); past != want.open {
				t.Errorf("a way past the front is drawn: %v", past)
			}

			i := isolated(t, a)
			equal(t, "too wide", []string(nil), i.TooWide())
			var reaches []string
			for _, reach := range i.Reaches {
				if reach.To == "LoadBalancerSecurityGroup" && reach.From != "InstanceSecurityGroup" {
					reaches = append(reaches, reach.String())
				}
			}
			if !slices.Contains(reaches, want.reaches) || !want.open && len(reaches) > 1 && name != "asked" { // which admits all, and answers few
				t.Errorf("the load balancer is reached by %q", reaches)
			}

			path, err := criticalpath.Read(nil, a)
			if err != nil {
				t.Fatal(err)
			}
			for _, unknown := range path.Unknown {
				if !strings.HasPrefix(unknown, "whether there is dev-Ui/") {
					t.Errorf("unknown on the critical path: %s", unknown)
				}
			}
		})
	}
}

// TestControlsOfFronts: production with both fronts, a web ACL, a domain and the old door closed meets each control that is not argued.
func TestControlsOfFronts(t *testing.T) {
	nightly.Test(t, "it synthesizes production with fronts")
	m := model.Read(synthDeployment(t, fronted(), settings{
		"env": "prod", "front": "apigateway", "ui": "on", "waf": "on", "directAccess": "off", "certificateArn": certificate, "domain": "api.example.com",
		"uiDomain": "forum.example.com", "uiHostedZoneId": "Z0123456789ABCDEFGHIJ", "uiCertificateArn": certificate,
	}))
	equal(t, "types that the table says nothing about", []string(nil), controls.Unlisted(m))
	if !m.APIStages[0].AccessLogs { // as the argument of APIGateway.9 says
		t.Error("the stage does not log requests")
	}
	for _, control := range controls.All {
		for _, finding := range control.Check(m) {
			if !strings.Contains(finding.Problem, "AWS::Region is only known at deployment") { // of CloudFront's alarm, which is there in one region
				t.Errorf("%s: %v", control.ID, finding)
			}
		}
	}
}
