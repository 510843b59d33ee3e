package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pullRequest is GitHub's API of one pull request's comments.
type pullRequest struct {
	comments []comment
	calls    []string
	status   int // answered to everything, if it is set
}

type comment struct {
	ID   int64             `json:"id"`
	Body string            `json:"body"`
	User map[string]string `json:"user"`
	URL  string            `json:"html_url"`
}

func (p *pullRequest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls = append(p.calls, r.Method+" "+r.URL.RequestURI())
	if p.status != 0 {
		http.Error(w, `{"message":"Resource not accessible by integration"}`, p.status)
		return
	}
	if r.Header.Get("Authorization") != "Bearer t0ken" {
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	var body struct{ Body string }
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	var id int64
	switch n, _ := fmt.Sscanf(r.URL.Path, "/repos/o/r/issues/comments/%d", &id); {
	case r.Method == http.MethodGet && r.URL.Path == "/repos/o/r/issues/7/comments":
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		from := min(len(p.comments), (page-1)*size)
		json.NewEncoder(w).Encode(p.comments[from:min(len(p.comments), from+size)])
	case r.Method == http.MethodPost && r.URL.Path == "/repos/o/r/issues/7/comments":
		c := p.add("github-actions[bot]", body.Body)
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(c)
	case r.Method == http.MethodPatch && n == 1 && id <= int64(len(p.comments)):
		p.comments[id-1].Body = body.Body
		json.NewEncoder(w).Encode(p.comments[id-1])
	default:
		http.NotFound(w, r)
	}
}

func (p *pullRequest) add(login, body string) comment {
	id := int64(len(p.comments) + 1)
	c := comment{id, body, map[string]string{"login": login}, fmt.Sprintf("https://github.test/o/r/pull/7#issuecomment-%d", id)}
	p.comments = append(p.comments, c)
	return c
}

// post runs the command with a text against a pull request.
func post(t *testing.T, p *pullRequest, text string) (string, error) {
	t.Helper()
	server := httptest.NewServer(p)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "comment.md")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	environment := map[string]string{"GITHUB_API_URL": server.URL + "/", "GITHUB_TOKEN": "t0ken", "GITHUB_REPOSITORY": "o/r"}
	err := run(t.Context(), []string{"-pr", "7", file}, func(name string) string { return environment[name] }, &out)
	return out.String(), err
}

const head = "<!-- cutover review -->\n"

// One comment, however often it is put there and however long the talk before it.
func TestUpdatedInPlace(t *testing.T) {
	p := &pullRequest{}
	for range 150 {
		p.add("somebody", "I agree")
	}
	p.add("somebody", head+"pretends to be a review")
	p.add("github-actions[bot]", "<!-- other thing -->\nof another workflow")
	p.add("github-actions[bot]", "quotes "+head)
	before := len(p.comments)

	if out, err := post(t, p, head+"first"); err != nil || out != "Put https://github.test/o/r/pull/7#issuecomment-154\n" {
		t.Fatalf("%q, %v", out, err)
	}
	p.comments[before].Body = "<!-- cutover review -->\r\nfirst" // as GitHub may give it back
	p.add("somebody", "thanks")
	for _, text := range []string{"second, with \"quotes\" & <b>", "third"} {
		if out, err := post(t, p, head+text); err != nil || out != "Updated https://github.test/o/r/pull/7#issuecomment-154\n" {
			t.Fatalf("%q, %v", out, err)
		}
		if got := p.comments[before].Body; got != head+text {
			t.Errorf("the comment is %q", got)
		}
	}
	if len(p.comments) != before+2 {
		t.Errorf("there are %d comments, want %d", len(p.comments), before+2)
	}
	for i, c := range p.comments[:before] {
		if strings.Contains(c.Body, "third") {
			t.Errorf("comment %d of %s was overwritten", i+1, c.User["login"])
		}
	}
}

// The token is not the author's. A comment that the author made up notifies nobody.
func TestSilent(t *testing.T) {
	p := &pullRequest{}
	if _, err := post(t, p, head+"@org/team, (@somebody) &#64;a &#x40;b &#0064;c &commat;d\n```\n@aws-cdk/core\n```\na @ b\n"); err != nil {
		t.Fatal(err)
	}
	want := head + "@\u200borg/team, (@\u200bsomebody) &#64;\u200ba &#x40;\u200bb &#0064;\u200bc &commat;\u200bd\n```\n@\u200baws-cdk/core\n```\na @ b\n"
	if got := p.comments[0].Body; got != want {
		t.Errorf("the comment is %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no marker", "hello", "does not begin with a marker"},
		{"too long", head + strings.Repeat("é", limit), "has 65560 characters: GitHub takes at most 65536"},
		{"not UTF-8", head + "\xff", "is not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &pullRequest{}
			if _, err := post(t, p, test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if len(p.calls) > 0 {
				t.Errorf("GitHub was called: %q", p.calls)
			}
		})
	}
	p := &pullRequest{status: http.StatusForbidden}
	if _, err := post(t, p, head); err == nil || !strings.Contains(err.Error(), "403 Forbidden: {\"message\":\"Resource not accessible") {
		t.Errorf("error %v", err)
	}
	for _, args := range [][]string{{}, {"-pr", "0", "x"}, {"-pr", "x", "y"}, {"-pr", "1"}, {"-pr", "1", "a", "b"}} {
		if err := run(t.Context(), args, func(string) string { return "x/y" }, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "Usage") {
			t.Errorf("%q: error %v", args, err)
		}
	}
	for _, test := range []struct{ repository, token, want string }{
		{"o/r/../x", "t0ken", "GITHUB_REPOSITORY is"},
		{"o/r", "", "GITHUB_TOKEN is not set"},
	} {
		environment := map[string]string{"GITHUB_REPOSITORY": test.repository, "GITHUB_TOKEN": test.token}
		if err := run(t.Context(), []string{"-pr", "1", "x"}, func(name string) string { return environment[name] }, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}
