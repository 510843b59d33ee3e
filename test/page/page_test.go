package page

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"cutover/internal/nightly"
	"cutover/services/forumtest"
)

// TestViews: every view fits into every window, by day and by night, and axe finds nothing.
func TestViews(t *testing.T) {
	nightly.Test(t, "it shows nine views in six windows")
	t.Parallel()
	f := newFront(t, true)
	script, err := os.ReadFile(axe)
	if err != nil {
		t.Fatalf("axe-core is not installed: run `make setup`: %v", err)
	}
	long := strings.Repeat("Donaudampfschifffahrt", 10)
	author := f.create(t, "users", map[string]any{"username": long[:100], "name": long, "bio": long + "\n\n" + long})
	id := json.Number(author[strings.LastIndex(author, "/")+1:])
	thread := f.create(t, "threads", map[string]any{"title": long, "createdBy": id})
	number := json.Number(thread[strings.LastIndex(thread, "/")+1:])
	f.create(t, "posts", map[string]any{"thread": number, "text": long + " " + long, "user": id})
	conflict := func(b *tab) {
		b.click("Edit thread")
		b.says("dialog h2", "Edit thread")
		f.send(t, "PUT", "/api/threads/1", map[string]any{"title": long, "createdBy": id})
		b.click("Save")
		b.says("dialog", "Stored is now:")
	}
	for name, view := range map[string]struct {
		path, heading string
		act           func(*tab)
	}{
		"threads":    {path: "/", heading: "Threads"},
		"thread":     {path: strings.TrimPrefix(thread, "/api"), heading: long},
		"users":      {path: "/users", heading: "Users"},
		"user":       {path: strings.TrimPrefix(author, "/api"), heading: long},
		"not found":  {path: "/" + long, heading: "Not found"},
		"no record":  {path: "/threads/999", heading: "Not found"},
		"new thread": {path: "/", heading: "Threads", act: func(b *tab) { b.click("New thread"); b.says("dialog h2", "New thread") }},
		"conflict":   {path: "/threads/1", heading: "Which port", act: conflict},
		"unavailable": {path: "/threads/2", heading: "Moving house", act: func(b *tab) {
			f.change(func() {
				f.instead = func(w http.ResponseWriter, r *http.Request) bool {
					lost := strings.HasPrefix(r.URL.Path, "/api/posts/in-thread/2")
					if lost {
						unavailable(w, true)
					}
					return lost
				}
			})
			b.load("/threads/2")
			b.says(".problem", "503 Service Unavailable")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, f, view.path)
			b.says("h1", view.heading)
			if view.act != nil {
				view.act(b)
			}
			value[chromedp.Void](b, string(script))
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int64{320, 768, 1280} {
					b.window(width, scheme)
					b.fits(fmt.Sprintf("%d px, %s", width, scheme))
				}
			}
		})
	}
}

