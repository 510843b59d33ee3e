package review

import (
	"fmt"
	"slices"

	"cutover/config"
	"cutover/internal/model"
	"cutover/internal/plain"
	"cutover/internal/words"
	"cutover/migration"
)

// Clash is a listener rule that has another priority than before, or takes a priority that another
// rule has before. A deployed priority never changes.
//
// CloudFormation creates and updates rules one by one and deletes last, and a listener has a priority
// once: "Priority is currently in use". So with a Holder the deployment fails, for a swap of two
// priorities as well as for a rule under another logical id.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html
type Clash struct {
	Stack    string   `json:"stack"`
	In       []string `json:"in"`
	Rule     string   `json:"rule"`
	Priority int      `json:"priority"`
	// Was is the rule's priority before; 0 for a new rule.
	Was int `json:"was,omitempty"`
	// Holder is the rule that has the priority before; empty if the priority is free.
	Holder string `json:"holder,omitempty"`
	// Swaps says that the holder takes the rule's priority.
	Swaps bool `json:"swaps,omitempty"`
	// Of and HolderOf are the services or routes of the rules, as in "users/writes". Empty if the
	// rules are not those of listed services.
	Of       string `json:"of,omitempty"`
	HolderOf string `json:"holderOf,omitempty"`
}

// Clashes are the rules of all pairs whose priorities change or are another rule's. The services
// before and after the change give their names.
func Clashes(pairs []Pair, services ...migration.Migration) []Clash {
	found := []Clash{}
	for _, pair := range pairs {
		for _, clash := range clashesOf(pair) {
			same := slices.IndexFunc(found, func(c Clash) bool {
				return c.Stack == clash.Stack && c.Rule == clash.Rule && c.Was == clash.Was && c.Priority == clash.Priority && c.Holder == clash.Holder
			})
			if same < 0 {
				found = append(found, clash)
				same = len(found) - 1
			}
			found[same].In = append(found[same].In, pair.Name)
		}
	}
	keys := ruleKeys(services)
	for i, c := range found {
		found[i].Of, found[i].HolderOf = keys[c.Rule], keys[c.Holder]
	}
	return found
}

// clashesOf are the clashes of one pair.
func clashesOf(pair Pair) (found []Clash) {
	type place struct {
		listener string
		priority int
	}
	holders, was, is := map[place]*model.Rule{}, map[string]*model.Rule{}, map[string]int{}
	for _, rule := range model.Read(pair.Before).Rules {
		if rule.Listener != nil && rule.Priority > 0 {
			holders[place{rule.Listener.Key(), rule.Priority}] = rule
			was[rule.Key()] = rule
		}
	}
	after := slices.DeleteFunc(model.Read(pair.After).Rules, func(r *model.Rule) bool { return r.Listener == nil || r.Existing() })
	for _, rule := range after {
		is[rule.Key()] = rule.Priority
	}
	for _, rule := range after {
		clash := Clash{Stack: rule.Resource.Stack.Name, Rule: rule.Resource.Name(), Priority: rule.Priority}
		holder := holders[place{rule.Listener.Key(), rule.Priority}]
		if holder != nil && holder.Key() == rule.Key() {
			continue
		}
		if before := was[rule.Key()]; before != nil && before.Listener.Key() == rule.Listener.Key() {
			clash.Was = before.Priority
		}
		if holder != nil {
			clash.Holder = holder.Resource.Name()
			clash.Swaps = clash.Was > 0 && is[holder.Key()] == clash.Was
		}
		if clash.Was > 0 || holder != nil {
			found = append(found, clash)
		}
	}
	return found
}

// ruleKeys are the services or routes of listener rules, by the names of the rules' constructs.
func ruleKeys(services []migration.Migration) map[string]string {
	keys := map[string]string{}
	for _, m := range services {
		for _, s := range m.Services {
			keys[config.RuleID(s.Name, "", "Root")] = s.Name
			for _, r := range s.Routes {
				for _, id := range []string{"Testers", "Shift", "Service"} {
					keys[config.RuleID(s.Name, r.Name, id)] = migration.Key(s.Name, r.Name)
				}
			}
		}
	}
	return keys
}

// Renewal is a deployed route whose listener rules are created anew, because the route has another
// name, or its service another load balancer.
type Renewal struct {
	// Route and Was are the route after and before, as in "users/writes".
	Route string `json:"route"`
	Was   string `json:"was"`
	// LoadBalancer and WasAt are empty for the first load balancer.
	LoadBalancer string `json:"loadBalancer"`
	WasAt        string `json:"wasAt"`
}

// Renewals are the routes whose rules are created anew between two lists of services.
func Renewals(before, after migration.Migration) []Renewal {
	found := []Renewal{}
	for _, s := range after.Services {
		i := slices.IndexFunc(before.Services, func(other migration.Service) bool { return other.Name == s.Name })
		if i < 0 {
			continue
		}
		was := before.Services[i]
		for _, r := range s.Routes {
			old := r
			if !has(was.Routes, r.Name) {
				// A route that is gone, and has the same rule, was renamed.
				j := slices.IndexFunc(was.Routes, func(o migration.Route) bool { return !has(s.Routes, o.Name) && alike(o, r) })
				if j < 0 {
					continue
				}
				old = was.Routes[j]
			}
			if old.Name != r.Name || was.LoadBalancer != s.LoadBalancer {
				found = append(found, Renewal{migration.Key(s.Name, r.Name), migration.Key(s.Name, old.Name), s.LoadBalancer, was.LoadBalancer})
			}
		}
	}
	return found
}

