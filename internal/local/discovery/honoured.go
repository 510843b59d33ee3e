package discovery

import (
	"fmt"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// forAWS are settings without an effect here.
var forAWS = map[string]string{"Description": "", "Tags": "", "ServiceAttributes": "", "Type": ""}

// notHonoured says why for other settings.
var notHonoured = map[string]string{
	"HealthCheckConfig": "AWS takes it for public and HTTP namespaces only: use HealthCheckCustomConfig",
}

// Check implements [provider.Plan]. It passes over what is not in a private namespace: names are not answered there,
// and the warnings of a deployment say so.
func (p *plan) Check() error {
	var errs []error
	for _, n := range p.model.Namespaces {
		if n.Type != model.PublicNamespace {
			errs = append(errs, n.Unsupported(forAWS, notHonoured))
		}
	}
	for _, s := range p.model.DiscoveryServices {
		if s.Namespace == nil || s.Namespace.Type != model.PrivateNamespace {
			continue
		}
		errs = append(errs, s.Unsupported(forAWS, notHonoured))
		for i, r := range s.Records {
			if r.Type == "CNAME" {
				errs = append(errs, s.Errorf(fmt.Sprintf("DnsConfig.DnsRecords[%d].Type", i), "CNAME is not honoured: "+noAlias))
			}
		}
	}
	return assembly.Join(append(errs, p.twice())...)
}

// twice refuses two endpoints or discovery names of one namespace that are the same: "All endpoints must be unique
// within a namespace", "All discovery names must be unique within a namespace".
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect.html
func (p *plan) twice() error {
	var errs []error
	holders := map[string]string{}
	for _, key := range p.services.Keys() {
		s := p.services[key]
		for i, t := range connectTargets(s) {
			for _, name := range []string{"endpoint " + t.String(), "discovery name " + s.Connect.Endpoints[i].DiscoveryName} {
				if other, ok := holders[t.key+" "+name]; ok {
					errs = append(errs, s.Errorf(fmt.Sprintf("ServiceConnectConfiguration.Services[%d]", i), "AWS refuses the %s: %s has it in the namespace already", name, other))
				}
				holders[t.key+" "+name] = key
			}
		}
	}
	return assembly.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	for _, s := range p.model.DiscoveryServices {
		for i, r := range s.Records {
			if answered(s) && r.Type == "AAAA" {
				all = append(all, provider.PassedOver{Place: fmt.Sprintf("%v/Properties.DnsConfig.DnsRecords[%d].Type", s.Resource, i), Subject: s.Name, Setting: r.Type, Why: noIPv6})
			}
		}
	}
	return all
}

const (
	noIPv6  = "a task has no address of IPv6 here"
	noAlias = "ECS registers tasks by their addresses"
)

// Compatibility is what becomes of the settings of namespaces and services of AWS Cloud Map.
func Compatibility() []provider.Compatibility {
	return append(provider.Settings(forAWS, nil, map[string]string{"DnsRecords[].Type AAAA": noIPv6}, notHonoured),
		provider.Compatibility{Setting: "DnsRecords[].Type CNAME", Here: "refused", Why: noAlias})
}
