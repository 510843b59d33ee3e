package rehearsal

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/plain"
)

// The kinds of parts, in the order of reports.
const (
	RulePart    = "rule"
	PatternPart = "path pattern"
	GroupPart   = "target group"
	methodPart  = "method" // of the requests that a workload knows
)

// Part is something that requests come to, in one phase.
type Part struct {
	// Kind is [RulePart], [PatternPart] or [GroupPart].
	Kind string
	// Name is the one that a [Record] has. No other part of the kind has the name.
	Name string
	// Rules are the names of the rules by which requests come to a pattern or a group.
	Rules []string
	// Idle says why no request has to come here in this phase. Empty: one has to.
	Idle string
	// Dropped says that by design nobody answers here in this phase. Then no request has to come in other phases, either.
	Dropped bool
}

// Coverage says how often the load came to each part of the deployment.
type Coverage struct {
	// Phases are the phases that were reached, each once.
	Phases []string `json:"phases"`
	// Parts are those of all these phases. What is missing comes first.
	Parts []Covered `json:"parts"`
}

// Covered is a part with the requests that came to it.
type Covered struct {
	// Kind is "rule", "path pattern", "target group" or "method".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// State is "not asked", "asked in part", "says nothing", "intended" or "asked".
	State string `json:"state"`
	// Requests counts those during deployments, too.
	Requests int `json:"requests"`
	// ByPhase counts requests by [Coverage.Phases]. It is null where a phase does not have the part.
	ByPhase []*int `json:"by_phase"`
	// Missing are the phases in which requests have to come and none came.
	Missing []string `json:"missing"`
	// Remark explains the state. It may be empty.
	Remark string `json:"remark"`
}

// The states of a part. Reports have them in this order.
const (
	notAsked    = "not asked"
	partlyAsked = "asked in part"
	saysNothing = "says nothing"
	wasIntended = "intended"
	wasAsked    = "asked"
)

var (
	byState = []string{notAsked, partlyAsked, saysNothing, wasIntended, wasAsked}
	kinds   = []string{RulePart, PatternPart, GroupPart, methodPart}
)

// title is what gaps call the part.
func (c Covered) title() string {
	if c.Kind == RulePart {
		return c.Name
	}
	return c.Kind + " " + c.Name
}

// passage is what a request went through: parts, by their names.
type passage struct{ rule, patterns, group string }

// patternBreak is between the patterns of a passage.
const patternBreak = "\n"

// counted tells apart the requests that are counted for coverage. The phase is below 0 during a deployment.
type counted struct {
	*passage
	route uint16
	phase int
}

// tellsNothing says whether a status says nothing about the service that gives it: it refuses clients, finds nothing, or
// sends them elsewhere.
func tellsNothing(status int) bool {
	return slices.Contains([]int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	}, status)
}

// bare returns the statuses of a route in the first phase if they say nothing about the service, as in "401 or 404".
func (a *analysis) bare(route int) string {
	var all []int
	for status := range a.firstStatuses[route] {
		if !tellsNothing(int(status)) {
			return ""
		}
		all = append(all, int(status))
	}
	slices.Sort(all)
	var texts []string
	for _, status := range all {
		texts = append(texts, strconv.Itoa(status))
	}
	return strings.Join(texts, " or ")
}

// part is a part over all phases, in the making.
type part struct {
	Covered
	in      []*Part  // by phase; nil where the phase does not have it
	bare    []string // statuses of its requests in the first phase
	telling bool     // says that one of the requests says something about a service, or comes to none
}

// asked says whether requests came in a phase.
func (p *part) asked(phase int) bool { return p.ByPhase[phase] != nil && *p.ByPhase[phase] > 0 }

func (p *part) saysNothing() bool { return p.Requests > 0 && !p.telling }

// coverage is a report's coverage in the making.
type coverage struct {
	Coverage
	first string // phase of the walk
	parts map[[2]string]*part
	order []*part
}

// part is the part of a kind and a name.
func (c *coverage) part(kind, name string) *part {
	key := [2]string{kind, name}
	if c.parts[key] == nil {
		c.parts[key] = &part{Covered: Covered{Kind: kind, Name: name, ByPhase: make([]*int, len(c.Phases))}, in: make([]*Part, len(c.Phases))}
		c.order = append(c.order, c.parts[key])
	}
	return c.parts[key]
}

// coverage counts the requests to each part. It returns the gaps, and what is not asked by intention, a line each.
func (a *analysis) coverage() (result Coverage, gaps, intended []string) {
	c := &coverage{Coverage: Coverage{Phases: a.phases}, first: a.Walk[0], parts: map[[2]string]*part{}}
	for i, phase := range a.phases {
		for _, one := range a.Parts[phase] {
			p := c.part(one.Kind, plain.Line(one.Name))
			p.in[i], p.ByPhase[i] = &Part{Rules: visible(one.Rules), Idle: one.Idle, Dropped: one.Dropped}, new(int)
		}
	}
	known := slices.Concat(a.plan.routes, a.plan.Unsent)
	for _, stream := range a.plan.Streams {
		known = append(known, stream.Route())
	}
	for _, request := range known {
		p := c.part(methodPart, request.method())
		for i := range a.phases {
			p.in[i], p.ByPhase[i] = &Part{}, new(int)
		}
	}
	for key, n := range a.covered {
		c.count(key, n, a.plan.routes[key.route].method(), a.bare(int(key.route)))
	}
	a.countStreams(c)
	for _, p := range c.order {
		gaps = append(gaps, c.judge(p)...)
		if p.Kind == RulePart && p.State == wasIntended {
			intended = append(intended, p.title()+": "+p.Remark)
		}
		c.Parts = append(c.Parts, p.Covered)
	}
	slices.SortStableFunc(c.Parts, func(x, y Covered) int {
		return cmp.Or(slices.Index(byState, x.State)-slices.Index(byState, y.State), slices.Index(kinds, x.Kind)-slices.Index(kinds, y.Kind))
	})
	return c.Coverage, gaps, intended
}

