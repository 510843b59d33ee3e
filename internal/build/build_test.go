package build

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"cutover/internal/nightly"
)

const repository = "../.."

// The services of a small module that is quick to compile. As in the forum, the monolith has the
// code of a microservice, and all services import the package of the data.
var shop = []Service{
	{Name: "shop", Dir: "services/shop"},
	{Name: "cart", Dir: "services/cart"},
	{Name: "orders", Dir: "services/orders"},
}

var cart = shop[1:2]

// module writes the module of the services in shop.
func module(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	recipe, err := os.ReadFile(filepath.Join(repository, dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, dockerfile), string(recipe))
	for _, file := range txtar.Parse([]byte(source)).Files {
		write(t, filepath.Join(root, file.Name), string(file.Data))
	}
	return root
}

const source = `
-- go.mod --
module example.org/shop

go 1.26
-- assets/data/cart.txt --
apples
-- assets/data/orders.txt --
pears
-- assets/data/data.go --
package data

import _ "embed"

//go:embed cart.txt
var Cart string

//go:embed orders.txt
var Orders string
-- services/internal/money/money.go --
package money
-- services/cart/routes/routes.go --
package routes

// List returns the list.
func List(list string) {
	println("the list", list)
}
-- services/cart/main.go --
package main

import (
	"example.org/shop/assets/data"
	"example.org/shop/services/cart/routes"
)

func main() { routes.List(data.Cart) }
-- services/orders/main.go --
package main

import "example.org/shop/assets/data"

func main() { println(data.Orders) }
-- services/shop/main.go --
package main

import (
	"example.org/shop/assets/data"
	"example.org/shop/services/cart/routes"
)

func main() { routes.List(data.Cart + ", and what was ordered") }
`

// networked is a program that is linked with the C library, unless the build says otherwise.
const networked = "package main\n\nimport \"net\"\n\nfunc main() { net.LookupHost(\"\") }\n"

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, file, old, new string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%s does not contain %q: choose another text to edit", file, old)
	}
	write(t, file, strings.Replace(string(content), old, new, 1))
}

// build builds and returns the contexts and what was said to be compiled.
func build(t *testing.T, root, arch string, services []Service) (contexts map[string]string, progress string) {
	if testing.Short() {
		t.Skip("slow: it compiles services")
	}
	t.Helper()
	var out bytes.Buffer
	contexts, err := Build(t.Context(), Options{Root: root, Arch: arch, Services: services, Progress: &out})
	if err != nil {
		t.Fatal(err)
	}
	return contexts, out.String()
}

// tree is the content of every file under a directory, and when and how it was
// written.
type tree map[string]struct {
	content string
	mode    fs.FileMode
	time    time.Time
}

