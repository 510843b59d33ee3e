//go:build unix

package process

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// imagePath is the PATH of an image that sets none, as Docker has it.
const imagePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// image is an image as a directory of this host.
type image struct {
	root            string
	env             environment
	workdir         string // in the image; "/" if none is set
	entrypoint, cmd []string
}

// prepare makes the directory of an image, unless it is there.
func (d *Driver) prepare(reference model.Image) (*image, error) {
	asset := reference.Asset
	switch {
	case asset == nil && reference.Unknown != "":
		return nil, fmt.Errorf("its image is not known: %s", reference.Unknown)
	case asset == nil:
		return nil, fmt.Errorf("its image, %s, is not built from the app", reference.Reference)
	case asset.Directory == "":
		return nil, fmt.Errorf("its image is made by the command %q", asset.Executable)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.images[asset.ID]; known != nil {
		return known, nil
	}
	root, err := os.MkdirTemp(d.imageRoot(), "image-")
	if err != nil {
		return nil, err
	}
	img := &image{root: root, workdir: "/"}
	if err := img.build(asset); err != nil {
		os.RemoveAll(root)
		return nil, err
	}
	d.images[asset.ID] = img
	return img, nil
}

// build follows the asset's Dockerfile.
// https://docs.docker.com/reference/dockerfile/
func (i *image) build(asset *assembly.ImageAsset) error {
	name := asset.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	file, err := os.Open(filepath.Join(asset.Directory, name))
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b := &build{image: i, asset: asset, lex: shell.NewLex(parsed.EscapeToken)}
	for _, node := range parsed.AST.Children {
		if err := b.instruction(strings.ToUpper(node.Value), node); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, node.StartLine, err)
		}
	}
	return nil
}

// build is the state of following a Dockerfile.
type build struct {
	*image
	asset *assembly.ImageAsset
	lex   *shell.Lex
	stage bool // FROM has come
	// arguments are known to the instructions that follow; global ones, those
	// before FROM, only to an ARG of the same name.
	arguments, global environment
}

// expand replaces the variables in a word.
func (b *build) expand(word string) (string, error) {
	var variables []string
	for _, v := range slices.Concat(b.arguments, b.env) {
		variables = append(variables, v.Name+"="+v.Value)
	}
	expanded, _, err := b.lex.ProcessWord(word, shell.EnvsFromSlice(variables))
	return expanded, err
}

func (b *build) instruction(keyword string, node *parser.Node) error {
	if !b.stage && keyword != "FROM" && keyword != "ARG" {
		return fmt.Errorf("%s comes before FROM", keyword)
	}
	var words []string
	for next := node.Next; next != nil; next = next.Next {
		word := next.Value
		if keyword != "ENTRYPOINT" && keyword != "CMD" { // whose variables are for the container's own shell
			var err error
			if word, err = b.expand(word); err != nil {
				return err
			}
		}
		words = append(words, word)
	}
	form := func(ok bool) error {
		if !ok {
			return fmt.Errorf("%q is not understood", node.Original)
		}
		return nil
	}
	switch keyword {
	case "FROM":
		if b.stage {
			return errors.New("only images of one stage are followed")
		}
		b.stage, b.global, b.arguments = true, b.arguments, nil
		if len(words) == 0 || words[0] != "scratch" {
			return fmt.Errorf("it is built on the image %s, which is not unpacked here", strings.Join(words, " "))
		}
	case "ARG":
		for _, word := range words {
			argument, value, hasDefault := strings.Cut(word, "=")
			for _, v := range b.global {
				if v.Name == argument && !hasDefault {
					value = v.Value
				}
			}
			if given, ok := b.asset.BuildArgs[argument]; ok {
				value = given
			}
			b.arguments.set(argument, value)
		}
	case "ENV":
		// Each variable is a name, a value and the separator that was between them.
		if err := form(len(words)%3 == 0); err != nil {
			return err
		}
		for n := 0; n < len(words); n += 3 {
			b.env.set(words[n], words[n+1])
		}
	case "WORKDIR":
		if err := form(len(words) == 1); err != nil {
			return err
		}
		b.workdir = b.absolute(words[0])
		return os.MkdirAll(filepath.Join(b.root, b.workdir), 0o755)
	case "COPY":
		if err := form(len(words) >= 2 && len(node.Heredocs) == 0); err != nil {
			return err
		}
		return b.copy(b.asset.Directory, words[:len(words)-1], words[len(words)-1], node.Flags)
	case "ENTRYPOINT", "CMD":
		if !node.Attributes["json"] {
			return fmt.Errorf("%s needs a shell, which the image does not have; write it as a list", keyword)
		}
		if keyword == "CMD" {
			b.cmd = words
		} else {
			b.entrypoint = words
		}
	case "STOPSIGNAL":
		if signal := strings.Join(words, " "); signal != "SIGTERM" && signal != "15" {
			return fmt.Errorf("the stop signal %s is not sent here", signal)
		}
	case "USER", "EXPOSE", "LABEL", "HEALTHCHECK":
		// They do not change a process here, and ECS ignores HEALTHCHECK too.
	default:
		return fmt.Errorf("%s is not followed here", keyword)
	}
	return nil
}

