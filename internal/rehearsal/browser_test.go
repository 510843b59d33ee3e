package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"cutover/internal/nightly"
)

// browser finds Chromium. Machines of developers may lack it; where the tests
// decide about a change, they may not.
func browser(t *testing.T) string {
	if testing.Short() {
		t.Skip("slow: it starts a browser")
	}
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no chromium to show the report in")
	}
	t.Skip("there is no chromium to show the report in: install it to test the page")
	return ""
}

// show shows a page in the browser. It returns the document as it is when its
// scripts have run, the browser's console, and what it asked the server for.
func show(t *testing.T, page []byte) (dom *html.Node, console []string, requests []string) {
	t.Helper()
	chromium := browser(t)
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests = append(requests, r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	}))
	defer server.Close()
	// Its children may write there for a moment after it has ended.
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+profile, "--window-size=1300,1200",
		"--enable-logging=stderr", "--v=0", "--dump-dom", server.URL)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			console = append(console, strings.TrimSpace(line))
		}
	}
	dom, err = html.Parse(&stdout)
	if err != nil {
		t.Fatal(err)
	}
	return dom, console, requests
}

// find returns the elements of a name whose attribute has a value.
func find(n *html.Node, name, key, value string) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name && (key == "" || attribute(d, key) == value) {
			found = append(found, d)
		}
	}
	return found
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestPageInABrowser(t *testing.T) {
	for name, test := range map[string]struct {
		walk   []string
		fault  bool
		class  string
		says   []string
		marks  map[string]int
		losses int
	}{
		"passed": {DefaultWalk(), false, "passed", []string{"Passed None of 20,000 requests was lost"}, map[string]int{"phase": 7, "deploy": 6, "fault": 0, "event": 0}, 0},
		"failed": {[]string{"monolith", "parallel", "switched", "retired", "parallel"}, false, "failed",
			[]string{"Failed Of 20,000 requests, ", "All of them in retired → parallel: target group api had no target to send it to."},
			map[string]int{"phase": 5, "deploy": 4, "fault": 0, "event": 0}, 1},
		"fault": {DefaultWalk(), true, "passed", []string{"Passed Each fault stayed within its service (kill users: "}, map[string]int{"phase": 7, "deploy": 6, "fault": 1, "event": 2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			run := simulate(test.walk, 200, test.fault)
			run.events = append(run.events, Event{Time: run.began.Add(time.Second), Text: `</script><script>console.error("escaped")</script>`})
			if !test.fault {
				nightly.Test(t, "it starts one more browser")
			}
			r := analyse(run)
			var page bytes.Buffer
			if err := r.WritePage(&page); err != nil {
				t.Fatal(err)
			}
			// Somebody who points at the middle of the timeline and goes one slice back
			// by key. What the console gets shows that it is listened to.
			io.WriteString(&page, `<script>
				const chart = document.getElementById("chart"), box = chart.getBoundingClientRect();
				chart.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 100}));
				chart.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft"}));
				console.log("the page is there, " + [...document.querySelectorAll(".light > svg, .dark > svg")].filter(s => s.getBoundingClientRect().width > 800).length + " timeline shown");
			</script>`)
			dom, console, requests := show(t, page.Bytes())

			if len(console) != 1 || !strings.Contains(console[0], "the page is there, 1 timeline shown") {
				t.Errorf("the console has %q", console)
			}
			if !slices.Equal(requests, []string{"/"}) {
				t.Errorf("the browser asked for %q, not only the page", requests)
			}
			verdict := find(dom, "h1", "id", "verdict")
			if len(verdict) != 1 || attribute(find(dom, "body", "", "")[0], "class") != test.class {
				t.Fatal("there is no verdict")
			}
			for _, text := range test.says {
				if !strings.Contains(textOf(verdict[0]), text) {
					t.Errorf("the verdict is %q, without %q", textOf(verdict[0]), text)
				}
			}
			// In the light timeline, phases and events are texts and the others are colours.
			timeline := find(dom, "div", "class", "light")[0]
			got := map[string]int{"phase": 0, "deploy": 0, "fault": 0, "event": 0}
			for _, text := range find(timeline, "text", "", "") {
				switch text := textOf(text); {
				case slices.Contains(test.walk, text):
					got["phase"]++
				case text == "kill users", text == "steady again":
					got["event"]++
				}
			}
			for _, shape := range find(timeline, "path", "", "") {
				switch attribute(shape, "style") {
				case "fill:#F0F2F5":
					got["deploy"]++
				case "fill:#FDEAEA":
					got["fault"]++
				}
			}
			if !maps.Equal(got, test.marks) {
				t.Errorf("the timeline has %v, want %v", got, test.marks)
			}
			for _, phase := range test.walk {
				if marks := find(dom, "text", "", ""); !slices.ContainsFunc(marks, func(n *html.Node) bool { return textOf(n) == phase }) {
					t.Errorf("%s is not in the timeline", phase)
				}
			}
			tip := textOf(find(dom, "div", "id", "tip")[0])
			const middle = (chartWidth/2 - plotLeft) / (plotRight - plotLeft)
			slice := int(middle*float64(r.Duration/r.SliceWidth)) - 1
			if !strings.HasPrefix(tip, fmt.Sprintf("%.1f s, ", float64(slice)*float64(r.SliceWidth))) || !strings.Contains(tip, "status 200") || !strings.Contains(tip, "p99") {
				t.Errorf("pointing at the timeline shows %q", tip)
			}
			rows := func(id string) int {
				n := 0
				for _, table := range find(dom, "table", "id", id) {
					n += len(find(find(table, "tbody", "", "")[0], "tr", "", ""))
				}
				return n
			}
			if rows("steps") != len(r.Steps) || rows("routes") != len(DefaultRoutes()) || rows("events") != len(r.Events) || rows("losses") != test.losses {
				t.Errorf("rows: %d steps, %d routes, %d events, %d losses", rows("steps"), rows("routes"), rows("events"), rows("losses"))
			}
		})
	}
}
