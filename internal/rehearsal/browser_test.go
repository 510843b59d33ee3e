package rehearsal

import (
	"bytes"
	"context"
	"errors"
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

	"cutover/deployment"
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

// show shows a page in the browser, in a window of some width. It returns the document as it is when its
// scripts have run, the browser's console, and what it asked the server for.
func show(t *testing.T, page []byte, width int) (dom *html.Node, console []string, requests []string) {
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
		"--disable-component-update", "--disable-sync", "--user-data-dir="+profile, fmt.Sprintf("--window-size=%d,1200", width),
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
	nightly.Test(t, "it starts three browsers")
	t.Parallel()
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
			t.Parallel()
			rate, tail := 200, "p99 "
			if test.fault { // with fewer than 100 requests in a slice
				rate, tail = 100, "p99 – max "
			}
			run := simulate(test.walk, rate, test.fault)
			run.events = append(run.events, Event{Time: run.began.Add(time.Second), Text: `</script><script>console.error("escaped")</script>`})
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
			dom, console, requests := show(t, page.Bytes(), 1300)

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
			if !strings.HasPrefix(tip, fmt.Sprintf("%.1f s, ", float64(slice)*float64(r.SliceWidth))) || !strings.Contains(tip, "status 200") || !strings.Contains(tip, tail) || strings.Contains(tip, "–") != test.fault {
				t.Errorf("pointing at the timeline shows %q", tip)
			}
			rows := func(id string) int {
				n := 0
				for _, table := range find(dom, "table", "id", id) {
					n += len(find(find(table, "tbody", "", "")[0], "tr", "", ""))
				}
				return n
			}
			// The forum has 5 rules, 4 path patterns, 4 target groups and a method. Each has a cell for each phase.
			if cells := len(find(find(dom, "div", "id", "panels")[0], "i", "", "")); rows("coverage") != 14 || cells != 14*len(r.Coverage.Phases) {
				t.Errorf("the coverage has %d rows and %d cells", rows("coverage"), cells)
			}
			if rows("steps") != len(r.Steps) || rows("routes") != len(deployment.Forum.Requests) || rows("events") != len(r.Events) || rows("losses") != test.losses {
				t.Errorf("rows: %d steps, %d routes, %d events, %d losses", rows("steps"), rows("routes"), rows("events"), rows("losses"))
			}
		})
	}
}

// measure is what a script finds out about the page in a frame of a phone's, a tablet's
// or a desktop's width. A window of the browser cannot be that narrow.
const measure = `<script>
	addEventListener("load", () => {
		const wide = e => e.scrollWidth > e.clientWidth + 1;
		const said = [];
		if (document.documentElement.scrollWidth > innerWidth) said.push("the page is wider than " + innerWidth);
		for (const table of document.querySelectorAll("table[id]")) {
			for (const box of [table, table.parentElement]) if (wide(box)) said.push(table.id + " does not fit");
			for (const td of table.querySelectorAll("td")) if (td.getClientRects().length && td.clientWidth < 40 && td.textContent.trim().length > 12) said.push(table.id + " has a cell of " + td.clientWidth);
		}
		for (const td of document.querySelectorAll("table.stack td[data-name]"))
			if (!td.textContent.trim() && td.getClientRects().length && getComputedStyle(td).display === "grid") said.push("a name without a value: " + td.dataset.name);
		const of = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
		said.push("verdict " + of("h1 b", "backgroundColor") + " on " + of("body", "backgroundColor"));
		for (const svg of document.querySelectorAll(".light > svg, .dark > svg")) {
			if (!svg.getBoundingClientRect().width) continue;
			const scale = svg.getBoundingClientRect().width / CHART;
			for (const text of svg.querySelectorAll("text")) {
				const drawn = text.getBoundingClientRect().width / scale, want = parseFloat(text.getAttribute("textLength"));
				if (!(Math.abs(drawn - want) < 3)) said.push("the text " + text.textContent + " has a width of " + drawn + ", not " + want);
			}
		}
		parent.postMessage(innerWidth + " px: " + said.join("; "), "*");
	});
</script>`

// Without a walk the page has the verdict and the conditions, and no empty figures.
func TestPageWithoutAWalk(t *testing.T) {
	run := handmade()
	run.spans, run.end, run.tried = nil, 0, Load{Tried: 7, WouldHold: 4}
	var page bytes.Buffer
	if err := analyse(run).WritePage(&page); err != nil {
		t.Fatal(err)
	}
	dom, err := html.Parse(&page)
	if err != nil || attribute(find(dom, "body", "", "")[0], "class") != "inconclusive" || len(find(dom, "table", "id", "about")) != 1 {
		t.Errorf("the page is not there: %v", err)
	}
	if len(find(dom, "script", "", "")) > 0 { // it needs the timeline
		t.Error("there is a script")
	}
	for _, id := range []string{"steps", "routes"} {
		if len(find(dom, "table", "id", id)) > 0 {
			t.Errorf("there is a table of %s", id)
		}
	}
}

