package existing

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
	"cutover/migration"
)

// Template describes what exists for CloudFormation, which never gets it: the load balancer, its
// listeners, their rules that are not ours, and the target groups that they name. It has the properties that
// [model.Read] reads. Text and order are the same for the same account.
type Template struct {
	Description string
	Metadata    map[string]Place
	Resources   map[string]*Resource
}

// Place is where something exists.
type Place struct {
	Account string `json:"account"`
	Region  string `json:"region"`
}

// Resource is a resource that exists. Its metadata have its ARN.
type Resource struct {
	Type       string
	Properties map[string]any
	Metadata   map[string]string
}

// ReadDir reads the template that adopt has written to a directory. If there is none, the error is [fs.ErrNotExist].
func ReadDir(dir string) (*Template, error) {
	a, err := assembly.ReadExisting(dir)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, fs.ErrNotExist
	}
	return Of(a.Existing), nil
}

// Of returns the template of a stack that [assembly.Read] has read from such a file.
func Of(stack *assembly.Stack) *Template {
	t := &Template{}
	text, _ := json.Marshal(stack.Template) // never fails for what came from JSON
	json.Unmarshal(text, t)                 // what is of another kind stays empty
	return t
}

// Text is the template as JSON.
func (t *Template) Text() []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	encoder.Encode(t) // never fails for what came from JSON
	return b.Bytes()
}

// loadBalancerAttributes and targetGroupAttributes are those that [model.Read] reads.
var (
	loadBalancerAttributes = []string{
		"access_logs.s3.enabled", "client_keep_alive.seconds", "deletion_protection.enabled", "idle_timeout.timeout_seconds",
		"routing.http.desync_mitigation_mode", "routing.http.drop_invalid_header_fields.enabled", "routing.http.preserve_host_header.enabled",
		"routing.http.xff_client_port.enabled", "routing.http.xff_header_processing.mode", "routing.http2.enabled",
	}
	targetGroupAttributes = []string{
		"deregistration_delay.timeout_seconds", "load_balancing.algorithm.type", "slow_start.duration_seconds",
		"stickiness.enabled", "stickiness.lb_cookie.duration_seconds", "stickiness.type",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
	}
	functionAttributes = []string{"lambda.multi_value_headers.enabled"}
)

// maker makes a template.
type maker struct {
	resources map[string]*Resource
	ids       map[string]string // by ARN
}

// template makes the template of what exists at a load balancer, without our rules.
func (a *Account) template(lb *LoadBalancer, ours func(Rule) bool) *Template {
	m := maker{map[string]*Resource{}, map[string]string{}}
	at := parse(lb.ARN)
	named := map[string]bool{}
	name := func(actions []Action) {
		for _, action := range actions {
			for _, group := range action.groups() {
				named[group] = true
			}
		}
	}
	listeners := slices.Clone(a.Listeners)
	slices.SortFunc(listeners, func(x, y Listener) int { return x.Port - y.Port })
	var rules []Rule
	for _, l := range listeners {
		name(l.DefaultActions)
		m.ids[l.ARN] = "Listener" + listenerID(l)
		for _, r := range a.Rules {
			if r.listener() == l.ARN && !r.IsDefault && !ours(r) {
				rules = append(rules, r)
				name(r.Actions)
				m.ids[r.ARN] = "Rule" + listenerID(l) + "Priority" + r.Priority
			}
		}
	}
	groups := slices.DeleteFunc(slices.Clone(a.TargetGroups), func(g TargetGroup) bool { return !named[g.ARN] })
	slices.SortFunc(groups, func(x, y TargetGroup) int { return strings.Compare(x.ARN, y.ARN) })
	taken := map[string]int{}
	for _, g := range groups {
		id := "TargetGroup" + migration.Pascal(g.Name)
		if taken[id]++; taken[id] > 1 { // names may differ in hyphens alone
			id += "N" + strconv.Itoa(taken[id])
		}
		m.ids[g.ARN] = id
	}
	m.ids[lb.ARN] = "LoadBalancer"

	m.loadBalancer(a, lb)
	for _, l := range listeners {
		m.listener(l)
	}
	for _, r := range rules {
		m.rule(r)
	}
	for _, g := range groups {
		m.targetGroup(g, a.GroupAttributes[g.ARN])
	}
	return &Template{
		Description: "What exists beside this deployment, as cutover adopt has found it. It is never deployed.",
		Metadata:    map[string]Place{assembly.ExistingMetadata: {at.account, at.region}},
		Resources:   m.resources,
	}
}

// listenerID is the part of a logical id for a listener: "Https443".
func listenerID(l Listener) string {
	return migration.Pascal(strings.ToLower(l.Protocol)) + strconv.Itoa(l.Port)
}

// ref refers to a resource of the template by its ARN. Other ARNs stay as they are.
func (m maker) ref(arn string) any {
	if id := m.ids[arn]; id != "" {
		return map[string]any{"Ref": id}
	}
	return arn
}

// add adds a resource. Properties that are empty are left out.
func (m maker) add(arn, kind string, properties map[string]any) {
	for key, value := range properties {
		switch value := value.(type) {
		case string:
			if value == "" {
				delete(properties, key)
			}
		case int:
			if value == 0 {
				delete(properties, key)
			}
		case []any:
			if len(value) == 0 {
				delete(properties, key)
			}
		}
	}
	// Values are as they are when the template is read again.
	text, _ := json.Marshal(properties) // never fails for what came from JSON
	var same map[string]any
	json.Unmarshal(text, &same)
	m.resources[m.ids[arn]] = &Resource{kind, same, map[string]string{assembly.ARNMetadata: arn}}
}

