package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake stands for DynamoDB where the real one cannot be brought to an answer.
type fake struct {
	mu      sync.Mutex
	answers []func(*http.Request) (*http.Response, error) // the last one stays
	asked   []map[string]any                              // the requests, with their operation
	closed  int                                           // how often idle connections were closed
}

func (f *fake) CloseIdleConnections() { f.closed++ }

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	request := map[string]any{}
	_ = json.Unmarshal(body, &request)
	request["operation"] = strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	request["url"], request["authorization"] = r.URL.String(), r.Header.Get("Authorization")
	f.mu.Lock()
	f.asked = append(f.asked, request)
	answer := f.answers[min(len(f.asked), len(f.answers))-1]
	f.mu.Unlock()
	return answer(r)
}

type reply = func(*http.Request) (*http.Response, error)

func says(status int, body string) reply {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Request: r, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
			Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		}, nil
	}
}

func fails(status int, name string) reply {
	return says(status, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"m"}`, name))
}

// canceled is the answer to a transaction, with the reasons of its actions.
func canceled(reasons ...string) reply {
	var list []string
	for _, r := range reasons {
		list = append(list, fmt.Sprintf(`{"Code":%q}`, r))
	}
	return says(400, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"m","CancellationReasons":[%s]}`, strings.Join(list, ",")))
}

var (
	done      = says(200, `{}`)
	throttled = fails(400, "ThrottlingException")
	broken    = fails(500, "InternalServerError")
	lost      = reply(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
	reset     = reply(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	})
	absent = reply(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	})
	hangs = reply(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
)

func fakeStore(t *testing.T, answers ...reply) (*dynamoDB, *fake) {
	t.Helper()
	f := &fake{answers: answers}
	d, err := newDynamoDB("dev-users", env(map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}), f)
	if err != nil {
		t.Fatal(err)
	}
	return d, f
}

