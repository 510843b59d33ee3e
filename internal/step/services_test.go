package step_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/step"
)

func TestServices(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte("package main\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	got, err := step.Services(write("var deployment = config.Deployment{\n" +
		"Monolith: config.Service{Name: \"api\", Paths: []string{`/api*`}, CPU: 2 * 128},\n" +
		`Services: []config.Service{{Name: "tags", Paths: []string{"/t", "/t/*"}, Order: 10, Tasks: 3, MaxTasks: 9, LoadBalancer: "press", Environment: map[string]string{"A": "b"}}}}`))
	want := config.Deployment{
		Monolith: config.Service{Name: "api", Paths: []string{"/api*"}},
		Services: []config.Service{{Name: "tags", LoadBalancer: "press", Paths: []string{"/t", "/t/*"}, Order: 10, Tasks: 3, MaxTasks: 9}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"var x = 1":            "has no list of services: it is a literal of the type config.Deployment",
		"var x = config.Depl{": "the list of services: ",
		"var d = config.Deployment{Monolith: monolith()}":                                   "main.go:2:37: not a literal",
		"var d = config.Deployment{Monolith: config.Service{Name: name}}":                   "main.go:2:58: not a string",
		"var d = config.Deployment{Services: []config.Service{{Order: 5 * 2}}}":             "main.go:2:62: not a number",
		"var d = config.Deployment{Monolith: config.Service{\"api\", []string{}, 1, \"\"}}": "main.go:2:52: not a field with its name",
	} {
		if _, err := step.Services(write(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := step.Services("nowhere.go"); err == nil || !strings.Contains(err.Error(), "the list of services: open nowhere.go") {
		t.Errorf("without a file: %v", err)
	}
}
