package existing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/model"
	"cutover/migration"
)

// Condition is a condition of a rule, as the AWS CLI and CloudFormation have it. Values may stand in the
// condition itself.
type Condition struct {
	Field       string
	Values      []any     `json:",omitempty"`
	RegexValues []string  `json:",omitempty"`
	Path        *Patterns `json:"PathPatternConfig,omitempty"`
	Host        *Patterns `json:"HostHeaderConfig,omitempty"`
	Header      *Patterns `json:"HttpHeaderConfig,omitempty"`
	Method      *Patterns `json:"HttpRequestMethodConfig,omitempty"`
	Query       *Patterns `json:"QueryStringConfig,omitempty"`
	Source      *Patterns `json:"SourceIpConfig,omitempty"`
}

// Patterns has the values of a condition. Those of a query have a key and a value.
type Patterns struct {
	HTTPHeaderName string   `json:"HttpHeaderName,omitempty"`
	Values         []any    `json:",omitempty"`
	RegexValues    []string `json:",omitempty"`
}

// normal has the values in the object that belongs to the condition's field, and nowhere else.
func (c Condition) normal() Condition {
	n := Condition{Field: c.Field}
	own := &Patterns{Values: c.Values, RegexValues: c.RegexValues}
	switch c.Field {
	case model.PathPattern:
		n.Path = cmp.Or(c.Path, own)
	case model.HostHeader:
		n.Host = cmp.Or(c.Host, own)
	case model.HTTPHeader:
		n.Header = cmp.Or(c.Header, own)
	case model.RequestMethod:
		n.Method = cmp.Or(c.Method, own)
	case model.QueryString:
		n.Query = cmp.Or(c.Query, own)
	case model.SourceIP:
		n.Source = cmp.Or(c.Source, own)
	default:
		return c
	}
	return n
}

// patterns are those of a normal condition.
func (c Condition) patterns() Patterns {
	if p := cmp.Or(c.Path, c.Host, c.Header, c.Method, c.Query, c.Source); p != nil {
		return *p
	}
	return Patterns{}
}

