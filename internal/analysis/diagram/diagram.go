// Package diagram draws a synthesized assembly, so that pictures in documents match the templates.
//
// The pictures are flowcharts in Mermaid's language
// (https://mermaid.js.org/syntax/flowchart.html), which GitHub shows in place.
package diagram

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/deployable"
	"cutover/internal/model"
	"cutover/internal/plain"
	"cutover/internal/rules"
	"cutover/internal/words"
)

// Layer is one of the assemblies that a picture lays over one another, like those of phases.
type Layer struct {
	// Name says in the picture what is so in this assembly only.
	Name     string
	Assembly *assembly.Assembly
}

// Requests draws the way of a request: the client, CloudFront and API Gateway, the listeners with their rules in order, the
// target groups, the services with their tasks and sidecars, their instances or Fargate, whom they call, the
// repositories or names of the images, the file systems, the tables and databases, and the topics and queues with the functions that
// they invoke.
//
// Of one layer or more it draws everything, and says where they differ. The error is that of
// [rules.Build], or names a service that cannot be drawn.
func Requests(layers ...Layer) (string, error) {
	d := &drawing{ids: map[string]string{}}
	for i, layer := range layers {
		d.layer = i
		d.names = append(d.names, layer.Name)
		if err := d.read(layer.Assembly); err != nil {
			return "", err
		}
	}
	if err := deployable.NoListener(d.models...); err != nil {
		return "", fmt.Errorf("there is nothing to draw: %w", err)
	}
	return d.requests(), nil
}

// Stacks draws the stacks of an assembly and their order, without the arrows that others imply.
func Stacks(a *assembly.Assembly) string {
	d := &drawing{ids: map[string]string{}}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, stack := range a.Stacks {
		fmt.Fprintf(&b, "    %s[%s]\n", d.id("stack "+stack.Name, stack.Name), label(stack.Name))
	}
	for _, stack := range a.Stacks {
		for _, before := range stack.DependsOn {
			if !slices.ContainsFunc(stack.DependsOn, func(other *assembly.Stack) bool { return needs(other, before) }) {
				fmt.Fprintf(&b, "    %s --> %s\n", d.id("stack "+before.Name, ""), d.id("stack "+stack.Name, ""))
			}
		}
	}
	return b.String()
}

// needs tells whether a stack is deployed after another because of what depends on what.
func needs(stack, other *assembly.Stack) bool {
	return slices.ContainsFunc(stack.DependsOn, func(s *assembly.Stack) bool { return s == other || needs(s, other) })
}

// drawing is what was seen in the layers so far.
type drawing struct {
	layer  int            // that is being read
	names  []string       // of the layers
	models []*model.Model // of the layers
	nodes  []*node
	edges  []*edge
	ids    map[string]string // by key
}

// node is a box. Its facts may differ between the layers.
type node struct {
	group       string // the title of the box around it, empty without one
	key, name   string
	open, close string   // its shape
	with        []string // lines below the name
	facts       []fact   // in the order of the layers
}

// edge is an arrow from one node to another.
type edge struct {
	from, to, what string // what: the rule
	dotted         bool
	facts          []fact
}

// fact is what is so in a layer: how many tasks, or which share of requests.
type fact struct {
	layer int
	text  string
	// weight orders the facts of a node or edge that hold in as many layers.
	weight float64
}

// add returns the node of that key, drawn in a group unless the title is empty.
func (d *drawing) add(group, key, name, open, close string) *node {
	if i := slices.IndexFunc(d.nodes, func(n *node) bool { return n.key == key }); i >= 0 {
		return d.nodes[i]
	}
	n := &node{group: group, key: key, name: name, open: open, close: close}
	d.nodes = append(d.nodes, n)
	d.id(key, name)
	return n
}

func (d *drawing) connect(from, to, what string) *edge {
	same := func(e *edge) bool { return e.from == from && e.to == to && e.what == what }
	if i := slices.IndexFunc(d.edges, same); i >= 0 {
		return d.edges[i]
	}
	e := &edge{from: from, to: to, what: what}
	d.edges = append(d.edges, e)
	return e
}

// client is the key of the node where all begins.
const client = "client"

