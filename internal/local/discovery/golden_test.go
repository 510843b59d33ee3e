package discovery

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// The security groups of our own templates let exactly the calls pass that the list of services names.
func TestGoldenTemplates(t *testing.T) {
	files, err := filepath.Glob("../../../stacks/golden/discovery/dev-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	dir := t.TempDir()
	artifacts := map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		artifacts[strings.TrimSuffix(filepath.Base(file), ".json")] = map[string]any{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": map[string]any{"templateFile": filepath.Base(file)}}
	}
	text, err := json.Marshal(map[string]any{"artifacts": artifacts})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := model.Read(a)
	next := New(nil).Plan(m, nil).(*plan)
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	next.deployed = next.services
	got := map[string]string{}
	for _, from := range m.Services {
		for _, to := range m.Services {
			targets := connectTargets(to)
			for _, at := range next.mapTargets("") {
				if registry(to, at.key) != nil {
					targets = append(targets, at)
				}
			}
			for _, at := range targets {
				i := &instance{task: "t", service: to, address: func(string, int) string { return "here" }}
				if i.at(at) != "here" || next.networks[from.Key()].Groups == nil {
					t.Errorf("%s is not found at %v, or the groups of %s are not known", to.Name, at, from.Name)
				}
				got[from.Name+" "+at.String()] = m.Refusal(next.networks[from.Key()], next.networks[to.Key()], i.ingress(at))
			}
		}
	}
	for call, refused := range got {
		want := "does not admit it"
		switch call {
		case "api threads.dev.internal:3000", "api posts.dev.internal", "threads users-fargate:3000", "threads posts.dev.internal",
			"posts posts.dev.internal", "posts threads.dev.internal:3000": // tasks in bridge mode have the groups of their instances
			want = ""
		}
		if refused != want {
			t.Errorf("%s: %q, want %q", call, refused, want)
		}
	}
	if len(got) != 12 {
		t.Errorf("the calls are %v", got)
	}
}
