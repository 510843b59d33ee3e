package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// baselines has the baseline of each architecture. A binary runs on every instance type, and does
// not depend on the GOAMD64 or GOARM64 of this machine.
var baselines = map[string]string{
	"amd64": "GOAMD64=v1",
	"arm64": "GOARM64=v8.0",
}

// These flags decide the binary, beside the source and the Go version. There is no build id: it
// identifies the inputs of a build, and different inputs may give the same binary.
var (
	compileFlags = []string{"-trimpath", "-buildvcs=false"}
	linkFlags    = []string{"-ldflags=-s -w -buildid="}
)

// findGo finds the toolchain and makes its environment. The user's settings decide where modules
// come from and where caches are. No setting that changes a binary gets through.
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
	b.goEnv = append(env, "GOENV=off", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.Arch, baselines[b.Arch])
	return nil
}

// run runs the go command in the root and returns its standard output. The error has the command's
// messages.
func (b *builder) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.goCommand, args...)
	cmd.Dir = b.Root
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
		return nil, fmt.Errorf("images: the services cannot be compiled: go %s in %s: %w\n%s", args[0], b.Root, err, message)
	}
	return stdout.Bytes(), nil
}

// goPackage has the fields of "go list -json" that are read.
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

// compile brings the build cache up to date. It returns a hash of everything that decides a
// service's binary, by name of the service. The hash is of the compiled packages, not of their
// source: an edit that changes no compiled package needs no link.
func (b *builder) compile(ctx context.Context) (map[string]string, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Name,BuildID,DepOnly,Deps,DefaultGODEBUG,Module"}, compileFlags...)
	for _, s := range b.Services {
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

	inputs := make(map[string]string, len(b.Services))
	var errs []error
	for _, s := range b.Services {
		main, ok := mains[path.Clean(s.Dir)]
		if !ok || main.Name != "main" {
			errs = append(errs, fmt.Errorf("images: service %q: %s is not a main package (its name is %q)", s.Name, s.Dir, main.Name))
			continue
		}
		var key strings.Builder
		fmt.Fprintln(&key, b.goVersion, b.Arch, baselines[b.Arch], compileFlags, linkFlags, main.DefaultGODEBUG)
		for _, dependency := range append(slices.Clone(main.Deps), main.ImportPath) {
			p := packages[dependency]
			// The id is "action/content". Only the content decides.
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

// link links the program of a directory to the file out, and returns it.
func (b *builder) link(ctx context.Context, dir, out string) ([]byte, error) {
	args := slices.Concat([]string{"build"}, compileFlags, linkFlags, []string{"-o", out, "./" + dir})
	if _, err := b.run(ctx, args...); err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	return binary, os.Remove(out)
}