// count counts requests that went the same way.
func (c *coverage) count(key counted, n int, method, bare string) {
	add := func(kind, name string) {
		p := c.parts[[2]string{kind, name}]
		if p == nil {
			return
		}
		p.Requests += n
		if key.phase >= 0 && p.ByPhase[key.phase] != nil {
			*p.ByPhase[key.phase] += n
		}
		p.telling = p.telling || bare == "" || key.passage == nil || key.group == ""
		if !slices.Contains(p.bare, bare) {
			p.bare = append(p.bare, bare)
		}
	}
	add(methodPart, method)
	if key.passage == nil {
		return
	}
	add(RulePart, key.rule)
	add(GroupPart, key.group)
	for pattern := range strings.SplitSeq(key.patterns, patternBreak) {
		add(PatternPart, pattern)
	}
}

// judge finds the state of a part, and returns its gaps. What lacks requests because a rule lacks them is no gap beside
// that of the rule.
func (c *coverage) judge(p *part) (gaps []string) {
	var open []string // phases in which the part lacks requests that its rules have
	needed, dropped := false, false
	byRules := func(phase int, has func(rule *part) bool) bool {
		return len(p.in[phase].Rules) == 0 || slices.ContainsFunc(p.in[phase].Rules, func(name string) bool {
			rule := c.parts[[2]string{RulePart, name}]
			return rule != nil && has(rule)
		})
	}
	nothing := false
	for i, in := range p.in {
		if in == nil {
			continue
		}
		dropped = dropped || in.Dropped
		nothing = nothing || byRules(i, func(rule *part) bool { return rule.asked(i) && !rule.saysNothing() })
		if in.Idle != "" || in.Dropped {
			continue
		}
		needed = true
		if p.asked(i) {
			continue
		}
		p.Missing = append(p.Missing, c.Phases[i])
		if byRules(i, func(rule *part) bool { return rule.asked(i) }) {
			open = append(open, c.Phases[i])
		}
	}
	gap := func(format string, a ...any) { gaps = append(gaps, p.title()+": "+fmt.Sprintf(format, a...)) }
	switch {
	case p.Kind == methodPart && p.Requests > 0:
		p.State, p.Missing = wasAsked, nil
	case p.Kind == methodPart:
		p.State, p.Remark, p.Missing = notAsked, "its requests are not sent", c.Phases
	case p.Requests == 0 && (dropped || !needed):
		p.State, p.Remark, p.Missing = wasIntended, c.idle(p), nil
	case p.Requests == 0:
		p.State = notAsked
		if len(open) > 0 {
			gap("no request came to this %s", p.Kind)
		}
	case p.saysNothing():
		slices.Sort(p.bare)
		p.State, p.Remark = saysNothing, fmt.Sprintf("%s in %s says nothing about the service", strings.Join(p.bare, " or "), c.first)
		if nothing {
			gap("its requests get %s in %s, which says nothing about the service", strings.Join(p.bare, " or "), c.first)
		}
	case len(p.Missing) > 0:
		p.State, p.Remark = partlyAsked, "not in "+strings.Join(p.Missing, ", ")
		if len(open) > 0 {
			gap("no request came to this %s in %s", p.Kind, names(open))
		}
	default:
		p.State = wasAsked
	}
	return gaps
}

// idle says why no request has to come to a part.
func (c *coverage) idle(p *part) string {
	var whys []string
	in := map[string][]string{}
	for i, one := range p.in {
		if one == nil || one.Idle == "" {
			continue
		}
		if in[one.Idle] == nil {
			whys = append(whys, one.Idle)
		}
		in[one.Idle] = append(in[one.Idle], c.Phases[i])
	}
	for i, why := range whys {
		whys[i] = why + " in " + strings.Join(in[why], ", ")
	}
	return strings.Join(whys, "; ")
}

// String counts the parts that were asked, as in "5 of 6 rules, 3 of 3 methods were asked". What is intended does not
// count.
func (c Coverage) String() string {
	var texts []string
	for _, kind := range kinds {
		asked, all := 0, 0
		for _, p := range c.Parts {
			if p.Kind != kind || p.State == wasIntended {
				continue
			}
			all++
			if p.State == wasAsked {
				asked++
			}
		}
		if all > 0 {
			texts = append(texts, fmt.Sprintf("%s of %s", group(asked), count(all, kind)))
		}
	}
	return strings.Join(texts, ", ")
}

// bare says which routes say nothing about the service, a line for each status.
func (r *Report) bare() (lines []string) {
	routes := map[int][]string{}
	for _, route := range r.Routes {
		if route.Bare {
			routes[route.Status] = append(routes[route.Status], route.Name)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(routes)) {
		lines = append(lines, fmt.Sprintf("%d in %s, to %s", status, r.BaselinePhase, names(routes[status])))
	}
	return lines
}
