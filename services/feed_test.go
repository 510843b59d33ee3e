package services_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cutover/internal/nightly"
	feed "cutover/services/feed/routes"
	"cutover/services/internal/events"
	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// served is a module that is served until the test ends.
func served(t *testing.T, modules ...server.Module) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, listener, io.Discard, modules...) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // as in newPublishingIn
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func readPage(t *testing.T, url string) (string, http.Header) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.StatusCode, string(body), err)
	}
	return string(body), response.Header
}

// takes takes events until each is taken: in any order that keeps that of a key, some of them twice.
func takes(t *testing.T, random *rand.Rand, take func(events.Event) error, all []events.Event) {
	t.Helper()
	byKey := map[string][]events.Event{}
	var keys []string
	for _, e := range all {
		if byKey[e.Subject] == nil {
			keys = append(keys, e.Subject)
		}
		byKey[e.Subject] = append(byKey[e.Subject], e)
	}
	for len(keys) > 0 {
		i := random.IntN(len(keys))
		key := keys[i]
		e := byKey[key][0]
		for range 1 + random.IntN(2) {
			if err := take(e); err != nil {
				t.Fatal(e.ID, err)
			}
		}
		if byKey[key] = byKey[key][1:]; len(byKey[key]) == 0 {
			keys = append(keys[:i], keys[i+1:]...)
		}
	}
}

// showFeed is what the command show writes.
func showFeed(t *testing.T, module server.Module) []string {
	t.Helper()
	var out strings.Builder
	if err := server.Run(context.WithoutCancel(t.Context()), &out, "show", module); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// At rest, the feed that was made of events is byte for byte that of the monolith, which has the records: after any writes, in any
// allowed order of events, and after it was made anew meanwhile.
func TestFeedParity(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Paths.Value("/api/feed").Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if seed > 0 {
				nightly.Test(t, "it writes in another order")
			}
			testFeedParity(t, schema, seed)
		})
	}
}

func testFeedParity(t *testing.T, schema *openapi3.Schema, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	variables := on()
	variables["FEED_FROM"] = "modules"
	p := newPublishing(t, variables, feed.Feed)
	if _, err := p.run(t, "seed"); err != nil {
		t.Fatal(err)
	}
	in := store.NewMemory()
	module := feed.In(in)
	address := served(t, module)
	take := func(e events.Event) error {
		text, err := e.Encode()
		if err != nil {
			return err
		}
		message, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
			"messageId": "1", "body": string(text), "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:dev-feed.fifo",
			"attributes": map[string]string{"MessageGroupId": e.Subject, "ApproximateReceiveCount": "1"},
		}}})
		if err != nil {
			return err
		}
		failed, err := server.Records(context.WithoutCancel(t.Context()), message, module)
		if err == nil && len(failed) > 0 {
			err = errors.New("it stays in the queue")
		}
		return err
	}
	write := func() {
		for range 60 {
			id := func(n int) int { return 1 + random.IntN(n) }
			switch random.IntN(8) {
			case 0:
				p.do(t, "POST", "/api/users", fmt.Sprintf(`{"username":"u%d","name":"N%d","bio":""}`, id(99), id(99)))
			case 1, 2:
				p.do(t, "POST", "/api/threads", fmt.Sprintf(`{"title":"t%d","createdBy":%d}`, id(99), id(6)))
			case 3, 4:
				p.do(t, "POST", "/api/posts", fmt.Sprintf(`{"thread":%d,"text":%q,"user":%d}`, id(8), strings.Repeat("한", id(150)), id(6)))
			case 5:
				n := id(12)
				p.do(t, "PUT", fmt.Sprintf("/api/posts/%d", n), fmt.Sprintf(`{"thread":%d,"text":"changed","user":%d}`, id(8), id(6)), "If-Match", "*")
			case 6:
				n := id(6)
				p.do(t, "PUT", fmt.Sprintf("/api/users/%d", n), fmt.Sprintf(`{"id":%d,"username":"u","name":"R%d","bio":""}`, n, id(99)))
			case 7:
				p.do(t, "DELETE", fmt.Sprintf("/api/%s/%d", []string{"posts", "threads", "users"}[random.IntN(3)], id(9)), "")
			}
		}
	}
	round := func(what string) {
		t.Helper()
		var all []events.Event
		for _, k := range published {
			all = append(all, p.told(t, k)...)
		}
		takes(t, random, take, all)
		for _, query := range []string{"", "?limit=3"} {
			want, wantHeader := readPage(t, p.address+"/api/feed"+query)
			got, header := readPage(t, address+"/api/feed"+query)
			if got != want || header.Get("Link") != wantHeader.Get("Link") {
				t.Fatalf("seed %d, %s:\n%s\nwant\n%s", seed, what, got, want)
			}
			var threads any
			if err := json.Unmarshal([]byte(got), &threads); err != nil {
				t.Fatal(err)
			}
			if err := schema.VisitJSON(threads); err != nil {
				t.Fatal(err)
			}
			if shown := showFeed(t, module); query == "" && "["+strings.Join(shown, ",")+"]" != strings.TrimSpace(want) {
				t.Fatalf("seed %d, %s: the command shows\n%s\nwant\n%s", seed, what, shown, want)
			}
			if header.Get("X-Projection-Sequence") == "0" || header.Get("X-Projection-Age") == "" || wantHeader.Get("X-Projection-Sequence") != "" {
				t.Error(header, wantHeader)
			}
		}
	}
	round("the first records")
	write()
	round("writes")
	if err := server.Run(context.WithoutCancel(t.Context()), io.Discard, "rebuild run1", module); err != nil {
		t.Fatal(err)
	}
	write()
	if _, err := p.run(t, "republish run1"); err != nil {
		t.Fatal(err)
	}
	write()
	round("a rebuild")
	if items, err := in.List(t.Context(), "2/threads", "", 0); err != nil || len(items) == 0 {
		t.Error("the second generation has no threads:", err)
	}
	write()
	round("writes after a rebuild")
}

// A page that nobody could have linked to is refused. The OpenAPI document has these answers.
func TestFeedPages(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	responses := doc.Paths.Value("/api/feed").Get.Responses
	address := served(t, feed.In(store.NewMemory()))
	for query, want := range map[string]int{"": 200, "?limit=200": 200, "?limit=201": 400, "?limit=0": 400, "?limit=x": 400, "?after=x": 400, "?after=ZmVlZC8wMDAwMDAwMDAwMDAwMDAx": 200} {
		response, err := http.Get(address + "/api/feed" + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want || responses.Status(want) == nil {
			t.Errorf("%s: %d, want %d", query, response.StatusCode, want)
		}
	}
}
