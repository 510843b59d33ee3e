package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"cutover/internal/analysis/criticalpath"
	"cutover/internal/assembly"
)

// phases are in the order of the migration.
var phases = []string{"monolith", "parallel", "switched", "retired"}

// measurePaths synthesizes every phase and prints what each deployment has to wait
// for: the first one, a new image of one service, and each step of the migration
// and back.
func measurePaths(ctx context.Context, out io.Writer, work string) error {
	setting, err := prepare(ctx, work, phases[0], mainApp)
	if err != nil {
		return err
	}
	assemblies := map[string]*assembly.Assembly{}
	for _, phase := range phases {
		setting, err := setting.in(phase)
		if err != nil {
			return err
		}
		a := setting.golang(filepath.Join("path", phase))
		if _, err := a.run(ctx); err != nil {
			return err
		}
		if assemblies[phase], err = assembly.Read(a.out); err != nil {
			return err
		}
	}
	const service = "dev-Users"
	image, err := anotherImage(assemblies["switched"], service, filepath.Join(work, "path", "image"))
	if err != nil {
		return err
	}

	var deployments []deployment
	add := func(name string, from, to *assembly.Assembly) {
		path, readErr := criticalpath.Read(from, to)
		err = errors.Join(err, readErr)
		deployments = append(deployments, deployment{name, path})
	}
	add("first deployment", nil, assemblies[phases[0]])
	add("image of one service", assemblies["switched"], image)
	for i := range phases[1:] {
		add(phases[i]+" to "+phases[i+1], assemblies[phases[i]], assemblies[phases[i+1]])
	}
	for i := len(phases) - 1; i > 0; i-- {
		add(phases[i]+" to "+phases[i-1], assemblies[phases[i]], assemblies[phases[i-1]])
	}
	if err != nil {
		return err
	}
	reportPaths(out, deployments)
	return nil
}

// anotherImage is the assembly as it is when a service's image is another one.
func anotherImage(a *assembly.Assembly, stack, dir string) (*assembly.Assembly, error) {
	if err := os.CopyFS(dir, os.DirFS(a.Dir)); err != nil {
		return nil, err
	}
	s := a.Stack(stack)
	if s == nil || len(s.Images) != 1 || len(s.Images[0].Destinations) != 1 {
		return nil, fmt.Errorf("%s has no stack %s with one image", a.Dir, stack)
	}
	tag := s.Images[0].Destinations[0].Tag
	for _, name := range []string{stack + ".template.json", stack + ".assets.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(text), tag) {
			return nil, fmt.Errorf("%s does not name the image by its tag %s", name, tag)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), tag, "another")), 0o644); err != nil {
			return nil, err
		}
	}
	return assembly.Read(dir)
}

// deployment is one of those that are compared.
type deployment struct {
	name string
	path *criticalpath.Path
}

// reportPaths prints a line for each deployment.
func reportPaths(out io.Writer, deployments []deployment) {
	fmt.Fprintf(out, "%-21s %-10s %-17s %-24s %s\n", "", "", "stacks", "steps", "seconds of ours, at most")
	fmt.Fprintf(out, "%-21s %-10s %-7s %-9s %-7s %-7s %-8s %-7s %-7s %s\n", "", "resources", "chain", "serial", "chain", "serial", "ratio", "chain", "serial", "ratio")
	for _, d := range deployments {
		chain, serial := d.path.Longest, d.path.Serial
		fmt.Fprintf(out, "%-21s %-10d %-7d %-9d %-7d %-7d %-8s %-7d %-7d %s\n", d.name, d.path.Touched(),
			chain.Stacks, serial.Stacks, chain.Steps, serial.Steps, share(chain.Steps, serial.Steps), chain.Seconds, serial.Seconds, share(chain.Seconds, serial.Seconds))
	}
}

func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(part)/float64(whole))
}
