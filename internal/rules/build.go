package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
)

// The resource types that decide where a request goes.
const (
	loadBalancerType = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	listenerType     = "AWS::ElasticLoadBalancingV2::Listener"
	ruleType         = "AWS::ElasticLoadBalancingV2::ListenerRule"
	targetGroupType  = "AWS::ElasticLoadBalancingV2::TargetGroup"
)

// Build makes the table of all listeners in an assembly. Its error has a line
// for everything that cannot be evaluated, each with its place.
//
// A whole assembly is refused that might have more rules than are seen: with
// nested stacks, or with macros that CloudFormation applies to a template.
func Build(a *assembly.Assembly) (*Table, error) {
	b := &builder{assembly: a, groups: map[*assembly.Resource]*TargetGroup{}, listeners: map[*assembly.Resource]*Listener{}}
	for _, stack := range a.Stacks {
		for _, macro := range stack.Transforms {
			b.add(fmt.Errorf("%s: the macro %s changes the template when it is deployed", stack.Name, macro))
		}
	}
	for _, stack := range a.Resources("AWS::CloudFormation::Stack") {
		b.refuse(stack, "", "nested stacks are not read, and rules may be in it")
	}
	table := &Table{}
	for _, r := range b.existing(targetGroupType) {
		group := &TargetGroup{Resource: r, Name: cmp.Or(b.text(r, "Properties.Name", b.property(r, "Name")), r.LogicalID)}
		b.groups[r] = group
		table.TargetGroups = append(table.TargetGroups, group)
	}
	for _, r := range b.existing(listenerType) {
		if listener := b.listener(r); listener != nil {
			b.listeners[r] = listener
			table.Listeners = append(table.Listeners, listener)
		}
	}
	for _, r := range b.existing(ruleType) {
		b.rule(r)
	}
	for _, listener := range table.Listeners {
		b.finish(listener)
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	slices.SortStableFunc(table.Listeners, func(x, y *Listener) int { return cmp.Compare(x.Port, y.Port) })
	slices.SortStableFunc(table.TargetGroups, func(x, y *TargetGroup) int { return cmp.Compare(x.Name, y.Name) })
	return table, nil
}

// builder reads resources and gathers what is wrong with them.
type builder struct {
	assembly  *assembly.Assembly
	groups    map[*assembly.Resource]*TargetGroup
	listeners map[*assembly.Resource]*Listener
	errs      []error
}

func (b *builder) add(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

func (b *builder) refuse(r *assembly.Resource, path, format string, args ...any) {
	b.add(r.Errorf(path, format, args...))
}

// existing returns the resources of a type without those whose condition does
// not hold.
func (b *builder) existing(resourceType string) []*assembly.Resource {
	return slices.DeleteFunc(b.assembly.Resources(resourceType), func(r *assembly.Resource) bool {
		exists, err := r.Exists(b.assembly)
		b.add(err)
		return !exists
	})
}

// property evaluates a property. Where that fails it says so once, and returns
// unresolved, about which nothing else will complain.
func (b *builder) property(r *assembly.Resource, name string) any {
	value, err := r.Resolve(b.assembly, name)
	if err != nil {
		b.add(err)
		return unresolved{}
	}
	return value
}

type unresolved struct{}

// listener reads a listener and its default rule.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listener.html
func (b *builder) listener(r *assembly.Resource) *Listener {
	listener := &Listener{Resource: r, Port: b.integer(r, "Properties.Port", b.property(r, "Port"), 1, 65535)}
	listener.Protocol = b.text(r, "Properties.Protocol", b.property(r, "Protocol"))
	if listener.Protocol != "HTTP" && listener.Protocol != "HTTPS" {
		b.refuse(r, "Properties.Protocol", "%q: only HTTP and HTTPS listeners, those of an Application Load Balancer, are evaluated", listener.Protocol)
		return nil
	}
	listener.LoadBalancer = reference(b.property(r, "LoadBalancerArn"), loadBalancerType, "LoadBalancerArn")
	listener.Rules = []*Rule{{
		Resource: r,
		Action:   b.action(r, "Properties.DefaultActions", b.property(r, "DefaultActions")),
	}}
	return listener
}

// rule reads a rule and gives it to its listener.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listenerrule.html
func (b *builder) rule(r *assembly.Resource) {
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		switch name {
		case "ListenerArn", "Priority", "Conditions", "Actions", "Tags":
		default:
			b.refuse(r, "Properties."+name, "not evaluated: a rule with %s cannot be followed", name)
		}
	}
	rule := &Rule{
		Resource: r,
		Priority: b.integer(r, "Properties.Priority", b.property(r, "Priority"), 1, 50000),
		Action:   b.action(r, "Properties.Actions", b.property(r, "Actions")),
	}
	conditions := b.list(r, "Properties.Conditions", b.property(r, "Conditions"))
	counts := map[string]int{}
	for i, value := range conditions {
		path := fmt.Sprintf("Properties.Conditions[%d]", i)
		condition := b.condition(r, path, value)
		rule.Conditions = append(rule.Conditions, condition)
		counts[condition.Field]++
		if counts[condition.Field] > 1 && condition.Field != HTTPHeader && condition.Field != QueryString {
			b.refuse(r, path, "a rule can have one %s condition only", condition.Field)
		}
	}
	arn := b.property(r, "ListenerArn")
	target := reference(arn, listenerType, "ListenerArn")
	listener := b.listeners[target]
	switch {
	case target == nil:
		b.mismatch(r, "Properties.ListenerArn", arn, "a listener of the assembly")
	case listener != nil:
		listener.Rules = append(listener.Rules, rule)
	}
}

// finish puts the rules of a listener in their order, the default rule last.
func (b *builder) finish(listener *Listener) {
	slices.SortStableFunc(listener.Rules, func(x, y *Rule) int {
		if x.Priority == 0 || y.Priority == 0 {
			return cmp.Compare(y.Priority, x.Priority)
		}
		return cmp.Compare(x.Priority, y.Priority)
	})
	for i, rule := range listener.Rules[1:] {
		if previous := listener.Rules[i]; rule.Priority != 0 && rule.Priority == previous.Priority {
			b.refuse(rule.Resource, "Properties.Priority", "%d is also the priority of %v", rule.Priority, previous.Resource)
		}
	}
}

// reference returns the resource of a type that a value identifies by its ARN,
// nil if it is anything else.
func reference(value any, resourceType, arnAttribute string) *assembly.Resource {
	ref, ok := value.(assembly.Ref)
	if !ok || ref.Resource.Type != resourceType || ref.Attribute != "" && ref.Attribute != arnAttribute {
		return nil
	}
	return ref.Resource
}

// condition reads one condition of a rule.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-rulecondition.html
func (b *builder) condition(r *assembly.Resource, path string, value any) Condition {
	object := b.object(r, path, value)
	if object == nil {
		return Condition{}
	}
	c := Condition{Field: b.text(r, path+".Field", object["Field"])}
	config := map[string]string{
		PathPattern: "PathPatternConfig", HostHeader: "HostHeaderConfig", HTTPHeader: "HttpHeaderConfig",
		RequestMethod: "HttpRequestMethodConfig", QueryString: "QueryStringConfig", SourceIP: "SourceIpConfig",
	}[c.Field]
	if config == "" {
		b.refuse(r, path+".Field", "%q is not a condition that is evaluated; those are %s", c.Field,
			strings.Join([]string{PathPattern, HostHeader, HTTPHeader, RequestMethod, QueryString, SourceIP}, ", "))
		return c
	}
	at := path + "." + config
	// The values of paths and hosts may stand in the condition itself.
	if _, short := object["Values"]; short && (c.Field == PathPattern || c.Field == HostHeader) {
		b.only(r, path, object, "Field", "Values")
		object, at = map[string]any{"Values": object["Values"]}, path
	} else {
		b.only(r, path, object, "Field", config)
		object = b.object(r, at, object[config])
		if c.Field == HTTPHeader {
			b.only(r, at, object, "HttpHeaderName", "Values")
			c.Header = b.text(r, at+".HttpHeaderName", object["HttpHeaderName"])
			if c.Header == "" || strings.EqualFold(c.Header, "Host") {
				b.refuse(r, at+".HttpHeaderName", "%q cannot be the header of an http-header condition (for Host there is host-header)", c.Header)
			}
		} else {
			b.only(r, at, object, "Values")
		}
	}
	values := b.list(r, at+".Values", object["Values"])
	for i, value := range values {
		at := fmt.Sprintf("%s.Values[%d]", at, i)
		if c.Field == QueryString {
			pair := b.object(r, at, value)
			b.only(r, at, pair, "Key", "Value")
			key, text := b.text(r, at+".Key", pair["Key"]), b.text(r, at+".Value", pair["Value"])
			want := keyValue{key: compile(lower(key), true), value: compile(lower(text), true), anyKey: pair["Key"] == nil}
			if !want.anyKey {
				text = key + "=" + text
			}
			if pair["Value"] == nil {
				b.refuse(r, at, "a query-string condition needs a Value")
			}
			c.query, c.Values = append(c.query, want), append(c.Values, text)
			continue
		}
		text := b.text(r, at, value)
		if text == "" {
			b.refuse(r, at, "a condition cannot have an empty value")
		}
		switch c.Field {
		case PathPattern:
			c.patterns = append(c.patterns, compile(text, false))
		case HostHeader, HTTPHeader:
			c.patterns = append(c.patterns, compile(lower(text), false))
		case SourceIP:
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				b.refuse(r, at, "%q is not an address range like 10.0.0.0/8", text)
			}
			c.prefixes = append(c.prefixes, prefix.Masked())
		}
		c.Values = append(c.Values, text)
	}
	return c
}