// TestCutOver: the page shows who answers while the traffic moves, phase by phase, and a lost request.
func TestCutOver(t *testing.T) {
	nightly.Test(t, "it carries the page through the phases in a browser")
	t.Parallel()
	f := newFront(t, false)
	b := open(t, f, "/")
	is := func(phase, by string) {
		t.Helper()
		b.says("#phase", phase)
		b.says("header .phase", "dev · "+phase)
		for _, kind := range forumtest.Kinds {
			b.says(fmt.Sprintf("[data-service=%s] b", kind), strings.ReplaceAll(by, "KIND", kind))
		}
	}
	move := func(phase string, switched bool) {
		f.change(func() {
			f.phase, f.places = phase, nil
			for _, kind := range forumtest.Kinds {
				f.switched[kind] = switched
			}
		})
	}
	is("monolith", "api")
	move("parallel", false)
	is("parallel", "api")
	b.says("[role=log]", "Phase: parallel, before monolith")
	if n := b.count("[role=log] p"); n != 1 {
		t.Errorf("the log has %d entries before anything but the phase has changed", n)
	}

	var asked atomic.Int64
	f.change(func() {
		f.places = map[string]string{"users": "50%"}
		f.instead = func(w http.ResponseWriter, r *http.Request) bool {
			canary := strings.HasPrefix(r.URL.Path, "/api/users") && asked.Add(1)%2 == 0
			if canary {
				f.services["users"].ServeHTTP(w, r)
			}
			return canary
		}
	})
	b.says("#phase", "parallel, users 50%")
	b.says("[role=log]", "users: answered by api and users, before by api")

	f.change(func() { f.instead = nil })
	move("switched", true)
	is("switched", "KIND")
	b.says("[role=log]", "threads: answered by threads, before by api")
	b.says("[data-service=threads]", "threads")
	b.click("Users")
	b.says(".answered", "Answered: users by users")

	f.change(func() {
		f.instead = func(w http.ResponseWriter, r *http.Request) bool {
			lost := strings.HasPrefix(r.URL.Path, "/api/posts")
			if lost {
				unavailable(w, false)
			}
			return lost
		}
	})
	b.says("[data-service=posts] .loss", "1 lost, the last at ")
	b.says("[data-service=posts] .loss", ": status 503")
	b.says("[data-service=posts] b", "nobody")
	f.change(func() { f.instead = nil })
	b.says("[data-service=posts] b", "posts")

	move("retired", true)
	is("retired", "KIND")
	move("removed", true)
	is("removed", "KIND")

	b.click("Pause")
	move("switched", false)
	before := value[string](b, `document.querySelector("#tallies").textContent`)
	b.click("Users")
	b.says(".answered", "Answered: users by api") // the view asks, the panel does not
	if after := value[string](b, `document.querySelector("#tallies").textContent`); before != after {
		t.Errorf("while the panel pauses it has %q, before %q", after, before)
	}
	b.click("Resume")
	is("switched", "api")
}

// TestKeyboard: somebody with a keyboard creates a thread. The focus and the title go with the view.
func TestKeyboard(t *testing.T) {
	nightly.Test(t, "it creates a thread by keyboard in a browser")
	t.Parallel()
	f := newFront(t, true)
	b := open(t, f, "/users")
	b.tabTo(`e.matches(".skip")`)
	b.tabTo(`e.textContent === "Threads"`)
	b.press(kb.Enter)
	b.until(`document.activeElement.matches("h1") && document.title === "Threads · Forum"`)
	if b.count(`nav a[aria-current=page][href="/"]`) != 1 {
		t.Error("the navigation does not say where the reader is")
	}
	b.tabTo(`e.textContent === "New thread"`)
	b.press(kb.Enter)
	b.until(`document.activeElement.name === "title"`)
	b.press("<b>Which</b> colour?")
	b.tabTo(`e.name === "createdBy"`)
	b.press("Marta")
	b.tabTo(`e.textContent === "Create thread"`)
	b.press(kb.Enter)
	b.until(`document.activeElement.matches("h1") && document.activeElement.textContent === "<b>Which</b> colour?"`)
	b.says("#status", "The thread is created.")
	b.says("main a[href='/users/1']", "Marta Brandt")
	b.tabTo(`e.textContent === "New post"`)
	b.press(kb.Enter)
	b.until(`document.activeElement.name === "text"`)
	b.press("Green")
	b.press(kb.Tab) // the writer is who wrote last
	b.press(kb.Tab)
	b.press(kb.Enter)
	b.says("main li", "Green")
	value[chromedp.Void](b, "history.back()")
	b.until(`document.activeElement.matches("h1") && document.title === "Threads · Forum"`)
	b.says("main li", "<b>Which</b> colour?")
}

// TestLostAnswer: a record is made once, also if the answer is lost on its way.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t, true)
	keys := make(chan string, 10)
	var lost atomic.Bool
	f.change(func() {
		f.instead = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			keys <- r.Header.Get("Idempotency-Key")
			if lost.Swap(true) {
				return false
			}
			f.services["users"].ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
	})
	b := open(t, f, "/users")
	b.click("New user")
	b.fill("username", "ada")
	b.fill("name", "Ada")
	b.click("Create user")
	b.says("dialog", "502 Bad Gateway. The page sends the same again with the same key (2 of 3).")
	b.says("h1", "Ada")
	if first, second := <-keys, <-keys; first != second || first == "" {
		t.Errorf("the keys are %q and %q", first, second)
	}
	if _, _, body := f.send(t, "GET", "/api/users", nil); strings.Count(body, `"Ada"`) != 1 {
		t.Errorf("the users are %s", body)
	}
}