func env(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// A write is repeated if DynamoDB did not do it. What may have been done is repeated under the token of a
// transaction only.
func TestDynamoDBWrites(t *testing.T) {
	a := Change{Item: Item{Key: Key{"l", "a"}}}
	b := Change{Item: Item{Key: Key{"l", "b"}}, Expected: 3}
	gone := Change{Item: Item{Key: Key{"l", "c"}}, Expected: 2, Remove: true}
	one, two := []Change{a}, []Change{a, b}
	for name, test := range map[string]struct {
		changes  []Change
		answers  []reply
		attempts int    // 0: several
		want     string // "", busy, unknown, or the key of a conflict
	}{
		"one":                            {one, []reply{done}, 1, ""},
		"one removed":                    {[]Change{gone}, []reply{done}, 1, ""},
		"one removed, conflict":          {[]Change{gone}, []reply{fails(400, "ConditionalCheckFailedException")}, 1, "l/c"},
		"one, throttled, done":           {one, []reply{throttled, done}, 2, ""},
		"one, capacity, done":            {one, []reply{fails(400, "ProvisionedThroughputExceededException"), done}, 2, ""},
		"one, account's limit, done":     {one, []reply{fails(400, "RequestLimitExceeded"), done}, 2, ""},
		"one, other transaction, done":   {one, []reply{fails(400, "TransactionConflictException"), done}, 2, ""},
		"one, not reached, done":         {one, []reply{absent, done}, 2, ""},
		"one, throttled":                 {one, []reply{throttled}, 0, "busy"},
		"one, not reached":               {one, []reply{absent}, 0, "busy"},
		"one, conflict":                  {one, []reply{fails(400, "ConditionalCheckFailedException")}, 1, "l/a"},
		"one, throttled, conflict":       {one, []reply{throttled, fails(400, "ConditionalCheckFailedException")}, 2, "l/a"},
		"one, server fails":              {one, []reply{broken, done}, 1, "unknown"},
		"one, unavailable":               {one, []reply{fails(503, "ServiceUnavailable"), done}, 1, "unknown"},
		"one, answer lost":               {one, []reply{lost, done}, 1, "unknown"},
		"one, connection reset":          {one, []reply{reset, done}, 1, "unknown"},
		"one, no answer":                 {one, []reply{hangs}, 1, "unknown"},
		"one, refused":                   {one, []reply{fails(400, "AccessDeniedException"), done}, 1, "unknown"},
		"one, wrong":                     {one, []reply{fails(400, "ValidationException"), done}, 1, "unknown"},
		"two":                            {two, []reply{done}, 1, ""},
		"two, server fails, done":        {two, []reply{broken, done}, 2, ""},
		"two, answer lost, done":         {two, []reply{lost, reset, done}, 3, ""},
		"two, no answer, done":           {two, []reply{hangs, done}, 2, ""},
		"two, in progress, done":         {two, []reply{lost, fails(400, "TransactionInProgressException"), done}, 3, ""},
		"two, answer lost, conflict":     {two, []reply{lost, canceled("None", "ConditionalCheckFailed")}, 2, "l/b"},
		"two, answer lost, throttled":    {two, []reply{lost, throttled}, 0, "unknown"},
		"two, server fails":              {two, []reply{broken}, 0, "unknown"},
		"two, throttled":                 {two, []reply{throttled}, 0, "busy"},
		"two, other transaction, done":   {two, []reply{canceled("TransactionConflict", "None"), done}, 2, ""},
		"two, action throttled, done":    {two, []reply{canceled("None", "ThrottlingError"), done}, 2, ""},
		"two, action's capacity, done":   {two, []reply{canceled("None", "ProvisionedThroughputExceeded"), done}, 2, ""},
		"two, other transaction":         {two, []reply{canceled("TransactionConflict", "None")}, 0, "busy"},
		"two, conflict and transaction":  {two, []reply{canceled("TransactionConflict", "ConditionalCheckFailed")}, 1, "l/b"},
		"two, two conflicts":             {two, []reply{canceled("ConditionalCheckFailed", "ConditionalCheckFailed")}, 1, "l/a"},
		"two, canceled as it is wrong":   {two, []reply{canceled("ValidationError", "None"), done}, 1, "unknown"},
		"two, canceled without a reason": {two, []reply{canceled()}, 1, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := fakeStore(t, test.answers...)
				begin := time.Now()
				err := d.Write(t.Context(), test.changes...)
				var conflict *Conflict
				got := ""
				switch {
				case errors.As(err, &conflict):
					got = conflict.Key.String()
				case errors.Is(err, ErrBusy):
					got = "busy"
				case err != nil:
					got = "unknown"
				}
				if got != test.want || test.attempts > 0 && len(f.asked) != test.attempts || test.attempts == 0 && len(f.asked) < 5 {
					t.Errorf("%s (%v) after %d attempts, want %s after %d", got, err, len(f.asked), test.want, test.attempts)
				}
				if took := time.Since(begin); took > 6*time.Second {
					t.Error(took)
				}
				operation := "PutItem"
				if len(test.changes) > 1 {
					operation = "TransactWriteItems"
				} else if test.changes[0].Remove {
					operation = "DeleteItem"
				}
				for _, asked := range f.asked {
					token, _ := asked["ClientRequestToken"].(string)
					if asked["operation"] != operation || asked["ClientRequestToken"] != f.asked[0]["ClientRequestToken"] || (len(token) >= 20) != (len(test.changes) > 1) {
						t.Error(asked)
					}
				}
				_ = d.Close()
			})
		})
	}
}

// Two writes have two tokens: the second would else be taken for the first. They go to the region, signed.
func TestDynamoDBTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := fakeStore(t, done)
		for range 2 {
			if err := d.Write(t.Context(), Change{Item: Item{Key: Key{"l", "a"}}}, Change{Item: Item{Key: Key{"l", "b"}}}); err != nil {
				t.Fatal(err)
			}
		}
		if f.asked[0]["ClientRequestToken"] == f.asked[1]["ClientRequestToken"] {
			t.Error(f.asked)
		}
		signed, _ := f.asked[0]["authorization"].(string)
		if f.asked[0]["url"] != "https://dynamodb.eu-central-1.amazonaws.com/" || !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 Credential=a/") || !strings.Contains(signed, "/eu-central-1/dynamodb/aws4_request") {
			t.Error(f.asked[0]["url"], signed)
		}
	})
}

