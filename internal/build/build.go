// Package build compiles the services into Docker build contexts: for each
// service a directory with its static binary, its Dockerfile and nothing else.
//
// The Go toolchain of this machine compiles for Linux and the cluster's
// architecture. Nothing of the environment gets into the binaries: with the same
// Go version, the same source gives the same bytes on every machine, and so the
// same CDK asset hash. An edit that does not change the binary changes no hash,
// such as another wording of a comment. An edit that moves code to other lines
// changes the hash, for a Go binary contains its line numbers.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"
)

// Service is a main package that becomes an image.
type Service struct {
	// Name is the name of the binary in the image and of the build context:
	// lower-case letters, digits and single hyphens. Required.
	Name string
	// Dir is the directory of the main package, relative to the repository's
	// root and with slashes: "services/users". Required.
	Dir string
}

// Options says what to build.
type Options struct {
	// Root is the repository's root: the directory of go.mod and
	// assets/Dockerfile. Required.
	Root string
	// Out is the directory to write to, absolute or relative to Root. It holds
	// state between builds, and may be deleted at any time. Default:
	// "build/images".
	Out string
	// Arch is the cluster's architecture, "amd64" or "arm64". Required.
	Arch string
	// Services to build. Required.
	Services []Service
	// Progress receives a line before a compilation, which takes seconds.
	// Default: nothing is written.
	Progress io.Writer
}

const dockerfile = "assets/Dockerfile"

// Time is the creation time in every image and of every file in the image. It is
// constant, so that the same source gives the same image. [SetTimes] sets it for
// files, and the build argument TimeArgument for the image
// (https://reproducible-builds.org/docs/source-date-epoch/). Docker's older
// builder ignores the argument.
var Time = time.Unix(0, 0)

// TimeArgument is the build argument for Time in seconds.
const TimeArgument = "SOURCE_DATE_EPOCH"

// SetTimes sets the time of every file of an assembly's assets to [Time]. CDK
// copies the build contexts into the assembly with the time of the copy. A
// Dockerfile's COPY would copy that time into the image.
func SetTimes(assembly string) error {
	assets, err := filepath.Glob(filepath.Join(assembly, "asset.*"))
	if err != nil {
		return fmt.Errorf("images: %s: %w", assembly, err)
	}
	for _, asset := range assets {
		err := filepath.WalkDir(asset, func(file string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chtimes(file, Time, Time)
		})
		if err != nil {
			return fmt.Errorf("images: cannot set the times of %s: %w", asset, err)
		}
	}
	return nil
}

// The baseline of each architecture. A binary for the baseline runs on every
// instance type, and does not depend on the builder's GOAMD64 or GOARM64.
var baselines = map[string]string{
	"amd64": "GOAMD64=v1",
	"arm64": "GOARM64=v8.0",
}

// What decides the binary besides the source and the Go version. The binary has no
// build id: an id identifies the inputs of the build, and two inputs may give the
// same binary.
var (
	compileFlags = []string{"-trimpath", "-buildvcs=false"}
	linkFlags    = []string{"-ldflags=-s -w -buildid="}
)

