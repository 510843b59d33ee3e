package step

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/words"
)

// Alone is the deployment of one service without the rest of the app.
type Alone struct {
	// Stacks are those of the service: of its ECS service, of its function, or both.
	Stacks []string
	// Differ are those of them whose template is not the one that is deployed.
	Differ []string
}

// NewAlone refuses to deploy a service alone if a stack that is not the service's own differs from what is
// deployed. Deployed has the texts of the deployed templates, by stack; where says whose they are.
func NewAlone(app App, service string, stacks []*assembly.Stack, deployed map[string]string, where string) (Alone, error) {
	var names []string
	for _, one := range app.Deployment.All() {
		names = append(names, one.Name)
	}
	if !slices.Contains(names, service) {
		return Alone{}, fmt.Errorf("there is no service %q: %s", service, words.Choice(names))
	}
	own := []string{app.Env + "-" + config.Pascal(service)}
	own = append(own, own[0]+"Function")
	var alone Alone
	var changed, missing []string
	for _, stack := range stacks {
		text, exists := deployed[stack.Name]
		differs := !exists || normal(stack.Template) != normalText(text)
		switch {
		case slices.Contains(own, stack.Name):
			alone.Stacks = append(alone.Stacks, stack.Name)
			if differs {
				alone.Differ = append(alone.Differ, stack.Name)
			}
		case !exists:
			missing = append(missing, stack.Name)
		case differs:
			changed = append(changed, stack.Name)
		}
	}
	switch {
	case len(alone.Stacks) == 0:
		return alone, fmt.Errorf("the assembly has no stack %s", own[0])
	case len(changed)+len(missing) > 0:
		var why []string
		if len(changed) > 0 {
			why = append(why, "differ from what is deployed: "+strings.Join(changed, ", "))
		}
		if len(missing) > 0 {
			why = append(why, "are not deployed: "+strings.Join(missing, ", "))
		}
		return alone, fmt.Errorf("%s cannot be deployed alone to %s, because other stacks %s. Deploy everything, or take back what changes them", service, where, strings.Join(why, "; others "))
	}
	return alone, nil
}

// normalText is the normal form of a template's text. What is no JSON is the template of no assembly.
func normalText(text string) string {
	var template any
	if err := json.Unmarshal([]byte(text), &template); err != nil {
		return ""
	}
	return normal(template)
}

// normal writes templates alike that are deployed alike. CloudFormation gives each character back that is not
// in ASCII as "?", as `cdk diff` knows.
func normal(template any) string {
	text, _ := json.Marshal(template) // was decoded from JSON
	return strings.Map(func(r rune) rune {
		if r > 0x7f {
			return '?'
		}
		return r
	}, string(text))
}