func has(routes []migration.Route, name string) bool {
	return slices.ContainsFunc(routes, func(r migration.Route) bool { return r.Name == name })
}

// alike tells whether two routes take the same requests, or have the same place among the rules.
func alike(a, b migration.Route) bool {
	return a.Order == b.Order || a.Match.String() == b.Match.String()
}

// rules says which deployed rules the change must leave alone.
func (r *Report) rules() string {
	text := ""
	if len(r.Clashes) > 0 {
		rows := [][]string{{"stack", "rule", "of", "priority before", "after", "which has", "where"}}
		for _, c := range r.Clashes {
			before, holder := "", plain.Code(c.Holder)
			if c.Was > 0 {
				before = fmt.Sprint(c.Was)
			}
			if c.HolderOf != "" {
				holder += " of " + plain.Markdown(c.HolderOf)
			}
			rows = append(rows, []string{plain.Markdown(c.Stack), plain.Code(c.Rule), plain.Markdown(c.Of), before, fmt.Sprint(c.Priority), holder, plain.Markdown(r.in(c.In))})
		}
		text = Table(rows) + "\n"
	}
	var advice []string
	add := func(line string) {
		if line = "- " + line + "\n"; !slices.Contains(advice, line) {
			advice = append(advice, line)
		}
	}
	for _, c := range r.Clashes {
		// A renewal says it better.
		if !slices.ContainsFunc(r.Renewals, func(n Renewal) bool { return n.Route != n.Was && n.Route == c.Of && n.Was == c.HolderOf }) {
			add(c.advice())
		}
	}
	for _, n := range r.Renewals {
		add(n.advice())
	}
	for _, line := range advice {
		text += line
	}
	if r.taken() > 0 {
		text += "\nCloudFormation updates rule by rule, and deletes last. A listener never has a priority twice, so the deployment fails.\n"
	}
	return text
}

// taken counts the rules that take a priority of another rule.
func (r *Report) taken() (n int) {
	for _, c := range r.Clashes {
		if c.Holder != "" {
			n++
		}
	}
	return n
}

// advice says what to do about a clash.
func (c Clash) advice() string {
	subject := func(of, rule string) string {
		if of != "" {
			return plain.Markdown(of)
		}
		return plain.Code(rule)
	}
	one, other := subject(c.Of, c.Rule), subject(c.HolderOf, c.Holder)
	switch {
	case c.Swaps:
		if other < one {
			one, other = other, one
		}
		return fmt.Sprintf("%s and %s swap their priorities: keep the `Order` of each. If they have to swap, give one of them a free `Order` and deploy. Then change both, and deploy again.", one, other)
	case c.Was > 0:
		return fmt.Sprintf("%s has a deployed priority, which never changes: keep its `Order`.", one)
	}
	return fmt.Sprintf("%s takes the priority of %s: give %[1]s a free `Order`. If it is %[2]s under another name, keep the name.", one, other)
}

// advice says what a renewal does, and what to do instead.
func (n Renewal) advice() string {
	if n.Route != n.Was {
		return fmt.Sprintf("%s was %s: its rules are created under another name, and the deployed ones are deleted. Its place in the migration begins anew. Keep the name of a deployed route.",
			plain.Markdown(n.Route), plain.Markdown(n.Was))
	}
	return fmt.Sprintf("%s moves from the %s to the %s: its rules and its target group are created there, and deleted where they are. Clients reach it by the other host name only. The gate does not compare its place with the one before. Move a service in monolith or parallel, while it has no requests.",
		plain.Markdown(n.Route), balancer(n.WasAt), balancer(n.LoadBalancer))
}

func balancer(name string) string {
	if name == "" {
		return "first load balancer"
	}
	return "load balancer " + plain.Markdown(name)
}

// changed says in the headline which priorities change, and whether the deployment fails.
func (r *Report) changed() (lines []string) {
	if n := r.taken(); n > 0 {
		lines = append(lines, fmt.Sprintf("**The deployment will fail: %s a priority that another rule has.**", takes(n)))
	}
	if n := len(r.Clashes) - r.taken(); n > 0 {
		lines = append(lines, fmt.Sprintf("**A deployed priority never changes, and %s.**", changes(n)))
	}
	if n := len(r.Renewals); n > 0 {
		lines = append(lines, fmt.Sprintf("**The rules of %s are created anew.**", words.Count(n, "deployed route")))
	}
	return lines
}

func takes(rules int) string {
	if rules == 1 {
		return "1 listener rule takes"
	}
	return fmt.Sprintf("%d listener rules take", rules)
}

func changes(rules int) string {
	if rules == 1 {
		return "that of 1 listener rule does"
	}
	return fmt.Sprintf("those of %d listener rules do", rules)
}
