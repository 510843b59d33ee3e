package assembly

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// stackName is what CloudFormation takes as the name of a stack.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
var stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)

// Templates returns the templates of CloudFormation that a path names: itself if it is a file, or the files of a
// directory that end in .json, .yaml, .yml or .template, but for [ExistingFile]. There are none in a cloud assembly, which has a
// manifest, and in a directory in which no file has Resources.
//
// Each template is a stack with the name of the file up to the first dot, and leaves account and region to the deployment.
// Each must have Resources: parameter files have to be elsewhere.
func Templates(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil // the reader of the manifest says so
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	if _, err := os.Stat(filepath.Join(path, "manifest.json")); err == nil {
		return nil, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if slices.Contains([]string{".json", ".yaml", ".yml", ".template"}, filepath.Ext(entry.Name())) && !entry.IsDir() && entry.Name() != ExistingFile {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	if !slices.ContainsFunc(files, mentionsResources) {
		return nil, nil // such as what is left of an assembly
	}
	return files, nil
}

func mentionsResources(file string) bool {
	text, err := os.ReadFile(file)
	return err == nil && bytes.Contains(text, []byte("Resources"))
}

// Exists says whether there is something that [Read] may read: a cloud assembly, or templates.
func Exists(path string) bool {
	_, missing := os.Stat(filepath.Join(path, "manifest.json"))
	templates, err := Templates(path)
	return missing == nil || err == nil && len(templates) > 0
}

// readTemplates reads templates without an assembly, in the order of their names.
func readTemplates(files []string) (stacks []*Stack, err error) {
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		if !stackName.MatchString(name) {
			return nil, fmt.Errorf("%s: the stack would be called %q, which CloudFormation refuses: use letters, digits and hyphens, beginning with a letter", file, name)
		}
		if slices.ContainsFunc(stacks, func(other *Stack) bool { return other.Name == name }) {
			return nil, fmt.Errorf("%s: there are two templates of the stack %q", filepath.Dir(file), name)
		}
		stack := &Stack{Name: name}
		err := stack.readTemplate(filepath.Dir(file), filepath.Base(file))
		if stack.Template != nil && stack.Template["Resources"] == nil {
			return nil, fmt.Errorf("%s has no Resources, and so is no template of CloudFormation: name the template, a directory that has nothing but templates, or an assembly that `cdk synth` has written", file)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Dir(file), err)
		}
		stacks = append(stacks, stack)
	}
	return stacks, nil
}

// order puts each stack after those whose exports it imports. In an assembly the manifest tells them.
func (a *Assembly) order() error {
	for _, stack := range a.Stacks {
		for _, other := range a.Stacks {
			if other != stack && a.Reads(stack, other) > 0 {
				stack.DependsOn = append(stack.DependsOn, other)
			}
		}
	}
	sorted, circle := Order(a.Stacks, func(s *Stack) []*Stack { return s.DependsOn })
	if circle != nil {
		return fmt.Errorf("%s: stack %q depends on itself through its imports", cmp.Or(a.Dir, "."), circle[0].Name)
	}
	a.Stacks = sorted
	return nil
}