// Build compiles what has changed since the last build. It returns the absolute
// path of each service's build context, <Out>/<Arch>/<Name>, by service name.
// Files that have not changed keep their times. A context holds nothing but its
// two files.
//
// Builds may run at the same time. A build replaces each file as a whole, so a
// reader finds a complete binary. If builds of different sources write to one
// directory, the last one wins.
//
// The error lists all mistakes in the options, or holds the compiler's messages.
func Build(ctx context.Context, o Options) (map[string]string, error) {
	if o.Out == "" {
		o.Out = filepath.Join("build", "images")
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("images: the repository's root %q: %w", o.Root, err)
	}
	if !filepath.IsAbs(o.Out) {
		o.Out = filepath.Join(root, o.Out)
	}
	b := &builder{root: root, out: filepath.Join(o.Out, o.Arch), arch: o.Arch, services: o.Services, progress: o.Progress}
	if err := b.validate(); err != nil {
		return nil, err
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	contexts := make(map[string]string, len(o.Services))
	for _, s := range o.Services {
		contexts[s.Name] = b.context(s)
	}
	return contexts, nil
}

type builder struct {
	root     string
	out      string // of this architecture
	arch     string
	services []Service
	progress io.Writer

	goCommand string
	goVersion string
	goEnv     []string
}

// context is the build context of a service. The service's state is beside it.
func (b *builder) context(s Service) string   { return filepath.Join(b.out, s.Name) }
func (b *builder) statePath(s Service) string { return filepath.Join(b.out, s.Name+".json") }

// A name is a file name, and part of images and of ids in CDK. It has no dots, so
// that no context can have the name of another's state.
var validName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (b *builder) validate() error {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("images: "+format, args...))
	}
	if baselines[b.arch] == "" {
		refuse("architecture %q: must be one of %s", b.arch, strings.Join(slices.Sorted(maps.Keys(baselines)), ", "))
	}
	if len(b.services) == 0 {
		refuse("no services to build")
	}
	names := map[string]string{}
	for _, s := range b.services {
		if !validName.MatchString(s.Name) {
			refuse("service name %q: must be lower-case letters and digits, with single hyphens between them", s.Name)
		}
		if other, ok := names[s.Name]; ok {
			refuse("service name %q: used for both %s and %s", s.Name, other, s.Dir)
		}
		names[s.Name] = s.Dir
		if !filepath.IsLocal(filepath.FromSlash(s.Dir)) {
			refuse("service %q: its directory %q must be a path inside the repository", s.Name, s.Dir)
		} else if info, err := os.Stat(filepath.Join(b.root, filepath.FromSlash(s.Dir))); err != nil || !info.IsDir() {
			refuse("service %q: there is no directory %s in %s; create it with a main package", s.Name, s.Dir, b.root)
		}
	}
	return errors.Join(errs...)
}

