//go:build unix

package process

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"cutover/internal/assembly"
	"cutover/internal/dockerfile"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

// imagePath is Docker's PATH for an image without one.
const imagePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// image is an image as a directory of this host.
type image struct {
	root string
	// files are those of the directory. A link that leads out of the directory is not followed.
	files           *os.Root
	env             environment
	workdir         string // in the image; "/" if none is set
	entrypoint, cmd []string
}

// prepare makes the directory of an image, unless it is there.
func (d *Driver) prepare(reference model.Image) (*image, error) {
	asset := reference.Asset
	if err := ecs.ImageError(reference); err != nil {
		return nil, err
	}
	if asset == nil {
		return nil, fmt.Errorf("its image, %s, is not built from the app", reference.Reference)
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
	if img.files, err = os.OpenRoot(root); err == nil {
		if err = img.build(asset); err != nil {
			img.files.Close()
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(root))
	}
	d.images[asset.ID] = img
	return img, nil
}

// build follows the asset's Dockerfile.
// https://docs.docker.com/reference/dockerfile/
func (i *image) build(asset *assembly.ImageAsset) error {
	name := asset.File()
	context, err := os.OpenRoot(asset.Directory)
	if err != nil {
		return err
	}
	defer context.Close()
	file, err := context.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := dockerfile.Parse(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b := &build{image: i, asset: asset, context: context, lex: shell.NewLex(parsed.Escape)}
	for _, instruction := range parsed.Instructions {
		if err := b.replaceVariables(&instruction); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, instruction.Line, err)
		}
		if err := b.follow(instruction); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, instruction.Line, err)
		}
	}
	return nil
}

// build is the state of following a Dockerfile.
type build struct {
	*image
	asset   *assembly.ImageAsset
	context *os.Root // of the build
	lex     *shell.Lex
	stage   bool // after FROM
	// arguments are known to the next instructions. Global ones, from before FROM, are
	// known only to an ARG of the same name.
	arguments, global environment
}

// replaceVariables replaces the variables in an instruction's words.
func (b *build) replaceVariables(i *dockerfile.Instruction) (err error) {
	if i.Name == "ENTRYPOINT" || i.Name == "CMD" { // their variables are for a shell in the container
		return nil
	}
	var variables []string
	for _, v := range slices.Concat(b.arguments, b.env) {
		variables = append(variables, v.Name+"="+v.Value)
	}
	for n, word := range i.Words {
		if i.Words[n], _, err = b.lex.ProcessWord(word, shell.EnvsFromSlice(variables)); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) follow(i dockerfile.Instruction) error {
	malformed := fmt.Errorf("%q is not understood", i.Text)
	words := i.Words
	switch {
	case !b.stage && i.Name != "FROM" && i.Name != "ARG":
		return fmt.Errorf("%s comes before FROM", i.Name)
	case i.Name == "FROM" && b.stage:
		return errors.New("only images of one stage are followed")
	case i.Name == "FROM" && !slices.Equal(words[:min(1, len(words))], []string{"scratch"}):
		return fmt.Errorf("it is built on the image %s, which is not unpacked here", strings.Join(words, " "))
	}
	switch i.Name {
	case "FROM":
		b.stage, b.global, b.arguments = true, b.arguments, nil
	case "ARG":
		for _, word := range words {
			name, value, hasDefault := strings.Cut(word, "=")
			if !hasDefault {
				value = b.global.get(name, "")
			}
			if given, ok := b.asset.BuildArgs[name]; ok {
				value = given
			}
			b.arguments.set(name, value)
		}
	case "ENV":
		// Each variable is a name, a value and their separator.
		if len(words)%3 != 0 {
			return malformed
		}
		for v := range slices.Chunk(words, 3) {
			b.env.set(v[0], v[1])
		}
	case "WORKDIR":
		if len(words) != 1 {
			return malformed
		}
		b.workdir = b.absolute(words[0])
		return b.files.MkdirAll(relative(b.workdir), 0o755)
	case "COPY":
		if len(words) < 2 || i.HereDocument {
			return malformed
		}
		return b.copy(words[:len(words)-1], words[len(words)-1], i.Flags)
	case "ENTRYPOINT", "CMD":
		if !i.List {
			return fmt.Errorf("%s needs a shell, which the image does not have; write it as a list", i.Name)
		}
		if i.Name == "CMD" {
			b.cmd = words
		} else {
			b.entrypoint = words
		}
	case "STOPSIGNAL":
		if signal := strings.Join(words, " "); signal != "SIGTERM" && signal != "15" {
			return fmt.Errorf("the stop signal %s is not sent here", signal)
		}
	case "USER", "EXPOSE", "LABEL", "HEALTHCHECK":
		// They do not change a process here. ECS ignores HEALTHCHECK too.
	default:
		return fmt.Errorf("%s is not followed here", i.Name)
	}
	return nil
}

// absolute makes a path of the image absolute. A relative path is below the working directory.
func (i *image) absolute(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(i.workdir, name)
	}
	return path.Clean(name)
}

// relative is an absolute path of an image, or a path of a build's context, as [os.Root] takes it.
func relative(name string) string {
	return cmp.Or(strings.TrimPrefix(path.Clean("/"+name), "/"), ".")
}

