package assembly

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxNesting bounds the nesting of stages: an assembly may name itself as its part.
const maxNesting = 8

// Read reads the cloud assembly in a directory. A template of CloudFormation, or a directory of templates, is an
// assembly without assets: see [Templates].
//
// Parameters of its stacks have their defaults, or a value given as "NAME=VALUE" or
// "STACK:NAME=VALUE". AWS::Region and AWS::AccountId may be given, too.
//
// Nested stacks (AWS::CloudFormation::Stack) are not followed: their templates are mere files.
//
// If the directory has an [ExistingFile], an ARN that the templates write out refers to the resource that the file has for it.
//
// Every malformed part is an error that names the file and the part. Nothing else is returned then.
func Read(dir string, parameters ...string) (*Assembly, error) {
	a := &Assembly{Dir: dir}
	templates, err := Templates(dir)
	if err != nil {
		return nil, err
	}
	var stacks []*Stack
	if templates == nil {
		stacks, err = readDir(dir, 0)
	} else {
		stacks, err = readTemplates(templates)
	}
	if err != nil {
		return nil, err
	}
	sorted, circle := Order(stacks, func(s *Stack) []*Stack { return s.DependsOn })
	if circle != nil {
		return nil, fmt.Errorf("%s: stack %q depends on itself through its dependencies", filepath.Join(dir, "manifest.json"), circle[0].Name)
	}
	a.Stacks = sorted
	if err := a.readExisting(); err != nil {
		return nil, err
	}
	if err := a.give(parameters); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	a.indexExports()
	if templates != nil {
		return a, a.order()
	}
	return a, nil
}

// manifest is the part of manifest.json that is read.
type manifest struct {
	Artifacts map[string]*struct {
		Type         string   `json:"type"`
		Environment  string   `json:"environment"`
		Dependencies []string `json:"dependencies"`
		Properties   struct {
			TemplateFile  string `json:"templateFile"` // aws:cloudformation:stack
			StackName     string `json:"stackName"`    // aws:cloudformation:stack
			Protected     bool   `json:"terminationProtection"`
			File          string `json:"file"`          // cdk:asset-manifest
			DirectoryName string `json:"directoryName"` // cdk:cloud-assembly
		} `json:"properties"`
	} `json:"artifacts"`
}

// readDir returns the stacks of a manifest and of its nested manifests, in their order.
func readDir(dir string, depth int) ([]*Stack, error) {
	file := filepath.Join(dir, "manifest.json")
	if depth > maxNesting {
		return nil, fmt.Errorf("%s: assemblies are nested more than %d deep", file, maxNesting)
	}
	var m manifest
	order, err := readManifest(file, &m)
	if err != nil {
		return nil, err
	}
	byID := map[string]*Stack{}
	var stacks []*Stack
	for _, id := range order {
		artifact := m.Artifacts[id]
		switch artifact.Type {
		case "aws:cloudformation:stack":
			stack := &Stack{Name: artifact.Properties.StackName, TerminationProtection: artifact.Properties.Protected}
			if stack.Name == "" {
				stack.Name = id
			}
			if stack.Account, stack.Region, err = parseEnvironment(artifact.Environment); err != nil {
				return nil, fmt.Errorf("%s: artifact %q: %w", file, id, err)
			}
			if err := stack.readTemplate(dir, artifact.Properties.TemplateFile); err != nil {
				return nil, fmt.Errorf("%s: stack %q: %w", file, id, err)
			}
			byID[id] = stack
			stacks = append(stacks, stack)
		case "cdk:cloud-assembly":
			nested, err := local(dir, artifact.Properties.DirectoryName)
			if err != nil {
				return nil, fmt.Errorf("%s: nested assembly %q: %w", file, id, err)
			}
			more, err := readDir(nested, depth+1)
			if err != nil {
				return nil, err
			}
			stacks = append(stacks, more...)
		}
	}
	for _, id := range order {
		stack := byID[id]
		if stack == nil {
			continue
		}
		depend := func(on string) {
			if other := byID[on]; other != nil && !slices.Contains(stack.DependsOn, other) {
				stack.DependsOn = append(stack.DependsOn, other)
			}
		}
		for _, dependency := range m.Artifacts[id].Dependencies {
			artifact := m.Artifacts[dependency]
			if artifact == nil {
				return nil, fmt.Errorf("%s: stack %q depends on %q, which the manifest does not have", file, id, dependency)
			}
			depend(dependency)
			if artifact.Type != "cdk:asset-manifest" {
				continue
			}
			if err := stack.readAssets(dir, artifact.Properties.File); err != nil {
				return nil, fmt.Errorf("%s: assets of stack %q: %w", file, id, err)
			}
			// What the assets wait for, the stack waits for too.
			for _, dependency := range artifact.Dependencies {
				depend(dependency)
			}
		}
	}
	return stacks, nil
}