func (m maker) loadBalancer(a *Account, lb *LoadBalancer) {
	var subnets, groups []string
	for _, zone := range lb.AvailabilityZones {
		subnets = append(subnets, zone.SubnetID)
	}
	slices.Sort(subnets)
	groups = slices.Sorted(slices.Values(lb.SecurityGroups))
	m.add(lb.ARN, model.ELBLoadBalancer, map[string]any{
		"Name": lb.Name, "Scheme": lb.Scheme, "Type": lb.Type,
		"Subnets": anys(subnets), "SecurityGroups": anys(groups),
		"LoadBalancerAttributes": attributes(a.Attributes, loadBalancerAttributes),
	})
}

func (m maker) listener(l Listener) {
	properties := map[string]any{"LoadBalancerArn": m.ref(l.LoadBalancerARN), "Port": l.Port, "Protocol": l.Protocol, "DefaultActions": m.actions(l.DefaultActions)}
	if l.Protocol == "HTTPS" {
		properties["SslPolicy"] = l.SSLPolicy
		var certificates []any
		for _, c := range l.Certificates {
			certificates = append(certificates, map[string]any{"CertificateArn": c.ARN})
		}
		properties["Certificates"] = certificates
		if mode := l.MutualAuthentication.Mode; mode != "" && mode != "off" {
			properties["MutualAuthentication"] = map[string]any{"Mode": mode}
		}
	}
	m.add(l.ARN, model.ELBListener, properties)
}

func (m maker) rule(r Rule) {
	var conditions, transforms []any
	for _, c := range r.Conditions {
		conditions = append(conditions, c.normal())
	}
	for _, t := range r.Transforms {
		transforms = append(transforms, t)
	}
	m.add(r.ARN, model.ELBListenerRule, map[string]any{
		"ListenerArn": m.ref(r.listener()), "Priority": r.priority(), "Conditions": conditions, "Actions": m.actions(r.Actions), "Transforms": transforms,
	})
}

// actions are those of a listener or a rule. One that forwards to a single group, and keeps no client there,
// is written in its short form: the CLI has both forms of it.
func (m maker) actions(actions []Action) (written []any) {
	for _, a := range actions {
		properties := map[string]any{"Type": a.Type}
		if len(actions) > 1 {
			properties["Order"] = a.Order
		}
		for key, config := range map[string]map[string]any{
			"RedirectConfig": a.RedirectConfig, "FixedResponseConfig": a.FixedResponseConfig, "AuthenticateOidcConfig": a.AuthenticateOidcConfig,
			"AuthenticateCognitoConfig": a.AuthenticateCognitoConfig, "JwtValidationConfig": a.JwtValidationConfig,
		} {
			if len(config) > 0 {
				properties[key] = config
			}
		}
		targets := a.targets()
		sticky := a.Forward != nil && a.Forward.Stickiness != nil && a.Forward.Stickiness.Enabled
		switch {
		case len(targets) == 1 && !sticky:
			properties["TargetGroupArn"] = m.ref(targets[0].TargetGroupARN)
		case len(targets) > 0:
			var groups []any
			for _, t := range targets {
				groups = append(groups, map[string]any{"TargetGroupArn": m.ref(t.TargetGroupARN), "Weight": t.weight()})
			}
			config := map[string]any{"TargetGroups": groups}
			if sticky {
				config["TargetGroupStickinessConfig"] = a.Forward.Stickiness
			}
			properties["ForwardConfig"] = config
		}
		written = append(written, properties)
	}
	return written
}

func (m maker) targetGroup(g TargetGroup, given []Attribute) {
	properties := map[string]any{
		"Name": g.Name, "TargetType": g.TargetType,
		"HealthCheckPath": g.HealthCheckPath, "HealthCheckIntervalSeconds": g.HealthCheckIntervalSeconds, "HealthCheckTimeoutSeconds": g.HealthCheckTimeoutSeconds,
		"HealthyThresholdCount": g.HealthyThresholdCount, "UnhealthyThresholdCount": g.UnhealthyThresholdCount,
	}
	if g.HealthCheckEnabled != nil {
		properties["HealthCheckEnabled"] = *g.HealthCheckEnabled
	}
	if len(g.Matcher) > 0 {
		properties["Matcher"] = g.Matcher
	}
	known := functionAttributes
	if g.TargetType != "lambda" {
		known = targetGroupAttributes
		for key, value := range map[string]any{
			"Protocol": g.Protocol, "ProtocolVersion": g.ProtocolVersion, "Port": g.Port, "VpcId": g.VPCID,
			"HealthCheckProtocol": g.HealthCheckProtocol, "HealthCheckPort": g.HealthCheckPort,
		} {
			properties[key] = value
		}
	}
	properties["TargetGroupAttributes"] = attributes(given, known)
	m.add(g.ARN, model.ELBTargetGroup, properties)
}

// attributes are the known ones that have a value, by key.
func attributes(given []Attribute, known []string) (written []any) {
	given = slices.Clone(given)
	slices.SortFunc(given, func(a, b Attribute) int { return strings.Compare(a.Key, b.Key) })
	for _, a := range given {
		if a.Value != "" && slices.Contains(known, a.Key) {
			written = append(written, map[string]any{"Key": a.Key, "Value": a.Value})
		}
	}
	return written
}

func anys(texts []string) (all []any) {
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}

// arn is what is in an ARN.
type arn struct{ account, region, rest string }

func parse(text string) arn {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 {
		return arn{}
	}
	return arn{parts[4], parts[3], parts[5]}
}
