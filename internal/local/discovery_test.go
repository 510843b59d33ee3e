package local

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"cutover/internal/local/discovery"
	"cutover/internal/nightly"
)

// village is an assembly of services that find each other. Caller says in its first line of output where it finds
// the others; the section is of users.
func village(t *testing.T, section string) (dir string) {
	dir = t.TempDir()
	names := func(name, record string) string {
		return fmt.Sprintf(`%q: {"Type": "AWS::ServiceDiscovery::Service", "Properties": {"Name": %q, "NamespaceId": {"Fn::GetAtt": ["Zone", "Id"]}, "DnsConfig": {"DnsRecords": [{"Type": %q, "TTL": 1}]}}}`, name+"Names", name, record)
	}
	listeners := 80
	service := func(name, mode, section, port, more string) string { // behind a load balancer, whose checks are soon done
		listeners++
		network := ""
		if mode == "awsvpc" {
			network = `"NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [{"Fn::GetAtt": ["` + name + `Group", "GroupId"]}]}}, `
		}
		return fmt.Sprintf(`%[1]q: {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": %[1]q, "TaskDefinition": {"Ref": "%[1]sTask"}, "LoadBalancers": [{"ContainerName": %[1]q, "ContainerPort": 3000, "TargetGroupArn": {"Ref": "%[1]sTargets"}}], %[2]s%[3]s}},
			"%[1]sTargets": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Protocol": "HTTP", "Port": 80, "VpcId": "v", "TargetType": %[7]q, "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2,
				"TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]}},
			"%[1]sListener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"LoadBalancerArn": {"Ref": "Balancer"}, "Protocol": "HTTP", "Port": %[8]d, "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "%[1]sTargets"}}]}},
			"%[1]sTask": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"NetworkMode": %[4]q, "Memory": "512", "ContainerDefinitions": [{"Name": %[1]q, "Image": "i", "Memory": 64, "PortMappings": [{"ContainerPort": 3000%[5]s}],
				"Environment": [{"Name": "SECTION", "Value": %[6]q}]}]}}`, name, network, more, mode, port, section, map[string]string{"awsvpc": "ip", "bridge": "instance"}[mode], listeners)
	}
	group := func(name, ingress string) string {
		return fmt.Sprintf(`"%sGroup": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [%s]}}`, name, ingress)
	}
	admits := `{"IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000, "SourceSecurityGroupId": {"Ref": "callerGroup"}}`
	connect := func(services string) string {
		return `"ServiceConnectConfiguration": {"Enabled": true, "Namespace": {"Fn::GetAtt": ["Space", "Arn"]}, "Services": [` + services + `]}`
	}
	registered := func(name, more string) string {
		return `"ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["` + name + `Names", "Arn"]}` + more + `}]`
	}
	const named = `, "Name": "http", "AppProtocol": "http"`
	alias := func(name string) string {
		return `{"PortName": "http", "DiscoveryName": "` + name + `", "ClientAliases": [{"DnsName": "` + name + `", "Port": 80}]}`
	}
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "S.json"}}}}`,
		"S.json": `{"Resources": {` + strings.Join([]string{
			`"Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": ["a", "b"]}}`,
			`"Space": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "dev"}}`,
			`"Zone": {"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": {"Name": "dev.internal", "Vpc": "vpc-1"}}`,
			names("addressed", "A"), names("ported", "SRV"),
			group("caller", ""), group("users", admits), group("closed", ""), group("addressed", admits),
			service("users", "awsvpc", section, named, `"DesiredCount": 2, `+connect(alias("users"))),
			service("closed", "awsvpc", "closed", named, connect(alias("closed"))),
			service("addressed", "awsvpc", "addressed", "", registered("addressed", "")),
			service("ported", "bridge", "ported", "", registered("ported", `, "ContainerName": "ported", "ContainerPort": 3000`)),
			strings.Replace(service("caller", "awsvpc", "http://users/a http://addressed.dev.internal:3000/b http+srv://ported.dev.internal/c http://closed/d http://unknown/e", "", connect("")), `"Properties"`, `"DependsOn": ["users", "closed"], "Properties"`, 1),
		}, ", ") + `}}`,
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Tasks find each other by Service Connect, by addresses and by ports in DNS, as far as security groups let them.
func TestDiscovery(t *testing.T) {
	nightly.Test(t, "it replaces a service while another one calls it")
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]string{}
	for _, name := range []string{"users", "closed", "addressed", "ported", "caller"} {
		run[name] = fmt.Sprintf("%s=server exec '%s'", roleVariable, program)
	}
	dir := stateDir(t)
	d := start(t, dir, run)
	d.deploy(village(t, "users"))
	urls := d.found(dir)
	if len(urls) != 5 || urls[4] != "http://unknown/e" {
		t.Fatalf("the caller finds the others at %q", urls)
	}
	for i, want := range []string{"users GET /a ", "addressed GET /b ", "ported GET /c "} {
		if got, err := get(http.DefaultClient, urls[i]); err != nil || !strings.Contains(got, want) || !strings.HasPrefix(urls[i], "http://127.0.0.1:") {
			t.Errorf("%s answers %q, %v, want %q", urls[i], got, err, want)
		}
	}
	if got, err := get(http.DefaultClient, urls[3]); err == nil {
		t.Errorf("a service that admits nobody answers %q", got)
	}
	refused := "it calls closed:80, and the security group of closed does not admit it: the connection is refused"
	if !slices.ContainsFunc(d.told(), func(e Event) bool {
		return e.Kind == "discovery" && e.Subject == "caller" && e.State == Warning && e.Message == refused
	}) {
		t.Error("no event says what is refused")
	}

	status := d.Status().Discovery
	at := func(host string) discovery.NameStatus {
		i := slices.IndexFunc(status.Names, func(n discovery.NameStatus) bool { return n.Host == host })
		if i < 0 {
			t.Fatalf("there is no name %s in %+v", host, status)
		}
		return status.Names[i]
	}
	if n := at("users"); n.Kind != "Service Connect" || n.Namespace != "dev" || len(n.Endpoints) != 2 || !slices.ContainsFunc(n.Callers, func(c discovery.CallerStatus) bool {
		return c.Service == "caller" && "http://"+c.Address+"/a" == urls[0]
	}) {
		t.Errorf("users is %+v", n)
	}
	if text, err := json.Marshal(d.Status()); err != nil || !strings.Contains(string(text), `"refused":"the security group of closed does not admit it"`) {
		t.Errorf("the status is %s, %v", text, err)
	}
	ported := at("ported.dev.internal").Endpoints[0]
	answer, err := dns.Exchange(new(dns.Msg).SetQuestion("ported.dev.internal.", dns.TypeSRV), status.Resolvers[0].Address)
	if err != nil || len(answer.Answer) != 1 {
		t.Fatalf("DNS answers %v, %v", answer, err)
	}
	if _, port, _ := net.SplitHostPort(ported.Address); fmt.Sprint(answer.Answer[0].(*dns.SRV).Port) != port {
		t.Errorf("DNS answers %v, and the task is at %s", answer, ported.Address)
	}
	if n := d.Status().NotRun["AWS::ServiceDiscovery::Service"] + d.Status().NotRun["AWS::ServiceDiscovery::HttpNamespace"]; n > 0 {
		t.Errorf("%d resources of Cloud Map are not run", n)
	}
	if warnings := d.Status().Warnings; len(warnings) > 0 {
		t.Errorf("warnings: %q", warnings)
	}

	// While users is replaced, the caller finds its tasks all the while.
	done := make(chan struct{})
	answers := make(chan string)
	go func() {
		defer close(answers)
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			got, err := get(http.DefaultClient, urls[0])
			if err != nil {
				got = err.Error()
			}
			answers <- got
		}
	}()
	replaced := make(chan struct{})
	go func() {
		defer close(replaced)
		d.deploy(village(t, "others"))
	}()
	seen := map[string]int{}
	for deployed := false; !deployed; {
		select {
		case got := <-answers:
			seen[got]++
		case <-replaced:
			deployed = true
		}
	}
	close(done)
	for got := range answers {
		seen[got]++
	}
	if len(seen) != 2 || seen["200 users GET /a "]+seen["200 others GET /a "] == 0 {
		t.Errorf("during the update the answers are %v", seen)
	}
}

// found are the addresses of others that the caller has, as it says first.
func (d *deployment) found(dir string) []string {
	d.t.Helper()
	text, err := os.ReadFile(logFile(dir))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, rest, says := strings.Cut(line, "listening in place of ")
		if rest, _, _ = strings.Cut(rest, `"`); says && strings.Contains(rest, "unknown") {
			return strings.Fields(rest)
		}
	}
	return nil
}