// readManifest decodes a manifest and returns the ids of its artifacts in the order of the file.
func readManifest(file string, m *manifest) ([]string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: %s is not a cloud assembly, and has no templates of CloudFormation; run `cdk synth` first, or name the directory it writes", file, filepath.Dir(file))
	}
	if err != nil {
		return nil, err
	}
	if err := unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for id, artifact := range m.Artifacts {
		if artifact == nil {
			return nil, fmt.Errorf("%s: artifact %q is null", file, id)
		}
	}
	var raw struct{ Artifacts json.RawMessage }
	if err := unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if m.Artifacts == nil {
		return nil, fmt.Errorf("%s: there is no \"artifacts\" object: not the manifest of a cloud assembly", file)
	}
	order, err := objectKeys(raw.Artifacts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// Keys that repeat, or differ in case only, are one field for encoding/json.
	order = slices.DeleteFunc(order, func(id string) bool { return m.Artifacts[id] == nil })
	if len(order) != len(m.Artifacts) {
		return nil, fmt.Errorf("%s: artifacts are listed more than once", file)
	}
	return order, nil
}

// objectKeys returns the keys of a JSON object in their order.
func objectKeys(object json.RawMessage) ([]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, cmp.Or(err, fmt.Errorf("expected an object, found %v", start))
	}
	var keys []string
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// parseEnvironment splits "aws://account/region", either of which may be left to the deployment.
func parseEnvironment(environment string) (account, region string, err error) {
	place, isAWS := strings.CutPrefix(environment, "aws://")
	account, region, ok := strings.Cut(place, "/")
	if !ok || !isAWS {
		return "", "", fmt.Errorf("environment %q is not of the form aws://account/region", environment)
	}
	known := strings.NewReplacer("unknown-account", "", "unknown-region", "")
	return known.Replace(account), known.Replace(region), nil
}

// local joins a path of an assembly to its directory, and refuses one that leads out of it.
func local(dir, name string) (string, error) {
	if name == "" {
		return "", errors.New("no file is named")
	}
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%q leads out of the assembly", name)
	}
	return filepath.Join(dir, name), nil
}

// readJSON decodes one file of an assembly.
func readJSON(dir, name string, into any) error {
	file, err := local(dir, name)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// unmarshal decodes JSON. Its errors are about the text, and name no type of Go.
func unmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		expected := "another value"
		switch mismatch.Type.Kind() {
		case reflect.Map, reflect.Struct:
			expected = "an object"
		case reflect.Slice:
			expected = "a list"
		case reflect.String:
			expected = "a string"
		}
		found, _, _ := strings.Cut(mismatch.Value, " ")
		found = cmp.Or(map[string]string{"array": "a list", "object": "an object", "bool": "a boolean"}[found], "a "+found)
		place := ""
		if mismatch.Field != "" { // a member of an embedded struct has the struct's name before it
			place = strings.TrimPrefix(mismatch.Field, "Resource.") + ": "
		}
		return fmt.Errorf("%sexpected %s, found %s", place, expected, found)
	}
	return err
}

// template is the part of a template that is modelled.
type template struct {
	Transform  any
	Resources  map[string]json.RawMessage
	Parameters map[string]Parameter
	Outputs    map[string]*struct {
		Output
		Export struct{ Name any }
	}
	Conditions, Rules map[string]any
}

