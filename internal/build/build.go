// Package build compiles the services into Docker build contexts. The context of a service is a
// directory with its static binary, its Dockerfile and nothing else.
//
// The Go toolchain of this machine compiles for Linux and the cluster's architecture. No setting of
// the environment gets into the binaries. With the same Go version, the same source gives the same
// bytes on every machine, and the same asset hash in CDK. The wording of a comment changes no hash.
// Moving code to other lines does: a Go binary knows its line numbers.
package build

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
)

// Service is a main package that becomes an image.
type Service struct {
	// Name is the name of the binary in the image, and of the build context. Lower-case letters,
	// digits and single hyphens. Required.
	Name string
	// Dir is the directory of the main package, relative to the repository's root and with slashes:
	// "services/users". Required.
	Dir string
}

// Options says what to build.
type Options struct {
	// Root is the root of the repository: the directory of go.mod and of assets/Dockerfile.
	// Required.
	Root string
	// Out is the absolute path of the directory to write to. It keeps state between builds, and can
	// be deleted at any time. Default: build/images in Root.
	Out string
	// Arch is the architecture of the cluster in Go's words, "amd64" or "arm64". Required.
	Arch string
	// Services to build. Required.
	Services []Service
	// Progress gets a line when services have to be compiled, which takes seconds. Default: none.
	Progress io.Writer
}

const dockerfile = "assets/Dockerfile"

// Time is the time of every image and every file in it, so that the same source gives the same
// image. [SetTimes] sets the files' time. The build argument TimeArgument tells BuildKit the
// image's time (https://reproducible-builds.org/docs/source-date-epoch/). Docker's older builder
// reads the files' times only.
var Time = time.Unix(0, 0)

// TimeArgument is the build argument that has Time in seconds.
const TimeArgument = "SOURCE_DATE_EPOCH"