// action reads the actions of a rule, which must be just one here: the other
// types (authenticate-oidc, authenticate-cognito, jwt-validation) come on top of
// one and are refused.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-action.html
func (b *builder) action(r *assembly.Resource, path string, value any) Action {
	refused := len(b.errs)
	actions := b.list(r, path, value)
	var action Action
	for i, value := range actions {
		at := fmt.Sprintf("%s[%d]", path, i)
		object := b.object(r, at, value)
		if object == nil {
			continue
		}
		switch kind := b.text(r, at+".Type", object["Type"]); kind {
		case "forward":
			b.only(r, at, object, "Type", "Order", "TargetGroupArn", "ForwardConfig")
			action = b.forward(r, at, object)
		case "redirect":
			b.only(r, at, object, "Type", "Order", "RedirectConfig")
			action = Action{Redirect: b.redirect(r, at+".RedirectConfig", object["RedirectConfig"])}
		case "fixed-response":
			b.only(r, at, object, "Type", "Order", "FixedResponseConfig")
			action = Action{FixedResponse: b.fixedResponse(r, at+".FixedResponseConfig", object["FixedResponseConfig"])}
		default:
			b.refuse(r, at+".Type", "%q is not an action that is evaluated; those are forward, redirect, fixed-response", kind)
		}
	}
	if len(actions) > 1 && len(b.errs) == refused {
		b.refuse(r, path, "expected exactly one action, found %d", len(actions))
	}
	return action
}