func (s *Stack) readTemplate(dir, name string) error {
	file, err := local(dir, name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if text, err = toJSON(text); err == nil {
		err = unmarshal(text, &s.Template)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for section, members := range s.Template {
		members, _ := members.(map[string]any)
		for id := range members {
			if strings.HasPrefix(id, "Fn::ForEach") {
				return fmt.Errorf("%s: %s: the macro AWS::LanguageExtensions changes the template when it is deployed: the loop %q is not evaluated", name, section, id)
			}
		}
	}
	var t template
	if err := unmarshal(text, &t); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if s.Transforms, err = stringOrList(t.Transform); err != nil {
		return fmt.Errorf("%s: Transform: %w", name, err)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		var r *struct {
			Resource
			DependsOn    any
			Metadata     any
			UpdatePolicy any
		}
		if err := unmarshal(t.Resources[id], &r); err != nil {
			return fmt.Errorf("%s: resource %q: %w", name, id, err)
		}
		if r == nil || r.Type == "" {
			return fmt.Errorf("%s: resource %q has no Type", name, id)
		}
		resource := &r.Resource
		resource.Stack, resource.LogicalID = s, id
		if resource.Properties == nil {
			resource.Properties = map[string]any{}
		}
		if resource.DependsOn, err = stringOrList(r.DependsOn); err != nil {
			return fmt.Errorf("%s: resource %q: DependsOn: %w", name, id, err)
		}
		// A path that is no string is metadata of somebody else.
		resource.Metadata, _ = r.Metadata.(map[string]any)
		resource.Path, _ = resource.Metadata["aws:cdk:path"].(string)
		resource.Reasons = reasons(resource.Metadata)
		resource.UpdatePolicy, _ = r.UpdatePolicy.(map[string]any)
		s.Resources = append(s.Resources, resource)
	}
	s.Parameters, s.Conditions, s.Rules = t.Parameters, t.Conditions, t.Rules
	s.Outputs = map[string]*Output{}
	for id, o := range t.Outputs {
		if o == nil {
			return fmt.Errorf("%s: output %q is null", name, id)
		}
		o.Stack, o.LogicalID, o.ExportName = s, id, o.Export.Name
		s.Outputs[id] = &o.Output
	}
	for _, r := range s.Resources {
		for _, id := range r.DependsOn {
			if s.Resource(id) == nil {
				return fmt.Errorf("%s: resource %q depends on %q, which the template does not have", name, r.LogicalID, id)
			}
		}
	}
	return nil
}

// reasons reads the suppressions of cdk-nag. Metadata of another shape has none.
func reasons(metadata map[string]any) map[string]string {
	nag, _ := metadata["cdk_nag"].(map[string]any)
	rules, _ := nag["rules_to_suppress"].([]any)
	var all map[string]string
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		id, _ := rule["id"].(string)
		if reason, ok := rule["reason"].(string); ok {
			if all == nil {
				all = map[string]string{}
			}
			all[id] = reason
		}
	}
	return all
}

// stringOrList reads what CloudFormation lets be one string or a list.
func stringOrList(value any) ([]string, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{value}, nil
	case []any:
		list := make([]string, len(value))
		for i, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil, fmt.Errorf("element %d is %s, not a string", i, kind(element))
			}
			list[i] = text
		}
		return list, nil
	}
	return nil, fmt.Errorf("expected a string or a list of strings, found %s", kind(value))
}

// assets are those of one kind in an asset manifest, by id.
type assets[Source, Destination any] map[string]*struct {
	Source       Source                 `json:"source"`
	Destinations map[string]Destination `json:"destinations"`
}

func (s *Stack) readAssets(dir, name string) error {
	var m struct {
		Files        assets[FileAsset, FileDestination]   `json:"files"`
		DockerImages assets[ImageAsset, ImageDestination] `json:"dockerImages"`
	}
	if err := readJSON(dir, name, &m); err != nil {
		return err
	}
	// Staged assets are inside the assembly. With staging switched off their paths are absolute.
	source := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	for _, id := range slices.Sorted(maps.Keys(m.DockerImages)) {
		image := m.DockerImages[id]
		if image == nil || (image.Source.Directory == "") == (len(image.Source.Executable) == 0) {
			return fmt.Errorf("%s: image %q must have either a directory or an executable as its source", name, id)
		}
		asset := image.Source
		asset.ID, asset.Directory = id, source(asset.Directory)
		for _, key := range slices.Sorted(maps.Keys(image.Destinations)) {
			d := image.Destinations[key]
			if d.Repository == "" || d.Tag == "" {
				return fmt.Errorf("%s: image %q: destination %q has no repository or no tag", name, id, key)
			}
			asset.Destinations = append(asset.Destinations, d)
		}
		s.Images = append(s.Images, asset)
	}
	for _, id := range slices.Sorted(maps.Keys(m.Files)) {
		file := m.Files[id]
		if file == nil || (file.Source.Path == "") == (len(file.Source.Executable) == 0) {
			return fmt.Errorf("%s: file %q must have either a path or an executable as its source", name, id)
		}
		asset := file.Source
		asset.ID, asset.Path = id, source(asset.Path)
		for _, key := range slices.Sorted(maps.Keys(file.Destinations)) {
			d := file.Destinations[key]
			if d.Bucket == "" || d.Key == "" {
				return fmt.Errorf("%s: file %q: destination %q has no bucket or no key", name, id, key)
			}
			asset.Destinations = append(asset.Destinations, d)
		}
		s.Files = append(s.Files, asset)
	}
	return nil
}

// Order puts every element after its needs, and keeps the order otherwise. It returns any circle.
func Order[T comparable](all []T, needs func(T) []T) (sorted, circle []T) {
	var open []T
	done := map[T]bool{}
	var visit func(T)
	visit = func(one T) {
		if done[one] || circle != nil {
			return
		}
		if i := slices.Index(open, one); i >= 0 {
			circle = slices.Clone(open[i:])
			return
		}
		open = append(open, one)
		for _, need := range needs(one) {
			visit(need)
		}
		open = open[:len(open)-1]
		done[one] = true
		sorted = append(sorted, one)
	}
	for _, one := range all {
		visit(one)
	}
	return sorted, circle
}
