package cloudfront

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/model"
	"cutover/internal/rules"
)

func TestLifetime(t *testing.T) {
	now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	policy := func(min, def, max int) *model.CachePolicy {
		return &model.CachePolicy{MinTTL: time.Duration(min) * time.Second, TTL: time.Duration(def) * time.Second, MaxTTL: time.Duration(max) * time.Second}
	}
	for _, c := range []struct {
		policy *model.CachePolicy
		header string
		want   int
	}{
		{policy(0, 5, 60), "", 5},
		{policy(10, 5, 60), "", 10},
		{policy(0, 0, 0), "Cache-Control: max-age=60", 0},
		{policy(0, 5, 60), "Cache-Control: max-age=30", 30},
		{policy(0, 5, 60), "Cache-Control: max-age=90", 60},
		{policy(40, 50, 60), "Cache-Control: max-age=30", 40},
		{policy(0, 5, 60), "Cache-Control: public, max-age=30, s-maxage=20", 20},
		{policy(0, 5, 60), "Cache-Control: s-maxage=20, max-age=30", 20},
		{policy(0, 5, 60), "Cache-Control: No-Store", 0},
		{policy(7, 8, 60), "Cache-Control: private", 7},
		{policy(0, 5, 60), "Cache-Control: no-cache, max-age=30", 0},
		{policy(0, 5, 60), "Cache-Control: max-age=soon", 5},
		{policy(0, 5, 60), "Expires: Fri, 27 Nov 2026 00:00:20 GMT", 20},
		{policy(0, 5, 60), "Expires: Thu, 26 Nov 2026 00:00:20 GMT", 0},
		{policy(0, 5, 60), "Expires: 0", 0},
		{policy(0, 5, 60), "Vary: *", 0},
		{policy(1, 5, 60), "Vary: *", 5},
	} {
		header := http.Header{}
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			header.Set(name, value)
		}
		if got := lifetime(c.policy, header, now); got != time.Duration(c.want)*time.Second {
			t.Errorf("%v %q: %v, want %d s", *c.policy, c.header, got, c.want)
		}
	}
}

func TestErrorLifetime(t *testing.T) {
	responses := []model.ErrorResponse{{Code: 404, TTL: 0}, {Code: 500, TTL: 30 * time.Second}, {Code: 403, TTL: time.Minute}}
	for _, c := range []struct {
		status, age, want int
	}{
		{404, -1, 0}, {404, 5, 5}, {500, -1, 30}, {500, 60, 60}, {502, -1, 10}, {503, -1, 10}, {403, -1, 0}, {403, 5, 60}, {400, -1, 0}, {400, 5, 10}, {418, 60, 0}, {416, 60, 0},
	} {
		header := http.Header{}
		if c.age >= 0 {
			header.Set("Cache-Control", fmt.Sprintf("max-age=%d", c.age))
		}
		if got := errorLifetime(responses, c.status, header); got != time.Duration(c.want)*time.Second {
			t.Errorf("%d, max-age %d: %v, want %d s", c.status, c.age, got, c.want)
		}
	}
}

func TestCacheKey(t *testing.T) {
	r := &request{method: "GET", path: "/a", query: "b=2&limit=1&a=1", header: http.Header{"Cookie": {"s=1; t=2"}, "Accept-Encoding": {"gzip, br"}, "Accept-Language": {"de"}}}
	none, all := model.Selection{Behavior: "none"}, model.Selection{Behavior: "all"}
	for _, c := range []struct {
		policy model.CachePolicy
		want   string
	}{
		{model.CachePolicy{Query: none, Headers: none, Cookies: none}, "GET|/a|||"},
		{model.CachePolicy{Query: all, Headers: none, Cookies: all, AcceptGzip: true, AcceptBrotli: true}, "GET|/a|b=2&limit=1&a=1|s=1; t=2|br,gzip"},
		{model.CachePolicy{Query: model.Selection{Behavior: "whitelist", Names: []string{"limit"}}, Headers: none, Cookies: model.Selection{Behavior: "allExcept", Names: []string{"s"}}, AcceptGzip: true}, "GET|/a|limit=1|t=2|gzip"},
		{model.CachePolicy{Query: model.Selection{Behavior: "allExcept", Names: []string{"limit"}}, Headers: model.Selection{Behavior: "whitelist", Names: []string{"accept-language"}}, Cookies: none}, "GET|/a|b=2&a=1|||accept-language: de"},
	} {
		if got := strings.ReplaceAll(cacheKey(&c.policy, r), "\n", "|"); got != c.want {
			t.Errorf("the key is %s, want %s", got, c.want)
		}
	}
	if post := cacheKey(&model.CachePolicy{Query: none, Cookies: none}, &request{method: "OPTIONS", path: "/a"}); !strings.HasPrefix(post, "OPTIONS") {
		t.Errorf("the key of OPTIONS is %q", post)
	}
}

// script answers requests of an origin.
type script func(*http.Request) (*http.Response, error)

func (s script) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func says(status int, body string, headers ...string) *http.Response {
	response := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		response.Header.Set(name, value)
	}
	return response
}

// before runs a distribution of one behavior before an origin. It returns what answers "GET /a" with, as in "200 Miss x".
func before(policy model.CachePolicy, errors []model.ErrorResponse, transport http.RoundTripper) func(headers ...string) string {
	d := &distribution{Distribution: &model.Distribution{Enabled: true, ErrorResponses: errors}}
	o := &origin{Origin: &model.Origin{Attempts: 1, ReadTimeout: 30 * time.Second}, transport: transport, at: func() (string, string, error) { return "http", "x", nil }}
	d.behaviors = []*behavior{{Behavior: &model.Behavior{Pattern: "*", Methods: []string{"GET"}, CachePolicy: &policy}, pattern: rules.NewPattern("*"), distribution: d, origin: o}}
	f := &front{cache: newCache(), counts: map[string]*counts{}}
	f.distribution.Store(d)
	return func(headers ...string) string {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Set(name, value)
		}
		f.ServeHTTP(w, r)
		return strings.TrimSpace(fmt.Sprint(w.Code, " ", strings.TrimSuffix(w.Header().Get("X-Cache"), " from cloudfront"), " ", w.Header().Get("Age"), " ", w.Body))
	}
}