// absolute is a path of the image, relative ones being so to its working
// directory.
func (i *image) absolute(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(i.workdir, name)
	}
	return path.Clean(name)
}

func (i *image) copy(context string, sources []string, destination string, flags []string) error {
	for _, flag := range flags {
		if key, _, _ := strings.Cut(flag, "="); key != "--chown" && key != "--link" {
			return fmt.Errorf("COPY with %s is not followed here", flag)
		}
	}
	directory := strings.HasSuffix(destination, "/") || destination == "." || len(sources) > 1
	target := filepath.Join(i.root, filepath.FromSlash(i.absolute(destination)))
	for _, source := range sources {
		local := strings.TrimPrefix(path.Clean("/"+source), "/")
		if strings.ContainsAny(source, "*?[") {
			return fmt.Errorf("COPY with a pattern, %s, is not followed here", source)
		}
		from := filepath.Join(context, filepath.FromSlash(local))
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		to := target
		if directory && !info.IsDir() {
			to = filepath.Join(target, filepath.Base(from))
		}
		if err := copyTree(from, to); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a file, or what is in a directory. A copy, because the process
// must keep the file that it began with when the context is built anew.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case info.Mode().Type() == fs.ModeSymlink:
			link, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a directory", name)
		}
		return copyFile(name, target, info.Mode().Perm())
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// entry is the command of a container of the image, and the directory of this
// host that it starts in.
func (i *image) entry(c model.Container) (argv []string, dir string, err error) {
	entrypoint, command := i.entrypoint, i.cmd
	if len(c.EntryPoint) > 0 {
		entrypoint, command = c.EntryPoint, nil // the image's CMD is for its own entry point
	}
	if len(c.Command) > 0 {
		command = c.Command
	}
	argv = slices.Concat(entrypoint, command)
	if len(argv) == 0 {
		return nil, "", errors.New("its image has neither ENTRYPOINT nor CMD, and its container no command")
	}
	for _, argument := range argv[1:] {
		if _, err := os.Stat(filepath.Join(i.root, argument)); err == nil && path.IsAbs(argument) && argument != "/" {
			return nil, "", fmt.Errorf("its argument %s is a file of the image, which is elsewhere on this host", argument)
		}
	}
	if argv[0], err = i.find(argv[0], c.WorkingDirectory); err != nil {
		return nil, "", err
	}
	dir = filepath.Join(i.root, i.directory(c.WorkingDirectory))
	return argv, dir, os.MkdirAll(dir, 0o755)
}

func (i *image) directory(own string) string {
	if own != "" {
		return i.absolute(own)
	}
	return i.workdir
}

// find returns the path on this host of a program of the image that this host
// can execute.
func (i *image) find(name, workdir string) (string, error) {
	candidates := []string{path.Join(i.directory(workdir), name)}
	switch {
	case path.IsAbs(name):
		candidates = []string{name}
	case !strings.Contains(name, "/"):
		search := imagePath
		for _, v := range i.env {
			if v.Name == "PATH" {
				search = v.Value
			}
		}
		candidates = nil
		for directory := range strings.SplitSeq(search, ":") {
			candidates = append(candidates, path.Join(directory, name))
		}
	}
	for _, candidate := range candidates {
		found := filepath.Join(i.root, filepath.FromSlash(candidate))
		if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() {
			return found, executable(found, name)
		}
	}
	return "", fmt.Errorf("its image has no program %s", name)
}

// machines are the processors that Linux images are made for.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// executable says why this host cannot execute a program.
func executable(file, name string) error {
	program, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("%s is not a program for Linux", name)
	}
	defer program.Close()
	arch := machines[program.Machine]
	if arch == "" {
		arch = program.Machine.String()
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != arch {
		return fmt.Errorf("%s is for linux/%s, and this host is %s/%s", name, arch, runtime.GOOS, runtime.GOARCH)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%s is linked dynamically, to libraries of its image", name)
	}
	return nil
}
