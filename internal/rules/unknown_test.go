package rules

import (
	"net/http"
	"testing"
)

// A rule on the address of the client is decided without the address if another condition is not
// met, whatever the order of the conditions.
func TestUnknownAddress(t *testing.T) {
	const source = `{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}`
	for _, conditions := range []string{source + "," + paths("/a"), paths("/a") + "," + source} {
		listener := build(t, listen(forward("Drop"), on(1, conditions, forward("Api")))).Listeners[0]
		if rule, err := listener.Match(&Request{Path: "/a"}); err == nil {
			t.Errorf("%s: without an address, /a matches %v", conditions, rule.Resource)
		}
		if rule, err := listener.Match(&Request{Path: "/b"}); err != nil || len(rule.Conditions) > 0 {
			t.Errorf("%s: /b matches %v, %v, want the default rule", conditions, rule, err)
		}
	}
}

// A backslash is an escape in query strings only.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_QueryStringConditionConfig.html
func TestBackslash(t *testing.T) {
	listener := build(t, listen(forward("Drop"),
		on(1, `{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Path", "Values": ["c:\\*"]}}`, forward("Api")))).Listeners[0]
	for value, want := range map[string]int{`c:\users`: 1, `c:*`: 0} {
		rule, err := listener.Match(&Request{Path: "/", Header: http.Header{"X-Path": {value}}})
		if err != nil || rule.Priority != want {
			t.Errorf("X-Path: %s is decided by %v, %v, want the rule %d", value, rule, err, want)
		}
	}
}
