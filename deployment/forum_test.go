package deployment_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"cutover/assets/data"
	"cutover/deployment"
)

// The requests are every collection and record of the forum, the first unknown one of each
// kind, and other ways to write them. What is left out here is asked by nobody.
func TestForumRequests(t *testing.T) {
	var forum struct {
		Users, Threads []struct{ ID int }
		Posts          []any
	}
	if err := json.Unmarshal([]byte(data.API), &forum); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/api/users", "/api/users/", "/api/users/03", "/api/users/2nd", "/api/users/%31", "/api/users/1/posts", "/api/usersfoo",
		"/api/threads", "/api/threads/", "/api/threads/none", "/api/threads/1/posts",
		"/api/posts", "/api/posts/", "/api/posts/1", "/api/posts/in-thread",
	}
	if len(forum.Users) == 0 || len(forum.Threads) == 0 || len(forum.Posts) == 0 {
		t.Fatalf("the forum has %+v", forum)
	}
	for _, id := range append(forum.Users, struct{ ID int }{len(forum.Users) + 1}) {
		want = append(want, fmt.Sprint("/api/users/", id.ID), fmt.Sprint("/api/posts/by-user/", id.ID))
	}
	for _, id := range append(forum.Threads, struct{ ID int }{len(forum.Threads) + 1}) {
		want = append(want, fmt.Sprint("/api/threads/", id.ID), fmt.Sprint("/api/posts/in-thread/", id.ID))
	}
	got := slices.Clone(deployment.Forum.Requests)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the requests are\n%q\nwant\n%q", got, want)
	}
}