// SetTimes sets the time of all files of the assets in an assembly's directory to [Time]. CDK
// copies the build contexts there, with the time of the copying. A Dockerfile's COPY hands that
// time on to the image.
func SetTimes(assembly string) error {
	assets, err := filepath.Glob(filepath.Join(assembly, "asset.*"))
	if err != nil {
		return fmt.Errorf("images: %s: %w", assembly, err)
	}
	for _, asset := range assets {
		err := filepath.WalkDir(asset, func(file string, entry fs.DirEntry, err error) error {
			// A link may lead out of the context, or to nothing.
			if err != nil || entry.Type()&fs.ModeSymlink != 0 {
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

// Build compiles what changed since the last build. It returns the absolute path of each service's
// build context, <Out>/<Arch>/<Name>, by name of the service. What has not changed is neither
// compiled nor linked nor written: its files keep their times. A context has its two files and no
// others.
//
// Builds may run at the same time. Each file is replaced as a whole, so a reader finds a complete
// binary. If builds of different sources write to one directory, the last one wins.
//
// The error lists all mistakes in the options, or has the compiler's messages.
func Build(ctx context.Context, o Options) (map[string]string, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("images: the repository's root %q: %w", o.Root, err)
	}
	o.Root = root
	b := &builder{Options: o, out: filepath.Join(cmp.Or(o.Out, filepath.Join(root, "build", "images")), o.Arch)}
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

// Bootstrap makes the directory of a function from the build context of a service: the program alone, as the
// file that Lambda starts. The digest of the program stands for the directory
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-provided.html).
func Bootstrap(context string) (dir, digest string, err error) {
	fail := func(err error) (string, string, error) { return "", "", fmt.Errorf("images: the function: %w", err) }
	program, err := os.ReadFile(filepath.Join(context, filepath.Base(context)))
	if err != nil {
		return fail(err)
	}
	dir = context + ".function"
	file := filepath.Join(dir, "bootstrap")
	if there, err := os.ReadFile(file); err == nil && bytes.Equal(there, program) {
		return dir, fmt.Sprintf("%x", sha256.Sum256(program)), nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	// A reader finds a complete program.
	whole, err := os.CreateTemp(filepath.Dir(dir), tempPrefix)
	if err != nil {
		return fail(err)
	}
	_, err = whole.Write(program)
	if err := errors.Join(err, whole.Chmod(0o755), whole.Close()); err != nil {
		return fail(errors.Join(err, os.Remove(whole.Name())))
	}
	if err := os.Rename(whole.Name(), file); err != nil {
		return fail(err)
	}
	return dir, fmt.Sprintf("%x", sha256.Sum256(program)), nil
}

type builder struct {
	Options
	out string // of this architecture

	goCommand string
	goVersion string
	goEnv     []string
}

// validName is the format of a name in files, images and CDK's ids. Without dots, no context has
// the name of another's state.
var validName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (b *builder) validate() error {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("images: "+format, args...))
	}
	if baselines[b.Arch] == "" {
		refuse("architecture %q: must be one of %s", b.Arch, strings.Join(slices.Sorted(maps.Keys(baselines)), ", "))
	}
	if len(b.Services) == 0 {
		refuse("no services to build")
	}
	names := map[string]string{}
	for _, s := range b.Services {
		if !validName.MatchString(s.Name) {
			refuse("service name %q: must be lower-case letters and digits, with single hyphens between them", s.Name)
		}
		if other, ok := names[s.Name]; ok {
			refuse("service name %q: used for both %s and %s", s.Name, other, s.Dir)
		}
		names[s.Name] = s.Dir
		if !filepath.IsLocal(filepath.FromSlash(s.Dir)) {
			refuse("service %q: its directory %q must be a path inside the repository", s.Name, s.Dir)
		} else if info, err := os.Stat(filepath.Join(b.Root, filepath.FromSlash(s.Dir))); err != nil || !info.IsDir() {
			refuse("service %q: there is no directory %s in %s; create it with a main package", s.Name, s.Dir, b.Root)
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
	// To compile everything takes long, so the first time is announced before.
	var announced, stale []Service
	for _, s := range b.Services {
		if _, err := os.Stat(b.statePath(s)); err != nil {
			announced = append(announced, s)
		}
	}
	b.announce(announced)
	inputs, err := b.compile(ctx)
	if err != nil {
		return err
	}
	for _, s := range b.Services {
		inputs[s.Name] = digest([]byte(inputs[s.Name]), recipes[s.Name])
		if !b.upToDate(s, inputs[s.Name]) {
			stale = append(stale, s)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	b.announce(slices.DeleteFunc(slices.Clone(stale), func(s Service) bool { return slices.Contains(announced, s) }))
	return b.linkAll(ctx, stale, inputs, recipes)
}

func (b *builder) announce(services []Service) {
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	if len(names) > 0 && b.Progress != nil {
		fmt.Fprintf(b.Progress, "Compiling %s for linux/%s\n", strings.Join(names, ", "), b.Arch)
	}
}

// recipes returns the Dockerfile of each service.
func (b *builder) recipes() (map[string][]byte, error) {
	source, err := os.ReadFile(filepath.Join(b.Root, filepath.FromSlash(dockerfile)))
	if err != nil {
		return nil, fmt.Errorf("images: cannot read the Dockerfile template: %w", err)
	}
	recipe, err := template.New(dockerfile).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return nil, fmt.Errorf("images: %s is not a valid template: %w", dockerfile, err)
	}
	recipes := map[string][]byte{}
	for _, s := range b.Services {
		var rendered bytes.Buffer
		if err := recipe.Execute(&rendered, s); err != nil {
			return nil, fmt.Errorf("images: cannot render %s for %q: %w", dockerfile, s.Name, err)
		}
		recipes[s.Name] = rendered.Bytes()
	}
	return recipes, nil
}

// linkAll links the services and writes their contexts.
func (b *builder) linkAll(ctx context.Context, services []Service, inputs map[string]string, recipes map[string][]byte) error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return fmt.Errorf("images: the output directory cannot be made: %w", err)
	}
	b.sweep()
	// A directory on the file system of the contexts, so that a rename suffices.
	work, err := os.MkdirTemp(b.out, tempPrefix)
	if err != nil {
		return fmt.Errorf("images: no temporary directory: %w", err)
	}
	defer os.RemoveAll(work)

	// Services of one directory are one program, linked once.
	programs := map[string][]Service{}
	for _, s := range services {
		programs[path.Clean(s.Dir)] = append(programs[path.Clean(s.Dir)], s)
	}
	dirs := slices.Sorted(maps.Keys(programs))
	errs := make([]error, len(dirs))
	// A link takes one processor most of its time, and a lot of memory.
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, dir := range dirs {
		group.Go(func() error {
			var binary []byte
			binary, errs[i] = b.link(ctx, dir, filepath.Join(work, fmt.Sprint("link-", i)))
			for _, s := range programs[dir] {
				if errs[i] == nil {
					errs[i] = b.buildOne(s, work, binary, recipes[s.Name], inputs[s.Name])
				}
			}
			return nil
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
