package existing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"cutover/internal/file"
)

// Dir is a directory with what commands have printed, each in a file named after the command, as in
// describe-rules.json. What was printed for several listeners may be in several files: describe-rules-80.json.
type Dir string

func (d Dir) Describe(_ context.Context, c Command) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(string(d), c.File+"*.json"))
	if err != nil {
		return nil, fmt.Errorf("--from %s: %w", d, err)
	}
	var merged []byte
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".json")
		if rest := strings.TrimPrefix(base, c.File); rest != "" && (rest[0] != '-' || c.File != c.Args[1]) {
			continue // of another command, or of another target group
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--from %s: %w", d, err)
		}
		var printed map[string]json.RawMessage
		if err = json.Unmarshal(text, &printed); err == nil && merged != nil {
			text, err = merge(merged, text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not what the AWS CLI prints as JSON (%w): save it again with `%s --output json`", name, err, c)
		}
		merged = text
	}
	if merged == nil {
		return nil, fmt.Errorf("there is no %s: save what `%s --output json` prints in this file: %w", filepath.Join(string(d), c.File+".json"), c, fs.ErrNotExist)
	}
	return merged, nil
}

// AWS runs the AWS CLI.
type AWS struct {
	// Region is that of the environment if it is empty.
	Region string
	// Progress has a line for each command.
	Progress io.Writer
}

// ecsServices is how many services a command describes at most
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html), and ecsClusters how many clusters.
const (
	ecsServices = 10
	ecsClusters = 100
)

// Describe runs a command. ECS describes only what it is told, so what there is is listed first.
func (a AWS) Describe(ctx context.Context, c Command) ([]byte, error) {
	switch {
	case c.Args[1] == "describe-clusters" && len(c.Args) == 2:
		return a.each(ctx, c, command("ecs", "list-clusters"), "clusterArns", "--clusters", ecsClusters)
	case c.Args[1] == "describe-services":
		return a.each(ctx, c, command(append([]string{"ecs", "list-services"}, c.Args[2:]...)...), "serviceArns", "--services", ecsServices)
	}
	return a.run(ctx, c)
}

// each describes what a list has, so many at a time.
func (a AWS) each(ctx context.Context, c, lister Command, key, flag string, most int) ([]byte, error) {
	text, err := a.run(ctx, lister)
	if err != nil {
		return nil, err
	}
	var listed map[string][]string
	if err := json.Unmarshal(text, &listed); err != nil {
		return nil, fmt.Errorf("`%s` does not print the list that it should: %w", lister, err)
	}
	described := []byte(fmt.Sprintf(`{%q: []}`, strings.TrimPrefix(flag, "--")))
	for arns := range slices.Chunk(listed[key], most) {
		text, err := a.run(ctx, Command{append(append(slices.Clone(c.Args), flag), arns...), c.File})
		if err == nil {
			described, err = merge(described, text)
		}
		if err != nil {
			return nil, err
		}
	}
	return described, nil
}

func (a AWS) run(ctx context.Context, c Command) ([]byte, error) {
	args := append(slices.Clone(c.Args), "--output", "json")
	if a.Region != "" {
		args = append(args, "--region", a.Region)
	}
	fmt.Fprintln(a.Progress, c)
	cmd := exec.CommandContext(ctx, "aws", args...)
	cmd.Env = append(os.Environ(), "AWS_PAGER=")
	text, err := cmd.Output()
	const elsewhere = "save what it prints as %s.json in a directory, on a machine where it is allowed, with what the other commands print, and name the directory with --from"
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("the aws command is missing, which `%s` needs: install the AWS CLI, or "+elsewhere, c, c.File)
	case errors.As(err, &exit):
		said := strings.Join(strings.Fields(string(exit.Stderr)), " ")
		return nil, fmt.Errorf("`%s` failed: %s: give it credentials that may do this, or "+elsewhere, c, strings.TrimSuffix(cmp.Or(said, exit.String()), "."), c.File)
	case err != nil:
		return nil, fmt.Errorf("`%s`: %w", c, err)
	}
	if len(bytes.TrimSpace(text)) == 0 { // of an empty list
		text = []byte("{}")
	}
	return text, nil
}

// Keeper keeps what a source says.
type Keeper struct {
	Source
	files map[string][]byte
}

func (k *Keeper) Describe(ctx context.Context, c Command) ([]byte, error) {
	text, err := k.Source.Describe(ctx, c)
	if err != nil {
		return nil, err
	}
	if k.files == nil {
		k.files = map[string][]byte{}
	}
	kept := text
	if before := k.files[c.File]; before != nil {
		if kept, err = merge(before, text); err != nil {
			return nil, fmt.Errorf("`%s` does not print JSON: %w", c, err)
		}
	}
	k.files[c.File] = kept
	return text, nil
}

// Save writes a file for each command to a directory that [Dir] reads.
func (k *Keeper) Save(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(k.files)) {
		var text bytes.Buffer
		if err := json.Indent(&text, bytes.TrimSpace(k.files[name]), "", "    "); err != nil {
			return fmt.Errorf("%s.json: %w", name, err)
		}
		text.WriteByte('\n')
		if err := file.Replace(filepath.Join(dir, name+".json"), text.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// merge appends the lists that a command has printed to those of the same command before.
func merge(before, text []byte) ([]byte, error) {
	var all, more map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(before, &all), json.Unmarshal(text, &more)); err != nil {
		return nil, err
	}
	for key, value := range more {
		var first, further []json.RawMessage
		if json.Unmarshal(all[key], &first) == nil && json.Unmarshal(value, &further) == nil {
			value, _ = json.Marshal(append(first, further...)) // never fails for JSON
		}
		all[key] = value
	}
	return json.Marshal(all)
}
