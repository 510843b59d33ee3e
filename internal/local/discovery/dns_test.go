package discovery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// lookup asks a DNS server, and returns what the answer says.
func lookup(t *testing.T, network, server, name string, recordType uint16) string {
	t.Helper()
	client := &dns.Client{Net: network, Timeout: 10 * time.Second}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, recordType), server)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{dns.RcodeToString[answer.Rcode]}
	for _, record := range answer.Answer {
		lines = append(lines, strings.ReplaceAll(record.String(), "\t", " "))
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// The DNS server answers for the private namespaces of its network, and for no others.
func TestDNS(t *testing.T) {
	t.Parallel()
	p := New(func(provider.Event) {})
	names := func(name, records string) string {
		return resource(name+"Names", model.CloudMapService, `"Name": "`+name+`", "NamespaceId": {"Ref": "Zone"}, "HealthCheckCustomConfig": {}, "DnsConfig": {"DnsRecords": [`+records+`]}`)
	}
	registers := func(name, more string) string {
		return service(name, "", `, "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["`+name+`Names", "Arn"]}`+more+`}]`)
	}
	m := read(t, resource("Zone", model.CloudMapPrivateNamespace, `"Name": "Dev.internal", "Vpc": "vpc-1"`),
		names("Users", `{"Type": "A", "TTL": 10}`), registers("Users", ""), names("Posts", `{"Type": "SRV", "TTL": 20}`), registers("Posts", `, "Port": 3000`), names("Empty", `{"Type": "A", "TTL": 10}`),
		resource("Far", model.CloudMapPrivateNamespace, `"Name": "far.internal", "Vpc": "vpc-2"`))
	next := p.Plan(m, nil)
	for range 2 { // an update opens no second server
		if err := next.Update(context.Background(), "S"); err != nil {
			t.Fatal(err)
		}
	}
	resolvers := p.Status().(Status).Resolvers
	if len(resolvers) != 2 {
		t.Fatalf("the servers are %v", resolvers)
	}
	i := slices.IndexFunc(resolvers, func(r ResolverStatus) bool { return slices.Equal(r.Namespaces, []string{"dev.internal"}) })
	server := resolvers[i].Address
	far := resolvers[1-i].Address
	find := func(name string) *model.Service {
		return m.Services[slices.IndexFunc(m.Services, func(s *model.Service) bool { return s.Name == name })]
	}
	for task, of := range map[string]string{"a": "users", "b": "users", "c": "posts", "d": "posts"} {
		p.Register(task, find(of), task != "d", func(_ string, port int) string {
			return fmt.Sprintf("127.0.0.%d:2000%s", port/3000, map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}[task])
		})
	}
	for _, test := range []struct {
		name       string
		recordType uint16
		want       string
	}{
		{"users.dev.internal.", dns.TypeA, "NOERROR\nusers.dev.internal. 10 IN A 127.0.0.1"},
		{"USERS.dev.Internal.", dns.TypeA, "NOERROR\nUSERS.dev.Internal. 10 IN A 127.0.0.1"},
		{"users.dev.internal.", dns.TypeSRV, "NOERROR"},
		{"users.dev.internal.", dns.TypeAAAA, "NOERROR"},
		{"posts.dev.internal.", dns.TypeSRV, "NOERROR\nposts.dev.internal. 20 IN SRV 1 1 20003 c.posts.dev.internal."},
		{"posts.dev.internal.", dns.TypeA, "NOERROR"},
		{"c.posts.dev.internal.", dns.TypeA, "NOERROR\nc.posts.dev.internal. 20 IN A 127.0.0.1"},
		{"c.posts.dev.internal.", dns.TypeSRV, "NOERROR"},
		{"x.posts.dev.internal.", dns.TypeA, "NXDOMAIN"},
		{"empty.dev.internal.", dns.TypeA, "NOERROR"},
		{"nobody.dev.internal.", dns.TypeA, "NXDOMAIN"},
		{"dev.internal.", dns.TypeA, "NOERROR"},
		{"users.far.internal.", dns.TypeA, "REFUSED"},
		{"example.com.", dns.TypeA, "REFUSED"},
		{"mydev.internal.", dns.TypeA, "REFUSED"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			if diff := cmp.Diff(test.want, lookup(t, network, server, test.name, test.recordType)); diff != "" {
				t.Errorf("%s over %s (-want +got):\n%s", test.name, network, diff)
			}
		}
	}
	if got := lookup(t, "udp", far, "users.dev.internal.", dns.TypeA); got != "REFUSED" {
		t.Errorf("of another network: %s", got)
	}
	p.Deregister("c")
	if got := lookup(t, "udp", server, "posts.dev.internal.", dns.TypeSRV); !strings.Contains(got, "20004 d.posts") {
		t.Errorf("with an unhealthy task only: %s", got)
	}
	// A task gets the server of its network; if the network is not known and there are two, none.
	_, address, err := p.Open(ecs.Caller{Task: "q", Name: "users", Service: find("users")})
	if err != nil || address != "" {
		t.Errorf("%q, %v", address, err)
	}
	p.Close("q")
	if err := p.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, _, err := (&dns.Client{Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("users.dev.internal.", dns.TypeA), server); err == nil {
		t.Error("the server answers after its end")
	}
}

// A resolver is told for each network, and the only one to tasks whose network is not known.
func TestResolver(t *testing.T) {
	p := New(nil)
	p.servers["vpc-1"] = &server{address: "one"}
	for vpc, want := range map[string]string{"vpc-1": "one", "": "one", "vpc-2": ""} {
		if got := p.resolver(vpc); got != want {
			t.Errorf("in %q it is %q, want %q", vpc, got, want)
		}
	}
	p.servers["vpc-2"] = &server{address: "two"}
	for vpc, want := range map[string]string{"vpc-1": "one", "": "", "vpc-2": "two"} {
		if got := p.resolver(vpc); got != want {
			t.Errorf("in %q it is %q, want %q", vpc, got, want)
		}
	}
}