func TestCacheOverTime(t *testing.T) {
	ten := model.CachePolicy{TTL: 10 * time.Second, MaxTTL: time.Minute}
	type step struct {
		after time.Duration
		want  string
	}
	asked := 0
	for name, c := range map[string]struct {
		policy model.CachePolicy
		errors []model.ErrorResponse
		origin script
		steps  []step
	}{
		"an answer is kept until its time is over": {ten, nil, func(*http.Request) (*http.Response, error) { asked++; return says(200, fmt.Sprint(asked)), nil },
			[]step{{0, "200 Miss  1"}, {9 * time.Second, "200 Hit 9 1"}, {time.Second, "200 Miss  2"}, {0, "200 Hit 0 2"}}},
		"an answer that has not changed is kept again": {ten, nil, func(r *http.Request) (*http.Response, error) {
			asked++
			if r.Header.Get("If-None-Match") == `"e"` && r.Header.Get("If-Modified-Since") == "yesterday" {
				return says(304, ""), nil
			}
			return says(200, fmt.Sprint(asked), `ETag: "e"`, "Last-Modified: yesterday"), nil
		}, []step{{0, "200 Miss  1"}, {11 * time.Second, "200 RefreshHit 0 1"}, {5 * time.Second, "200 Hit 5 1"}}},
		"no-cache asks each time": {ten, nil, func(r *http.Request) (*http.Response, error) {
			asked++
			if r.Header.Get("If-None-Match") != "" {
				return says(304, ""), nil
			}
			return says(200, fmt.Sprint(asked), `ETag: "e"`, "Cache-Control: no-cache"), nil
		}, []step{{0, "200 Miss  1"}, {0, "200 RefreshHit 0 1"}, {0, "200 RefreshHit 0 1"}}},
		"no-store is not kept": {ten, nil, func(r *http.Request) (*http.Response, error) {
			asked++
			return says(200, fmt.Sprint(asked, r.Header.Get("If-None-Match")), `ETag: "e"`, "Cache-Control: no-store"), nil
		}, []step{{0, "200 Miss  1"}, {0, "200 Miss  2"}}},
		"an error is kept for 10 s": {model.CachePolicy{}, nil, func(*http.Request) (*http.Response, error) { asked++; return says(500, fmt.Sprint(asked)), nil },
			[]step{{0, "500 Error  1"}, {9 * time.Second, "500 Error 9 1"}, {time.Second, "500 Error  2"}}},
		"an error is kept for as long as the distribution says": {model.CachePolicy{}, []model.ErrorResponse{{Code: 404, TTL: 2 * time.Second}}, func(*http.Request) (*http.Response, error) { asked++; return says(404, fmt.Sprint(asked)), nil },
			[]step{{0, "404 Error  1"}, {time.Second, "404 Error 1 1"}, {time.Second, "404 Error  2"}}},
		"what is old serves while the origin fails": {ten, nil, func(*http.Request) (*http.Response, error) {
			if asked++; asked == 2 {
				return says(503, "oops"), nil
			}
			return says(200, fmt.Sprint(asked)), nil
		}, []step{{0, "200 Miss  1"}, {10 * time.Second, "200 Hit 10 1"}, {9 * time.Second, "200 Hit 19 1"}, {time.Second, "200 Miss  3"}}},
		"what is old goes if the origin has it no more": {ten, nil, func(*http.Request) (*http.Response, error) {
			if asked++; asked > 1 {
				return says(404, "gone"), nil
			}
			return says(200, fmt.Sprint(asked)), nil
		}, []step{{0, "200 Miss  1"}, {10 * time.Second, "404 Error  gone"}, {5 * time.Second, "404 Error 5 gone"}}},
		"an origin that does not answer is an error that is kept": {model.CachePolicy{}, []model.ErrorResponse{{Code: 502, TTL: 0}}, func(*http.Request) (*http.Response, error) {
			if asked++; asked == 1 {
				return nil, errors.New("no")
			}
			return says(200, "back"), nil
		}, []step{{0, "502 Error"}, {0, "200 Miss  back"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked = 0
				get := before(c.policy, c.errors, c.origin)
				for i, s := range c.steps {
					time.Sleep(s.after)
					if got := get(); got != s.want && !(strings.HasPrefix(s.want, "502") && strings.HasPrefix(got, s.want)) {
						t.Errorf("step %d: %q, want %q", i, got, s.want)
					}
				}
			})
		})
	}
}

// An origin that stops in the middle of an answer ends the answer, and nothing is kept.
func TestSilentOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := script(func(r *http.Request) (*http.Response, error) {
			response := says(200, "")
			response.ContentLength, response.Body = 10, io.NopCloser(waiting{r.Context()})
			return response, nil
		})
		get := before(model.CachePolicy{TTL: time.Minute, MaxTTL: time.Minute}, nil, silent)
		start := time.Now()
		if got := get(); !strings.HasPrefix(got, "504 Error") || time.Since(start) != 30*time.Second {
			t.Errorf("%q after %v", got, time.Since(start))
		}
	})
}

// waiting is a body that says nothing until its request is cancelled.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}