// forward reads a forward action in its two forms, with one target group's ARN
// or with a list of groups and their weights.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-forwardconfig.html
func (b *builder) forward(r *assembly.Resource, path string, object map[string]any) Action {
	refused := len(b.errs)
	var action Action
	add := func(path string, arn any, weight int) {
		group := b.groups[reference(arn, targetGroupType, "TargetGroupArn")]
		if group == nil {
			b.mismatch(r, path, arn, "a target group of the assembly")
			return
		}
		action.Forward = append(action.Forward, Weighted{TargetGroup: group, Weight: weight})
	}
	single := object["TargetGroupArn"]
	if single != nil {
		add(path+".TargetGroupArn", single, 1)
	}
	if object["ForwardConfig"] != nil {
		at := path + ".ForwardConfig"
		config := b.object(r, at, object["ForwardConfig"])
		b.only(r, at, config, "TargetGroups", "TargetGroupStickinessConfig")
		tuples := b.list(r, at+".TargetGroups", config["TargetGroups"])
		for i, value := range tuples {
			at := fmt.Sprintf("%s.TargetGroups[%d]", at, i)
			tuple := b.object(r, at, value)
			b.only(r, at, tuple, "TargetGroupArn", "Weight")
			// With one group there is nothing to weigh; more than one need a weight each.
			weight := 1
			if tuple["Weight"] != nil || len(tuples) > 1 {
				weight = b.integer(r, at+".Weight", tuple["Weight"], 0, 999)
			}
			if single == nil {
				add(at+".TargetGroupArn", tuple["TargetGroupArn"], weight)
			} else if len(tuples) > 1 || reference(tuple["TargetGroupArn"], targetGroupType, "TargetGroupArn") != reference(single, targetGroupType, "TargetGroupArn") {
				b.refuse(r, at, "next to TargetGroupArn there can only be the same target group")
			}
		}
		action.StickinessSeconds = b.stickiness(r, at+".TargetGroupStickinessConfig", config["TargetGroupStickinessConfig"])
	}
	if len(b.errs) > refused {
		return action
	}
	total := 0
	for _, w := range action.Forward {
		total += w.Weight
	}
	if total == 0 {
		// AWS does not document what a load balancer answers then.
		b.refuse(r, path, "no target group has a weight above 0, so none can get the request")
	}
	for i := range action.Forward {
		action.Forward[i].Share = float64(action.Forward[i].Weight) / float64(total)
	}
	return action
}

func (b *builder) stickiness(r *assembly.Resource, path string, value any) int {
	if value == nil {
		return 0
	}
	object := b.object(r, path, value)
	b.only(r, path, object, "Enabled", "DurationSeconds")
	if enabled := object["Enabled"]; enabled != true && enabled != "true" {
		return 0
	}
	return b.integer(r, path+".DurationSeconds", object["DurationSeconds"], 1, 7*24*60*60)
}