// read adds what an assembly has.
func (d *drawing) read(a *assembly.Assembly) error {
	a.Locate("ACCOUNT", "REGION") // names are in ARNs, whose ends alone are read
	m := model.Read(a)
	d.models = append(d.models, m)
	table, err := rules.Build(m)
	errs := []error{err}
	for _, s := range m.Services {
		errs = append(errs, s.Problem("ServiceName", "DesiredCount", "Cluster", "LoadBalancers", "TaskDefinition"))
	}
	for _, g := range m.AutoScalingGroups {
		errs = append(errs, g.Problem("MinSize", "MaxSize"))
	}
	if err := assembly.Join(errs...); err != nil {
		return err
	}
	d.add("", client, "client", "([", "])")
	d.fronts(m, table)
	for _, l := range table.Listeners {
		d.add(l.Resource.Stack.Name, l.Key(), "load balancer, "+l.String(), "[", "]")
		if !slices.Contains(m.Fronted(), l.LoadBalancer) {
			d.connect(client, l.Key(), "")
		} else if len(m.Doors(l.LoadBalancer)) > 0 {
			d.connect(client, l.Key(), "past the front")
		}
		for _, rule := range l.Rules {
			d.rule(m, l, rule)
		}
	}
	for _, group := range table.TargetGroups {
		n := d.add(group.Resource.Stack.Name, group.Key(), group.Name, "{{", "}}")
		if others := d.targets(m, group); !others && !deployable.Served(m, group) && !group.Existing() {
			n.facts = append(n.facts, fact{d.layer, "no targets: 503", 0})
		}
	}
	for _, s := range m.Services {
		n := d.add(place(m, s), s.Key(), s.Name, "[[", "]]")
		if s.DesiredCount != nil {
			n.facts = append(n.facts, fact{d.layer, words.Count(*s.DesiredCount, "task"), float64(*s.DesiredCount)})
		}
		for _, lb := range s.LoadBalancers {
			if lb.TargetGroup != nil && lb.TargetGroup.Application() {
				d.connect(lb.TargetGroup.Key(), s.Key(), "")
			}
		}
		if s.TaskDefinition != nil {
			n.with = sidecars(s)
			if on, _ := m.Fargate(s); on != nil && on.Spot() {
				n.with = append(n.with, "on Fargate Spot, too")
			}
			d.task(s)
			d.stores(m, s)
		}
	}
	d.messages(m)
	d.calls(m, table)
	return nil
}

// calls adds an arrow from each service to those that it calls by a name, or to the listener through which
// it does.
func (d *drawing) calls(m *model.Model, table *rules.Table) {
	for _, call := range m.Calls() {
		to, what := "", "calls"
		if call.To != nil {
			to, what = call.To.Key(), "calls "+call.Way()
		} else if i := slices.IndexFunc(table.Listeners, func(l *rules.Listener) bool {
			return l.LoadBalancer == call.Balancer && strings.HasPrefix(call.Value, "https://") == (l.Protocol == "HTTPS")
		}); i >= 0 {
			to = table.Listeners[i].Key()
		} else {
			continue // nothing listens there
		}
		if e := d.connect(call.From.Key(), to, what); !slices.ContainsFunc(e.facts, func(f fact) bool { return f.layer == d.layer }) {
			e.facts = append(e.facts, fact{d.layer, "", 1})
		}
	}
}

// task adds where the images and the files of a service's tasks are.
func (d *drawing) task(s *model.Service) {
	for _, c := range s.TaskDefinition.Containers {
		for _, repository := range c.Image.Repositories {
			d.add(repository.Resource.Stack.Name, repository.Key(), repository.Name, "[(", ")]")
			d.connect(s.Key(), repository.Key(), "image").dotted = true
		}
		if c.Image.Asset == nil && len(c.Image.Repositories) == 0 && c.Image.Unknown == "" && c.Image.Reference != "" {
			d.add("", "image "+c.Image.Reference, c.Image.Reference, "[(", ")]")
			d.connect(s.Key(), "image "+c.Image.Reference, "image").dotted = true
		}
	}
	for _, v := range s.TaskDefinition.Volumes {
		if v.EFS == nil {
			continue
		}
		stack, _, ours := strings.Cut(v.EFS.FileSystem, "/")
		name := "file system"
		if !ours {
			stack, name = "", "file system "+v.EFS.FileSystem
		}
		d.add(stack, v.EFS.FileSystem, name, "[(", ")]")
		d.connect(s.Key(), v.EFS.FileSystem, "volume "+v.Name).dotted = true
	}
}

