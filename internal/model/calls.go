package model

import (
	"cmp"
	"fmt"
	"strings"

	"cutover/internal/assembly"
)

// Call is a variable that gives a container the address of a service, or of a load balancer.
type Call struct {
	From *Service
	// Value is the variable's. It names resources as in "http://${Stack/LoadBalancer.DNSName}".
	Variable, Value string
	// To is who answers at Name; both are empty if the call goes through Balancer, whose rules decide.
	To       *Service
	Name     ServiceName
	Balancer *LoadBalancer
}

// Way is how the call finds who answers, in words.
func (c Call) Way() string {
	switch {
	case c.Balancer != nil:
		return "through the load balancer"
	case c.Name.Connect:
		return "by Service Connect"
	}
	return "by AWS Cloud Map"
}

// ServiceName is a name under which other tasks find a service.
type ServiceName struct {
	// Host is in lower case. Port is 0 if clients choose it, or find it in SRV records.
	Host string
	Port int
	// Connect says that Service Connect has the name, in Namespace. Otherwise DNS has it, and SRV says that
	// its records have ports.
	Connect, SRV bool
	Namespace    string
}

func (n ServiceName) String() string {
	switch {
	case n.SRV:
		return "http+srv://" + n.Host
	case n.Port != 0:
		return fmt.Sprintf("http://%s:%d", n.Host, n.Port)
	}
	return "http://" + n.Host
}

// Names are the names under which other tasks find a service.
func (s *Service) Names() (names []ServiceName) {
	if s.Connect != nil {
		for _, e := range s.Connect.Endpoints {
			names = append(names, ServiceName{Host: e.Host, Port: e.Port, Connect: true, Namespace: s.Connect.NamespaceKey})
		}
	}
	for _, r := range s.Registries {
		if r.Service == nil || len(r.Service.Records) == 0 {
			continue
		}
		_, space, _ := strings.Cut(r.Service.Host(), ".")
		srv := r.Service.Record("A") == nil && r.Service.Record("AAAA") == nil
		names = append(names, ServiceName{Host: r.Service.Host(), SRV: srv, Namespace: space})
	}
	return names
}

// Calls are the variables that have the address of a load balancer, or a name of another service that the
// tasks know: a name of Service Connect only within its namespace.
func (m *Model) Calls() (calls []Call) {
	names := map[*Service][]ServiceName{}
	for _, s := range m.Services {
		names[s] = s.Names()
	}
	for _, from := range m.Services {
		if from.TaskDefinition == nil {
			continue
		}
		for _, c := range from.TaskDefinition.Containers {
			for _, v := range c.Environment {
				call := Call{From: from, Variable: v.Name, Value: cmp.Or(v.Value, v.Parts.String()), Balancer: m.BalancerIn(v.Parts)}
				if call.Balancer == nil {
					call.To, call.Name = m.called(from, call.Value, names)
				}
				if call.Balancer != nil || call.To != nil {
					calls = append(calls, call)
				}
			}
		}
	}
	return calls
}

// BalancerIn is the load balancer whose name a value has; nil if it has none.
func (m *Model) BalancerIn(value assembly.Text) *LoadBalancer {
	for _, part := range value {
		ref, _ := part.(assembly.Ref)
		if balancer, ok := m.values[ref.Resource].(*LoadBalancer); ok && ToBalancer(ref) {
			return balancer
		}
	}
	return nil
}

// called is the service that a value names.
func (m *Model) called(from *Service, value string, names map[*Service][]ServiceName) (*Service, ServiceName) {
	for _, to := range m.Services {
		for _, name := range names[to] {
			known := !name.Connect || from.Connect != nil && from.Connect.NamespaceKey == name.Namespace
			if to != from && known && name.In(value) {
				return to, name
			}
		}
	}
	return nil, ServiceName{}
}

// In says whether a value has the name: as the host of a URL, before its port, or by itself if the name has
// a dot. A short name by itself may be anything.
func (n ServiceName) In(value string) bool {
	rest := strings.ToLower(value)
	before := ""
	for {
		more, after, found := strings.Cut(rest, n.Host)
		if !found {
			return false
		}
		if before += more; n.between(before, after) {
			return true
		}
		before, rest = before+n.Host, after
	}
}

// between says whether the name is there, between the rest of a value.
func (n ServiceName) between(before, after string) bool {
	port := ""
	if colon, ok := strings.CutPrefix(after, ":"); ok {
		after = strings.TrimLeft(colon, "0123456789")
		port = strings.TrimSuffix(colon, after)
	}
	url := strings.HasSuffix(before, "//") || strings.HasSuffix(before, "@")
	begins := url || before == "" || strings.ContainsAny(before[len(before)-1:], ", ")
	ends := after == "" || strings.ContainsAny(after[:1], "/?#, ")
	dialled := port
	switch {
	case !begins || !ends || !url && port == "" && !strings.Contains(n.Host, "."):
		return false
	case port == "" && strings.HasSuffix(before, "https://"):
		dialled = "443"
	case port == "" && strings.HasSuffix(before, "http://"):
		dialled = "80"
	}
	return n.Port == 0 || dialled == "" || dialled == fmt.Sprint(n.Port)
}
