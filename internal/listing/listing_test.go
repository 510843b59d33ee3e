package listing_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/config"
	"cutover/internal/listing"
)

// A list that is made by a loop with variables is as good as a literal.
func made() config.Deployment {
	d := config.Deployment{Monolith: config.Service{Name: "api", Paths: []string{"/api*"}, Tasks: 1}}
	const tasks = 3
	for i, name := range []string{"users", "tags"} {
		paths := []string{"/" + name, "/" + name + "/*"}
		d.Services = append(d.Services, config.Service{Name: name, Paths: paths, Order: 10 * (i + 1), Tasks: tasks, MaxTasks: tasks * (i + 1), LoadBalancer: "press"})
	}
	return d
}

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	d := made()
	given := made()
	given.Services[0].CPU, given.Services[0].Port, given.Services[0].Environment = 512, 8080, map[string]string{"A": "b"}
	if err := listing.Write(dir, dir, given); err != nil {
		t.Fatal(err)
	}
	got, err := listing.Read(dir)
	if diff := cmp.Diff(d, got.Deployment); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if changed, err := got.Changed(dir); changed != "" || err != nil {
		t.Errorf("without sources %q has changed (%v)", changed, err)
	}
}

// A command that does not know routes, testers or the rest must not read a list with them. Other lists
// keep their version.
func TestVersion(t *testing.T) {
	testers := map[string][]string{"Cookie": {"*canary=1*"}}
	for name, test := range map[string]struct {
		change func(*config.Deployment)
		want   int
	}{
		"as ever":       {func(*config.Deployment) {}, 1},
		"root service":  {func(d *config.Deployment) { d.RootService = "users" }, 1},
		"rest":          {func(d *config.Deployment) { d.KeepRest = true }, 2},
		"testers":       {func(d *config.Deployment) { d.Services[1].Testers = testers }, 2},
		"routes":        {func(d *config.Deployment) { d.Services[1] = withRoutes(testers) }, 2},
		"another route": {func(d *config.Deployment) { d.Services[0] = withRoutes(nil) }, 2},
		"on Fargate":    {func(d *config.Deployment) { d.Services[0].Compute = config.Fargate{} }, 3},
		"on EC2":        {func(d *config.Deployment) { d.Services[0].Compute = config.EC2{} }, 3},
		"to Fargate":    {func(d *config.Deployment) { d.Monolith.Compute, d.Monolith.Next = config.EC2{}, config.Fargate{} }, 3},
		"from Fargate":  {func(d *config.Deployment) { d.Monolith.Compute, d.Monolith.Next = config.Fargate{}, config.EC2{} }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := t.TempDir(), made()
			test.change(&want)
			if err := listing.Write(dir, dir, want); err != nil {
				t.Fatal(err)
			}
			got, err := listing.Read(dir)
			if diff := cmp.Diff(want, got.Deployment); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if got.Version != test.want {
				t.Errorf("version %d, want %d", got.Version, test.want)
			}
		})
	}
}

func withRoutes(testers map[string][]string) config.Service {
	return config.Service{Name: "tags", Tasks: 1, Routes: []config.Route{
		{Name: "writes", Order: 10, Paths: []string{"/tags*"}, Methods: []string{"POST"}, Headers: map[string][]string{"X-Beta": {"1"}}, Testers: testers},
		{Order: 20, Hosts: []string{"tags.example.com"}, Query: map[string][]string{"v": {"2"}}},
	}}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := listing.Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	for text, want := range map[string]string{
		"{":              "deployment.json is damaged (unexpected end of JSON input): run `npx cdk synth --quiet`",
		"{}":             "has version 0, and this command reads versions 1 to 4: run `make bin/cutover synth`",
		`{"version": 5}`: "has version 5, and this command reads versions 1 to 4",
	} {
		write(t, dir, map[string]string{listing.Name: text})
		if _, err := listing.Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestChanged(t *testing.T) {
	for _, test := range []struct {
		file, text, want string
	}{
		{"main.go", "package main // changed", "main.go"},
		{"app/other.go", "package main", ""}, // of another app
		{"shop/list.go", "package shop // changed", "shop/list.go"},
		{"shop/more.go", "package shop", "shop/more.go"},
		{"names/names.go", "package names // changed", "names/names.go"}, // which shop imports
		{"shop/list_test.go", "package shop", ""},
		{"stacks/gate.go", "package stacks // changed", ""}, // which renders the list
		{"other/other.go", "package other // changed", ""},
		{"cdk.json", `{"context": {"phase": "parallel"}}`, ""},
	} {
		root := t.TempDir()
		write(t, root, map[string]string{
			"go.mod":         "module example.com/shop\n",
			"main.go":        "package main\n\nimport (\n\t\"example.com/shop/shop\"\n\t\"example.com/shop/stacks\"\n)\n",
			"shop/list.go":   "package shop\n\nimport n \"example.com/shop/names\"\n",
			"names/names.go": "package names\n\nconst x = \"example.com/shop/nowhere\"\n",
			"stacks/gate.go": "package stacks\n\nimport \"example.com/shop/other\"\n",
			"other/other.go": "package other\n",
			"cdk.json":       "{}",
		})
		if err := listing.Write(root, root, made()); err != nil {
			t.Fatal(err)
		}
		list, err := listing.Read(root)
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := list.Changed(root); changed != "" || err != nil {
			t.Fatalf("%q has changed (%v), want nothing", changed, err)
		}
		write(t, root, map[string]string{test.file: test.text})
		if changed, err := list.Changed(root); changed != test.want || err != nil {
			t.Errorf("%s: %q has changed (%v), want %q", test.file, changed, err, test.want)
		}
	}
}

// An app in a directory below go.mod has its own main package, and shares what it imports.
func TestChangedBelowTheRoot(t *testing.T) {
	for _, test := range []struct {
		file, want string
	}{
		{"examples/shop/main.go", "examples/shop/main.go"},
		{"examples/shop/list/list.go", "examples/shop/list/list.go"},
		{"names/names.go", "names/names.go"},
		{"main.go", ""},
	} {
		root := t.TempDir()
		write(t, root, map[string]string{
			"go.mod":                     "module example.com/shop\n",
			"main.go":                    "package main\n",
			"names/names.go":             "package names\n",
			"examples/shop/main.go":      "package main\n\nimport \"example.com/shop/examples/shop/list\"\n",
			"examples/shop/list/list.go": "package list\n\nimport \"example.com/shop/names\"\n",
		})
		app := filepath.Join(root, "examples/shop")
		if err := listing.Write(app, app, made()); err != nil {
			t.Fatal(err)
		}
		list, err := listing.Read(app)
		if err != nil {
			t.Fatal(err)
		}
		write(t, root, map[string]string{test.file: "package changed\n"})
		if changed, err := list.Changed(app); changed != test.want || err != nil {
			t.Errorf("%s: %q has changed (%v), want %q", test.file, changed, err, test.want)
		}
	}
}
