// Package listing is the file that tells the cutover command which services there are. Synthesis
// writes the file into the directory of the assembly, so the command needs neither CDK nor the Go
// source of the list. The file is JSON:
//
//	{
//	  "version": 1,
//	  "monolith": {"name": "api", "paths": ["/api*"], "tasks": 1},
//	  "services": [
//	    {"name": "users", "paths": ["/api/users*"], "order": 10, "tasks": 1},
//	    {"name": "news", "loadBalancer": "press", "paths": ["/news*"], "order": 10, "tasks": 2, "maxTasks": 6}
//	  ],
//	  "sources": {"deployment/forum.go": "SHA-256 in hexadecimal", …}
//	}
//
// A list of services with several routes, or with testers, or with a monolith that keeps the rest has
// version 2:
//
//	{
//	  "version": 2,
//	  …
//	    {"name": "users", "routes": [
//	      {"name": "writes", "order": 10, "paths": ["/api/users*"], "methods": ["POST"], "testers": {"Cookie": ["*canary=1*"]}},
//	      {"order": 20, "paths": ["/api/users*"]}
//	    ], "tasks": 1}
//	  …
//	  "keepRest": true,
//	}
//
// A list of services of which one names its compute has version 3:
//
//	{
//	  "version": 3,
//	  …
//	    {"name": "users", "paths": ["/api/users*"], "order": 10, "tasks": 1, "compute": "ec2", "next": "fargate"},
//	    {"name": "posts", "paths": ["/api/posts*"], "order": 20, "tasks": 1, "compute": "fargate"}
//	  …
//	}
//
// A list beside a monolith that exists has version 4, with the ARN of the monolith's target group and the window of the rules:
//
//	{
//	  "version": 4,
//	  "monolith": {"name": "shop", "tasks": 1},
//	  …
//	  "keepRest": true,
//	  "existing": "arn:aws:elasticloadbalancing:…:targetgroup/shop/…",
//	  "priorities": {"first": 100, "last": 199},
//	  …
//	}
//
// The fields of a service come from [config.Service], with defaults filled in and without what only
// its container needs (CPU, memory, environment). The sources are the Go files that can change the
// list.
package listing

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cutover/config"
)

// Name is the name of the file in the directory of the assembly.
const Name = "deployment.json"

// The version changes if a command that does not know the new fields would mistake what is deployed.
// A list without such fields keeps the older version, so that older commands read it.
const (
	onePhase     = 1
	withRoutes   = 2
	withComputes = 3
	withExisting = 4
)

func version(d config.Deployment) int {
	news := func(s config.Service) bool { return len(s.Routes)+len(s.Testers) > 0 }
	switch {
	case d.Existing != "":
		return withExisting
	case slices.ContainsFunc(d.All(), func(s config.Service) bool { return s.Compute != nil }):
		return withComputes
	case d.KeepRest || slices.ContainsFunc(d.Services, news):
		return withRoutes
	}
	return onePhase
}

// List is what the file has.
type List struct {
	Version int `json:"version"`
	config.Deployment
	// Sources has the SHA-256 of each source, by its name from the root of the repository.
	Sources map[string]string `json:"sources"`
}

// Write writes the file for a deployment to the directory of an assembly. App is the directory of the
// CDK app's main package.
func Write(app, assembly string, d config.Deployment) error {
	files, err := sources(app)
	if err != nil {
		return fmt.Errorf("list of services: %w", err)
	}
	if !slices.ContainsFunc(d.All(), config.Service.Stored) {
		d.StoreRoutes = ""
	}
	text, err := json.MarshalIndent(List{version(d), d, files}, "", "  ")
	if err != nil {
		return fmt.Errorf("list of services: %w", err)
	}
	return os.WriteFile(filepath.Join(assembly, Name), append(text, '\n'), 0o644)
}

// Read reads the file from the directory of an assembly. If there is no such file, the error is
// [fs.ErrNotExist].
func Read(assembly string) (List, error) {
	var l List
	file := filepath.Join(assembly, Name)
	text, err := os.ReadFile(file)
	if err != nil {
		return l, fmt.Errorf("list of services: %w", err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("list of services: %s is damaged (%w): run `npx cdk synth --quiet`", file, err)
	}
	if l.Version < onePhase || l.Version > withExisting {
		return l, fmt.Errorf("list of services: %s has version %d, and this command reads versions %d to %d: run `make bin/cutover synth`", file, l.Version, onePhase, withExisting)
	}
	return l, nil
}

// Changed returns the first source that was changed, added or removed since the file was written.
// It is empty if there is none, or if the app has no sources. Times do not count: a clone or a
// checkout sets them anew.
func (l List) Changed(app string) (string, error) {
	now, err := sources(app)
	if err != nil {
		return "", fmt.Errorf("list of services: %w", err)
	}
	// Removed files come last. A file that is no longer imported counts as removed.
	names := append(slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(l.Sources))...)
	for _, name := range names {
		if now != nil && now[name] != l.Sources[name] {
			return name, nil
		}
	}
	return "", nil
}

var modulePath = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)

// Root returns the root of the repository that a directory is in: the nearest directory with a go.mod,
// at or above it. It is empty if there is none.
func Root(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", nil
		}
		dir = above
	}
}

// sources returns the SHA-256 of the Go files that can change the list: the main package of an app and
// the packages of the module that it imports. It leaves out stacks, which only renders the list.
// Without a go.mod there are no sources.
func sources(app string) (map[string]string, error) {
	root, err := Root(app)
	if err != nil || root == "" {
		return nil, err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	main, err := filepath.Abs(app)
	if err == nil {
		main, err = filepath.Rel(root, main)
	}
	if err != nil {
		return nil, err
	}
	match := modulePath.FindSubmatch(mod)
	if match == nil {
		return nil, errors.New("go.mod names no module")
	}
	imported := regexp.MustCompile(`"` + regexp.QuoteMeta(string(match[1])) + `/([^"]+)"`)
	found := map[string]string{}
	dirs := []string{filepath.ToSlash(main)}
	for i := 0; i < len(dirs); i++ {
		names, err := fs.Glob(os.DirFS(root), path.Join(dirs[i], "*.go")) // none for a text that is no import
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				return nil, err
			}
			found[name] = fmt.Sprintf("%x", sha256.Sum256(text))
			for _, match := range imported.FindAllSubmatch(text, -1) {
				if dir := string(match[1]); dir != "stacks" && !slices.Contains(dirs, dir) {
					dirs = append(dirs, dir)
				}
			}
		}
	}
	return found, nil
}
