package model

import (
	"net/netip"
	"regexp"
	"strings"

	"cutover/internal/assembly"
)

// The condition types of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
const (
	PathPattern   = "path-pattern"
	HostHeader    = "host-header"
	HTTPHeader    = "http-header"
	RequestMethod = "http-request-method"
	QueryString   = "query-string"
	SourceIP      = "source-ip"
)

// Condition is met by a request if one of its values matches.
//
// The wildcards are * (any characters or none) and ? (one). Case counts in paths and methods.
type Condition struct {
	Field string
	// Header is the name of the header, for an http-header condition.
	Header string
	// Values are patterns, methods or ranges of addresses, as the type wants. A value of
	// query-string is "key=pattern" or, for any key, "pattern". A dynamic reference is its own text, see [Dynamic].
	Values []string
	Query  []QueryValue
}

// QueryValue is a value of a query-string condition.
type QueryValue struct {
	// Key is empty, too, if AnyKey says that any key will do.
	Key, Value string
	AnyKey     bool
}

const maxPattern = 128 // characters

// limits are what AWS takes as values of conditions: "Condition types for listener rules",
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
var limits = map[string]struct {
	length  int
	pattern *regexp.Regexp
	says    string
}{
	PathPattern:   {maxPattern, regexp.MustCompile(`^[A-Za-z0-9_.$/~"'@:+&*?-]+$`), `a path can have 128 characters: letters, digits, _ - . $ / ~ " ' @ : + & and the wildcards * and ?`},
	HostHeader:    {maxPattern, regexp.MustCompile(`^[A-Za-z0-9.*?-]*\.[A-Za-z]+$`), "a host can have 128 characters: letters, digits, hyphens, dots and the wildcards * and ?, with letters behind the last dot"},
	HTTPHeader:    {maxPattern, regexp.MustCompile(`(?s)^.*$`), "a value can have 128 characters"},
	RequestMethod: {40, regexp.MustCompile(`^[A-Z_-]+$`), "a method can have 40 characters: capital letters, hyphens and underscores, without wildcards"},
}

func (c Condition) String() string {
	field := c.Field
	if c.Header != "" {
		field += " " + c.Header
	}
	return field + " " + strings.Join(c.Values, " or ")
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-elasticloadbalancingv2-listenerrule-rulecondition.html
func condition(v assembly.Value) Condition {
	configs := map[string]string{
		PathPattern: "PathPatternConfig", HostHeader: "HostHeaderConfig", HTTPHeader: "HttpHeaderConfig",
		RequestMethod: "HttpRequestMethodConfig", QueryString: "QueryStringConfig", SourceIP: "SourceIpConfig",
	}
	field := v.Field("Field")
	c := Condition{Field: field.Text("")}
	if configs[c.Field] == "" {
		field.Refuse("%q is not a condition that is evaluated; those are %s", c.Field,
			strings.Join([]string{PathPattern, HostHeader, HTTPHeader, RequestMethod, QueryString, SourceIP}, ", "))
		return c
	}
	// The values of paths and hosts may stand in the condition itself.
	config := v
	expressions := v.Field("RegexValues")
	if short := c.Field == PathPattern || c.Field == HostHeader; !expressions.Present() && (!short || !v.Field("Values").Present()) {
		config = v.Field(configs[c.Field]).Need("an object")
	}
	if expressions = config.Field("RegexValues"); expressions.Present() {
		config.Field("Values")
		expressions.Refuse("regular expressions are not evaluated here")
		return c
	}
	if c.Field == HTTPHeader {
		header := config.Field("HttpHeaderName")
		if c.Header = header.Text(""); len(c.Header) > 40 {
			header.Refuse("AWS refuses %d characters: the name of a header can have 40", len(c.Header))
		}
		if c.Header == "" || strings.EqualFold(c.Header, "Host") {
			header.Refuse("%q cannot be the header of an http-header condition (for Host there is host-header)", c.Header)
		}
	}
	for _, value := range config.Field("Values").Some() {
		if c.Field == QueryString {
			key := value.Field("Key")
			q := QueryValue{Key: key.Text(""), Value: value.Field("Value").Need("a value").Text(""), AnyKey: !key.Present()}
			for name, part := range map[string]string{"Key": q.Key, "Value": q.Value} {
				if len(part) > maxPattern {
					value.Field(name).Refuse("AWS refuses %d characters: it can have %d", len(part), maxPattern)
				}
			}
			text := q.Value
			if !q.AnyKey {
				text = q.Key + "=" + text
			}
			c.Query, c.Values = append(c.Query, q), append(c.Values, text)
			continue
		}
		text, parts := value.Mixed()
		if dynamic := parts.String(); c.Field == HTTPHeader && Dynamic(dynamic) {
			text = dynamic
		} else if parts != nil {
			text = value.Text("") // refuses it
		}
		if c.Field == HTTPHeader && Dynamic(text) {
			c.Values = append(c.Values, text)
			continue
		}
		if text == "" {
			value.Refuse("a condition cannot have an empty value")
		} else if _, err := netip.ParsePrefix(text); err != nil && c.Field == SourceIP {
			value.Refuse("%q is not an address range like 10.0.0.0/8", text)
		} else if l := limits[c.Field]; l.pattern != nil && (len(text) > l.length || !l.pattern.MatchString(text)) {
			value.Refuse("AWS refuses %q: %s", text, l.says)
		}
		c.Values = append(c.Values, text)
	}
	return c
}