func read(t *testing.T, dir string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		f := files[name]
		f.content, f.mode, f.time = string(content), info.Mode(), info.ModTime()
		files[name] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// changed lists the files that are not the same in both trees. Times count if
// they are asked for.
func changed(a, b tree, times bool) []string {
	var names []string
	for name := range a {
		if _, ok := b[name]; !ok {
			names = append(names, name)
		}
	}
	for name, f := range b {
		g, ok := a[name]
		if !ok || f.content != g.content || f.mode != g.mode || times && !f.time.Equal(g.time) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestContextsHoldTheBinaryAndTheDockerfileOnly(t *testing.T) {
	root := module(t)
	contexts, _ := build(t, root, "amd64", shop)
	if got, want := slices.Sorted(maps.Keys(contexts)), []string{"cart", "orders", "shop"}; !slices.Equal(got, want) {
		t.Fatalf("contexts of %q, want %q", got, want)
	}
	for name, dir := range contexts {
		if want := filepath.Join(root, "build/images/amd64", name); dir != want {
			t.Errorf("context of %s is %s, want %s", name, dir, want)
		}
		files := read(t, dir)
		if got, want := slices.Sorted(maps.Keys(files)), []string{"Dockerfile", name}; !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q", dir, got, want)
		}
		if got := files[name].mode.Perm(); got != 0o755 {
			t.Errorf("%s has mode %o, want 755", name, got)
		}
		want := "FROM scratch\nCOPY " + name + " /" + name + "\nUSER 65532:65532\nEXPOSE 3000\nENTRYPOINT [\"/" + name + "\"]\n"
		if got := files["Dockerfile"].content; got != want {
			t.Errorf("Dockerfile of %s:\n%s\nwant:\n%s", name, got, want)
		}
		if strings.Contains(files[name].content, root) {
			t.Errorf("%s contains the path it was built in", name)
		}
	}
	edit(t, filepath.Join(root, "services/cart/routes/routes.go"), "// List returns", "// List prints")
	if _, progress := build(t, root, "amd64", shop); progress != "" {
		t.Errorf("after an edit of a comment the build said %q, want nothing to do", progress)
	}
	edit(t, filepath.Join(root, "assets/data/orders.txt"), "pears", "plums")
	if _, progress := build(t, root, "amd64", shop[2:]); progress != "Compiling orders for linux/amd64\n" {
		t.Errorf("after an edit of the data the build said %q", progress)
	}
}

// The same source gives the same bytes wherever it lies and whatever the
// user's environment says.
func TestSameBytesOnEveryMachine(t *testing.T) {
	nightly.Test(t, "it compiles two copies of a module")
	one, other := module(t), module(t)
	write(t, filepath.Join(one, "services/cart/main.go"), networked)
	write(t, filepath.Join(other, "services/cart/main.go"), networked)
	build(t, one, "amd64", shop)
	for name, value := range map[string]string{
		"GOFLAGS":      "-tags=netgo -ldflags=-X=main.who=me",
		"GOAMD64":      "v3",
		"GOEXPERIMENT": "nogreenteagc",
		"GOOS":         "darwin",
		"GOARCH":       "arm64",
		"GOWORK":       filepath.Join(t.TempDir(), "go.work"),
		"CGO_ENABLED":  "1",
		"GODEBUG":      "http2client=0",
	} {
		t.Setenv(name, value)
	}
	build(t, other, "amd64", shop)

	a, b := read(t, filepath.Join(one, "build")), read(t, filepath.Join(other, "build"))
	if names := changed(a, b, false); len(names) > 0 {
		t.Errorf("these files differ between two builds of the same source: %q", names)
	}
	if len(a) != 3*len(shop) {
		t.Errorf("%d files, want a binary, a Dockerfile and the state for each of %d services", len(a), len(shop))
	}
}

func TestWhatAnEditChanges(t *testing.T) {
	nightly.Test(t, "it compiles a module again after each edit")
	first := module(t)
	if _, progress := build(t, first, "amd64", shop); progress != "Compiling shop, cart, orders for linux/amd64\n" {
		t.Errorf("the first build said %q", progress)
	}
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	contexts, progress := build(t, root, "amd64", shop)
	if progress != "" {
		t.Errorf("the build of a copy said %q", progress)
	}
	out := filepath.Join(root, "build/images")
	before := read(t, out)

	// what runs a build after an edit and returns the files that it wrote.
	what := func(wantProgress string) []string {
		t.Helper()
		_, progress := build(t, root, "amd64", shop)
		if progress != wantProgress {
			t.Errorf("the build said %q, want %q", progress, wantProgress)
		}
		after := read(t, out)
		names := changed(before, after, true)
		before = after
		return names
	}
	want := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("the build wrote %q, want %q", got, want)
		}
	}

	want(what("")) // nothing edited

	routes := filepath.Join(root, "services/cart/routes/routes.go")
	edit(t, routes, "// List returns", "// List prints")
	want(what("")) // the wording of a comment

	edit(t, routes, "list)\n}\n", "list)\n}\n\n// A comment\n// of two lines.\n")
	want(what("")) // a comment that moves no code

	write(t, filepath.Join(root, "services/cart/routes/extra_test.go"), "package routes\n")
	want(what("")) // a test

	edit(t, filepath.Join(root, "assets/data/orders.txt"), "pears", "plums")
	// The data of one service. All services import the package of the data, so
	// all are linked again, but one binary differs and one is written.
	want(what("Compiling shop, cart, orders for linux/amd64\n"),
		"amd64/cart.json", "amd64/orders.json", "amd64/orders/orders", "amd64/shop.json")

	edit(t, routes, `"the list"`, `"the cart"`)
	want(what("Compiling shop, cart for linux/amd64\n"), "amd64/cart.json", "amd64/cart/cart", "amd64/shop.json", "amd64/shop/shop")

	edit(t, filepath.Join(root, dockerfile), "EXPOSE 3000", "EXPOSE 3001")
	want(what("Compiling shop, cart, orders for linux/amd64\n"),
		"amd64/cart.json", "amd64/cart/Dockerfile", "amd64/orders.json", "amd64/orders/Dockerfile", "amd64/shop.json", "amd64/shop/Dockerfile")

	write(t, filepath.Join(contexts["cart"], "notes.txt"), "stale")
	write(t, filepath.Join(contexts["cart"], "old/cart"), "stale")
	for _, name := range what("Compiling cart for linux/amd64\n") {
		if strings.HasPrefix(name, "amd64/cart/cart") || strings.HasPrefix(name, "amd64/cart/Dockerfile") {
			t.Errorf("removing stale files wrote %s", name)
		}
	}
	if got := slices.Sorted(maps.Keys(read(t, contexts["cart"]))); !slices.Equal(got, []string{"Dockerfile", "cart"}) {
		t.Errorf("the context of cart holds %q", got)
	}

	binary := filepath.Join(contexts["orders"], "orders")
	intact := read(t, out)
	write(t, binary, "damaged")
	what("Compiling orders for linux/amd64\n")
	if names := changed(intact, read(t, out), false); len(names) > 0 {
		t.Errorf("after a damaged binary was built again, these files differ: %q", names)
	}
}