// texts are the values that are texts.
func (p Patterns) texts() (texts []string) {
	for _, value := range p.Values {
		if text, ok := value.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// match returns what the conditions of a rule take. Exact is false if the rule takes less than that: the
// match knows no addresses, no regular expressions, and not each list of parameters.
func (r Rule) match() (m migration.Match, exact bool) {
	exact = true
	m.Headers, m.Query = map[string][]string{}, map[string][]string{}
	for _, c := range r.Conditions {
		c = c.normal()
		p := c.patterns()
		if len(p.RegexValues) > 0 {
			exact = false
			continue
		}
		switch c.Field {
		case model.PathPattern:
			m.Paths = p.texts()
		case model.HostHeader:
			m.Hosts = p.texts()
		case model.RequestMethod:
			m.Methods = p.texts()
		case model.HTTPHeader:
			_, twice := m.Headers[p.HTTPHeaderName]
			exact = exact && !twice
			m.Headers[p.HTTPHeaderName] = p.texts()
		case model.QueryString:
			pair, _ := p.first()
			if key := pair["Key"]; key == "" || len(p.Values) > 1 || m.Query[key] != nil {
				exact = false
			} else {
				m.Query[key] = []string{pair["Value"]}
			}
		default:
			exact = false
		}
	}
	return m, exact
}

// first is the first key and value of a query.
func (p Patterns) first() (pair map[string]string, ok bool) {
	pair = map[string]string{}
	for _, value := range p.Values {
		object, _ := value.(map[string]any)
		for key, part := range object {
			pair[key], _ = part.(string)
		}
		return pair, true
	}
	return pair, false
}

// conditions is what the rule takes, for people.
func (r Rule) conditions() string {
	var parts []string
	for _, c := range r.Conditions {
		c = c.normal()
		p := c.patterns()
		var values []string
		for _, value := range p.Values {
			switch value := value.(type) {
			case string:
				values = append(values, value)
			case map[string]any:
				text, _ := value["Value"].(string)
				if key, _ := value["Key"].(string); key != "" {
					text = key + "=" + text
				}
				values = append(values, text)
			}
		}
		for _, expression := range p.RegexValues {
			values = append(values, "the expression "+expression)
		}
		what := map[string]string{model.HostHeader: "host ", model.RequestMethod: "method ", model.QueryString: "query ", model.SourceIP: "address "}[c.Field]
		if c.Field == model.HTTPHeader {
			what = "header " + p.HTTPHeaderName + " "
		}
		parts = append(parts, what+strings.Join(values, " or "))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, " with ")
}

// String is the rule for people: "/teapot → 418".
func (r Rule) String() string { return r.conditions() + " → " + doing(r.Actions) }

func (r Rule) priority() int {
	n, _ := strconv.Atoi(r.Priority) // 0 for the default rule
	return n
}

// groups are the ARNs of the target groups that the rule forwards to.
func (r Rule) groups() (groups []string) {
	for _, action := range r.Actions {
		groups = append(groups, action.groups()...)
	}
	return groups
}

// Action is an action of a listener or a rule, as the AWS CLI and CloudFormation have it.
type Action struct {
	Type                      string
	Order                     int            `json:",omitempty"`
	TargetGroupARN            string         `json:"TargetGroupArn,omitempty"`
	Forward                   *Forward       `json:"ForwardConfig,omitempty"`
	RedirectConfig            map[string]any `json:",omitempty"`
	FixedResponseConfig       map[string]any `json:",omitempty"`
	AuthenticateOidcConfig    map[string]any `json:",omitempty"`
	AuthenticateCognitoConfig map[string]any `json:",omitempty"`
	JwtValidationConfig       map[string]any `json:",omitempty"`
}

// Forward has the target groups of an action.
type Forward struct {
	TargetGroups []Weighted
	Stickiness   *Stickiness `json:"TargetGroupStickinessConfig,omitempty"`
}

// Weighted is a target group of an action. Its weight is 1 if AWS does not say it.
type Weighted struct {
	TargetGroupARN string `json:"TargetGroupArn"`
	Weight         *int   `json:",omitempty"`
}

// Stickiness says whether a client stays with a target group.
type Stickiness struct {
	Enabled         bool
	DurationSeconds int `json:",omitempty"`
}

// targets are the target groups of a forward, with their weights.
func (a Action) targets() (targets []Weighted) {
	if a.Forward != nil && len(a.Forward.TargetGroups) > 0 {
		return a.Forward.TargetGroups
	}
	if a.TargetGroupARN != "" {
		return []Weighted{{TargetGroupARN: a.TargetGroupARN}}
	}
	return nil
}

func (a Action) groups() (groups []string) {
	for _, target := range a.targets() {
		groups = append(groups, target.TargetGroupARN)
	}
	return groups
}

// authenticates says whether the action asks who the client is before the next action.
func (a Action) authenticates() bool {
	return strings.HasPrefix(a.Type, "authenticate-") || a.Type == "jwt-validation"
}

// doing is what actions do, for people: "418", "shop", "authenticate-oidc, shop 90 and admin 10".
func doing(actions []Action) string {
	actions = slices.Clone(actions)
	slices.SortStableFunc(actions, func(a, b Action) int { return a.Order - b.Order })
	var parts []string
	for _, a := range actions {
		text := func(config map[string]any, key, unchanged string) string {
			if value, ok := config[key]; ok {
				return fmt.Sprint(value)
			}
			return unchanged
		}
		switch a.Type {
		case "forward":
			var groups []string
			targets := a.targets()
			for _, target := range targets {
				name := GroupName(target.TargetGroupARN)
				if weight := target.weight(); len(targets) > 1 {
					name += " " + strconv.Itoa(weight)
				}
				groups = append(groups, name)
			}
			parts = append(parts, strings.Join(groups, " and "))
		case "fixed-response":
			parts = append(parts, text(a.FixedResponseConfig, "StatusCode", ""))
		case "redirect":
			r := a.RedirectConfig
			parts = append(parts, strings.TrimPrefix(text(r, "StatusCode", ""), "HTTP_")+" "+strings.ToLower(text(r, "Protocol", "#{protocol}"))+"://"+
				text(r, "Host", "#{host}")+":"+text(r, "Port", "#{port}")+text(r, "Path", "/#{path}")+"?"+text(r, "Query", "#{query}"))
		default:
			parts = append(parts, a.Type)
		}
	}
	return strings.Join(parts, ", ")
}

func (w Weighted) weight() int {
	if w.Weight == nil {
		return 1
	}
	return *w.Weight
}

// GroupName is the name in the ARN of a target group.
func GroupName(arn string) string {
	if _, rest, ok := strings.Cut(arn, ":targetgroup/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return arn
}
