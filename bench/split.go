package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/analysis/cost"
	"cutover/internal/build"
	"cutover/internal/rehearsal"
)

// shape is a way to deploy the forum.
type shape struct {
	name, phase string
	services    []string // those with tasks; the first one has the users
}

var shapes = [2]shape{
	{"monolith", "monolith", []string{"api"}},
	{"microservices", "removed", []string{"users", "threads", "posts"}},
}

// of returns the service that has a feature.
func (s shape) of(feature string) string {
	if slices.Contains(s.services, feature) {
		return feature
	}
	return s.services[0]
}

// features are those of the forum, with a request to each.
var features = []struct{ name, route string }{{"users", route}, {"threads", "/api/threads/1"}, {"posts", "/api/posts/in-thread/1"}}

// The change of one line in the module of the users. No answer shows the change.
const lineBefore, lineAfter = `"a username and a name"`, `"a name and a username"`

var changedFile = filepath.Join("services", "users", "routes", "routes.go")

// harms are done to the service that has the users.
var harms = []string{"crash-loop", "hang", "bad-image"}

const (
	// splitRate is in requests per second. All rehearsals of the two shapes run side by side.
	splitRate = 50
	// tenfold is how much more load the users get.
	tenfold = 10
)

// splitLoads are the requests per second to each feature, before the users get more.
var splitLoads = []float64{100, 1000, 10_000}

// split measures the forum as a monolith beside the forum as microservices.
func (b *bench) split(out io.Writer) error {
	fmt.Println("Synthesizing the forum as a monolith and as microservices, and a change of one line")
	root, err := b.changed()
	if err != nil {
		return err
	}
	if err := b.synthesizeShapes(root); err != nil {
		return err
	}
	fmt.Println("Releasing the change, and doing harm (40 s)")
	reports, err := b.rehearseShapes()
	if err != nil {
		return err
	}
	fmt.Println("Loading the services, side by side")
	var built results
	if err := turns(b, min(b.rounds, comparable), shapes[:], func(round int, s shape) error { return b.build(&built, root, s, round) }); err != nil {
		return err
	}
	loaded, err := b.loadShapes()
	if err != nil {
		return err
	}
	d := deployment.Forum
	d.Monolith.MaxTasks = 2 // only a service that scales has a target
	d, _, err = config.Load(d, map[string]any{}, os.Getenv)
	if err != nil {
		return err
	}
	shapesTable(out, reports, &built, loaded)
	hopsTable(out, loaded)
	if b.rounds < comparable {
		fmt.Fprintf(out, "\nWith fewer than %d rounds, compare no times, no CPU, and no tasks and prices that follow from CPU.\n", comparable)
	}
	return pricesTable(out, d.Monolith, loaded, func(s shape, assembly string, tasks map[string]int) (cost.Cents, error) {
		return monthly(b.dir(s, assembly), tasks)
	})
}

// changed copies what is compiled, changes the line, and returns the root of the copy.
func (b *bench) changed() (root string, err error) {
	root = filepath.Join(b.work, "changed")
	if err := os.Mkdir(root, 0o700); err != nil {
		return "", err
	}
	if err := b.command("cp", "-r", "go.mod", "go.sum", "assets", "services", root); err != nil {
		return "", err
	}
	file := filepath.Join(root, changedFile)
	before, err := os.ReadFile(file)
	after := bytes.Replace(before, []byte(lineBefore), []byte(lineAfter), 1)
	if err == nil && bytes.Equal(before, after) {
		err = fmt.Errorf("%s does not have %s: name another line to change in bench/split.go", changedFile, lineBefore)
	}
	if err != nil {
		return "", err
	}
	return root, os.WriteFile(file, after, 0o600)
}

// dir is the directory of an assembly of a shape: "before" and "after" the change, on "fargate", and
// there with the proxies of Service Connect ("connect").
func (b *bench) dir(s shape, assembly string) string { return filepath.Join(b.work, s.name, assembly) }

