package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read from /proc, which is Linux's")
	}
	before, err := processorTime(os.Getpid(), true)
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
	}
	if after, err := processorTime(os.Getpid(), true); err != nil || after <= before {
		t.Errorf("processor time %v and then %v, %v", before, after, err)
	}
	if bytes, err := resident(os.Getpid()); err != nil || bytes < 1<<20 || bytes > 1<<33 {
		t.Errorf("%f bytes resident, %v", bytes, err)
	}
}

func TestDocument(t *testing.T) {
	var sections []section
	for _, name := range []string{"synthesis", "balancer", "services", "split", "stores", "events", "functions", "fronts", "checks", "scale"} {
		sections = append(sections, section{name: name})
	}
	for i := range sections {
		sections[i].output.WriteString(sections[i].name + " was measured\n\n")
	}
	text, err := render("a machine", sections)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"This run: a machine.", "```\nsynthesis was measured\n```", "```\nscale was measured\n```"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
	if _, err := render("a machine", sections[:len(sections)-1]); err == nil {
		t.Error("a document without all sections")
	}
}
