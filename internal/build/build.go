// Package build compiles the services into Docker build contexts: for each
// service a directory with its static binary, its Dockerfile and nothing else.
//
// The Go toolchain of this machine compiles, for Linux and the cluster's
// architecture. Nothing of the environment gets into the binaries, so with the
// same Go version the same source gives the same bytes, and hence the same CDK
// asset hash, on every machine. An edit that does not change the binary, such
// as the wording of a comment, changes no hash; one that moves code to other
// lines does change it, because a Go binary knows its line numbers.
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
	// Name is the name of the binary in the image, and of the build context.
	// Lower-case letters, digits and single hyphens. Required.
	Name string
	// Dir is the directory of the main package, relative to the repository's
	// root and with slashes: "services/users". Required.
	Dir string
}

// Options says what to build.
type Options struct {
	// Root is the root of the repository: the directory of go.mod and of
	// assets/Dockerfile. Required.
	Root string
	// Out is the directory to write to, relative to Root unless it is
	// absolute. It holds state between builds; it can be deleted at any time.
	// Default: "build/images".
	Out string
	// Arch is the architecture of the cluster in Go's words, "amd64" or
	// "arm64". Required.
	Arch string
	// Services to build. Required.
	Services []Service
	// Progress receives one line when something has to be compiled, which
	// takes seconds. Default: nobody is told.
	Progress io.Writer
}

const dockerfile = "assets/Dockerfile"

// Time is when every image and every file in it was made, as far as their bytes
// say, so that the same source gives the same image: the files because of
// [SetTimes], the image because the build argument TimeArgument tells BuildKit
// (https://reproducible-builds.org/docs/source-date-epoch/). Docker's older
// builder heeds the times of the files alone.
var Time = time.Unix(0, 0)

// TimeArgument is the build argument that has Time in seconds.
const TimeArgument = "SOURCE_DATE_EPOCH"

// SetTimes gives every file of the assets in an assembly's directory the time
// [Time]. CDK copies the build contexts there with the time of the copying, which
// a Dockerfile's COPY hands on to the image.
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
			return fmt.Errorf("images: the times of %s cannot be set: %w", asset, err)
		}
	}
	return nil
}

// The baseline of each architecture, so that a binary runs on every instance
// type and does not depend on the builder's GOAMD64 or GOARM64.
var baselines = map[string]string{
	"amd64": "GOAMD64=v1",
	"arm64": "GOARM64=v8.0",
}

// What decides the binary besides the source and the Go version. The build id
// is left out because it identifies the inputs of the build, and two inputs may
// give the same binary.
var (
	compileFlags = []string{"-trimpath", "-buildvcs=false"}
	linkFlags    = []string{"-ldflags=-s -w -buildid="}
)

// Build compiles what changed since the last build and returns the absolute
// path of each service's build context, <Out>/<Arch>/<Name>, by service name.
// What has not changed is neither compiled nor linked nor written: its files
// keep their times. A context never holds anything but its two files.
//
// Builds may run at the same time: each file is replaced as a whole, so a
// reader finds a complete binary. If they build different sources into one
// directory, the last one wins.
//
// The error lists everything that is wrong with the options, or holds the
// compiler's messages.
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

// context is the build context of a service. Beside it lies its state.
func (b *builder) context(s Service) string   { return filepath.Join(b.out, s.Name) }
func (b *builder) statePath(s Service) string { return filepath.Join(b.out, s.Name+".json") }