func (b *build) copy(sources []string, destination string, flags []string) error {
	for _, flag := range flags {
		if key, _, _ := strings.Cut(flag, "="); key != "--chown" && key != "--link" {
			return fmt.Errorf("COPY with %s is not followed here", flag)
		}
	}
	directory := strings.HasSuffix(destination, "/") || destination == "." || len(sources) > 1
	target := relative(b.absolute(destination))
	for _, source := range sources {
		if strings.ContainsAny(source, "*?[") {
			return fmt.Errorf("COPY with a pattern, %s, is not followed here", source)
		}
		from, to := relative(source), target
		info, err := b.context.Stat(from)
		if err != nil {
			return err
		}
		if directory && !info.IsDir() {
			to = path.Join(target, path.Base(from))
		}
		if err := b.files.MkdirAll(path.Dir(to), 0o755); err != nil {
			return err
		}
		if err := b.copyTree(from, to); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a file of the context, or what is in a directory. A hard link would not do: the
// process keeps its files when the context is built anew.
func (b *build) copyTree(from, to string) error {
	return fs.WalkDir(b.context.FS(), from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to
		if name != from {
			target = path.Join(to, strings.TrimPrefix(name, from+"/"))
		}
		switch {
		case entry.IsDir():
			return b.files.MkdirAll(target, 0o755)
		case entry.Type() == fs.ModeSymlink:
			link, err := b.context.Readlink(name)
			if err != nil {
				return err
			}
			return b.files.Symlink(link, target)
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a directory", name)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := b.context.ReadFile(name)
		if err != nil {
			return err
		}
		return b.files.WriteFile(target, data, info.Mode().Perm())
	})
}

// entry is the command of a container, and the command's directory on this host.
func (i *image) entry(c model.Container) (argv []string, dir string, err error) {
	argv = arguments(c, i.entrypoint, i.cmd)
	if len(argv) == 0 {
		return nil, "", errors.New("its image has neither ENTRYPOINT nor CMD, and its container no command")
	}
	for _, argument := range argv[1:] {
		if _, err := i.files.Stat(relative(argument)); err == nil && path.IsAbs(argument) && argument != "/" {
			return nil, "", fmt.Errorf("its argument %s is a file of the image, which is elsewhere on this host", argument)
		}
	}
	if argv[0], err = i.find(argv[0], c.WorkingDirectory); err != nil {
		return nil, "", err
	}
	dir = i.absolute(c.WorkingDirectory)
	return argv, filepath.Join(i.root, dir), i.files.MkdirAll(relative(dir), 0o755)
}

// arguments are what a container runs: what its definition says goes before its image.
func arguments(c model.Container, entrypoint, command []string) []string {
	if len(c.EntryPoint) > 0 {
		entrypoint, command = c.EntryPoint, nil // CMD is for the image's own entry point
	}
	if len(c.Command) > 0 {
		command = c.Command
	}
	return slices.Concat(entrypoint, command)
}

// find returns the path on this host of a program of the image. The host can execute the program.
func (i *image) find(name, workdir string) (string, error) {
	directories := []string{i.absolute(workdir)}
	if !strings.Contains(name, "/") {
		directories = strings.Split(i.env.get("PATH", imagePath), ":")
	}
	for _, directory := range directories {
		if path.IsAbs(name) {
			directory = ""
		}
		found := path.Join("/", directory, name)
		if info, err := i.files.Stat(relative(found)); err == nil && info.Mode().IsRegular() {
			found = filepath.Join(i.root, found)
			return found, Executable(found, name)
		}
	}
	return "", fmt.Errorf("its image has no program %s", name)
}

// machines are the processors that Linux images are made for.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// Executable says why this host cannot execute a program, which has a name in errors.
func Executable(file, name string) error {
	program, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("%s is not a program for Linux", name)
	}
	defer program.Close()
	arch := cmp.Or(machines[program.Machine], program.Machine.String())
	if runtime.GOOS != "linux" || runtime.GOARCH != arch {
		return fmt.Errorf("%s is for linux/%s, and this host is %s/%s", name, arch, runtime.GOOS, runtime.GOARCH)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%s is linked dynamically, to libraries of its image", name)
	}
	return nil
}

// imageCommand is what the last stage of an image runs, as a line for a shell. Empty if that is not
// known, or if its program is a file of the image.
func imageCommand(c model.Container) string {
	var entrypoint, command []string
	if asset := c.Image.Asset; asset != nil && asset.Directory != "" {
		parsed, err := dockerfile.Read(filepath.Join(asset.Directory, asset.File()))
		if err != nil {
			return ""
		}
		for _, i := range parsed.Instructions {
			words := i.Words
			if !i.List { // a line for a shell
				words = strings.Fields(strings.Join(words, " "))
			}
			switch i.Name {
			case "FROM":
				entrypoint, command = nil, nil
			case "ENTRYPOINT":
				entrypoint, command = words, nil
			case "CMD":
				command = words
			}
		}
	}
	words := arguments(c, entrypoint, command)
	if len(words) == 0 || strings.Contains(words[0], "/") || strings.ContainsAny(strings.Join(words, ""), " '\"\\$`") {
		return ""
	}
	return strings.Join(words, " ")
}
