package alb

import (
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// Config is what the templates say about load balancers.
type Config struct {
	// Table has the listeners with their rules, and all target groups, used by a
	// listener or not.
	Table *rules.Table
	// LoadBalancers are keyed by their place in the assembly, "stack/logical id".
	LoadBalancers map[string]*model.LoadBalancer
}

// Read takes the load balancers, listeners, rules and target groups out of a
// model. Its error has a line, with the place, for every setting that is not
// honoured here. Settings that cannot make a difference on one machine are
// passed over: zones, subnets, security groups, addresses, names in DNS,
// certificates, quotas, tags, deletion protection.
func Read(m *model.Model) (*Config, error) {
	table, err := rules.Build(m)
	config, errs := &Config{Table: table, LoadBalancers: map[string]*model.LoadBalancer{}}, []error{err}
	for _, lb := range m.LoadBalancers {
		config.LoadBalancers[lb.Key()] = lb
		errs = append(errs, lb.Unsupported(passedOver, nil), only(lb.Errorf, "Type", lb.Type, "application"),
			// Requests that would be classified as severe are always blocked, as in the
			// defensive mode.
			only(lb.Errorf, "LoadBalancerAttributes (routing.http.desync_mitigation_mode)", lb.DesyncMitigation, "defensive"))
	}
	for _, l := range m.Listeners {
		errs = append(errs, l.Unsupported(passedOver, nil), only(l.Errorf, "MutualAuthentication", l.MutualTLS, "off"))
		if !l.ServerHeader {
			errs = append(errs, l.Errorf("ListenerAttributes (routing.http.response.server.enabled)", "false is not honoured: answers have a Server header here"))
		}
	}
	for _, g := range m.TargetGroups {
		errs = append(errs, g.Unsupported(passedOver, nil),
			only(g.Errorf, "Protocol", g.Protocol, "HTTP", "HTTPS"),
			only(g.Errorf, "ProtocolVersion", g.ProtocolVersion, "HTTP1"),
			only(g.Errorf, "TargetType", g.TargetType, "instance", "ip"),
			only(g.Errorf, "HealthCheckProtocol", g.Health.Protocol, "HTTP", "HTTPS"),
			only(g.Errorf, "TargetGroupAttributes (load_balancing.algorithm.type)", g.Algorithm, "round_robin", model.LeastOutstanding))
		if g.Health.Disabled {
			errs = append(errs, g.Errorf("HealthCheckEnabled", "false is not honoured: targets get requests here when they are healthy"))
		}
		if g.Stickiness != 0 {
			errs = append(errs, only(g.Errorf, "TargetGroupAttributes (stickiness.type)", g.StickinessType, "lb_cookie"))
		}
	}
	if err := assembly.Join(errs...); err != nil {
		return nil, err
	}
	return config, nil
}

// only refuses a value that is none of those that are honoured.
func only(errorf func(property, format string, args ...any) error, property, value string, honoured ...string) error {
	if slices.Contains(honoured, value) {
		return nil
	}
	return errorf(property, "%q is not honoured: only %s is known here", value, strings.Join(honoured, ", "))
}

// passedOver are the settings without an effect here, each with the one value that
// has none, or "" for any.
var passedOver = map[string]string{
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
	// Of listeners. A certificate made for the purpose is presented instead of the
	// listener's, by the security policy of crypto/tls.
	"Certificates": "", "SslPolicy": "",
	// Of target groups.
	"VpcId": "", "load_balancing.algorithm.anomaly_mitigation": "off",
	"target_group_health.dns_failover.minimum_healthy_targets.count":      "",
	"target_group_health.dns_failover.minimum_healthy_targets.percentage": "",
	"stickiness.app_cookie.cookie_name":                                   "",
	"stickiness.app_cookie.duration_seconds":                              "",
}
