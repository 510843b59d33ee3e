package model

import (
	"regexp"
	"strings"

	"cutover/internal/assembly"
)

// domainMetadata is the metadata of a load balancer with a DNS name that leads to it, for which the
// assembly has no record.
const domainMetadata = "cutover:domain"

// domainAttribute begins the attribute that stands for a URL's domain and port in a variable. AWS has no
// such attribute.
const domainAttribute = "Domain:"

// Domain is the "domain:port" of a URL with a domain of a load balancer, if the reference stands for one.
func Domain(ref assembly.Ref) (domain string, ok bool) {
	return strings.CutPrefix(ref.Attribute, domainAttribute)
}

// ToBalancer says whether the reference is the address of a load balancer: its DNS name, or a domain in a
// URL.
func ToBalancer(ref assembly.Ref) bool {
	_, domain := Domain(ref)
	return ref.Resource.Type == ELBLoadBalancer && (domain || ref.Attribute == "DNSName")
}

// readDomains finds the domains of load balancers: in their metadata, and in the alias and CNAME records
// of Amazon Route 53. URLs in variables with such a domain then refer to the load balancer.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-to-elb-load-balancer.html
func (m *Model) readDomains() {
	domains := map[string]*LoadBalancer{}
	for _, lb := range m.LoadBalancers {
		if domain, ok := lb.Resource.Metadata[domainMetadata].(string); ok {
			domains[domain] = lb
		}
	}
	for _, record := range m.Assembly.Resources(Route53RecordSet) {
		p := assembly.NewReader(m.Assembly, record).Properties()
		name, _ := p.Field("Name").Mixed()
		for _, target := range append(p.Field("ResourceRecords").List(), p.Field("AliasTarget").Field("DNSName")) {
			_, parts := target.Mixed()
			if lb := m.BalancerIn(parts); lb != nil && name != "" {
				domains[strings.TrimSuffix(name, ".")] = lb
			}
		}
	}
	for domain, lb := range domains {
		lb.Domains = append(lb.Domains, domain)
		for _, definition := range m.TaskDefinitions {
			for _, c := range definition.Containers {
				for i := range c.Environment {
					c.Environment[i].refer(domain, lb.Resource)
				}
			}
		}
	}
}

// refer lets URLs with the domain refer to the load balancer. TLS ends where the domain is known, so what
// is left of the scheme is "http" or "ws".
func (v *Variable) refer(domain string, balancer *assembly.Resource) {
	url := regexp.MustCompile(`(?i)\b(http|ws)(s?)://(?:[^\s/@]*@)?(` + regexp.QuoteMeta(domain) + `\.?(?::(\d+))?)(?:[^\w.:-]|$)`)
	var parts assembly.Text
	found := false
	given := v.Parts
	if given == nil {
		given = assembly.Text{v.Value}
	}
	for _, part := range given {
		text, ok := part.(string)
		if !ok {
			parts = append(parts, part)
			continue
		}
		for {
			at := url.FindStringSubmatchIndex(text)
			if at == nil {
				break
			}
			found = true
			port := "80"
			switch {
			case at[8] >= 0:
				port = text[at[8]:at[9]]
			case at[4] < at[5]:
				port = "443"
			}
			parts = append(parts, text[:at[4]]+text[at[5]:at[6]], assembly.Ref{Resource: balancer, Attribute: domainAttribute + domain + ":" + port})
			text = text[at[7]:]
		}
		parts = append(parts, text)
	}
	if found {
		v.Parts = parts
	}
}
