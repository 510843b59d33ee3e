package review

import (
	"fmt"
	"slices"

	"cutover/internal/model"
	"cutover/internal/plain"
)

// Clash is a listener rule that takes a priority that another rule has before. CloudFormation
// creates and updates rules one by one and deletes last, and a listener has a priority once:
// "Priority is currently in use". So the deployment fails, for a swap of two priorities as well as
// for a rule under another logical id.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html
type Clash struct {
	Stack    string   `json:"stack"`
	In       []string `json:"in"`
	Rule     string   `json:"rule"`
	Priority int      `json:"priority"`
	// Holder is the rule that has the priority before.
	Holder string `json:"holder"`
}

// Clashes are the rules of all pairs that take a priority of another rule.
func Clashes(pairs []Pair) []Clash {
	type place struct {
		listener string
		priority int
	}
	found := []Clash{}
	for _, pair := range pairs {
		before := map[place]*model.Rule{}
		for _, rule := range model.Read(pair.Before).Rules {
			if rule.Listener != nil && rule.Priority > 0 {
				before[place{rule.Listener.Key(), rule.Priority}] = rule
			}
		}
		for _, rule := range model.Read(pair.After).Rules {
			if rule.Listener == nil {
				continue
			}
			holder := before[place{rule.Listener.Key(), rule.Priority}]
			if holder == nil || holder.Key() == rule.Key() {
				continue
			}
			clash := Clash{Stack: rule.Resource.Stack.Name, Rule: rule.Resource.Name(), Priority: rule.Priority, Holder: holder.Resource.Name()}
			same := slices.IndexFunc(found, func(c Clash) bool {
				return c.Stack == clash.Stack && c.Rule == clash.Rule && c.Priority == clash.Priority && c.Holder == clash.Holder
			})
			if same < 0 {
				found = append(found, clash)
				same = len(found) - 1
			}
			found[same].In = append(found[same].In, pair.Name)
		}
	}
	return found
}

func (r *Report) clashes() string {
	rows := [][]string{{"stack", "rule", "takes priority", "which has", "where"}}
	for _, c := range r.Clashes {
		rows = append(rows, []string{plain.Markdown(c.Stack), plain.Code(c.Rule), fmt.Sprint(c.Priority), plain.Code(c.Holder), plain.Markdown(r.in(c.In))})
	}
	return Table(rows) + "\nCloudFormation updates rule by rule, and deletes last. A listener never has a priority twice, so the deployment fails.\n" +
		"To swap the `Order` of two services, give one of them a free `Order` and deploy. Then change both, and deploy again.\n"
}