func (b *builder) build(ctx context.Context) error {
	if err := b.findGo(ctx); err != nil {
		return err
	}
	recipes, err := b.recipes()
	if err != nil {
		return err
	}
	// The first compilation of everything takes long enough for a word before it
	// starts.
	isNew := func(s Service) bool { _, err := os.Stat(b.statePath(s)); return err != nil }
	b.announce(b.services, isNew)
	inputs, err := b.compile(ctx)
	if err != nil {
		return err
	}

	var stale []Service
	for _, s := range b.services {
		inputs[s.Name] = digest([]byte(inputs[s.Name]), recipes[s.Name])
		if !b.upToDate(s, inputs[s.Name]) {
			stale = append(stale, s)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	b.announce(stale, func(s Service) bool { return !isNew(s) })

	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return fmt.Errorf("images: cannot make the output directory: %w", err)
	}
	b.sweep()
	// On the file system of the contexts, so that a rename is enough.
	work, err := os.MkdirTemp(b.out, tempPrefix)
	if err != nil {
		return fmt.Errorf("images: no temporary directory: %w", err)
	}
	defer os.RemoveAll(work)

	// Services of one directory are one program with one link. A link uses one
	// processor for most of its time, and much memory.
	programs := map[string][]Service{}
	for _, s := range stale {
		programs[path.Clean(s.Dir)] = append(programs[path.Clean(s.Dir)], s)
	}
	dirs := slices.Sorted(maps.Keys(programs))
	errs := make([]error, len(dirs))
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for i, dir := range dirs {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			var binary []byte
			binary, errs[i] = b.link(ctx, dir, work)
			for _, s := range programs[dir] {
				if errs[i] != nil {
					break
				}
				if err := b.publish(s, filepath.Join(work, s.Name), binary, recipes[s.Name], inputs[s.Name]); err != nil {
					errs[i] = fmt.Errorf("images: cannot write the build context of %q: %w", s.Name, err)
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// announce says which of some services will be compiled.
func (b *builder) announce(services []Service, which func(Service) bool) {
	var names []string
	for _, s := range services {
		if which(s) {
			names = append(names, s.Name)
		}
	}
	if len(names) > 0 && b.progress != nil {
		fmt.Fprintf(b.progress, "Compiling %s for linux/%s\n", strings.Join(names, ", "), b.arch)
	}
}

// recipes renders the Dockerfile of each service.
func (b *builder) recipes() (map[string][]byte, error) {
	source, err := os.ReadFile(filepath.Join(b.root, filepath.FromSlash(dockerfile)))
	if err != nil {
		return nil, fmt.Errorf("images: cannot read the Dockerfile template: %w", err)
	}
	recipe, err := template.New(dockerfile).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return nil, fmt.Errorf("images: %s is not a valid template: %w", dockerfile, err)
	}
	rendered := map[string][]byte{}
	for _, s := range b.services {
		var out bytes.Buffer
		if err := recipe.Execute(&out, s); err != nil {
			return nil, fmt.Errorf("images: cannot render %s for %q: %w", dockerfile, s.Name, err)
		}
		rendered[s.Name] = out.Bytes()
	}
	return rendered, nil
}

// link links the program of a directory, in the directory work, and returns it.
func (b *builder) link(ctx context.Context, dir, work string) ([]byte, error) {
	out, err := os.CreateTemp(work, "link-")
	if err != nil {
		return nil, fmt.Errorf("images: no temporary file: %w", err)
	}
	defer os.Remove(out.Name())
	if err := out.Close(); err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	args := slices.Concat([]string{"build"}, compileFlags, linkFlags, []string{"-o", out.Name(), "./" + dir})
	if _, err := b.run(ctx, args...); err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(out.Name())
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	return binary, nil
}

// findGo finds the toolchain and makes the environment for it. The user's settings
// decide where modules come from and where caches are. They decide nothing that
// could get into a binary.
func (b *builder) findGo(ctx context.Context) error {
	var err error
	if b.goCommand, err = exec.LookPath("go"); err != nil {
		return errors.New("images: the services cannot be compiled: there is no go command on PATH. Install Go (https://go.dev/doc/install), or add its bin directory to PATH")
	}
	b.goEnv = os.Environ()
	keep := []string{
		"GOVERSION", "GOTOOLCHAIN", "GOPATH", "GOMODCACHE", "GOCACHE", "GOCACHEPROG", "GOTMPDIR",
		"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOSUMDB", "GONOSUMDB", "GOVCS", "GOAUTH",
	}
	out, err := b.run(ctx, append([]string{"env", "-json"}, keep...)...)
	if err != nil {
		return err
	}
	settings := map[string]string{}
	if err := json.Unmarshal(out, &settings); err != nil {
		return fmt.Errorf("images: cannot read the answer of go env: %w", err)
	}
	b.goVersion = settings["GOVERSION"]
	delete(settings, "GOVERSION")

	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return (strings.HasPrefix(v, "GO") && !strings.HasPrefix(v, "GOROOT=")) || strings.HasPrefix(v, "CGO_")
	})
	for name, value := range settings {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	// GOENV=off, for "go env -w" can set GOFLAGS, too.
	b.goEnv = append(env, "GOENV=off", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, baselines[b.arch])
	return nil
}

// run runs the go command in the root and returns its standard output. The error
// has the command's messages.
func (b *builder) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.goCommand, args...)
	cmd.Dir = b.root
	cmd.Env = b.goEnv
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		message := strings.TrimSpace(stderr.String())
		if message == "" {
			message = "(the command printed no message)"
		}
		return nil, fmt.Errorf("images: the services cannot be compiled: go %s in %s: %w\n%s", args[0], b.root, err, message)
	}
	return stdout.Bytes(), nil
}

// goPackage is the part of an answer of "go list -json" that the build needs.
type goPackage struct {
	ImportPath     string
	Name           string
	BuildID        string
	DepOnly        bool
	Deps           []string
	DefaultGODEBUG string
	Module         *goModule
}

type goModule struct {
	Path    string
	Version string
	Replace *goModule
}

