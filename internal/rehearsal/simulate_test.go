package rehearsal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"cutover/deployment"
)

// simulate makes the run of a whole migration without waiting for it: a hundred
// seconds at the given rate, with latencies, deployments and targets as a local
// deployment has them. The walk decides who answers; going from retired to
// parallel at once loses what the monolith cannot answer yet.
func simulate(walk []string, rate int, fault bool) *Rehearsal {
	random := rand.New(rand.NewPCG(1, 2))
	r := &Rehearsal{
		Options:    Options{Walk: walk, Rate: rate, Requests: 100 * rate, Dwell: 5 * time.Second, Timeout: 10 * time.Second},
		plan:       planOf(deployment.Forum.Requests...),
		rec:        newRecording(rate),
		baselineBy: []string{"api"},
		began:      time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
	}
	r.Parts = forumParts(walk)
	for i, route := range r.plan.names {
		a := textAnswer(200, "application/json; charset=utf-8", strings.Repeat("x", 40+i*7))
		if strings.HasSuffix(route, "/5") && !strings.Contains(route, "by-user") || strings.HasSuffix(route, "s/4") {
			a = textAnswer(204, "", "")
		}
		r.baseline = append(r.baseline, a)
	}
	event := func(at time.Duration, service, target, state string) {
		r.events = append(r.events, Event{Time: r.began.Add(at), Service: service, Target: target, State: state, Text: "target is " + state})
	}
	others := []string{"users", "threads", "posts"}
	event(-9*time.Second, "api", "api-1", "initial")
	event(-3*time.Second, "api", "api-1", "healthy")
	apiTask := 1
	took := map[string]time.Duration{
		"monolith → parallel": 13200 * time.Millisecond, "parallel → switched": 900 * time.Millisecond,
		"switched → retired": 6100 * time.Millisecond, "retired → switched": 12700 * time.Millisecond,
		"switched → parallel": 800 * time.Millisecond, "parallel → monolith": 5900 * time.Millisecond,
		"retired → parallel": 12900 * time.Millisecond,
	}
	at := time.Duration(0)
	add := func(s span, d time.Duration) span {
		s.begin, s.end = at, at+d
		at += d
		r.spans = append(r.spans, s)
		return s
	}
	total := 100 * time.Second
	moving := time.Duration(0)
	for i := 1; i < len(walk); i++ {
		moving += took[walk[i-1]+" → "+walk[i]]
	}
	if fault {
		moving += 14 * time.Second
	}
	stay := (total - moving) / time.Duration(len(walk))
	for i, phase := range walk {
		if i > 0 {
			s := span{kind: deploying, phase: walk[i-1], next: phase, changes: Changes{
				Traffic: []string{
					"~ dev-Routing LoadBalancerHttpF4A6AC3E Properties.DefaultActions[0].ForwardConfig.TargetGroups[0].Weight 1 -> 0",
					"- dev-Routing ApiRule a listener rule",
				},
				Tasks: []string{"~ dev-Api ServiceD69D759B Properties.DesiredCount 1 -> 0"},
				Others: []string{
					fmt.Sprintf("~ dev-Gate Claim Properties.Value %s -> %s", walk[i-1], phase),
					fmt.Sprintf("~ dev-Phase Phase Properties.Value %s -> %s", walk[i-1], phase),
				},
			}}
			s = add(s, took[s.name()])
			switch {
			case s.name() == "monolith → parallel":
				for k, name := range others {
					id := name + "-1"
					event(s.begin+time.Duration(300+100*k)*time.Millisecond, name, id, "initial")
					event(s.end-time.Duration(900-200*k)*time.Millisecond, name, id, "healthy")
				}
			case phase == "monolith":
				for _, name := range others {
					id := name + "-1"
					if fault && name == "users" {
						id = "users-2"
					}
					event(s.begin+200*time.Millisecond, name, id, "draining")
					event(s.end-300*time.Millisecond, name, id, "unused")
				}
			case phase == "retired":
				id := fmt.Sprintf("api-%d", apiTask)
				event(s.begin+200*time.Millisecond, "api", id, "draining")
				event(s.end-300*time.Millisecond, "api", id, "unused")
			case walk[i-1] == "retired":
				apiTask++
				id := fmt.Sprintf("api-%d", apiTask)
				event(s.begin+200*time.Millisecond, "api", id, "initial")
				event(s.end-100*time.Millisecond, "api", id, "healthy")
			}
		}
		if fault && phase == "switched" && i == 2 {
			add(span{phase: phase}, stay/2)
			f := add(span{kind: harmed, phase: phase, fault: Fault{Kind: "kill", Service: "users"}}, 14*time.Second)
			event(f.begin+50*time.Millisecond, "users", "users-1", "unused")
			event(f.begin+900*time.Millisecond, "users", "users-2", "initial")
			event(f.end-600*time.Millisecond, "users", "users-2", "healthy")
			add(span{phase: phase}, stay/2)
			continue
		}
		add(span{phase: phase}, stay)
	}
	r.end = at

	owner := func(route string) string { return strings.TrimRight(strings.Split(route, "/")[2], "fo") }
	for seq := 0; r.rec.due(seq) < r.end; seq++ {
		due := r.rec.due(seq)
		r.rec.begin(r.began, seq, seq%len(r.plan.routes), false)
		var s span
		for i := range r.spans {
			if s = r.spans[i]; due < s.end {
				r.rec.span = i
				break
			}
		}
		route := seq % len(r.plan.routes)
		service := owner(r.plan.names[route])
		lost := false
		switch s.name() {
		case "monolith", "parallel", "monolith → parallel", "parallel → monolith":
			service = "api"
		case "parallel → switched":
			if due < s.begin+300*time.Millisecond {
				service = "api"
			}
		case "switched → parallel":
			if due > s.begin+350*time.Millisecond {
				service = "api"
			}
		case "retired → parallel":
			if due > s.begin+400*time.Millisecond {
				service = "api"
				lost = due < s.end-100*time.Millisecond
			}
		}
		latency := 0.35 * math.Exp(random.NormFloat64()*0.35)
		if random.IntN(400) == 0 {
			latency += random.Float64() * 9
		}
		if s.kind == deploying && random.IntN(60) == 0 {
			latency += random.Float64() * 25
		}
		record := Record{TraceID: r.rec.traceID(uint64(seq)), Service: service, Target: service + "-1"}
		record.Rule, record.Patterns, record.Group = "rule "+service, []string{"/" + service + "*"}, service
		a := r.baseline[route]
		p := fine
		if s.kind == harmed && service == "users" && due < s.end-600*time.Millisecond {
			lost = true
		}
		if lost {
			a, p = textAnswer(503, "text/html", ""), serverError
			record.Target, record.Reason = "", "no registered target"
			latency = 0.2
		} else {
			record.TargetStatus = a.Status
		}
		record.Status = a.Status
		difference := ""
		if p != fine {
			difference = "status 503, not 200: \"\""
		}
		late := time.Duration(60*random.ExpFloat64()) * time.Microsecond
		r.rec.finish(seq, uint16(a.Status), late, late+time.Duration(latency*float64(time.Millisecond)), p,
			difference)
		r.rec.observe(record)
	}
	return r
}

// forumParts are what requests to the forum come to: until the switch the monolith's rule takes all, and by design the
// default rule answers nobody later.
func forumParts(walk []string) map[string][]Part {
	all := map[string][]Part{}
	for _, phase := range walk {
		var parts []Part
		over := phase == "switched" || phase == "retired"
		for _, name := range []string{"api", "users", "threads", "posts"} {
			idle := ""
			if !over && name != "api" {
				idle = "an earlier rule takes all its requests"
			}
			group := Part{Kind: GroupPart, Name: name, Rules: []string{"rule " + name}, Idle: idle}
			if over && name == "api" {
				group.Rules, group.Idle = nil, "no rule sends requests to it"
			} else {
				parts = append(parts, Part{Kind: RulePart, Name: "rule " + name, Idle: idle},
					Part{Kind: PatternPart, Name: "/" + name + "*", Rules: []string{"rule " + name}, Idle: idle})
			}
			parts = append(parts, group)
		}
		rest := Part{Kind: RulePart, Name: "the default rule"}
		if over {
			rest.Idle, rest.Dropped = "by design nobody answers its requests", true
		}
		all[phase] = append(parts, rest)
	}
	return all
}
