package apigateway

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// The bucket of a method has its burst at once, and its rate from then on.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		of, other := &model.APIMethod{Method: "ANY"}, &model.APIMethod{Method: "GET"}
		settings := model.MethodSettings{Throttled: true, Rate: 2, Burst: 3}
		var throttle throttle
		taken := func(of *model.APIMethod, method string, settings model.MethodSettings) (n int) {
			for range 10 {
				if throttle.allow(of, method, settings) {
					n++
				}
			}
			return n
		}
		got := fmt.Sprint(taken(of, "GET", settings), taken(of, "POST", settings), taken(other, "GET", settings))
		time.Sleep(time.Second)
		got += fmt.Sprint(" ", taken(of, "GET", settings))
		time.Sleep(time.Hour)
		got += fmt.Sprint(" ", taken(of, "GET", settings))
		got += fmt.Sprint(" ", taken(of, "GET", model.MethodSettings{}), taken(of, "GET", model.MethodSettings{Throttled: true, Rate: 0, Burst: 0}))
		if want := "3 0 3 2 3 10 0"; got != want {
			t.Errorf("taken are %s, want %s", got, want)
		}
	})
}

func TestCacheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cache
		c.put("a", &request{}, &answer{status: 1}, time.Minute)
		c.put("large", &request{}, &answer{body: make([]byte, maxCached+1)}, time.Minute)
		time.Sleep(time.Minute - 1)
		if c.get("a") == nil || c.get("large") != nil {
			t.Error("an answer is not kept for its time, or is too large")
		}
		time.Sleep(1)
		if c.get("a") != nil {
			t.Error("an answer is kept for longer than its time")
		}
		c.put("b", &request{}, &answer{}, time.Minute)
		if c.entries() != 1 {
			t.Errorf("%d answers are kept", c.entries())
		}
	})
}

// Only the parameters of the cache key tell answers apart.
func TestCacheKey(t *testing.T) {
	m := read(t)
	d := define(m.RestAPIs[0])
	key := func(uri string) string {
		path, query, _ := strings.Cut(uri, "?")
		return cacheKey(d.find("GET", path), "GET", &request{method: "GET", path: path, query: query, header: http.Header{}})
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"/api/users", "/api/users?other=1", true},
		{"/api/users?limit=1", "/api/users?limit=2", false},
		{"/api/users?limit=1&after=2", "/api/users?after=2&limit=1", true},
		{"/api/users?limit=1", "/api/users?limit=%31", true},
		{"/api/users?limit=", "/api/users", true},
		{"/api/users?limit=1&after=", "/api/users?limit=&after=1", false},
		{"/api/users", "/api/threads", false},
		{"/api/users/1", "/api/users/2", true}, // its method has no key
	} {
		if same := key(c.a) == key(c.b); same != c.same {
			t.Errorf("%s and %s are told apart: %v", c.a, c.b, !same)
		}
	}
}

// A stage keeps answers to GET, also errors, until their time is over or somebody who may do so asks for a new one.
func TestCached(t *testing.T) {
	var asked atomic.Int64
	var status atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	d := deploy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, asked.Add(1))
	}))
	want := func(what string, r *http.Request, want string) *http.Response {
		t.Helper()
		response, body := d.do(r)
		if got := fmt.Sprint(response.StatusCode, " ", body); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		return response
	}
	get := func(uri string) *http.Request { return d.request("GET", uri, "") }
	first := want("the first", get("/live/api/users"), "503 1")
	status.Store(http.StatusOK)
	again := want("a kept error", get("/live/api/users?x=1"), "503 1")
	if first.Header.Get(requestIDHeader) == again.Header.Get(requestIDHeader) {
		t.Error("an answer that is kept has the id of another request")
	}
	want("another key", get("/live/api/users?limit=1"), "200 2")
	want("another method", d.request("HEAD", "/live/api/users", ""), "200 ")
	want("no cache", get("/live/api/users/1"), "200 4")
	fresh := get("/live/api/users?limit=1")
	fresh.Header.Set("Cache-Control", "max-age=0")
	if r := want("a client who may not ask for a new one", fresh, "200 2"); r.Header.Get("Warning") == "" {
		t.Error("the client is not warned")
	}
	counts := d.stageStatus()
	if counts.CacheHits != 2 || counts.CacheMisses != 2 || counts.CacheEntries != 2 || counts.Requests != 6 || counts.Errors5XX != 2 {
		t.Errorf("the counts are %+v", counts)
	}

	// A deployment keeps the answers, and another size of the cache does not.
	d.update(func(a templates) { rename(a, "ApiDeployment2") })
	want("another deployment", get("/live/api/users"), "503 1")
	if e := d.event(); e.State != provider.Warning || !strings.HasPrefix(e.Message, "API Gateway dev, stage live, answers from before the deployment out of its cache: 2 answers, for up to ") {
		t.Errorf("told %v", e)
	}
	signed := func(a templates) {
		rename(a, "ApiDeployment3")
		a.properties("ApiStagelive")["CacheClusterSize"] = "1.6"
		a.properties("ApiapiusersGET")["AuthorizationType"] = "AWS_IAM"
	}
	d.update(signed)
	by := func(r *http.Request) *http.Request {
		sign(t, r, d.access.User(), provider.Region, SigningName, time.Now())
		return r
	}
	want("another cache", by(get("/live/api/users")), "200 5")
	want("kept", by(get("/live/api/users")), "200 5")
	fresh = get("/live/api/users")
	fresh.Header.Set("Cache-Control", "no-store, max-age=0")
	want("a new answer", by(fresh), "200 6")
	want("the new answer", by(get("/live/api/users")), "200 6")
	if len(d.told) != 0 {
		t.Errorf("a cache without answers is told of: %v", <-d.told)
	}
	d.update(signed, func(a templates) { a.properties("ApiStagelive")["MethodSettings"] = []any{} })
	if len(d.told) != 0 {
		t.Errorf("answers that do not serve are told of: %v", <-d.told)
	}
	d.update(signed)
	want("without a signature", get("/live/api/users"), `403 {"message":"Missing Authentication Token"}`)
}

// Requests over the limit of a method are answered with 429, and come to no target.
func TestThrottled(t *testing.T) {
	var asked atomic.Int64
	d := deploy(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	statuses := map[int]int{}
	for range 20 {
		response, body := d.get("/live/api/threads")
		statuses[response.StatusCode]++
		if response.StatusCode == 429 && body != `{"message":"Too Many Requests"}` {
			t.Errorf("the answer is %s", body)
		}
	}
	counts := d.stageStatus().Counts
	if statuses[200] < 2 || statuses[429] == 0 || int(asked.Load()) != statuses[200] || counts.Throttled != statuses[429] || counts.Errors4XX != statuses[429] {
		t.Errorf("the answers are %v, %d came to the target, and the counts are %+v", statuses, asked.Load(), counts)
	}
}
