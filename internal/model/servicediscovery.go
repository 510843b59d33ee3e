package model

import (
	"maps"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

func (m *Model) readServiceDiscovery() {
	for _, resourceType := range slices.Sorted(maps.Keys(namespaceTypes)) {
		m.Namespaces = append(m.Namespaces, all(m, resourceType, func(n *Namespace, p assembly.Value) {
			n.Type, n.Name, n.VPC = namespaceTypes[resourceType], p.Field("Name").Need("a name").Text(""), p.Field("Vpc").Keyed()
			p.Field("Properties") // of the SOA record: how long resolvers keep that there is no such name
		})...)
	}
	m.DiscoveryServices = all(m, CloudMapService, m.discoveryService)
}

// Types of namespaces, as in https://docs.aws.amazon.com/cloud-map/latest/api/API_Namespace.html.
const (
	HTTPNamespace    = "HTTP"
	PrivateNamespace = "DNS_PRIVATE"
	PublicNamespace  = "DNS_PUBLIC"
)

var namespaceTypes = map[string]string{CloudMapHTTPNamespace: HTTPNamespace, CloudMapPrivateNamespace: PrivateNamespace, CloudMapPublicNamespace: PublicNamespace}

// Namespace is a namespace of AWS Cloud Map, a group of services that find each other.
// https://docs.aws.amazon.com/cloud-map/latest/dg/working-with-namespaces.html
type Namespace struct {
	Base
	Name string
	// Type is HTTP, DNS_PRIVATE or DNS_PUBLIC.
	Type string
	// VPC is the network in which names of a private namespace resolve, as a key or the template's text.
	VPC string
}

// DiscoveryService is a service of AWS Cloud Map: a name that leads to the tasks which an ECS service
// registers.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-servicediscovery-service.html
type DiscoveryService struct {
	Base
	Name string
	// Namespace is nil if not in the assembly.
	Namespace *Namespace
	// Records are none if clients ask for the tasks by the API DiscoverInstances only.
	Records []DNSRecord
	// Weighted says that an answer has one task, chosen at random. Default false: it has up to eight. What
	// holds without a RoutingPolicy is not documented.
	Weighted bool
	// CustomHealth says that ECS tells the health of tasks, and that only healthy ones are returned.
	CustomHealth bool
}

// DNSRecord is a kind of records of a service.
type DNSRecord struct {
	// Type is A, AAAA, SRV or CNAME.
	Type string
	// TTL is how long resolvers keep an answer.
	TTL time.Duration
}

// Host is the name in DNS, in lower case. Names in DNS are without regard to case.
func (s *DiscoveryService) Host() string {
	if s.Namespace == nil {
		return strings.ToLower(s.Name)
	}
	return strings.ToLower(s.Name + "." + s.Namespace.Name)
}

// Record is the record of a type, nil if there is none.
func (s *DiscoveryService) Record(recordType string) *DNSRecord {
	for i := range s.Records {
		if s.Records[i].Type == recordType {
			return &s.Records[i]
		}
	}
	return nil
}

func (m *Model) discoveryService(s *DiscoveryService, p assembly.Value) {
	s.Name = name(&s.Base, p.Field("Name"))
	dns := p.Field("DnsConfig")
	for _, id := range []assembly.Value{p.Field("NamespaceId"), dns.Field("NamespaceId")} {
		if found := m.namespace(id, "Id"); found != nil {
			s.Namespace = found
		}
	}
	for _, record := range dns.Field("DnsRecords").List() {
		s.Records = append(s.Records, DNSRecord{record.Field("Type").OneOf("A", "AAAA", "SRV", "CNAME"), record.Field("TTL").Need("a number of seconds").Seconds(0, 0, 2147483647)})
	}
	s.Weighted = dns.Field("RoutingPolicy").OneOf("MULTIVALUE", "WEIGHTED") == "WEIGHTED"
	custom := p.Field("HealthCheckCustomConfig")
	custom.Field("FailureThreshold") // "This parameter is no longer supported and is always set to 1."
	s.CustomHealth = custom.Present()
}

// namespace returns the namespace that Ref or an attribute identifies, nil if none of the assembly.
func (m *Model) namespace(v assembly.Value, attributes ...string) *Namespace {
	for resourceType := range namespaceTypes {
		if found := elsewhere[Namespace](m, v, resourceType, attributes...); found != nil {
			return found
		}
	}
	return nil
}
