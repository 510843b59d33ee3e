package main

import (
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestReportServices(t *testing.T) {
	measured := func(name string, factor float64) *subject {
		values := []float64{10 * factor, 11 * factor, 100 * factor} // the machine was busy in the third round
		return &subject{name: name, image: int64(factor) << 20, server: &server{perSecond: values, p99: values},
			cpu: values, p50: values, firstAnswer: values, idle: values, loaded: values}
	}
	var out strings.Builder
	subjects := []*subject{measured("service", 10), measured("koa", 20), measured("net/http alone", 9.5), measured("raw socket", 5)}
	if err := reportServices(&out, subjects, true); err != nil {
		t.Errorf("within the limits: %v", err)
	}
	for _, want := range []string{"service                    110 (100 to 1000)", "service / koa              0.50 (0.50 to 0.50)", "service / raw socket       2.00 (2.00 to 2.00)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed\n%swant a line with %q", &out, want)
		}
	}
	subjects[1], subjects[2] = measured("koa", 8), measured("net/http alone", 8)
	if err := reportServices(io.Discard, subjects, true); err == nil || !strings.Contains(err.Error(), "koa takes 0.80 times") || !strings.Contains(err.Error(), "does 0.80 of what") {
		t.Errorf("below the limits: %v", err)
	}
	if err := reportServices(io.Discard, subjects, false); err != nil {
		t.Errorf("below the limits without -check: %v", err)
	}
}

func TestPprofShare(t *testing.T) {
	const list = "Type: cpu\n      flat  flat%   sum%        cum   cum%\n" +
		"     0.01s  1.00%  1.00%      1.00s   100%  net/http.(*conn).serve\n" +
		"         0     0%  1.00%      0.20s 20.50%  cutover/x.(*a).SetRead\n" +
		"         0     0%  1.00%      0.10s 10.00%  cutover/x.(*a).SetWrite (inline)\n"
	if percent, err := pprofShare(list, regexp.MustCompile(`x\.\(\*a\)\.Set\w+$`)); err != nil || percent != 30.5 {
		t.Errorf("%f, %v, want 30.5", percent, err)
	}
	if _, err := pprofShare("no samples", regexp.MustCompile("")); err == nil {
		t.Error("what is not a list is read as one")
	}
}

func TestProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc, which is Linux's")
	}
	before, err := processorTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
	}
	if after, err := processorTime(os.Getpid()); err != nil || after <= before {
		t.Errorf("processor time %v and then %v, %v", before, after, err)
	}
	if mebibytes, err := resident(os.Getpid()); err != nil || mebibytes < 1 || mebibytes > 10_000 {
		t.Errorf("%f MiB resident, %v", mebibytes, err)
	}
}

func TestDocument(t *testing.T) {
	var sections []section
	for _, name := range []string{"synthesis", "balancer", "services", "density", "loop", "tests", "path", "scale"} {
		sections = append(sections, section{name: name})
	}
	for i := range sections {
		sections[i].output.WriteString(sections[i].name + " was measured\n\n")
	}
	text, err := render("a machine", sections)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"This run: a machine.", "```\nsynthesis was measured\n```", "```\npath was measured\n```"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	if _, err := render("a machine", sections[:3]); err == nil {
		t.Error("a document without all sections")
	}
}
