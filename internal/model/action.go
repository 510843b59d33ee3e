package model

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cutover/internal/assembly"
)

// Action is what a rule does with a request. Exactly one of its first three fields is set.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html
type Action struct {
	Forward       []Weighted
	Redirect      *Redirect
	FixedResponse *FixedResponse
	// StickinessSeconds is how long a client stays with its target group. 0: not at all.
	StickinessSeconds int
}

// Weighted is one of the target groups that a forward action distributes requests over.
type Weighted struct {
	TargetGroup *TargetGroup
	// Weight is 0 to 999. A group of weight 0 gets no requests, but is checked and deployed to.
	Weight int
	// Share is the weight's part of all weights, 0 to 1. Unhealthy groups keep their share.
	Share float64
}

// Redirect may have the placeholders #{protocol}, #{host}, #{port}, #{path} and #{query}.
type Redirect struct {
	// StatusCode is 301 or 302.
	StatusCode                        int
	Protocol, Host, Port, Path, Query string
}

// FixedResponse is an answer by the load balancer itself.
type FixedResponse struct {
	StatusCode  int
	ContentType string
	Body        string
}

// String is short: a target group ("users"), the groups with their shares ("users 10%, api 90%"), a
// redirect ("301 https://…") or the code of a fixed response. Groups that get nothing are left out.
func (a Action) String() string {
	switch {
	case a.Redirect != nil:
		r := a.Redirect
		return fmt.Sprintf("%d %s://%s:%s%s?%s", r.StatusCode, strings.ToLower(r.Protocol), r.Host, r.Port, r.Path, r.Query)
	case a.FixedResponse != nil:
		return strconv.Itoa(a.FixedResponse.StatusCode)
	}
	var groups []string
	for _, w := range a.Forward {
		if w.Share == 1 {
			return w.TargetGroup.Name
		}
		if w.Share > 0 {
			groups = append(groups, w.TargetGroup.Name+" "+strconv.FormatFloat(100*w.Share, 'g', 4, 64)+"%")
		}
	}
	return strings.Join(groups, ", ")
}

// authentications are the actions that come before another one.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html
var authentications = map[string]string{
	"authenticate-oidc":    "nothing here logs clients in with OpenID Connect",
	"authenticate-cognito": "nothing here logs clients in with Amazon Cognito",
	"jwt-validation":       "nothing here validates tokens of clients",
}

// action reads the actions of a rule, which must be just one here: the other types
// (authenticate-oidc, authenticate-cognito, jwt-validation) come on top of one and are problems.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-action.html
func (m *Model) action(v assembly.Value, l *Listener) (action Action) {
	actions := v.Some()
	for _, one := range actions {
		one.Field("Order") // of several, which there cannot be
		kind := one.Field("Type")
		switch text := kind.Text(""); text {
		case "forward":
			action = m.forward(one)
		case "redirect":
			action = Action{Redirect: redirect(one.Field("RedirectConfig").Need("an object"), l)}
		case "fixed-response":
			action = Action{FixedResponse: fixedResponse(one.Field("FixedResponseConfig").Need("an object"))}
		default:
			if what := authentications[text]; what != "" {
				for _, config := range []string{"AuthenticateOidcConfig", "AuthenticateCognitoConfig", "JwtValidationConfig"} {
					one.Field(config)
				}
				kind.Refuse("%q is not an action that is evaluated: %s; those are forward, redirect, fixed-response", text, what)
				return action // its settings and the action behind it say nothing more
			}
			kind.Refuse("%q is not an action that is evaluated; those are forward, redirect, fixed-response", text)
		}
	}
	if len(actions) > 1 {
		v.Refuse("expected exactly one action, found %d", len(actions))
	}
	return action
}

// forward reads a forward action: the ARN of one target group, or groups with their weights.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-forwardconfig.html
func (m *Model) forward(v assembly.Value) (action Action) {
	total, unknown := 0, false
	target := func(v assembly.Value, weight int) *TargetGroup {
		group := refer[TargetGroup](m, v.Field("TargetGroupArn").Need("a target group"), ELBTargetGroup, "TargetGroupArn")
		if group == nil {
			unknown = true
		} else {
			action.Forward = append(action.Forward, Weighted{TargetGroup: group, Weight: weight})
		}
		total += weight
		return group
	}
	config := v.Field("ForwardConfig")
	tuples := config.Field("TargetGroups").List()
	if v.Field("TargetGroupArn").Present() {
		single := target(v, 1)
		for _, tuple := range tuples {
			tuple.Field("Weight") // of one group there is nothing to weigh
			if len(tuples) > 1 || refer[TargetGroup](m, tuple.Field("TargetGroupArn"), ELBTargetGroup, "TargetGroupArn") != single {
				tuple.Refuse("next to TargetGroupArn there can only be the same target group")
			}
		}
	} else {
		for _, tuple := range tuples {
			weight := tuple.Field("Weight")
			if len(tuples) > 1 {
				weight = weight.Need("a weight")
			}
			target(tuple, weight.Int(1, 0, 999))
		}
	}
	if n := len(action.Forward); n > maxGroups {
		v.Refuse("AWS refuses %d target groups: an action can have %d", n, maxGroups)
	}
	if total == 0 && !unknown {
		// AWS does not document what a load balancer answers then.
		v.Refuse("no target group has a weight above 0, so none can get the request")
	}
	for i := range action.Forward {
		action.Forward[i].Share = float64(action.Forward[i].Weight) / float64(max(1, total))
	}
	sticky := config.Field("TargetGroupStickinessConfig")
	if duration := sticky.Field("DurationSeconds"); sticky.Field("Enabled").Bool(false) {
		action.StickinessSeconds = duration.Need("a duration").Int(0, 1, 7*24*60*60)
	}
	return action
}