// stores adds the tables and databases whose addresses a service's tasks have.
func (d *drawing) stores(m *model.Model, s *model.Service) {
	for _, use := range m.Uses(s.TaskDefinition) {
		stack, _, _ := strings.Cut(use.Key(), "/")
		d.add(stack, use.Key(), use.String(), "[(", ")]")
		e := d.connect(s.Key(), use.Key(), "records")
		e.facts = append(e.facts, fact{d.layer, "", 1})
	}
}

// sidecars names the containers beside the one that gets the requests, or beside the first one.
func sidecars(s *model.Service) []string {
	var others []string
	for i, c := range s.TaskDefinition.Containers {
		if i == 0 && len(s.LoadBalancers) == 0 || slices.ContainsFunc(s.LoadBalancers, func(lb model.ServiceLoadBalancer) bool { return lb.Container == c.Name }) {
			continue
		}
		others = append(others, c.Name)
	}
	if len(others) == 0 {
		return nil
	}
	return []string{"with " + strings.Join(others, ", ")}
}

// targets adds the targets of a group that are no tasks of services, and says whether there are any:
// those that the template registers, instances of Auto Scaling groups, and whatever may register others.
func (d *drawing) targets(m *model.Model, group *model.TargetGroup) (any bool) {
	stack := group.Resource.Stack.Name
	target := func(key, name string) {
		d.add(stack, key, name, "[", "]")
		d.connect(group.Key(), key, "")
		any = true
	}
	for _, t := range group.Targets {
		name := strings.TrimPrefix(t.ID, group.Resource.Stack.Name+"/")
		if strings.HasPrefix(name, "arn:") {
			name = name[strings.LastIndexAny(name, ":/")+1:]
		}
		if f := m.FunctionTarget(t.ID).Function; f != nil {
			stack, name = f.Resource.Stack.Name, f.Name
		}
		what := map[string]string{"lambda": "Lambda function", "ip": "address", "instance": "instance", "alb": "load balancer"}[group.TargetType]
		if t.Port != 0 {
			name += ":" + strconv.Itoa(t.Port)
		}
		target(group.Key()+" "+t.ID, what+" "+name)
	}
	for _, g := range m.AutoScalingGroups {
		if slices.Contains(slices.Collect(maps.Values(g.TargetGroups)), group) {
			target(g.Key(), "instances of "+g.Resource.LogicalID)
		}
	}
	for _, other := range deployable.Elsewhere(m, group) {
		target(group.Key()+" "+other, other)
	}
	return any
}

// rule adds an arrow to each target group, or one to an answer by the load balancer itself.
func (d *drawing) rule(m *model.Model, l *rules.Listener, rule *rules.Rule) {
	var conditions []string
	for _, c := range rule.Conditions {
		if m.Adds(l.LoadBalancer, c) {
			continue // all requests that are drawn have it
		}
		if c.Field == model.PathPattern {
			conditions = append(conditions, strings.Join(c.Values, " or "))
		} else {
			conditions = append(conditions, c.String())
		}
	}
	what := strconv.Itoa(rule.Priority) + " " + strings.Join(conditions, " and ")
	switch header := m.Asks(l.LoadBalancer); {
	case rule.Priority == 0 && header != "" && len(rule.Action.Forward) == 0 && rule.Action.Redirect == nil:
		what = "without " + header
	case rule.Priority == 0, len(conditions) == 0:
		what = "else"
	}
	if len(rule.Action.Forward) == 0 {
		key := l.Key() + " " + what
		// Placeholders of a redirect have a sign that Mermaid would have escaped.
		d.add(l.Resource.Stack.Name, key, strings.ReplaceAll(rule.Action.String(), "#{", "{"), "([", "])")
		e := d.connect(l.Key(), key, what)
		e.facts = append(e.facts, fact{d.layer, "", 1})
	}
	for _, w := range rule.Action.Forward {
		share := ""
		weight := w.Share
		if l.Hidden(rule) {
			weight = 0 // an earlier rule decides about all its requests
		}
		if w.Share < 1 {
			share = strconv.FormatFloat(100*w.Share, 'g', 4, 64) + " %"
		}
		e := d.connect(l.Key(), w.TargetGroup.Key(), what)
		e.facts = append(e.facts, fact{d.layer, share, weight})
	}
}