// TestWriters: a change is not lost to another one, and a refusal shows why.
func TestWriters(t *testing.T) {
	nightly.Test(t, "it changes records in a browser")
	t.Parallel()
	f := newFront(t, true)
	b := open(t, f, "/threads/1")
	title := func() string {
		_, _, body := f.send(t, "GET", "/api/threads/1", nil)
		return body
	}
	other := func(title string) {
		t.Helper()
		if status, _, body := f.send(t, "PUT", "/api/threads/1", map[string]any{"title": title, "createdBy": 4}); status != http.StatusOK {
			t.Fatalf("another writer gets %d %s", status, body)
		}
	}
	b.click("Edit thread")
	b.says("dialog h2", "Edit thread")
	other("Theirs")
	b.fill("title", "Mine")
	b.click("Save")
	b.says("dialog .problem", "412 Precondition Failed")
	b.says("dialog .problem dd", "Theirs")
	if got := title(); !strings.Contains(got, "Theirs") {
		t.Errorf("stored is %s", got)
	}
	b.click("Save")
	b.says("h1", "Mine")
	b.says("#status", "The thread is changed.")
	if got := title(); !strings.Contains(got, "Mine") {
		t.Errorf("stored is %s", got)
	}

	b.click("Edit thread")
	b.says("dialog h2", "Edit thread")
	other("Theirs again")
	b.fill("title", "Mine")
	b.click("Save")
	b.says("dialog .problem", "412 Precondition Failed")
	b.click("Take what is stored")
	b.until(`document.activeElement.name === "title" && document.activeElement.value === "Theirs again"`)
	b.fill("title", strings.Repeat("x", 1001))
	b.click("Save")
	b.says("dialog .problem", "422 ")
	b.says("dialog .problem li", "/title must have at most 1000 bytes")
	if b.count("dialog [name=title][aria-invalid=true]") != 1 {
		t.Error("the field is not marked")
	}
	b.click("Close")

	b.click("Delete thread")
	b.says("dialog h2", "Delete this thread?")
	b.click("Delete")
	b.says("dialog .problem", "409 Conflict")
	b.click("Close")
	thread := f.create(t, "threads", map[string]any{"title": "Short", "createdBy": 1})
	b.load(strings.TrimPrefix(thread, "/api"))
	b.click("Delete thread")
	b.says("dialog blockquote", "Short")
	b.click("Delete")
	b.says("#status", "The thread is deleted.")
	if status, _, _ := f.send(t, "GET", thread, nil); status != http.StatusNoContent {
		t.Errorf("the thread is still there: %d", status)
	}

	// The answer to a change is lost. The page looks whether it was made.
	b.load("/threads/3")
	var lost atomic.Bool
	f.change(func() {
		f.instead = func(w http.ResponseWriter, r *http.Request) bool {
			lose := r.Method == http.MethodPut && !lost.Swap(true)
			if lose {
				f.services["api"].ServeHTTP(httptest.NewRecorder(), r)
				w.WriteHeader(http.StatusGatewayTimeout)
			}
			return lose
		}
	})
	b.click("Edit")
	b.says("dialog h2", "Edit post")
	b.fill("text", "Changed")
	b.click("Save")
	b.says("dialog .problem", "504 Gateway Timeout")
	b.says("dialog .problem", "What is stored is what you wrote.")
	b.click("Close")
	b.load("/threads/3")
	b.says("main li", "Changed")
	items := b.count("main li")
	b.click("Delete")
	b.says("dialog blockquote", "Changed")
	b.click("Delete")
	b.says("#status", "The post is deleted.")
	if left := b.count("main li"); left != items-1 {
		t.Errorf("of %d posts there are %d left", items, left)
	}
}

// TestPages: a long list comes page by page.
func TestPages(t *testing.T) {
	nightly.Test(t, "it reads a long list in a browser")
	t.Parallel()
	f := newFront(t, true)
	for n := range 60 {
		f.create(t, "posts", map[string]any{"thread": 3, "text": fmt.Sprintf("Post %d.", n), "user": 1})
	}
	b := open(t, f, "/threads/3")
	before := b.count("main li")
	b.click("More")
	b.says("main li", "Post 59.")
	b.until(`document.activeElement.matches("main li")`)
	if after := b.count("main li"); before != 50 || after <= 60 {
		t.Errorf("there are %d posts, and later %d", before, after)
	}
}