func TestArchitectures(t *testing.T) {
	nightly.Test(t, "it compiles a program with the network for two architectures")
	root := module(t)
	write(t, filepath.Join(root, "services/cart/main.go"), networked)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		contexts, _ := build(t, root, arch, cart)
		file, err := elf.Open(filepath.Join(contexts["cart"], "cart"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if file.Machine != machine {
			t.Errorf("%s: machine %v, want %v", arch, file.Machine, machine)
		}
		// A scratch image has no dynamic linker.
		for _, p := range file.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: the binary is not static: it has a %v segment", arch, p.Type)
			}
		}
		if file.Section(".symtab") != nil || file.Section(".debug_info") != nil {
			t.Errorf("%s: the binary is not stripped", arch)
		}
	}
}

func TestBuildsAtTheSameTime(t *testing.T) {
	nightly.Test(t, "it compiles a module several times at once")
	root := module(t)
	want, _ := build(t, root, "amd64", cart)
	intact := read(t, want["cart"])
	if err := os.RemoveAll(filepath.Join(root, "build")); err != nil {
		t.Fatal(err)
	}

	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			contexts, err := Build(context.Background(), Options{Root: root, Arch: "amd64", Services: cart})
			if err != nil {
				t.Error(err)
				return
			}
			// Complete as soon as Build returns, whatever the others do.
			content, err := os.ReadFile(filepath.Join(contexts["cart"], "cart"))
			if err != nil || string(content) != intact["cart"].content {
				t.Errorf("the binary is not the one built alone: %d bytes, %v", len(content), err)
			}
		})
	}
	group.Wait()
	if names := changed(intact, read(t, want["cart"]), false); len(names) > 0 {
		t.Errorf("these files differ from those built alone: %q", names)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "build/images/amd64")); err != nil || len(entries) != 2 {
		t.Errorf("the output directory holds %v, %v, want the context and its state", entries, err)
	}
	if _, progress := build(t, root, "amd64", cart); progress != "" {
		t.Errorf("the next build said %q, want nothing to do", progress)
	}
}