// placeholder finds the parts of a redirect that are taken from the request.
var placeholder = regexp.MustCompile(`#\{[^}]*\}`)

// redirect reads a redirect; what it leaves out stays as in the request.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-redirectconfig.html
func (b *builder) redirect(r *assembly.Resource, path string, value any) *Redirect {
	object := b.object(r, path, value)
	b.only(r, path, object, "StatusCode", "Protocol", "Host", "Port", "Path", "Query")
	part := func(name, unchanged string) string {
		text := unchanged
		if object[name] != nil {
			text = b.text(r, path+"."+name, object[name])
		}
		for _, found := range placeholder.FindAllString(text, -1) {
			if !slices.Contains([]string{"#{protocol}", "#{host}", "#{port}", "#{path}", "#{query}"}, found) {
				b.refuse(r, path+"."+name, "unknown placeholder %s", found)
			}
		}
		return text
	}
	redirect := &Redirect{
		Protocol: part("Protocol", "#{protocol}"), Host: part("Host", "#{host}"), Port: part("Port", "#{port}"),
		Path: part("Path", "/#{path}"), Query: part("Query", "#{query}"),
	}
	switch redirect.Protocol {
	case "HTTP", "HTTPS", "#{protocol}":
	default:
		b.refuse(r, path+".Protocol", "%q is neither HTTP nor HTTPS nor #{protocol}", redirect.Protocol)
	}
	switch code := b.text(r, path+".StatusCode", object["StatusCode"]); code {
	case "HTTP_301":
		redirect.StatusCode = 301
	case "HTTP_302":
		redirect.StatusCode = 302
	default:
		b.refuse(r, path+".StatusCode", "%q is neither HTTP_301 nor HTTP_302", code)
	}
	return redirect
}

// fixedResponse reads an answer that the load balancer gives itself.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-fixedresponseconfig.html
func (b *builder) fixedResponse(r *assembly.Resource, path string, value any) *FixedResponse {
	object := b.object(r, path, value)
	b.only(r, path, object, "StatusCode", "ContentType", "MessageBody")
	response := &FixedResponse{
		StatusCode:  b.integer(r, path+".StatusCode", object["StatusCode"], 200, 599),
		ContentType: b.text(r, path+".ContentType", object["ContentType"]),
		Body:        b.text(r, path+".MessageBody", object["MessageBody"]),
	}
	if response.StatusCode/100 == 3 {
		b.refuse(r, path+".StatusCode", "%d: a fixed response cannot be a redirect", response.StatusCode)
	}
	return response
}

// only refuses the members of an object that are not evaluated.
func (b *builder) only(r *assembly.Resource, path string, object map[string]any, names ...string) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(names, name) {
			b.refuse(r, path+"."+name, "not evaluated: what %s does is not known here", name)
		}
	}
}

func (b *builder) object(r *assembly.Resource, path string, value any) map[string]any {
	object, ok := value.(map[string]any)
	if !ok {
		b.mismatch(r, path, value, "an object")
	}
	return object
}

func (b *builder) list(r *assembly.Resource, path string, value any) []any {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		b.mismatch(r, path, value, "a list that is not empty")
	}
	return list
}

// text reads a string; what is left out is empty.
func (b *builder) text(r *assembly.Resource, path string, value any) string {
	text, ok := value.(string)
	if !ok && value != nil {
		b.mismatch(r, path, value, "a string that is known before the deployment")
	}
	return text
}

// integer reads a whole number, which CloudFormation also takes as a string.
func (b *builder) integer(r *assembly.Resource, path string, value any, from, to int) int {
	number, err := 0.0, error(nil)
	switch value := value.(type) {
	case float64:
		number = value
	case string:
		number, err = strconv.ParseFloat(value, 64)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || number != float64(int(number)) || number < float64(from) || number > float64(to) {
		b.mismatch(r, path, value, fmt.Sprintf("a whole number from %d to %d", from, to))
		return 0
	}
	return int(number)
}

// mismatch refuses a value for not being what is expected.
func (b *builder) mismatch(r *assembly.Resource, path string, value any, expected string) {
	found := fmt.Sprint(value)
	switch value := value.(type) {
	case unresolved:
		return
	case nil:
		found = "nothing"
	case string:
		found = strconv.Quote(value)
	case []any:
		found = fmt.Sprintf("a list of %d", len(value))
	case map[string]any:
		found = "an object"
	}
	b.refuse(r, path, "expected %s, found %s", expected, found)
}