// TestReading: without writes there are no forms. Texts stay texts, paths are found or not, and errors are
// shown as they are.
func TestReading(t *testing.T) {
	nightly.Test(t, "it reads and fails in a browser")
	t.Parallel()
	f := newFront(t, false)
	b := open(t, f, "/threads/3")
	b.says("h1", "<blink> & other tags we do not miss")
	for _, path := range []string{"/", "/threads/1", "/users", "/users/1"} {
		b.load(path)
		if n := b.count("form, dialog, main button"); n > 0 || b.count("main li") == 0 {
			t.Errorf("%s has %d forms and buttons, and %d items", path, n, b.count("main li"))
		}
	}
	for path, says := range map[string]string{
		"/nothing": "There is no page /nothing", "/threads/01": "There is no page /threads/01", "/threads/1/": "There is no page /threads/1/",
		"/users/99": "The service has no user with the id 99. It is answered with status 204 by api.",
	} {
		b.load(path)
		b.says("h1", "Not found")
		b.says("main", says)
	}

	answer := func(contentType, body string) {
		f.change(func() {
			f.instead = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(http.StatusBadGateway)
				io.WriteString(w, body)
				return true
			}
		})
	}
	answer("text/html", "<html><head><title>502 Bad Gateway</title></head><body><center><h1>no target</h1></center></body></html>")
	b.load("/")
	b.says("h1", "502 Bad Gateway")
	b.says(".problem", "no target")
	b.says(".problem", "The answer does not say which service sent it.")
	answer("application/json", `{"message":"Internal server error"}`)
	b.click("Try again")
	b.says(".problem .text", "Internal server error")
	f.change(func() {
		f.instead = func(w http.ResponseWriter, r *http.Request) bool {
			unavailable(w, false)
			return true
		}
	})
	b.click("Try again")
	b.says(".problem", "no service takes this path")
	f.change(func() {
		f.instead = func(w http.ResponseWriter, r *http.Request) bool {
			unavailable(w, true)
			return true
		}
	})
	b.click("Try again")
	b.says(".problem", "The store does not answer.")
	b.says(".problem", "Answered by posts. /api/threads?limit=50 Retry after 2 s.")
	f.change(func() { f.instead = nil })
	b.click("Try again")
	b.says("h1", "Threads")
}

// TestSides: which side answers, by the last answers.
func TestSides(t *testing.T) {
	t.Parallel()
	b := open(t, newFront(t, false), "/")
	for _, test := range []struct{ answers, before, want string }{
		{"", "a", "a"},
		{"a", "", "a"},
		{"xxa", "", "a"},
		{"aaab", "a", "a"},
		{"aaabbb", "a", "b"},
		{"aaabxbb", "a", "b"},
		{"aaba", "a", "a and b"},
		{"baaaaaaa", "a and b", "a and b"},
		{"aaaaaaaa", "a and b", "a"},
		{"xxxx", "a", "a"},
	} {
		got := value[string](b, fmt.Sprintf(`import("/tally.js").then(({ side }) => side([...%q].map((c) => (c === "x" ? { by: null, problem: "lost" } : { by: c, problem: "" })), %q))`, test.answers, test.before))
		if got != test.want {
			t.Errorf("after %s, and %s before, answers come from %q, want %q", test.answers, test.before, got, test.want)
		}
	}
}

// TestFiles: the page needs no other host, and nothing that its security policy forbids.
func TestFiles(t *testing.T) {
	entries, err := os.ReadDir(web)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		if strings.HasPrefix(entry.Name(), forumtest.Monolith) {
			t.Errorf("%s is below /%s*, so a service would be asked for it", entry.Name(), forumtest.Monolith)
		}
		text, err := os.ReadFile(web + "/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "https://", "//cdn"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %s", entry.Name(), word)
			}
		}
	}
	if !slices.Contains(names, "index.html") {
		t.Errorf("the files are %q", names)
	}
}