func (d *drawing) requests() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	drawn := map[string]bool{}
	draw := func(indent, group string) {
		drawn[group] = true
		for _, n := range d.nodes {
			if n.group == group {
				fmt.Fprintf(&b, "%s%s%s%s%s\n", indent, d.id(n.key, ""), n.open, label(slices.Concat([]string{n.name}, n.with, d.differences(n.facts))...), n.close)
			}
		}
	}
	draw("    ", "")
	for _, n := range d.nodes {
		if title := n.group; !drawn[title] {
			fmt.Fprintf(&b, "    subgraph %s [%s]\n", d.id("group "+title, title), label(title))
			draw("        ", title)
			b.WriteString("    end\n")
		}
	}
	for _, e := range d.edges {
		arrow, lines := "-->", []string{}
		if e.dotted {
			arrow = "-.->"
		}
		if e.what != "" {
			lines = []string{e.what}
		}
		if len(e.facts) > 0 {
			if !slices.ContainsFunc(e.facts, func(f fact) bool { return f.weight > 0 }) {
				arrow = "-.->"
			} else if len(d.names) > 1 { // that a weight is 0 elsewhere goes without saying
				e.facts = slices.DeleteFunc(e.facts, func(f fact) bool { return f.weight == 0 })
			}
			lines = append(lines, d.differences(e.facts)...)
		}
		fmt.Fprintf(&b, "    %s %s", d.id(e.from, ""), arrow)
		if len(lines) > 0 {
			fmt.Fprintf(&b, "|%s|", label(lines...))
		}
		fmt.Fprintf(&b, " %s\n", d.id(e.to, ""))
	}
	return b.String()
}

// differences are the lines that say what is so in which layer, the most common first.
func (d *drawing) differences(facts []fact) []string {
	layers := map[string][]string{} // by text
	weight := map[string]float64{}
	for _, f := range facts {
		layers[f.text] = append(layers[f.text], d.names[f.layer])
		weight[f.text] = f.weight
	}
	texts := slices.SortedFunc(maps.Keys(layers), func(x, y string) int {
		return cmp.Or(len(layers[y])-len(layers[x]), cmp.Compare(weight[y], weight[x]), strings.Compare(x, y))
	})
	var lines []string
	for i, text := range texts {
		everywhere := len(facts) == len(d.names)
		if i > 0 || !everywhere {
			text = strings.TrimPrefix(text+" in ", " ") + strings.Join(layers[text], ", ")
		}
		if text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// place is what a service's tasks run on: the cluster's stack, with its instances or with Fargate.
func place(m *model.Model, s *model.Service) string {
	on, _ := m.Fargate(s) // a strategy that is not known has no tasks on Fargate
	stack := s.Resource.Stack
	if s.Cluster != nil {
		stack = s.Cluster.Resource.Stack
	}
	title := stack.Name
	switch {
	case on != nil:
		return title + ", Fargate"
	case s.Cluster == nil:
		return title
	}
	for _, group := range m.AutoScalingGroups {
		if group.Resource.Stack != stack {
			continue
		}
		number := words.Count(group.Max, "EC2 instance")
		if group.Min != group.Max {
			number = fmt.Sprintf("%d to %s", group.Min, number)
		}
		title += ", " + number
	}
	return title
}

// escape takes what Mermaid would read as its own language out of a text
// (https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters).
// Two percent signs begin a directive anywhere in the drawing, and two dollar signs a formula.
var escape = strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;", "&", "#38;", `\`, "#92;", "%%", "#37;#37;", "$$", "#36;#36;", "\n", " ")

// label is a text of lines as Mermaid takes it.
func label(lines ...string) string {
	var escaped []string
	for _, line := range lines {
		escaped = append(escaped, escape.Replace(plain.Visible(line)))
	}
	return `"` + strings.Join(escaped, "<br>") + `"`
}

// id is a node's identifier, made of its name so that differences of the text are readable.
func (d *drawing) id(key, name string) string {
	if id, ok := d.ids[key]; ok {
		return id
	}
	var b strings.Builder
	for _, c := range name {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteRune(c)
		}
	}
	taken := slices.Collect(maps.Values(d.ids))
	// A number at the end: "end" by itself is a word of Mermaid's, and so are others.
	for n := 1; ; n++ {
		if id := fmt.Sprintf("%s_%d", b.String(), n); !slices.Contains(taken, id) {
			d.ids[key] = id
			return id
		}
	}
}
