package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"cutover/internal/canary"
	"cutover/internal/local"
	"cutover/internal/local/alb"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
	"cutover/internal/plain"
	"cutover/internal/rehearsal"
	"cutover/internal/step"
	"cutover/internal/words"
	"cutover/migration"
)

// view writes for people. What it writes has no control characters but its own. On a terminal it redraws in place, and uses colours unless NO_COLOR is
// set. Elsewhere it writes a line for each event.
type view struct {
	out      io.Writer // see [visible]
	terminal bool
	drawn    int    // lines of the last drawing
	program  string // this program, as the user calls it
	settings string // flags of the settings that the next deployment keeps, as in " -c store=postgres"
	// height returns the number of lines of the terminal, or 0 if unknown.
	height func() int
}

func newView(out io.Writer, g *global) *view {
	file, ok := out.(*os.File)
	program := os.Args[0]
	if strings.HasPrefix(program, os.TempDir()) { // go run
		program = "cutover"
	}
	if dir, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(dir, program); err == nil && filepath.IsLocal(relative) {
			program = relative
		}
	}
	if g.state != defaultState {
		program += " --state " + g.state
	}
	return &view{out: visible{out}, terminal: ok && isatty.IsTerminal(file.Fd()), program: program, height: func() int {
		size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0
		}
		return int(size.Row)
	}}
}

// visible writes text without control characters but those of this view: a name in an assembly, or
// what a container writes, might move the cursor or change the window's title.
type visible struct{ io.Writer }

// own are the colours of [view.paint].
var own = regexp.MustCompile("\x1b\\[(?:[01]|22|3[1-6])m")

