package alb

import (
	"fmt"
	"maps"
	"slices"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// Read reads listeners, rules and target groups from a model. The error has a line, with the place,
// for every setting that is not honoured here. Read passes over settings without an effect on one
// machine: zones, subnets, security groups, addresses, names in DNS, certificates, quotas, tags,
// deletion protection.
func Read(m *model.Model) (*rules.Table, error) {
	table, err := rules.Build(m)
	errs := []error{err}
	for _, lb := range m.LoadBalancers {
		if runs(m)(lb) {
			errs = append(errs, lb.Unsupported(passed(lb.Application()), nil))
		}
	}
	for _, l := range m.Listeners {
		if !l.Runs() {
			continue
		}
		errs = append(errs, l.Unsupported(passed(l.Application()), notHonoured), mutualTLS.Check(&l.Base, l))
		if !l.ServerHeader {
			errs = append(errs, l.Errorf("ListenerAttributes (routing.http.response.server.enabled)", "false is not honoured: answers have a Server header here"))
		}
	}
	for _, g := range m.AutoScalingGroups {
		for _, property := range slices.Sorted(maps.Keys(g.TargetGroups)) {
			if !g.TargetGroups[property].Runs() {
				continue
			}
			errs = append(errs, g.Errorf(property, "the instances of the group answer for target group %s, and nothing stands for them here: only tasks of ECS services are targets", g.TargetGroups[property].Key()))
		}
	}
	for _, g := range m.TargetGroups {
		if !g.Runs() {
			continue
		}
		if g.Existing() {
			g = here(g, nil)
		}
		for i, target := range g.Targets {
			what := "tasks of ECS services"
			if g.TargetType == "lambda" {
				what = "Lambda functions"
			}
			if g.TargetType != "lambda" || m.FunctionTarget(target.ID).Function == nil && m.OutsideFunction(target.ID) == nil {
				errs = append(errs, g.Errorf(fmt.Sprintf("Targets[%d]", i), "%s does not answer here: only %s are targets", target.ID, what))
			}
		}
		errs = append(errs, g.Unsupported(passed(g.Application()), notHonoured))
		for _, limit := range groupLimits {
			errs = append(errs, limit.Check(&g.Base, g))
		}
		if g.Health.Disabled && g.TargetType != "lambda" {
			errs = append(errs, g.Errorf("HealthCheckEnabled", "false is not honoured: targets get requests here when they are healthy"))
		}
	}
	if err := assembly.Join(errs...); err != nil {
		return nil, err
	}
	return table, nil
}

// runs tells the load balancers that run here: Application Load Balancers, and others with a listener that
// runs. A deployment warns of the rest.
func runs(m *model.Model) func(*model.LoadBalancer) bool {
	return func(lb *model.LoadBalancer) bool {
		return lb.Application() || slices.ContainsFunc(m.Listeners, func(l *model.Listener) bool { return l.LoadBalancer == lb && l.Runs() })
	}
}

// Settings that are honoured with some values.
var (
	mutualTLS   = provider.Limit[*model.Listener]{Property: "MutualAuthentication", Value: func(l *model.Listener) string { return l.MutualTLS }, Values: []string{"off"}}
	groupLimits = []provider.Limit[*model.TargetGroup]{
		{Property: "Protocol", Value: func(g *model.TargetGroup) string { return g.Protocol }, Values: []string{"HTTP", "HTTPS", "TCP", "TLS"}},
		{Property: "ProtocolVersion", Value: func(g *model.TargetGroup) string { return g.ProtocolVersion }, Values: []string{"HTTP1"}},
		{Property: "TargetType", Value: func(g *model.TargetGroup) string { return g.TargetType }, Values: []string{"instance", "ip", "lambda"}},
		{Property: "HealthCheckProtocol", Value: func(g *model.TargetGroup) string { return g.Health.Protocol }, Values: []string{"HTTP", "HTTPS", "TCP"}},
		{Property: "TargetGroupAttributes (load_balancing.algorithm.type)", Value: func(g *model.TargetGroup) string { return g.Algorithm }, Values: []string{"round_robin", model.LeastOutstanding}},
		{Property: "TargetGroupAttributes (stickiness.type)", Values: []string{"lb_cookie", "source_ip"}, Why: "only lb_cookie is known here", Value: func(g *model.TargetGroup) string {
			if g.Stickiness == 0 { // without an effect
				return "lb_cookie"
			}
			return g.StickinessType
		}},
	}
)

// Compatibility is what becomes of the settings of load balancers, listeners and target groups.
func Compatibility() []provider.Compatibility {
	return slices.Concat(provider.Limits([]provider.Limit[*model.Listener]{mutualTLS}), provider.Limits(groupLimits), provider.Settings(networkPassedOver, nil, map[string]string{preserveClient: clientAddress}, notHonoured))
}

// Of a Network Load Balancer.
const (
	preserveClient = "preserve_client_ip.enabled"
	clientAddress  = "targets see the load balancer's address, 127.0.0.1, in place of the client's"
)

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"AlpnPolicy":                "no protocol is agreed on for a TLS listener here",
	"proxy_protocol_v2.enabled": "the PROXY protocol is not spoken here",
	"GrpcCode":                  "gRPC is not spoken here",
	"TrustStoreArn":             "certificates of clients are not verified here",
}

// forAWS are the settings without an effect here, each with its only such value; "" for any.
var forAWS = map[string]string{
	// Of all.
	"Tags": "", "IpAddressType": "",
	// Of load balancers.
	"Subnets": "", "SubnetMappings": "", "SecurityGroups": "", "MinimumLoadBalancerCapacity": "", "Ipv4IpamPoolId": "",
	"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
	"connection_logs.s3.enabled":                               "false",
	"health_check_logs.s3.enabled":                             "false",
	// Access lines are written whether there is a bucket for them or not.
	"access_logs.s3.bucket": "", "access_logs.s3.prefix": "",
	"connection_logs.s3.bucket": "", "connection_logs.s3.prefix": "", "health_check_logs.s3.bucket": "", "health_check_logs.s3.prefix": "",
	"ipv6.deny_all_igw_traffic": "", "waf.fail_open.enabled": "", "zonal_shift.config.enabled": "",
	"load_balancing.cross_zone.enabled": "",
	// Of listeners. They have a certificate of their own here, and crypto/tls's security policy.
	"Certificates": "", "SslPolicy": "",
	// Of target groups.
	"VpcId": "", "load_balancing.algorithm.anomaly_mitigation": "off",
	"target_group_health.dns_failover.minimum_healthy_targets.count":      "",
	"target_group_health.dns_failover.minimum_healthy_targets.percentage": "",
	"stickiness.app_cookie.cookie_name":                                   "",
	"stickiness.app_cookie.duration_seconds":                              "",
}

// networkPassedOver are the same of Network Load Balancers. A machine is one zone.
var networkPassedOver = func() map[string]string {
	all := maps.Clone(forAWS)
	maps.Copy(all, map[string]string{
		"dns_record.client_routing_policy": "", "secondary_ips.auto_assigned.per_subnet": "",
		"EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": "",

		"AlpnPolicy": "[None]", "proxy_protocol_v2.enabled": "false", "target_health_state.unhealthy.draining_interval_seconds": "0",
	})
	return all
}()

func passed(application bool) map[string]string {
	if application {
		return forAWS
	}
	return networkPassedOver
}