// Reads are strongly consistent, are repeated whatever happened to them, and ask for what is left.
func TestDynamoDBReads(t *testing.T) {
	item := func(id string) string {
		return fmt.Sprintf(`{"pk":{"S":"l"},"sk":{"S":%q},"ver":{"N":"2"},"seq":{"N":"5"},"place":{"S":"here"}}`, id)
	}
	get := func(items string, left ...string) reply {
		unprocessed := ""
		for i, id := range left {
			left[i] = fmt.Sprintf(`{"pk":{"S":"l"},"sk":{"S":%q}}`, id)
		}
		if len(left) > 0 {
			unprocessed = fmt.Sprintf(`"dev-users":{"ConsistentRead":true,"Keys":[%s]}`, strings.Join(left, ","))
		}
		return says(200, fmt.Sprintf(`{"Responses":{"dev-users":[%s]},"UnprocessedKeys":{%s}}`, items, unprocessed))
	}
	page := func(items, last string) reply {
		if last != "" {
			last = fmt.Sprintf(`,"LastEvaluatedKey":{"pk":{"S":"l"},"sk":{"S":%q}}`, last)
		}
		return says(200, fmt.Sprintf(`{"Items":[%s]%s}`, items, last))
	}
	for name, test := range map[string]struct {
		answers  []reply
		attempts int
		list     bool
		limit    int
		want     string // ids, busy or wrong
	}{
		"all":                       {[]reply{get(item("b") + "," + item("a"))}, 1, false, 0, "a b"},
		"one left":                  {[]reply{get(item("b"), "a"), get(item("a"))}, 2, false, 0, "a b"},
		"all left, then none":       {[]reply{get("", "a", "b"), get(item("a") + "," + item("b"))}, 2, false, 0, "a b"},
		"all left":                  {[]reply{get("", "a", "b")}, 0, false, 0, "busy"},
		"one left for good":         {[]reply{get(item("b"), "a"), get("", "a")}, 0, false, 0, "busy"},
		"throttled":                 {[]reply{throttled, get(item("a") + "," + item("b"))}, 2, false, 0, "a b"},
		"fails":                     {[]reply{broken, lost, reset, absent, hangs, get(item("a") + "," + item("b"))}, 6, false, 0, "a b"},
		"no answer":                 {[]reply{hangs}, 0, false, 0, "busy"},
		"refused":                   {[]reply{fails(400, "AccessDeniedException")}, 1, false, 0, "wrong"},
		"not an item":               {[]reply{get(`{"pk":{"S":"l"},"sk":{"S":"a"},"ver":{"N":"1.5"}}`)}, 1, false, 0, "wrong"},
		"list":                      {[]reply{page(item("a"), "")}, 1, true, 0, "a"},
		"list of pages":             {[]reply{page(item("a"), "a"), page("", "aa"), throttled, page(item("b"), "")}, 4, true, 0, "a b"},
		"list with limit":           {[]reply{page(item("a"), "a"), page(item("b"), "b"), page(item("c"), "c")}, 2, true, 2, "a b"},
		"list is throttled":         {[]reply{throttled}, 0, true, 0, "busy"},
		"second page is throttled":  {[]reply{page(item("a"), "a"), throttled}, 0, true, 0, "busy"},
		"list of what is no item":   {[]reply{page(`{"pk":{"S":"l"},"sk":{"S":"a"},"seq":{"N":"x"}}`, "")}, 1, true, 0, "wrong"},
		"list of a table not there": {[]reply{fails(400, "ResourceNotFoundException")}, 1, true, 0, "wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := fakeStore(t, test.answers...)
				var items []Item
				var err error
				if test.list {
					items, err = d.List(t.Context(), "l", "0", test.limit)
				} else {
					items, err = d.Get(t.Context(), Key{"l", "a"}, Key{"l", "b"})
				}
				var ids []string
				for _, i := range items {
					ids = append(ids, i.ID)
					if i.Version != 2 || i.Seq != 5 {
						t.Error(i)
					}
				}
				got := strings.Join(ids, " ")
				if errors.Is(err, ErrBusy) {
					got = "busy"
				} else if err != nil {
					got = "wrong"
				}
				if got != test.want || test.attempts > 0 && len(f.asked) != test.attempts {
					t.Errorf("%s (%v) after %d attempts, want %s after %d", got, err, len(f.asked), test.want, test.attempts)
				}
				left := test.limit
				for _, asked := range f.asked {
					consistent := asked["ConsistentRead"]
					if tables, ok := asked["RequestItems"].(map[string]any); ok {
						consistent = tables["dev-users"].(map[string]any)["ConsistentRead"] //nolint:forcetypeassert // a panic fails the test
					}
					if consistent != true {
						t.Error(asked)
					}
					if test.limit > 0 {
						if asked["Limit"] != float64(left) {
							t.Error(asked["Limit"], left)
						}
						left--
					}
				}
			})
		})
	}
}

// After an attempt without an answer, no old connection is used again.
func TestDynamoDBConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := fakeStore(t, throttled, broken, lost, says(200, `{}`))
		if _, err := d.List(t.Context(), "l", "", 0); err != nil || f.closed != 1 {
			t.Error(err, f.closed)
		}
		if _ = d.Close(); f.closed != 2 {
			t.Error(f.closed)
		}
	})
}

// The context of a request ends a call that waits.
func TestDynamoDBContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		d, _ := fakeStore(t, hangs)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Get(ctx, Key{"l", "a"}); err == nil || time.Since(begin) != time.Second {
			t.Error(err, time.Since(begin))
		}
	})
}