// A fault that could not be done says why, with all lines of its error.
func TestPageOfAFaultThatWasNotDone(t *testing.T) {
	run := handmade()
	run.play(good)
	run.spans[3].err = errors.New("fault kill:b: there is no task:\nit stopped before")
	var page bytes.Buffer
	if err := analyse(run).WritePage(&page); err != nil {
		t.Fatal(err)
	}
	dom, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
	const why = "fault kill:b: there is no task: it stopped before"
	if reasons := find(dom, "ul", "class", "reasons"); len(reasons) != 1 || textOf(reasons[0]) != why {
		t.Error("the reasons are not there")
	}
	if steps := find(dom, "table", "id", "steps"); len(steps) != 1 || !strings.Contains(textOf(steps[0]), why) {
		t.Error("the step does not say why")
	}
}

// What moves traffic is apart from the number of tasks and from the rest. Gaps and what
// the machine explains are there.
func TestPageSections(t *testing.T) {
	run := handmade()
	run.spans[1].changes = Changes{Traffic: []string{"~ the rule"}, Tasks: []string{"~ the count"}, Others: []string{"~ the gate"}}
	run.gaps = []string{"the rule nobody needs"}
	run.play(func(seq int) sent {
		s := good(seq)
		switch seq {
		case 10:
			s.late = 1200 * time.Millisecond
		case 22:
			s.problem, s.got = timedOut, -1
		}
		return s
	})
	var page bytes.Buffer
	if err := analyse(run).WritePage(&page); err != nil {
		t.Fatal(err)
	}
	dom, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
	changes := textOf(find(dom, "details", "", "")[0])
	want := "one → two 1 change of traffic, 1 of tasks, 1 of others Where requests go ~ the rule How many tasks run ~ the count Others, for example parameters of the phase gate ~ the gate"
	if changes != want {
		t.Errorf("the changes are\n%s\nwant\n%s", changes, want)
	}
	if gaps := find(dom, "ul", "id", "gaps"); len(gaps) != 1 || textOf(gaps[0]) != "the rule nobody needs" {
		t.Error("the gaps are not there")
	}
	if losses := textOf(find(dom, "table", "id", "losses")[0]); !strings.Contains(losses, "while the machine was behind with the load") {
		t.Errorf("the losses are %s", losses)
	}
}

// TestPageFits: on a phone, a tablet and a desktop, by day and by night, tables fit, and
// texts have the places that they were drawn at, with whatever font there is.
func TestPageFits(t *testing.T) {
	nightly.Test(t, "it draws a page in six windows")
	t.Parallel()
	run := long()
	long := strings.Repeat("n", 255) // as long as a name can be
	for seq := range run.rec.n {
		if s := run.rec.at(seq); s.problem == serverError && seq%7 == 0 {
			s.handling = &handling{"threads", "threads-1", "reset", nil}
		} else if seq%2 == 0 && s.way().service == "posts" {
			s.handling = &handling{long, long, "", nil}
		}
	}
	run.baselineBy = []string{"api", "a" + long, "b" + long}
	run.events = append(run.events, Event{Time: run.began, Service: long, Target: long, State: "healthy", Text: long})
	run.gaps = []string{"rule 20010 of HTTP:80 (dev-Routing/LoadBalancerHttpF4A6AC3E), path-pattern /api/users*: no request came to this rule"}
	var page bytes.Buffer
	if err := analyse(run).WritePage(&page); err != nil {
		t.Fatal(err)
	}
	// No font that the page asks for is installed: the browser takes what it has.
	text := strings.NewReplacer("Liberation Sans", "None", "Arial, Helvetica, sans-serif !important", "monospace !important").Replace(page.String())
	text = strings.Replace(text, "</body>", strings.ReplaceAll(measure, "CHART", fmt.Sprint(chartWidth))+"</body>", 1)
	frames := `<script>
		addEventListener("message", e => console.log(e.data));
	</script>`
	// A frame prefers the colours of its element.
	want := map[string]int{}
	for scheme, colors := range map[string]string{"light": "verdict rgb(207, 34, 46) on rgb(255, 255, 255)", "dark": "verdict rgb(255, 107, 107) on rgb(20, 24, 29)"} {
		for _, width := range []int{390, 820, 1280} {
			frames += fmt.Sprintf(`<iframe style="width:%dpx;height:9000px;border:0;color-scheme:%s" srcdoc="%s"></iframe>`, width, scheme, html.EscapeString(text))
			want[fmt.Sprintf("%d px: %s", width, colors)]++
		}
	}
	_, console, _ := show(t, []byte(frames), 1600)
	got := map[string]int{}
	for _, line := range console {
		_, line, _ = strings.Cut(line, `"`)
		line, _, _ = strings.Cut(line, `"`)
		got[line]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("the browser says\n%v\nwant\n%v", got, want)
	}
}
