// Package page tests the page of web/ in a real browser, before the real services.
package page

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	web = "../../web"
	axe = "../../node_modules/axe-core/axe.min.js"
)

// patience is how long an event may take on a busy machine.
const patience = time.Minute

// browser is one for all tests, started by the first.
var browser struct {
	sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.stop != nil {
		browser.stop()
	}
	os.Exit(code)
}

// start starts the browser, or skips the test.
func start(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow: it starts a browser")
	}
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && program == "" {
			program = found
		}
	}
	switch {
	case program != "":
	case os.Getenv("CI") != "":
		t.Fatal("there is no chromium to show the page in")
	default:
		t.Skip("there is no chromium to show the page in: install it to test the page")
	}
	browser.Do(func() {
		ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("lang", "en-GB"),
			chromedp.WSURLReadTimeout(patience))...)
		browser.ctx, _ = chromedp.NewContext(ctx)
		browser.stop = func() { _ = chromedp.Cancel(browser.ctx); stop() }
		browser.err = chromedp.Do(browser.ctx)
	})
	if browser.err != nil {
		t.Fatalf("the browser %s does not start: %v", program, browser.err)
	}
}

// tab is an open page.
type tab struct {
	*testing.T
	ctx context.Context
	f   *front
}

// open opens a path of the front in a tab of its own.
func open(t *testing.T, f *front, path string) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser.ctx, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page has a mistake: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *log.EventEntryAdded: // an answer that is an error is no mistake of the page
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				t.Errorf("the browser complains of %s", e.Entry.Text)
			}
		}
	}))
	t.Cleanup(func() { closeTab() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	b := &tab{t, ctx, f}
	b.window(1280, "light")
	b.load(path)
	return b
}

// do runs steps. A step that takes too long fails the test.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatalf("%s: %v\n%s", what, err, b.text())
	}
}

// text is what the page shows, for the message of a test that fails.
func (b *tab) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// value evaluates an expression, and waits for a promise.
func value[T any](b *tab, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%.2000s: %v\n%s", expression, err, b.text())
	}
	return v
}

// load loads a path as if somebody had typed it, and waits until its view is there.
func (b *tab) load(path string) {
	b.Helper()
	b.do("load "+path, chromedp.Navigate(b.f.URL+path))
	b.until(`document.querySelector("main").getAttribute("aria-busy") === "false"`)
}

// window sets the width in CSS pixels, and the colours that the user prefers.
func (b *tab) window(width int64, scheme string) {
	b.Helper()
	b.do("set the window", chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// until waits for a change of the document after which the expression is true.
func (b *tab) until(expression string) {
	b.Helper()
	value[chromedp.Void](b, fmt.Sprintf(`new Promise((resolve) => {
		const check = () => {
			if (!(%s)) return;
			observer.disconnect();
			removeEventListener("focusin", check);
			resolve();
		};
		const observer = new MutationObserver(check);
		observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
		addEventListener("focusin", check);
		check();
	})`, expression))
}

// says waits until an element has a text.
func (b *tab) says(selector, text string) {
	b.Helper()
	quoted, err := json.Marshal([]string{selector, text})
	if err != nil {
		b.Fatal(err)
	}
	b.until(fmt.Sprintf(`(([selector, text]) => [...document.querySelectorAll(selector)].some((e) => e.textContent.includes(text)))(%s)`, quoted))
}

// count returns how many elements there are.
func (b *tab) count(selector string) int {
	b.Helper()
	return value[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// press presses a key, or types a text.
func (b *tab) press(keys string) {
	b.Helper()
	b.do("press "+keys, chromedp.KeyEvent(keys))
}

// tabTo presses the tabulator until the focus is where the expression is true of the element e.
func (b *tab) tabTo(expression string) {
	b.Helper()
	var passed []string
	for range 40 {
		b.press(kb.Tab)
		if value[bool](b, "((e) => Boolean("+expression+"))(document.activeElement)") {
			return
		}
		passed = append(passed, value[string](b, "document.activeElement.outerHTML.slice(0, 200)"))
	}
	b.Fatalf("the tabulator does not come to %s, but to\n%s", expression, strings.Join(passed, "\n"))
}

// click clicks the button or link with a text.
func (b *tab) click(text string) {
	b.Helper()
	if !value[bool](b, fmt.Sprintf(`(() => {
		const top = document.querySelector("dialog[open]") ?? document;
		const e = [...top.querySelectorAll("button, a")].find((e) => e.textContent === %q);
		e?.click();
		return Boolean(e);
	})()`, text)) {
		b.Fatalf("nothing called %q can be clicked", text)
	}
}

// fill fills in the field with a name.
func (b *tab) fill(name, text string) {
	b.Helper()
	value[chromedp.Void](b, fmt.Sprintf(`document.querySelector("dialog[open] [name=%s]").value = %q`, name, text))
}

// fits fails if the page is wider than the window, or if axe finds something.
func (b *tab) fits(what string) {
	b.Helper()
	for _, element := range value[[]string](b, `(() => {
		const width = document.documentElement.clientWidth;
		const outside = [...document.querySelectorAll("body *")].filter((e) => !e.matches(".skip") && e.getClientRects().length && (e.getBoundingClientRect().right > width + 1 || e.getBoundingClientRect().left < -1));
		return [...(document.documentElement.scrollWidth > width ? ["the document: " + document.documentElement.scrollWidth] : []), ...outside.map((e) => e.outerHTML.slice(0, 200))];
	})()`) {
		b.Errorf("%s: it is wider than the window: %s", what, element)
	}
	// axe cannot tell the contrast of what is scrolled out of a window, and says so.
	for _, finding := range value[[]string](b, `axe.run({ resultTypes: ["violations", "incomplete"] }).then(({ violations, incomplete }) => [
		...violations.flatMap((rule) => rule.nodes.map((node) => [rule, node])),
		...incomplete.filter((rule) => rule.id === "color-contrast").flatMap((rule) => rule.nodes.filter((node) => node.any[0]?.data?.messageKey !== "bgOverlap").map((node) => [rule, node])),
	].map(([rule, node]) => rule.id + ": " + node.html + " " + (node.failureSummary ?? "")))`) {
		b.Errorf("%s: axe finds %s", what, finding)
	}
}