func (w visible) Write(text []byte) (int, error) {
	var b strings.Builder
	from := 0
	for _, at := range own.FindAllIndex(text, -1) {
		b.WriteString(plain.Visible(string(text[from:at[0]])) + string(text[at[0]:at[1]]))
		from = at[1]
	}
	b.WriteString(plain.Visible(string(text[from:])))
	if _, err := io.WriteString(w.Writer, b.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// room returns the number of lines that the terminal can redraw. 0 means any number.
func (v *view) room() int {
	if !v.terminal {
		return 0
	}
	return max(0, v.height()-1) // the cursor is on the line below
}

func (v *view) print(text string) {
	fmt.Fprintln(v.out, strings.TrimRight(text, "\n"))
}

// redraw writes a text in the place of the last one.
func (v *view) redraw(text string) {
	text = strings.TrimRight(text, "\n")
	if v.terminal && v.drawn > 0 {
		terminal := v.out
		if safe, ok := terminal.(visible); ok {
			terminal = safe.Writer
		}
		fmt.Fprintf(terminal, "\x1b[%dF\x1b[J", v.drawn)
	}
	fmt.Fprintln(v.out, text)
	v.drawn = strings.Count(text, "\n") + 1
}

// progress returns a function that shows a rehearsal's progress, or nil if quiet. A terminal shows
// it in place; elsewhere each phase has a line.
func (v *view) progress(quiet bool) func(rehearsal.Progress) {
	if quiet {
		return nil
	}
	last := ""
	return func(p rehearsal.Progress) {
		line := fmt.Sprintf("%6.1f s  %d/%d %-24s %7d sent  %d lost  %d different  %6.0f/s  worst %s",
			p.Elapsed.Seconds(), p.Step, p.Steps, p.Doing, p.Sent, p.Lost, p.Different, p.Rate, p.Worst.Round(100*time.Microsecond))
		if v.terminal {
			v.redraw(line)
		} else if p.Doing != last {
			v.print(line)
		}
		last = p.Doing
	}
}

// deploy deploys an assembly and shows what happens. Begun tells whether anything was begun.
func (v *view) deploy(ctx context.Context, client *local.Client, assembly string, parameters []string) (begun bool, err error) {
	before, err := client.Status(ctx)
	if err != nil {
		return false, err
	}
	var warnings []string
	ended := make(chan error, 1)
	go func() {
		ended <- client.Deploy(ctx, assembly, func(e local.Event) {
			begun = begun || e.State != local.Warning
			switch line := eventLine(e); {
			case v.terminal && e.State == local.Warning: // below the table, which is redrawn
				warnings = append(warnings, line)
			case !v.terminal && line != "":
				v.print(line)
			}
		}, parameters...)
	}()
	for over := false; ; {
		if v.terminal {
			if status, failed := client.Status(ctx); err == nil && failed == nil {
				v.redraw(v.services(status, v.room()))
			}
		}
		if over {
			break
		}
		select {
		case err = <-ended:
			over = true
		case <-time.After(200 * time.Millisecond):
		}
	}
	v.drawn = 0
	for _, line := range warnings {
		v.print(line)
	}
	if err != nil {
		err = outOfTurn(err, before.Parameters, assembly)
	}
	return begun, err
}

// eventLine returns the line for an event. It is empty if another event says the same.
func eventLine(e local.Event) string {
	if e.Kind == "health" || e.Kind == "container" && e.Message == "" {
		return ""
	}
	text := strings.TrimSpace(e.State + " " + e.Message)
	task := ""
	if e.Task != "" {
		task = " " + short(e.Task)
	}
	return plain.Visible(fmt.Sprintf("%s  %-10s %s%s  %s", e.Time.Format("15:04:05.000"), e.Kind, e.Subject, task, text))
}

// short returns the first eight characters of a task's id, which tell tasks apart. The key of a Lambda function and an address
// stay as they are.
func short(id string) string {
	if strings.ContainsAny(id, "/:") {
		return id
	}
	return id[:min(8, len(id))]
}

// services returns the table of services and their tasks. Without enough room, the unsteady
// services come first and the rest is counted.
func (v *view) services(s local.Status, room int) string {
	states := map[string]map[string]string{} // by target group and task
	names := map[string]string{}
	for _, group := range s.Groups {
		names[group.Key] = group.Name
		states[group.Key] = map[string]string{}
		for _, target := range group.Targets {
			states[group.Key][target.ID] = string(target.State)
		}
	}
	of := func(service ecs.ServiceStatus) (rows [][]string) {
		first := []string{service.Name, fmt.Sprintf("%d/%d", service.RunningCount, service.DesiredCount)}
		tasks := slices.DeleteFunc(slices.Clone(service.Tasks), func(t ecs.TaskStatus) bool { return t.LastStatus == ecs.Stopped })
		for _, task := range tasks {
			row := append(first, short(task.ID), string(task.LastStatus), string(task.Health))
			for i, group := range slices.Sorted(maps.Keys(task.Targets)) {
				if i > 0 { // at another load balancer
					rows = append(rows, row)
					row = []string{"", "", "", "", ""}
				}
				row = append(row, names[group], cmp.Or(states[group][task.ID], string(task.Targets[group])))
			}
			rows = append(rows, row)
			first = []string{"", ""}
		}
		if len(tasks) == 0 {
			rows = append(rows, first)
		}
		return rows
	}
	head := []string{"SERVICE", "TASKS", "TASK", "STATUS", "HEALTH", "TARGET GROUP", "TARGET"}
	rows := [][]string{head}
	for _, service := range s.Services {
		rows = append(rows, of(service)...)
	}
	if room == 0 || len(rows) <= room {
		return v.table(rows)
	}
	unsteady := slices.DeleteFunc(slices.Clone(s.Services), func(s ecs.ServiceStatus) bool { return s.Steady })
	steady := slices.DeleteFunc(slices.Clone(s.Services), func(s ecs.ServiceStatus) bool { return !s.Steady })
	services, shown := append(unsteady, steady...), 0
	rows = [][]string{head}
	for shown < len(services) && len(rows)+len(of(services[shown])) < room {
		rows = append(rows, of(services[shown])...)
		shown++
	}
	more := len(services) - shown
	return v.table(rows) + fmt.Sprintf("and %d more services, %d of them steady\n", more, min(more, len(steady)))
}

// scaling returns the table of services that scale. It is empty if there are none.
func (v *view) scaling(s local.Status) string {
	rows := [][]string{{"SCALES", "TASKS", "METRIC", "NOW", "TARGET", "LAST"}}
	for _, service := range s.Services {
		if service.Scaling == nil {
			continue
		}
		last := "nothing yet"
		if did := service.Scaling.Last; did != nil {
			last = fmt.Sprintf("%s  %d to %d: %s", did.Time.Format("15:04:05"), did.From, did.To, did.Why)
		}
		first := []string{service.Name, fmt.Sprintf("%d of %d–%d", service.DesiredCount, service.Scaling.Min, service.Scaling.Max)}
		for _, policy := range service.Scaling.Policies {
			now := "?"
			if policy.Value != nil {
				now = fmt.Sprintf("%.0f", *policy.Value)
			}
			rows = append(rows, append(first, string(policy.Metric), now, fmt.Sprintf("%g", policy.Target), last))
			first, last = []string{"", ""}, ""
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

// names returns the table of names by which tasks find each other, and the DNS servers that have some of
// them. It is empty if there are none.
func (v *view) names(s local.Status) string {
	if s.Discovery == nil || len(s.Discovery.Names) == 0 {
		return ""
	}
	rows := [][]string{{"NAME", "BY", "SERVICE", "TASKS", "OPEN TO"}}
	for _, name := range s.Discovery.Names {
		address, by := name.Host, name.Kind
		if name.Port != 0 {
			address += fmt.Sprintf(":%d", name.Port)
		}
		if !strings.HasSuffix(name.Host, "."+name.Namespace) {
			by += " in " + name.Namespace
		}
		tasks, unhealthy := fmt.Sprint(len(name.Endpoints)), 0
		for _, endpoint := range name.Endpoints {
			if endpoint.Unhealthy {
				unhealthy++
			}
		}
		if unhealthy > 0 {
			tasks += fmt.Sprintf(", %d unhealthy", unhealthy)
		}
		var callers []string
		for _, caller := range name.Callers {
			if caller.Refused == "" && !slices.Contains(callers, caller.Service) {
				callers = append(callers, caller.Service)
			}
		}
		rows = append(rows, []string{address, by, strings.Join(name.Services, ", "), tasks, few(callers)})
	}
	text := "\n" + v.table(rows)
	for _, resolver := range s.Discovery.Resolvers {
		text += plain.Line(fmt.Sprintf("DNS of %s answers at %s", strings.Join(resolver.Namespaces, ", "), resolver.Address)) + "\n"
	}
	return text
}

// schedules returns the table of scheduled tasks: when each is due next, and how the last run ended. It
// is empty if there are none.
func (v *view) schedules(s local.Status) string {
	rows := [][]string{{"SCHEDULE", "WHEN", "NEXT", "RUNNING", "LAST"}}
	at := func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
	for _, schedule := range s.Schedules {
		next, last := "never", "not yet"
		switch {
		case !schedule.Enabled:
			next = "disabled"
		case !schedule.Next.IsZero():
			next = at(schedule.Next)
		}
		if run := schedule.Last; run != nil {
			last = at(run.Ended) + "  " + run.Outcome()
		}
		rows = append(rows, []string{schedule.Name, schedule.Expression, next, fmt.Sprint(schedule.Running), last})
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

// stores returns the table of what tasks keep data in. It is empty if there is nothing.
func (v *view) stores(s local.Status) string {
	rows := [][]string{{"STORE", "PROGRAM", "FROM", "ENDPOINT", "USED", "FAULTS"}}
	for _, store := range s.Stores {
		used := words.Count(store.Requests, "request")
		if store.Connections > 0 {
			used = words.Count(store.Connections, "connection")
		}
		rows = append(rows, []string{store.Name, store.Program, store.Source, store.Endpoint, used, strings.Join(store.Faults, ", ")})
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

// functions returns the table of functions, and how many execution environments each has. It is empty if there
// are none.
func (v *view) functions(s local.Status) string {
	rows := [][]string{{"FUNCTION", "VERSION", "EXECUTION ENVIRONMENTS", "INVOCATIONS", "COLD STARTS", "ERRORS", "THROTTLES", "MEMORY"}}
	for _, f := range s.Functions {
		errors, memory := fmt.Sprint(f.Errors), fmt.Sprintf("%d MiB", f.MemoryMiB)
		if f.Timeouts > 0 {
			errors += fmt.Sprintf(", %d timed out", f.Timeouts)
		}
		switch {
		case f.MemoryMiB == 0:
			memory = fmt.Sprintf("at most %d MiB", f.PeakMemoryMiB)
		case f.PeakMemoryMiB > 0:
			memory = fmt.Sprintf("at most %d of %s", f.PeakMemoryMiB, memory)
		}
		rows = append(rows, []string{f.Name, f.Version, fmt.Sprintf("%d idle, %d busy of %d", f.Idle, f.Busy, f.Concurrency),
			fmt.Sprint(f.Invocations), fmt.Sprint(f.ColdStarts), errors, fmt.Sprint(f.Throttles), memory})
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

// messaging returns the table of topics, queues and message brokers: what is in them, and how old the oldest message is. It is empty if there are none.
func (v *view) messaging(s local.Status) string {
	rows := [][]string{{"MESSAGES", "KIND", "PROGRAM", "WAITING", "IN FLIGHT", "DELAYED", "OLDEST", "USED", "FAULTS"}}
	for _, m := range s.Messaging {
		row := []string{m.Name, m.Kind, m.Program, "", "", "", ""}
		if d := m.Depth; d != nil {
			row = []string{m.Name, m.Kind, m.Program, fmt.Sprint(d.Waiting), fmt.Sprint(d.InFlight), fmt.Sprint(d.Delayed), "-"}
			if d.Oldest > 0 {
				row[6] = d.Oldest.Truncate(time.Second).String()
			}
		}
		used := words.Count(m.Requests, "request")
		if m.Kind == "broker" {
			used = words.Count(m.Connections, "connection")
		} else if strings.Contains(m.Name, "/") { // of a broker, which is what is used
			used = ""
		}
		rows = append(rows, append(row, used, strings.Join(m.Faults, ", ")))
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

// eventSources returns the table of event source mappings: what they have done, and how far they are behind. It is empty if there are
// none.
func (v *view) eventSources(s local.Status) string {
	rows := [][]string{{"EVENT SOURCE", "FUNCTION", "STATE", "INVOCATIONS", "FAILURES", "RECORDS", "BEHIND", "LAST ERROR"}}
	for _, m := range s.EventSources {
		records := fmt.Sprint(m.Records)
		var less []string
		if m.Filtered > 0 {
			less = append(less, fmt.Sprintf("%d filtered", m.Filtered))
		}
		if m.GaveUp > 0 {
			less = append(less, fmt.Sprintf("%d given up", m.GaveUp))
		}
		if len(less) > 0 {
			records += ", " + strings.Join(less, ", ")
		}
		behind := "-"
		if m.Lag > 0 {
			behind = m.Lag.Truncate(time.Second).String()
		}
		invocations := fmt.Sprint(m.Invocations)
		if m.Running > 0 {
			invocations += fmt.Sprintf(", %d running", m.Running)
		}
		rows = append(rows, []string{m.Kind + " " + m.Source, m.Function, m.State, invocations, fmt.Sprint(m.Failures), records, behind, m.LastError})
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

// existing returns the table of target groups that exist already, and of what stands for their targets. It is empty if there are
// none.
func (v *view) existing(s local.Status) string {
	rows := [][]string{{"EXISTS ALREADY", "STANDS FOR IT", "TARGET"}}
	for _, group := range s.Groups {
		if !group.Existing {
			continue
		}
		first := group.Name
		for _, target := range group.Targets {
			rows = append(rows, []string{first, target.Address, string(target.State)})
			first = ""
		}
		if len(group.Targets) == 0 {
			rows = append(rows, []string{group.Name, "nothing", ""})
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return "\n" + v.table(rows)
}

func (v *view) status(s local.Status, room int) string {
	notes := v.warnings(s) + v.passedOver(s) + v.notRun(s)
	text := v.distributions(s) + v.apis(s) + v.listeners(s, false) + v.places(s) + v.computes(s) + v.services(s, 0) + v.existing(s) + v.functions(s) + v.eventSources(s) + v.messaging(s) + v.stores(s) + v.names(s) + v.scaling(s) + v.schedules(s) + notes
	if room == 0 || strings.Count(text, "\n") <= room {
		return text
	}
	notes = v.existing(s) + v.functions(s) + v.eventSources(s) + v.messaging(s) + v.stores(s) + v.schedules(s) + notes
	above := v.distributions(s) + v.apis(s) + v.listeners(s, true) + v.places(s) + v.computes(s)
	return above + v.services(s, max(3, room-strings.Count(above+notes, "\n"))) + notes
}

// places returns the places of the services, and the monolith's if it is special. It is empty if one
// phase is for all.
func (v *view) places(s local.Status) string {
	names := map[string]string{"shift": "a share", "rest": "keeps the rest"}
	return v.states(s, func(name string) bool { return !onCompute(name) }, "PLACE", names, []string{"monolith", "parallel", "shift", "switched", "rest", "retired", "removed"})
}

// computes returns the services on Fargate or Lambda, or on their way to another compute. It is empty if there are
// none.
func (v *view) computes(s local.Status) string {
	names := map[string]string{}
	for _, state := range migration.ComputeStates() {
		if between, shared := strings.CutSuffix("-"+state, "-shift"); shared {
			names[state] = strings.TrimSpace("a share " + strings.TrimPrefix(between, "-"))
		}
	}
	return v.states(s, onCompute, "COMPUTE", names, migration.ComputeStates())
}

// onCompute says whether a parameter of places has those between kinds of compute. The name of the
// parameter is without the environment.
func onCompute(name string) bool {
	return name == "phase-places-compute" || strings.HasPrefix(name, "phase-places-compute-")
}

// states lists the services in each state that parameters have.
func (v *view) states(s local.Status, of func(parameter string) bool, head string, names map[string]string, order []string) string {
	in := map[string][]string{}
	for _, parameter := range slices.Sorted(maps.Keys(s.Parameters)) {
		_, name, _ := strings.Cut(strings.TrimPrefix(parameter, "/"), "/")
		if name != "phase-places" && !strings.HasPrefix(name, "phase-places-") || !of(name) { // of a further load balancer
			continue
		}
		for part := range strings.SplitSeq(s.Parameters[parameter], ",") {
			if service, place, ok := strings.Cut(part, "="); ok {
				in[place] = append(in[place], service)
			}
		}
	}
	rows := [][]string{{head, "SERVICES"}}
	for _, place := range order {
		if len(in[place]) > 0 {
			rows = append(rows, []string{cmp.Or(names[place], place), few(in[place])})
		}
	}
	if len(rows) == 1 {
		return ""
	}
	return v.table(rows) + "\n"
}

// listeners returns the listeners and their rules, or only the number of rules if brief.
func (v *view) listeners(s local.Status, brief bool) string {
	var b strings.Builder
	for _, listener := range s.Listeners {
		fmt.Fprintf(&b, "%s at %s\n", plain.Line(listenerName(s, listener)), plain.Line(cmp.Or(listener.URL, "not yet")))
		if n := len(listener.Rules); brief && n > 1 {
			fmt.Fprintf(&b, "  %d rules; default %s\n\n", n-1, plain.Line(listener.Rules[n-1].Action))
			continue
		}
		rows := [][]string{}
		for _, rule := range listener.Rules {
			priority, conditions := fmt.Sprint(rule.Priority), strings.Join(rule.Conditions, " and ")
			if rule.Priority == 0 {
				priority, conditions = "default", ""
			}
			rows = append(rows, []string{"  " + priority, conditions, rule.Action})
		}
		b.WriteString(v.table(rows) + "\n")
	}
	return b.String()
}

// warnings returns a line for each warning about the assembly.
func (v *view) warnings(s local.Status) string {
	text := ""
	for _, warning := range s.Warnings {
		text += "\nWarning: " + plain.Line(warning)
	}
	if text != "" {
		text += "\n"
	}
	return text
}

// passedOver returns a line for each reason to pass over settings, with the settings and the containers
// that have them.
func (v *view) passedOver(s local.Status) string {
	var reasons []string
	settings, subjects := map[string][]string{}, map[string][]string{}
	add := func(list map[string][]string, why, one string) {
		if !slices.Contains(list[why], one) {
			list[why] = append(list[why], one)
		}
	}
	for _, over := range s.PassedOver {
		if settings[over.Why] == nil {
			reasons = append(reasons, over.Why)
		}
		add(settings, over.Why, over.Setting)
		add(subjects, over.Why, over.Subject)
	}
	text := ""
	for _, why := range reasons {
		text += "\nPassed over: " + plain.Line(fmt.Sprintf("%s of %s: %s", strings.Join(settings[why], ", "), few(subjects[why]), why))
	}
	if text != "" {
		text += "\n"
	}
	return text
}

// notRun counts the resources that are deployed on AWS only.
func (v *view) notRun(s local.Status) string {
	if len(s.NotRun) == 0 {
		return ""
	}
	count := 0
	for _, n := range s.NotRun {
		count += n
	}
	return fmt.Sprintf("\n%d resources are deployed on AWS only; status --json lists their types.\n", count)
}

// listenerName returns a listener's protocol and port. If several load balancers listen on the
// port, it adds the stack.
func listenerName(s local.Status, l alb.ListenerStatus) string {
	name, of := fmt.Sprintf("%s:%d", l.Protocol, l.Port), ""
	stack, _, _ := strings.Cut(l.Key, "/")
	for _, other := range s.Listeners {
		switch {
		case other.Port != l.Port || other.Key == l.Key:
		case strings.HasPrefix(other.Key, stack+"/"):
			return name + " of " + l.Key
		default:
			of = " of " + stack
		}
	}
	return name + of
}

// summary says what runs and what to try next.
func (v *view) summary(s local.Status, detached bool) {
	var b strings.Builder
	b.WriteString("\n")
	try, path := "", ""
	for _, one := range s.Distributions {
		fmt.Fprintf(&b, "CloudFront %s answers at %s\n", one.Name, one.URL)
	}
	for _, one := range s.APIs {
		fmt.Fprintf(&b, "%s answers at %s\n", apiName(one), one.URL)
	}
	for _, listener := range s.Listeners {
		name := listenerName(s, listener)
		if address, ok := connections(listener); ok {
			fmt.Fprintf(&b, "%s takes connections at %s\n", name, address)
			continue
		}
		fmt.Fprintf(&b, "%s answers at %s\n", name, listener.URL+example(listener))
		if try == "" {
			path = example(listener)
			try = listener.URL + path
			if len(s.APIs) == 1 {
				try = s.APIs[0].URL + path
			}
			if len(s.Distributions) == 1 {
				try = s.Distributions[0].URL + path
			}
			if strings.Contains(name, " ") { // several load balancers have the path
				path = try
			}
		}
	}
	b.WriteString(v.warnings(s) + v.passedOver(s))
	b.WriteString("\nTry\n")
	if try != "" {
		fmt.Fprintf(&b, "  curl %s\n  %s routes %s\n", try, v.program, path)
	}
	if _, err := step.ReadFile(cdkFile); err == nil && len(s.Parameters) > 0 { // the app has phases, and this is the app
		next := "deploy --phase parallel" + v.settings
		if v.places(s)+v.computes(s) != "" {
			next = "phase" // says what comes next for each service
		}
		fmt.Fprintf(&b, "  %s %s\n", v.program, next)
	}
	fmt.Fprintf(&b, "  %s status --watch\n  %[1]s logs -f\n", v.program)
	if detached {
		fmt.Fprintf(&b, "  %s down\n", v.program)
	} else {
		b.WriteString("\nCtrl-C stops it.\n")
	}
	v.print(plain.Visible(b.String()))
}

// connections is the address of a listener that forwards connections, of a Network Load Balancer.
func connections(l alb.ListenerStatus) (address string, ok bool) {
	scheme, address, _ := strings.Cut(l.URL, "://")
	return address, scheme == "tcp" || scheme == "tls"
}

// example returns the path with the most segments that a rule matches by the path alone.
func example(l alb.ListenerStatus) string {
	best := "/"
	for _, rule := range l.Rules {
		conditions := slices.DeleteFunc(slices.Clone(rule.Conditions), model.Dynamic) // what a front adds
		if len(conditions) != 1 {
			continue
		}
		paths, _ := strings.CutPrefix(conditions[0], "path-pattern ")
		for path := range strings.SplitSeq(paths, " or ") {
			path = strings.TrimRight(path, "*")
			usable := strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "*?")
			if usable && (best == "/" || strings.Count(path, "/") > strings.Count(best, "/")) {
				best = path
			}
		}
	}
	return best
}

func (v *view) route(r alb.Route) string {
	var b strings.Builder
	why := strings.ReplaceAll(strings.TrimSpace(r.Explanation), "\n", "\n  ")
	action := r.Action
	if r.Location != "" {
		code, _, _ := strings.Cut(action, " ")
		action = code + " " + r.Location
	}
	asked := r.Request
	if r.LoadBalancer != "" {
		asked += " at " + r.LoadBalancer
	}
	fmt.Fprintf(&b, "%s → %s", plain.Line(asked), v.paint(color.Bold, plain.Line(action)))
	for _, hop := range r.Hops {
		fmt.Fprintf(&b, "\n  %s on %s\n", plain.Line(hop.Request), plain.Line(hop.Front))
		for _, line := range hop.Why {
			fmt.Fprintf(&b, "    %s\n", plain.Line(line))
		}
		fmt.Fprintf(&b, "    %s", plain.Line(hop.Does))
	}
	if why != "" {
		fmt.Fprintf(&b, "\n  %s", plain.Visible(why))
	}
	for _, target := range r.Targets {
		if target.Address == "" {
			fmt.Fprintf(&b, "\n  Lambda function %s is %s", plain.Line(target.ID), v.state(string(target.State)))
			if target.Description != "" {
				fmt.Fprintf(&b, ": %s", plain.Line(target.Description))
			}
			continue
		}
		if target.ID == target.Address { // of what runs already
			fmt.Fprintf(&b, "\n  target %s is %s", target.Address, v.state(string(target.State)))
			continue
		}
		fmt.Fprintf(&b, "\n  target %s at %s is %s", short(target.ID), target.Address, v.state(string(target.State)))
	}
	return b.String() + "\n"
}

func (v *view) logLine(line ecs.LogLine) {
	text := plain.Visible(line.Text)
	if line.Stream == ecs.OwnStream {
		text = v.paint(color.FgYellow, "cutover: "+text)
	}
	fmt.Fprintf(v.out, "%s %s\n", v.paint(color.FgCyan, line.ServiceName+" "+short(line.Task)), text)
}

// table aligns rows in columns and colours the states.
func (v *view) table(rows [][]string) string {
	// The columns are aligned first, because the codes of a colour have no width.
	return stateCell.ReplaceAllStringFunc(align(rows), func(cell string) string {
		state := strings.TrimSpace(cell)
		return strings.Replace(cell, state, v.state(state), 1)
	})
}

// stateCell matches a state in a table. A state is never the first cell of a row.
var stateCell = regexp.MustCompile("(?m) (" + strings.Join(slices.Sorted(maps.Keys(colours)), "|") + ")( |$)")

func align(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = plain.Line(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush()
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

var colours = map[string]color.Attribute{
	"healthy": color.FgGreen, "HEALTHY": color.FgGreen, "RUNNING": color.FgGreen,
	"initial": color.FgYellow, "draining": color.FgYellow, "DEACTIVATING": color.FgYellow, "STOPPING": color.FgYellow, "ACTIVATING": color.FgYellow, "PENDING": color.FgYellow,
	"unhealthy": color.FgRed, "UNHEALTHY": color.FgRed,

	string(canary.OK): color.FgGreen, string(canary.High): color.FgYellow, string(canary.NotEnough): color.FgYellow, string(canary.Worse): color.FgRed,
}

func (v *view) state(state string) string {
	if attribute, ok := colours[state]; ok {
		return v.paint(attribute, state)
	}
	return state
}

// paint colours a text on a terminal, unless NO_COLOR is set (color.NoColor).
func (v *view) paint(attribute color.Attribute, text string) string {
	if text = plain.Line(text); !v.terminal || color.NoColor {
		return text
	}
	return color.New(attribute).Sprint(text)
}