func (b *bench) synthesizeShapes(changed string) error {
	original, err := b.prepare()
	if err != nil {
		return err
	}
	after := *original
	after.root = changed
	var group errgroup.Group
	group.SetLimit(2)
	for _, s := range shapes {
		for assembly, flags := range map[string][]string{"before": nil, "after": nil, "fargate": {"-fargate"}, "connect": {"-fargate", "-connect"}} {
			from := original
			if assembly == "after" {
				from = &after
			}
			group.Go(func() error {
				_, err := from.run(2, s.phase, b.dir(s, assembly), append([]string{from.many, "-forum"}, flags...)...)
				return err
			})
		}
	}
	return group.Wait()
}

// rehearseShapes deploys the change in each shape, and does the harms, all side by side: mostly there is
// a wait for health checks. A shape has the report of the change first, and then one for each harm.
func (b *bench) rehearseShapes() (reports [2][]rehearsal.Report, err error) {
	tool, err := b.compile("./cmd/cutover")
	if err != nil {
		return reports, err
	}
	var group errgroup.Group
	for i, s := range shapes {
		reports[i] = make([]rehearsal.Report, 1+len(harms))
		for j := range reports[i] {
			args := []string{"--app", filepath.Dir(b.dir(s, "before")), "--rate", strconv.Itoa(splitRate), "--dwell", "1s", "--walk", "before"}
			if j == 0 {
				args[len(args)-1] += ",after"
			} else {
				args = append(args, "--fault", harms[j-1]+":"+s.services[0])
			}
			group.Go(func() (err error) {
				reports[i][j], _, err = rehearse(b.ctx, tool, filepath.Join(b.work, "rehearsals", s.name+strconv.Itoa(j)), args...)
				if err == nil && len(reports[i][j].Steps) != 1 {
					err = fmt.Errorf("the report of %q has %d steps, want 1", args, len(reports[i][j].Steps))
				}
				return err
			})
		}
	}
	return reports, group.Wait()
}

// build compiles and links the image that the change needs.
func (b *bench) build(r *results, root string, s shape, round int) error {
	name := s.services[0]
	began := time.Now()
	contexts, err := build.Build(b.ctx, build.Options{
		Root: root, Out: b.dir(s, fmt.Sprint("images-", round)), Arch: runtime.GOARCH, Services: []build.Service{{Name: name, Dir: "services/" + name}},
	})
	took := time.Since(began).Seconds()
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(filepath.Join(contexts[name], name))
	if err != nil {
		return err
	}
	var layer bytes.Buffer // Docker pushes it compressed
	zipped := gzip.NewWriter(&layer)
	_, _ = zipped.Write(binary) // a buffer takes all
	_ = zipped.Close()
	r.add(s.name, figure{took, "sec"}, figure{float64(layer.Len()), "pushed-B"})
	return nil
}

// loadShapes loads the features in both shapes, and the users through what may be between.
func (b *bench) loadShapes() (r *results, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := writeRouting(b.work); err != nil {
		return nil, err
	}
	var services []build.Service
	for _, s := range shapes {
		for _, name := range s.services {
			services = append(services, build.Service{Name: name, Dir: "services/" + name})
		}
	}
	programs, err := b.programs(services...)
	if err != nil {
		return nil, err
	}
	var subjects []*subject
	for _, s := range shapes {
		for _, feature := range features {
			program := *programs[slices.IndexFunc(services, func(p build.Service) bool { return p.Name == s.of(feature.name) })]
			program.name, program.route = s.name+"-"+feature.name, feature.route
			subjects = append(subjects, &program)
		}
	}
	addresses, err := freeAddresses(len(subjects) + 1)
	if err != nil {
		return nil, err
	}
	direct := slices.IndexFunc(subjects, func(s *subject) bool { return s.name == hops[0].asked })
	subjects = append(subjects, &subject{name: "balancer", command: func(address string) []string {
		return []string{self, "-balancer", b.work, address, addresses[direct]}
	}}, &subject{name: "proxy", command: func(string) []string {
		return []string{self, "-proxy", b.dir(shapes[1], "connect"), addresses[direct]}
	}})
	addresses = append(addresses, "") // the proxy's own
	stop, err := b.startAll(subjects, addresses)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return nil, err
	}
	return b.loadAll("Split", subjects, func(s *subject) ([]figure, error) {
		if s.image == 0 {
			return nil, nil
		}
		return b.startAgain(s)
	})
}