// compile brings the build cache up to date. It returns a hash of everything that
// decides a service's binary, by service name. The hash is of compiled packages
// and not of their source, so that an edit without effect on them causes no link.
func (b *builder) compile(ctx context.Context) (map[string]string, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Name,BuildID,DepOnly,Deps,DefaultGODEBUG,Module"}, compileFlags...)
	for _, s := range b.services {
		args = append(args, "./"+path.Clean(s.Dir))
	}
	out, err := b.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	packages := map[string]goPackage{}
	mains := map[string]goPackage{} // by directory in the main module
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("images: cannot read the answer of go list: %w", err)
		}
		packages[p.ImportPath] = p
		if !p.DepOnly && p.Module != nil {
			mains[strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")] = p
		}
	}

	inputs := make(map[string]string, len(b.services))
	var errs []error
	for _, s := range b.services {
		main, ok := mains[path.Clean(s.Dir)]
		if !ok || main.Name != "main" {
			errs = append(errs, fmt.Errorf("images: service %q: %s is not a main package (its name is %q)", s.Name, s.Dir, main.Name))
			continue
		}
		var key strings.Builder
		fmt.Fprintln(&key, b.goVersion, b.arch, baselines[b.arch], compileFlags, linkFlags, main.DefaultGODEBUG)
		for _, dependency := range append(slices.Clone(main.Deps), main.ImportPath) {
			p := packages[dependency]
			// "action/content"; only the content decides.
			fmt.Fprintln(&key, dependency, p.BuildID[strings.LastIndexByte(p.BuildID, '/')+1:])
			// The linker records the versions of the modules.
			for m := p.Module; m != nil; m = m.Replace {
				fmt.Fprintln(&key, " ", m.Path, m.Version)
			}
		}
		inputs[s.Name] = digest([]byte(key.String()))
	}
	return inputs, errors.Join(errs...)
}

// state describes a finished context.
type state struct {
	Inputs string            `json:"inputs"` // hash of what decides the files
	Files  map[string]string `json:"files"`  // hash of each file, by name
}

// upToDate tells whether the context holds exactly the files from these inputs. It
// reads the files: somebody may have changed them, or another build may have
// replaced them.
func (b *builder) upToDate(s Service, inputs string) bool {
	raw, err := os.ReadFile(b.statePath(s))
	if err != nil {
		return false
	}
	var last state
	if json.Unmarshal(raw, &last) != nil || last.Inputs != inputs || len(last.Files) == 0 {
		return false
	}
	entries, err := os.ReadDir(b.context(s))
	if err != nil || len(entries) != len(last.Files) {
		return false
	}
	for name, want := range last.Files {
		if got, err := hashFile(filepath.Join(b.context(s), name)); err != nil || got != want {
			return false
		}
	}
	return true
}

// publish makes a service's files in the directory work and moves them to their
// place. The state comes last, so that the next build repeats an interrupted one.
func (b *builder) publish(s Service, work string, binary, recipe []byte, inputs string) error {
	dir := b.context(s)
	if err := errors.Join(os.Mkdir(work, 0o755), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	result := state{Inputs: inputs, Files: map[string]string{s.Name: digest(binary), "Dockerfile": digest(recipe)}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if result.Files[entry.Name()] == "" || !entry.Type().IsRegular() {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	put := func(name, to string, content []byte, mode fs.FileMode) error {
		made := filepath.Join(work, name)
		if err := os.WriteFile(made, content, mode); err != nil {
			return err
		}
		// Modes become part of the image and must not depend on the umask.
		if err := os.Chmod(made, mode); err != nil {
			return err
		}
		return os.Rename(made, to)
	}
	for name, content := range map[string][]byte{s.Name: binary, "Dockerfile": recipe} {
		to, mode := filepath.Join(dir, name), fs.FileMode(0o644)
		if name == s.Name {
			mode = 0o755
		}
		if current, err := hashFile(to); err == nil && current == result.Files[name] {
			continue // keep its time, which Docker and make compare
		}
		if err := put(name, to, content, mode); err != nil {
			return err
		}
	}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	return put("state", b.statePath(s), append(raw, '\n'), 0o644)
}

const tempPrefix = ".tmp-"

// sweep removes the directories of killed builds. No build takes an hour, so a
// build that runs keeps its directory.
func (b *builder) sweep() {
	entries, _ := os.ReadDir(b.out)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(filepath.Join(b.out, entry.Name()))
		}
	}
}

// digest is the hash of the parts together, in hexadecimal digits.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