// placeholder finds the parts of a redirect that are taken from the request.
var placeholder = regexp.MustCompile(`#\{[^}]*\}`)

// redirect reads a redirect; what it leaves out stays as in the request. The page "RedirectActionConfig"
// says which part may have which placeholder, that a part has 128 characters at most, that one of
// protocol, host, port and path must change, and that HTTPS cannot become HTTP.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html
func redirect(v assembly.Value, l *Listener) *Redirect {
	part := func(name, unchanged string, placeholders ...string) string {
		text := v.Field(name).Text(unchanged)
		for _, found := range placeholder.FindAllString(text, -1) {
			if !slices.Contains(placeholders, found) {
				v.Field(name).Refuse("unknown placeholder %s; this part can have %s", found, strings.Join(placeholders, ", "))
			}
		}
		if len(text) > maxPattern {
			v.Field(name).Refuse("AWS refuses %d characters: this part can have %d", len(text), maxPattern)
		}
		return text
	}
	r := &Redirect{
		Protocol: part("Protocol", "#{protocol}", "#{protocol}"), Host: part("Host", "#{host}", "#{host}"), Port: part("Port", "#{port}", "#{port}"),
		Path:  part("Path", "/#{path}", "#{host}", "#{path}", "#{port}"),
		Query: part("Query", "#{query}", "#{protocol}", "#{host}", "#{port}", "#{path}", "#{query}"),
	}
	if r.Port != "#{port}" {
		v.Field("Port").Int(0, 1, 65535)
	}
	if !strings.HasPrefix(r.Path, "/") {
		v.Field("Path").Refuse("%q does not begin with /", r.Path)
	}
	if l != nil {
		same := slices.Contains([]string{"#{protocol}", l.Protocol}, r.Protocol) && slices.Contains([]string{"#{port}", strconv.Itoa(l.Port)}, r.Port)
		if same && r.Host == "#{host}" && r.Path == "/#{path}" {
			v.Refuse("AWS refuses a redirect to itself: protocol, host, port or path must change")
		}
		if l.Protocol == "HTTPS" && r.Protocol == "HTTP" {
			v.Field("Protocol").Refuse("AWS refuses a redirect from HTTPS to HTTP")
		}
	}
	if !slices.Contains([]string{"HTTP", "HTTPS", "#{protocol}"}, r.Protocol) {
		v.Field("Protocol").Refuse("%q is neither HTTP nor HTTPS nor #{protocol}", r.Protocol)
	}
	switch code := v.Field("StatusCode").Text(""); code {
	case "HTTP_301":
		r.StatusCode = 301
	case "HTTP_302":
		r.StatusCode = 302
	default:
		v.Field("StatusCode").Refuse("%q is neither HTTP_301 nor HTTP_302", code)
	}
	return r
}

// fixedResponse reads an answer that the load balancer gives itself.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-fixedresponseconfig.html
func fixedResponse(v assembly.Value) *FixedResponse {
	code := v.Field("StatusCode").Need("a status code")
	r := &FixedResponse{
		StatusCode: code.Int(0, 200, 599), ContentType: v.Field("ContentType").Text(""), Body: v.Field("MessageBody").Text(""),
	}
	// "FixedResponseActionConfig": the code is 2XX, 4XX or 5XX, the type one of five, and the body has
	// 1,024 characters at most.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_FixedResponseActionConfig.html
	if types := []string{"", "text/plain", "text/css", "text/html", "application/javascript", "application/json"}; !slices.Contains(types, r.ContentType) {
		v.Field("ContentType").Refuse("AWS refuses %q: a fixed response can be %s", r.ContentType, strings.Join(types[1:], ", "))
	}
	if n := utf8.RuneCountInString(r.Body); n > 1024 {
		v.Field("MessageBody").Refuse("AWS refuses %d characters: a fixed response can have 1024", n)
	}
	if r.StatusCode/100 == 3 {
		code.Refuse("%d: a fixed response cannot be a redirect", r.StatusCode)
	}
	return r
}
