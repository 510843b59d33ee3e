package canary_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"cutover/internal/canary"
)

// sample is "REQUESTS ERRORS P99 UNHEALTHY", the p99 in milliseconds.
func sample(t *testing.T, text string) (s canary.Sample) {
	t.Helper()
	var ms float64
	if _, err := fmt.Sscan(text, &s.Requests, &s.Errors, &ms, &s.Unhealthy); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	s.P99 = time.Duration(ms * float64(time.Millisecond))
	return s
}

// Every line has the rounds, "SERVICE | MONOLITH" each, and what is found in the
// three kinds.
func TestJudge(t *testing.T) {
	const api = " | 500 0 20 0"
	for _, c := range []struct {
		rounds string
		want   string
		reason string // in one of them
	}{
		// Time, and requests.
		{"", "not enough, not enough, not enough", "users has had 0 of the 2 periods of 60 s that it takes"},
		{"100 100 9000 1" + api, "not enough, not enough, not enough", "users has had 1 of the 2 periods"},
		{"50 0 20 0" + api + "; 50 0 20 0" + api, "ok, ok, ok", "users answered 0.0 % of 50 requests with 5xx and api 0.0 % of 500"},
		{"50 0 20 0" + api + "; 49 49 20 0" + api, "not enough, not enough, ok", "users had 49 requests in a period of 60 s, and it takes 50"},
		{"1 1 20 0" + api + "; 50 50 900 0" + api, "not enough, not enough, ok", "users had 1 request in a period"},
		{"0 0 0 0 | 0 0 0 0; 0 0 0 0 | 0 0 0 0", "not enough, not enough, ok", "users had 0 requests"},
		{"9 9 9 9" + api + "; 50 0 20 0" + api + "; 50 0 20 0" + api, "ok, ok, ok", ""}, // only the last ones matter

		// Errors: more than one point above the monolith's.
		{"100 1 20 0" + api + "; 100 1 20 0" + api, "ok, ok, ok", "1.0 % of 100 requests"},
		{"100 2 20 0" + api + "; 100 1 20 0" + api, "high, ok, ok", "users answered 2.0 % of 100 requests with 5xx and api 0.0 % of 500, in one of 2 periods of 60 s"},
		{"100 1 20 0" + api + "; 100 2 20 0" + api, "high, ok, ok", "in one of 2 periods"},
		{"100 2 20 0" + api + "; 100 3 20 0" + api, "worse, ok, ok", "users answered 3.0 % of 100 requests with 5xx and api 0.0 % of 500, and was worse for 2 periods of 60 s"},
		{"100 6 20 0 | 500 25 20 0; 100 6 20 0 | 500 25 20 0", "ok, ok, ok", "api 5.0 % of 500"},
		{"1000 61 20 0 | 500 25 20 0; 1000 61 20 0 | 500 25 20 0", "worse, ok, ok", "users answered 6.1 % of 1000 requests"},
		{"100 2 20 0 | 49 49 20 0; 100 2 20 0 | 49 49 20 0", "worse, not compared, ok", "and api had too few requests to compare with"},
		{"100 1 20 0 | 0 0 0 0; 100 1 20 0 | 0 0 0 0", "ok, not compared, ok", ""},
		{"100 9 20 0" + api + "; 100 0 20 0" + api + "; 100 9 20 0" + api, "high, ok, ok", ""}, // not after each other

		// Latency: more than 1.5 times the monolith's, and more than 100 ms.
		{"100 0 100 0" + api + "; 100 0 100 0" + api, "ok, ok, ok", "users has a p99 of 100 ms and api one of 20 ms"},
		{"100 0 100.1 0" + api + "; 100 0 1234 0" + api, "ok, worse, ok", "users has a p99 of 1.23 s and api one of 20 ms, and was worse for 2 periods"},
		{"100 0 150 0 | 500 0 100 0; 100 0 150 0 | 500 0 100 0", "ok, ok, ok", ""},
		{"100 0 150.1 0 | 500 0 100 0; 100 0 150 0 | 500 0 100 0", "ok, high, ok", "in one of 2 periods"},
		{"100 0 900 0" + api + "; 100 0 900 0 | 49 0 20 0", "ok, not compared, ok", "users has a p99 of 900 ms, and api had fewer than 50 requests in a period of 60 s"},

		// Unhealthy targets, however many requests there are.
		{"0 0 0 1" + api + "; 0 0 0 2" + api, "not enough, not enough, worse", "users has 2 unhealthy targets and api 0, and was worse for 2 periods"},
		{"100 0 20 1 | 500 0 20 1; 100 0 20 1 | 500 0 20 0", "ok, ok, high", "users has 1 unhealthy target and api 0, in one of"},
		{"100 0 20 1 | 500 0 20 1; 100 0 20 1 | 500 0 20 2", "ok, ok, ok", ""},
		{"100 0 20 1 | 9 0 20 1; 100 0 20 1 | 9 0 20 1", "ok, not compared, worse", "users has 1 unhealthy target and api 0"},
	} {
		s := canary.Subject{Service: "users", Monolith: "api", Length: time.Minute}
		for _, round := range strings.Split(c.rounds, ";") {
			if service, monolith, ok := strings.Cut(round, "|"); ok {
				s.Rounds = append(s.Rounds, canary.Round{Service: sample(t, service), Monolith: sample(t, monolith)})
			}
		}
		var states, reasons []string
		for i, finding := range s.Judge() {
			states = append(states, string(finding.State))
			reasons = append(reasons, finding.Reason)
			if finding.Kind != canary.Kinds()[i] {
				t.Errorf("%s: finding %d is of %s", c.rounds, i, finding.Kind)
			}
		}
		if got := strings.Join(states, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", c.rounds, got, c.want)
		}
		if !strings.Contains(strings.Join(reasons, "\n"), c.reason) {
			t.Errorf("%s: the reasons %q do not have %q", c.rounds, reasons, c.reason)
		}
	}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		findings string // STATE:REASON
		want     canary.Verdict
		reasons  string
	}{
		{"ok:a ok:b not compared:c", canary.GoOn, "a b c"},
		{"ok:a not enough:b not enough:b high:c ok:d", canary.Wait, "b c"},
		{"high:a ok:b", canary.Wait, "a"},
		{"not enough:a high:b worse:c ok:d worse:e", canary.Back, "c e"},
	} {
		var findings []canary.Finding
		for _, field := range strings.Fields(strings.NewReplacer("not enough", "not-enough", "not compared", "not-compared").Replace(c.findings)) {
			state, reason, _ := strings.Cut(field, ":")
			findings = append(findings, canary.Finding{State: canary.State(strings.ReplaceAll(state, "-", " ")), Reason: reason})
		}
		verdict, reasons := canary.Decide(findings)
		if verdict != c.want || !reflect.DeepEqual(reasons, strings.Fields(c.reasons)) {
			t.Errorf("%s: %s because of %q, want %s because of %s", c.findings, verdict, reasons, c.want, c.reasons)
		}
	}
}