// A deployment may have many services of one program.
func TestOneProgramIsLinkedOnce(t *testing.T) {
	root := module(t)
	toolchain, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	write(t, filepath.Join(bin, "go"), fmt.Sprintf("#!/bin/sh\necho $1 >> '%s'\nexec '%s' \"$@\"\n", log, toolchain))
	if err := os.Chmod(filepath.Join(bin, "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))

	contexts, _ := build(t, root, "amd64", []Service{{"cart", "services/cart"}, {"basket", "services/cart"}, {"trolley", "./services/cart/"}})
	first := read(t, contexts["cart"])
	for _, name := range []string{"basket", "trolley"} {
		files := read(t, contexts[name])
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, []string{"Dockerfile", name}) {
			t.Errorf("the context of %s holds %q", name, got)
		}
		if files[name].content != first["cart"].content {
			t.Errorf("the binary of %s is not that of cart", name)
		}
	}
	commands, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(commands), "build\n"); n != 1 {
		t.Errorf("the go command linked %d times, want once:\n%s", n, commands)
	}
}

func TestLeftoversOfKilledBuildsAreRemoved(t *testing.T) {
	root := module(t)
	old := filepath.Join(root, "build/images/amd64", tempPrefix+"1")
	recent := filepath.Join(root, "build/images/amd64", tempPrefix+"2")
	write(t, filepath.Join(old, "cart/cart"), "half")
	write(t, filepath.Join(recent, "cart/cart"), "half")
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	build(t, root, "amd64", cart)
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("%s is still there", old)
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("the directory of a build that may be running: %v", err)
	}
}

func TestErrors(t *testing.T) {
	valid := func(t *testing.T) Options { return Options{Root: module(t), Arch: "amd64", Services: cart} }
	for name, c := range map[string]struct {
		change func(t *testing.T, o *Options)
		want   []string
	}{
		"architecture": {
			func(t *testing.T, o *Options) { o.Arch = "x86_64" },
			[]string{`architecture "x86_64": must be one of amd64, arm64`},
		},
		"all at once": {
			func(t *testing.T, o *Options) {
				o.Arch = ""
				o.Services = append(o.Services, Service{"Cart", "services/cart"}, Service{"cart", "services/nope"}, Service{"up", "../up"})
			},
			[]string{`architecture ""`, `service name "Cart": must be`, `service name "cart": used for both services/cart and services/nope`,
				"there is no directory services/nope", `"../up" must be a path inside the repository`},
		},
		"no services": {
			func(t *testing.T, o *Options) { o.Services = nil },
			[]string{"no services"},
		},
		"not main": {
			func(t *testing.T, o *Options) { o.Services = []Service{{"money", "services/internal/money"}} },
			[]string{`service "money"`, "services/internal/money is not a main package", `"money"`},
		},
		"empty directory": {
			func(t *testing.T, o *Options) {
				if err := os.Mkdir(filepath.Join(o.Root, "services/empty"), 0o755); err != nil {
					t.Fatal(err)
				}
				o.Services = []Service{{"empty", "services/empty"}}
			},
			[]string{"no Go files in", "services/empty"},
		},
		"compile error": {
			func(t *testing.T, o *Options) {
				write(t, filepath.Join(o.Root, "services/cart/main.go"), "package main\n\nfunc main() { total() }\n")
			},
			[]string{"cannot be compiled", "services/cart/main.go:3:15: undefined: total"},
		},
		"no Dockerfile": {
			func(t *testing.T, o *Options) {
				if err := os.Remove(filepath.Join(o.Root, dockerfile)); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"cannot read the Dockerfile template"},
		},
		"broken Dockerfile": {
			func(t *testing.T, o *Options) { write(t, filepath.Join(o.Root, dockerfile), "FROM {{.Base}}\n") },
			[]string{"cannot render assets/Dockerfile", "Base"},
		},
		"no Go": {
			func(t *testing.T, o *Options) { t.Setenv("PATH", t.TempDir()) },
			[]string{"no go command on PATH", "https://go.dev/doc/install"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := valid(t)
			c.change(t, &o)
			contexts, err := Build(t.Context(), o)
			if err == nil {
				t.Fatalf("Build returned %v and no error", contexts)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error:\n%v\nwant it to contain %q", err, want)
				}
			}
		})
	}

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Build(ctx, valid(t)); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	})
}