// A file name, part of an image and, in CDK, of ids. Dots are left out so that
// no context can be called like another's state.
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
	source, err := os.ReadFile(filepath.Join(b.root, filepath.FromSlash(dockerfile)))
	if err != nil {
		return fmt.Errorf("images: the Dockerfile template cannot be read: %w", err)
	}
	recipe, err := template.New(dockerfile).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return fmt.Errorf("images: %s is not a valid template: %w", dockerfile, err)
	}

	// Compiling everything for the first time takes long enough to say so
	// before it starts.
	announced := map[string]bool{}
	announce := func(services []Service) {
		var names []string
		for _, s := range services {
			if !announced[s.Name] {
				announced[s.Name] = true
				names = append(names, s.Name)
			}
		}
		if len(names) > 0 && b.progress != nil {
			fmt.Fprintf(b.progress, "Compiling %s for linux/%s\n", strings.Join(names, ", "), b.arch)
		}
	}
	announce(slices.DeleteFunc(slices.Clone(b.services), func(s Service) bool {
		_, err := os.Stat(b.statePath(s))
		return err == nil
	}))
	inputs, err := b.compile(ctx)
	if err != nil {
		return err
	}

	var stale []Service
	recipes := map[string][]byte{}
	for _, s := range b.services {
		var rendered bytes.Buffer
		if err := recipe.Execute(&rendered, s); err != nil {
			return fmt.Errorf("images: %s cannot be rendered for %q: %w", dockerfile, s.Name, err)
		}
		recipes[s.Name] = rendered.Bytes()
		inputs[s.Name] = digest(inputs[s.Name], rendered.Bytes())
		if !b.upToDate(s, string(inputs[s.Name])) {
			stale = append(stale, s)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	announce(stale)

	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return fmt.Errorf("images: the output directory cannot be made: %w", err)
	}
	b.sweep()
	// On the file system of the contexts, so that a rename suffices.
	work, err := os.MkdirTemp(b.out, tempPrefix)
	if err != nil {
		return fmt.Errorf("images: no temporary directory: %w", err)
	}
	defer os.RemoveAll(work)

	// Services of one directory are one program, linked once. A link takes one
	// processor most of its time, and a lot of memory.
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
				if errs[i] == nil {
					errs[i] = b.buildOne(s, filepath.Join(work, s.Name), binary, recipes[s.Name], string(inputs[s.Name]))
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// link links the program of a directory into the directory work, and returns it.
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

// findGo finds the toolchain and makes the environment in which it is run.
// The user's settings decide where modules come from and where caches are, and
// nothing that could get into a binary.
func (b *builder) findGo(ctx context.Context) error {
	var err error
	if b.goCommand, err = exec.LookPath("go"); err != nil {
		return errors.New("images: the services cannot be compiled: there is no go command on PATH; install Go (https://go.dev/doc/install) or add its bin directory to PATH")
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
		return fmt.Errorf("images: the answer of go env cannot be read: %w", err)
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
	// GOENV=off: "go env -w" is one more place where GOFLAGS can be set.
	b.goEnv = append(env, "GOENV=off", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, baselines[b.arch])
	return nil
}

// run runs the go command in the root and returns its standard output. The
// error holds what the command had to say.
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

// goPackage is what is needed of "go list -json".
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

// compile brings the build cache up to date and returns, by service name, a
// hash of everything that decides the service's binary: the content of all
// compiled packages rather than their source, so that an edit that changes no
// compiled package asks for no link.
func (b *builder) compile(ctx context.Context) (map[string][]byte, error) {
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
			return nil, fmt.Errorf("images: the answer of go list cannot be read: %w", err)
		}
		packages[p.ImportPath] = p
		if !p.DepOnly && p.Module != nil {
			mains[strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")] = p
		}
	}

	inputs := make(map[string][]byte, len(b.services))
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
			// The linker records the versions of the modules it used.
			for m := p.Module; m != nil; m = m.Replace {
				fmt.Fprintln(&key, " ", m.Path, m.Version)
			}
		}
		inputs[s.Name] = digest([]byte(key.String()))
	}
	return inputs, errors.Join(errs...)
}

// state is what is known of a finished context.
type state struct {
	Inputs string            `json:"inputs"` // hash of what decides the files
	Files  map[string]string `json:"files"`  // hash of each file, by name
}

// upToDate reports whether the context holds exactly the files that were made
// from these inputs. It reads the files: somebody may have changed them, or
// another build may have replaced them.
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

// buildOne makes a service's files in the directory work and puts them in place,
// and then its state, so that a build that is interrupted is repeated.
func (b *builder) buildOne(s Service, work string, binary, recipe []byte, inputs string) error {
	if err := os.Mkdir(work, 0o755); err != nil {
		return fmt.Errorf("images: no temporary directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, s.Name), binary, 0o755); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "Dockerfile"), recipe, 0o644); err != nil {
		return fmt.Errorf("images: %w", err)
	}

	result := state{Inputs: inputs, Files: map[string]string{}}
	// Modes become part of the image, and must not depend on the umask.
	for name, mode := range map[string]fs.FileMode{s.Name: 0o755, "Dockerfile": 0o644} {
		made := filepath.Join(work, name)
		hash, err := hashFile(made)
		if err == nil {
			err = os.Chmod(made, mode)
		}
		if err != nil {
			return fmt.Errorf("images: %w", err)
		}
		result.Files[name] = hash
	}
	if err := b.publish(s, work, result); err != nil {
		return fmt.Errorf("images: the build context of %q cannot be written: %w", s.Name, err)
	}
	return nil
}

func (b *builder) publish(s Service, work string, result state) error {
	dir := b.context(s)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
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
	for name, hash := range result.Files {
		if current, err := hashFile(filepath.Join(dir, name)); err == nil && current == hash {
			continue // keep its time: Docker and make go by it
		}
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	made := filepath.Join(work, "state")
	if err := os.WriteFile(made, append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(made, b.statePath(s))
}

const tempPrefix = ".tmp-"

// sweep removes what builds that were killed left behind. No build takes an
// hour, so none that is running loses its directory.
func (b *builder) sweep() {
	entries, _ := os.ReadDir(b.out)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(filepath.Join(b.out, entry.Name()))
		}
	}
}

// digest is the hash of the parts, taken together, in hexadecimal digits.
func digest(parts ...[]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return hex.AppendEncode(nil, h.Sum(nil))
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
