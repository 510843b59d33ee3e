// Package storetest has the contract of package store as tests, for each implementation.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cutover/services/internal/store"
)

// Test holds a store against the contract. The function open returns the same store each time, as another
// process would open it. The store may have items of other tests.
func Test(t *testing.T, open func(t *testing.T) store.Store) {
	run := time.Now().Format("150405.000000000")
	key := func(id string) store.Key {
		return store.Key{List: run + "#" + strings.ReplaceAll(t.Name(), "/", "#"), ID: id}
	}
	ctx := t.Context()
	s := open(t)
	write := func(t *testing.T, changes ...store.Change) {
		t.Helper()
		if err := s.Write(ctx, changes...); err != nil {
			t.Fatal(err)
		}
	}
	get := func(t *testing.T, k store.Key) store.Item {
		t.Helper()
		items, err := s.Get(ctx, k)
		if err != nil || len(items) != 1 {
			t.Fatalf("%v, %v", items, err)
		}
		return items[0]
	}
	conflict := func(t *testing.T, k store.Key, changes ...store.Change) {
		t.Helper()
		var c *store.Conflict
		if err := s.Write(ctx, changes...); !errors.As(err, &c) || c.Key != k {
			t.Fatalf("%v, want a conflict of %v", err, k)
		}
	}
	put := func(k store.Key, expected int64, body string) store.Change {
		return store.Change{Item: store.Item{Key: k, Seq: expected + 1, Body: []byte(body)}, Expected: expected}
	}

	t.Run("what is not there has version 0", func(t *testing.T) {
		k := store.Key{List: run + "#nowhere", ID: "1"}
		if diff := cmp.Diff(store.Item{Key: k}, get(t, k)); diff != "" {
			t.Error(diff)
		}
		if items, err := s.List(ctx, k.List, "", 0); err != nil || len(items) > 0 {
			t.Error(items, err)
		}
	})
	t.Run("an item is kept whole", func(t *testing.T) {
		k := store.Key{List: run + "#whole", ID: "1"}
		expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		body := "{\"text\":\"한국어 \\u0000 <&> \\n\"}" + "\x00\xff"
		write(t, store.Change{Item: store.Item{Key: k, Seq: 7, Body: []byte(body), Expires: expires}})
		want := store.Item{Key: k, Version: 1, Seq: 7, Place: store.Here, Body: []byte(body), Expires: expires}
		if diff := cmp.Diff(want, get(t, k)); diff != "" {
			t.Error(diff)
		}
		write(t, store.Change{Item: store.Item{Key: k, Seq: 8, Place: "there"}, Expected: 1})
		want = store.Item{Key: k, Version: 2, Seq: 8, Place: "there"}
		if diff := cmp.Diff(want, get(t, k)); diff != "" {
			t.Error(diff)
		}
		if items, err := s.List(ctx, k.List, "", 0); err != nil || !cmp.Equal(items, []store.Item{want}) {
			t.Error(items, err)
		}
	})
	t.Run("a large item is kept", func(t *testing.T) {
		k := store.Key{List: run + "#large", ID: "1"}
		body := strings.Repeat("한", store.MaxBody/3)
		write(t, put(k, 0, body))
		if got := get(t, k); string(got.Body) != body {
			t.Error(len(got.Body))
		}
		if err := s.Write(ctx, put(k, 1, strings.Repeat("a", store.MaxBody+1))); err == nil || !strings.Contains(err.Error(), "at most") {
			t.Error(err)
		}
	})
	t.Run("a change expects a version", func(t *testing.T) {
		k := store.Key{List: run + "#expects", ID: "1"}
		conflict(t, k, put(k, 1, "early"))
		write(t, put(k, 0, "a"))
		conflict(t, k, put(k, 0, "again"))
		conflict(t, k, put(k, 2, "late"))
		write(t, put(k, 1, "b"))
		if got := get(t, k); string(got.Body) != "b" || got.Version != 2 {
			t.Error(got)
		}
		conflict(t, k, store.Change{Item: store.Item{Key: k}, Expected: 1, Remove: true})
		write(t, store.Change{Item: store.Item{Key: k}, Expected: 2, Remove: true})
		if got := get(t, k); got.Version != 0 || got.Body != nil {
			t.Error(got)
		}
		write(t, put(k, 0, "c"))
	})
	t.Run("all changes or none", func(t *testing.T) {
		list := run + "#whole write"
		a, b, c := store.Key{List: list, ID: "a"}, store.Key{List: list, ID: "b"}, store.Key{List: list + "2", ID: "c"}
		write(t, put(b, 0, "b"))
		conflict(t, b, put(a, 0, "a"), put(b, 0, "b2"), put(c, 0, "c"))
		conflict(t, c, put(a, 0, "a"), put(b, 1, "b2"), store.Change{Item: store.Item{Key: c}, Expected: 1, Remove: true})
		if items, err := s.Get(ctx, a, b, c); err != nil || items[0].Version != 0 || string(items[1].Body) != "b" || items[2].Version != 0 {
			t.Error(items, err)
		}
		var many []store.Change
		for i := range store.MaxChanges {
			many = append(many, put(store.Key{List: list + "3", ID: fmt.Sprintf("%03d", i)}, 0, "x"))
		}
		write(t, many...)
		if items, err := s.List(ctx, list+"3", "", 0); err != nil || len(items) != len(many) {
			t.Error(len(items), err)
		}
	})
	t.Run("bad writes", func(t *testing.T) {
		k := store.Key{List: run + "#bad", ID: "1"}
		for _, changes := range [][]store.Change{
			{}, {put(k, 0, "a"), put(k, 0, "b")}, {put(k, -1, "a")}, {put(store.Key{List: k.List}, 0, "a")}, {put(store.Key{ID: "1"}, 0, "a")},
			{{Item: store.Item{Key: k}, Remove: true}}, make([]store.Change, store.MaxChanges+1),
			{put(store.Key{List: k.List, ID: "a\x00"}, 0, "a")}, {put(store.Key{List: "\xff", ID: "1"}, 0, "a")},
			{put(store.Key{List: "a", ID: strings.Repeat("b", 1000)}, 0, "a")},
		} {
			var c *store.Conflict
			if err := s.Write(ctx, changes...); err == nil || errors.As(err, &c) {
				t.Error(len(changes), err)
			}
		}
		if got := get(t, k); got.Version != 0 {
			t.Error(got)
		}
	})
	t.Run("bad reads", func(t *testing.T) {
		for _, k := range []store.Key{{}, {List: "a"}, {List: "a", ID: "\x00"}, {List: "a\xff", ID: "1"}, {List: "a", ID: strings.Repeat("b", 1000)}} {
			if items, err := s.Get(ctx, k); err == nil || errors.Is(err, store.ErrBusy) {
				t.Errorf("%q: %v, %v", k, items, err)
			}
			if k.List == "a" && k.ID == "" {
				continue // the list from its beginning
			}
			if items, err := s.List(ctx, k.List, k.ID, 0); err == nil || errors.Is(err, store.ErrBusy) {
				t.Errorf("%q: %v, %v", k, items, err)
			}
		}
		long := store.Key{List: run + "#long", ID: strings.Repeat("b", 900)}
		write(t, put(long, 0, "x"))
		if got := get(t, long); got.Version != 1 {
			t.Error(got)
		}
	})
	t.Run("an empty body is none", func(t *testing.T) {
		k := store.Key{List: run + "#empty", ID: "1"}
		write(t, store.Change{Item: store.Item{Key: k, Body: []byte{}}})
		if got := get(t, k); got.Body != nil || got.Version != 1 {
			t.Error(got)
		}
	})
	t.Run("the first and the last conflict are told", func(t *testing.T) {
		list := run + "#which"
		a, b := store.Key{List: list, ID: "a"}, store.Key{List: list, ID: "b"}
		write(t, put(a, 0, "a"))
		conflict(t, a, put(b, 0, "b"), put(a, 0, "a"))
		conflict(t, a, put(a, 0, "a"), put(b, 0, "b"))
		conflict(t, b, put(b, 3, "b"), put(a, 1, "a"))
	})
	t.Run("writers in different orders", func(t *testing.T) {
		list := run + "#orders"
		var all sync.WaitGroup
		for writer := range 2 {
			other := open(t)
			all.Go(func() {
				for round := range 15 {
					changes := []store.Change{}
					for i := range 10 {
						changes = append(changes, put(store.Key{List: list, ID: fmt.Sprintf("%d-%02d", round, (i*9*(1-2*writer)+10*9)%10)}, 0, "x"))
					}
					var c *store.Conflict
					if err := other.Write(ctx, changes...); err != nil && !errors.As(err, &c) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if items, err := s.List(ctx, list, "", 0); err != nil || len(items) != 150 {
			t.Error(len(items), err)
		}
	})
	t.Run("a list is in order", func(t *testing.T) {
		list := run + "#order"
		ids := []string{"-", "0001", "0002", "0010", "A", "Z", "a", "b#1", "b#10", "b#2", "é", "한"}
		for i := range ids {
			write(t, put(store.Key{List: list, ID: ids[len(ids)-1-i]}, 0, "x"))
		}
		for after := range ids {
			for _, limit := range []int{0, 1, 5} {
				items, err := s.List(ctx, list, ids[after], limit)
				if err != nil {
					t.Fatal(err)
				}
				want := ids[after+1:]
				if limit > 0 && len(want) > limit {
					want = want[:limit]
				}
				var got []string
				for _, item := range items {
					got = append(got, item.ID)
				}
				if strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("after %s: %q, want %q", ids[after], got, want)
				}
			}
		}
	})
	t.Run("a list is longer than a page", func(t *testing.T) {
		list := run + "#pages"
		body := strings.Repeat("x", 300<<10)
		for i := range 8 { // DynamoDB's page has 1 MB
			write(t, put(store.Key{List: list, ID: fmt.Sprint(i)}, 0, body))
		}
		items, err := s.List(ctx, list, "", 0)
		if err != nil || len(items) != 8 {
			t.Fatal(len(items), err)
		}
		if items, err = s.List(ctx, list, "1", 5); err != nil || len(items) != 5 || items[4].ID != "6" {
			t.Fatal(len(items), err)
		}
		var keys []store.Key
		for i := range 250 { // DynamoDB gets 100 at once
			keys = append(keys, store.Key{List: list, ID: fmt.Sprint(249 - i)})
		}
		if items, err = s.Get(ctx, keys...); err != nil || len(items) != 250 || items[242].Version != 1 || items[241].Version != 0 || items[249].ID != "0" || len(items[249].Body) != len(body) {
			t.Fatal(len(items), err)
		}
		same := keys[249]
		if items, err = s.Get(ctx, same, same); err != nil || len(items) != 2 || items[1].Version != 1 {
			t.Error(len(items), err)
		}
		if items, err = s.Get(ctx); err != nil || len(items) != 0 {
			t.Error(items, err)
		}
	})
	t.Run("one of several writers wins", func(t *testing.T) {
		k, sum := store.Key{List: run + "#race", ID: "1"}, store.Key{List: run + "#race", ID: "sum"}
		write(t, put(k, 0, ""), put(sum, 0, ""))
		const writers, each = 6, 10
		var all sync.WaitGroup
		for range writers {
			other := open(t)
			all.Go(func() {
				for done := 0; done < each; {
					items, err := other.Get(ctx, k, sum)
					if err != nil {
						t.Error(err)
						return
					}
					err = other.Write(ctx, put(k, items[0].Version, string(items[0].Body)+"x"), put(sum, items[1].Version, string(items[1].Body)+"y"))
					var c *store.Conflict
					if err == nil {
						done++
					} else if !errors.As(err, &c) {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if got := get(t, k); len(got.Body) != writers*each || got.Version != writers*each+1 {
			t.Error(len(got.Body), got.Version)
		}
		if got := get(t, sum); len(got.Body) != writers*each {
			t.Error(len(got.Body))
		}
	})
	t.Run("a write is seen by the next read", func(t *testing.T) {
		k := store.Key{List: run + "#seen", ID: "1"}
		other := open(t)
		for i := range 20 {
			write(t, put(k, int64(i), fmt.Sprint(i)))
			if items, err := other.Get(ctx, k); err != nil || string(items[0].Body) != fmt.Sprint(i) {
				t.Fatal(items, err)
			}
			if items, err := other.List(ctx, k.List, "", 0); err != nil || string(items[0].Body) != fmt.Sprint(i) {
				t.Fatal(items, err)
			}
		}
	})
	t.Run("the context ends a call", func(t *testing.T) {
		done, cancel := context.WithCancel(ctx)
		cancel()
		k := key("1")
		_, err1 := s.Get(done, k)
		_, err2 := s.List(done, k.List, "", 0)
		err3 := s.Write(done, put(k, 0, "a"))
		if err1 == nil || err2 == nil || err3 == nil {
			t.Error(err1, err2, err3)
		}
	})
}
