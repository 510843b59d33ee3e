package main

import (
	"cmp"
	"fmt"
	"strings"

	"cutover/internal/step"
	"cutover/migration"
)

// text is what "phase" shows.
func (p *phase) text(v *view) string {
	var b strings.Builder
	if p.app.At.Places == nil {
		b.WriteString(v.table(p.phases()) + "\n")
	}
	b.WriteString(v.table(p.services()) + "\n")
	computes := step.ComputeRows(p.app)
	if len(computes) > 0 {
		b.WriteString(v.table(p.computes(computes)) + "\n")
	}
	err := cmp.Or(step.Follows(p.app, p.app.At, p.deployed), step.Check(p.app, p.deployed))
	switch {
	case p.notAsked != nil:
		fmt.Fprintf(&b, "What is deployed on AWS is not known: %v.\n", p.notAsked)
	case !p.deployed.Exists:
		fmt.Fprintf(&b, "%s was not deployed in %s yet, or not to the end.\n", p.env, p.deployed.Region)
	case err != nil:
		fmt.Fprintf(&b, "%v.\n", err)
	default:
		fmt.Fprintf(&b, "Deployed is %s in %s.\n", p.env, p.deployed.Region)
	}
	if phase, uniform := p.uniform(); uniform && err == nil {
		fmt.Fprintf(&b, "Each service is in %[1]s: if you write \"phase\": \"%[1]s\" for all again, nothing moves.\n", phase)
	}
	does := func(to migration.Position, err error) string {
		if err != nil {
			return strings.TrimPrefix(err.Error(), "--compute: ") + ".\n" // the line begins with the flag
		}
		return fmt.Sprintf("to %s\n%s", step.Moved(p.app, to), p.changes(to))
	}
	fmt.Fprintf(&b, "\n%s phase next: %s", v.program, does(step.Next(p.app, nil)))
	fmt.Fprintf(&b, "\n%s phase back: %s", v.program, does(step.Back(p.app, nil)))
	for _, row := range computes {
		if row.To != "" {
			fmt.Fprintf(&b, "\n%s phase next --compute %s: %s", v.program, row.Name, does(step.NextCompute(p.app, []string{row.Name})))
			fmt.Fprintf(&b, "\n%s phase back --compute %s: %s", v.program, row.Name, does(step.BackCompute(p.app, []string{row.Name})))
		}
	}
	return b.String()
}

// uniform returns the phase for all that services with places of their own can pass over to.
func (p *phase) uniform() (phase migration.Phase, uniform bool) {
	at := p.app.At
	if at.Places == nil || at.Phase >= migration.Retired {
		return 0, false
	}
	for _, place := range at.Places {
		if place != (migration.Place{Phase: at.Phase}) {
			return 0, false
		}
	}
	return at.Phase, true
}

// phases is the table of the phases for all.
func (p *phase) phases() [][]string {
	rows := [][]string{{"PHASE", "CDK.JSON", "DEPLOYED"}}
	if p.here.Exists {
		rows[0] = append(rows[0], "THIS MACHINE")
	}
	at, position := p.app.Migration.State(p.app.At), p.app.At
	position.Compute = nil // has a table of its own
	for _, state := range migration.States() {
		in := func(other migration.State) bool {
			return other.Places == "" && other.Phase == state.Phase && other.Shift == state.Shift
		}
		row := []string{state.String(), "", "", ""}
		if in(at) {
			row[0], row[1] = position.String(), "here"
		}
		for column, deployed := range map[int]step.Deployed{2: p.deployed, 3: p.here} {
			if deployed.Exists && in(deployed.Begun) {
				row[column] = "begun"
			}
			if deployed.Exists && in(deployed.Reached) {
				row[column] = "here"
			}
		}
		if !state.Shift || row[1]+row[2]+row[3] != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

// services is the table of the services. It says what is deployed of each if each has a place of its
// own.
func (p *phase) services() [][]string {
	head := []string{"SERVICE", "PLACE"}
	var deployments []step.Deployed
	if p.app.At.Places != nil {
		head, deployments = append(head, "DEPLOYED"), append(deployments, p.deployed)
		if p.here.Exists {
			head, deployments = append(head, "THIS MACHINE"), append(deployments, p.here)
		}
	}
	rows := [][]string{append(head, "WHO ANSWERS", "NEXT")}
	var reached, begun []map[string]string
	for _, d := range deployments {
		reached, begun = append(reached, step.Places(p.app.Migration, d.Reached)), append(begun, step.Places(p.app.Migration, d.Begun))
	}
	for _, r := range step.Rows(p.app) {
		row := []string{r.Name, r.Place}
		for i, d := range deployments {
			cell := ""
			if d.Exists {
				cell = reached[i][r.Name]
				if is := begun[i][r.Name]; is != cell {
					cell += ", " + is + " begun"
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, append(row, r.Answers, r.Next))
	}
	return rows
}

// computes is the table of the services on their way to another compute.
func (p *phase) computes(services []step.ComputeRow) [][]string {
	head := []string{"COMPUTE", "FROM", "TO", "PLACE", "DEPLOYED"}
	deployments := []step.Deployed{p.deployed}
	if p.here.Exists {
		head, deployments = append(head, "THIS MACHINE"), append(deployments, p.here)
	}
	rows := [][]string{append(head, "TASKS", "NEXT")}
	for _, s := range services {
		row := []string{s.Name, s.From, s.To, s.Place}
		for _, d := range deployments {
			cell := ""
			if d.Exists {
				cell = step.Computes(p.app.Migration, d.Reached)[s.Name]
				if is := step.Computes(p.app.Migration, d.Begun)[s.Name]; is != cell {
					cell += ", " + is + " begun"
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, append(row, s.Tasks, s.Next))
	}
	return rows
}

type stepJSON struct {
	Phase   string            `json:"phase"`
	Shift   map[string]int    `json:"shift,omitempty"`
	Places  map[string]string `json:"places,omitempty"`
	Compute map[string]string `json:"compute,omitempty"`
	Changes []string          `json:"changes"`
}

type deployedJSON struct {
	Region string            `json:"region,omitempty"` // empty on this machine
	Phase  string            `json:"phase,omitempty"`  // empty if nothing is deployed
	Begun  string            `json:"begun,omitempty"`  // set if it differs from the phase
	Shift  *bool             `json:"shift,omitempty"`  // nil if unknown, or if there are places
	Places map[string]string `json:"places,omitempty"`
	// Compute has the services that cdk.json or the deployment has on Fargate or Lambda, or on their way.
	Compute map[string]string `json:"compute,omitempty"`
}

func (p *phase) json() any {
	at := p.app.At
	report := struct {
		Env      string            `json:"env"`
		Phase    string            `json:"phase"`
		Shift    map[string]int    `json:"shift,omitempty"`
		Places   map[string]string `json:"places,omitempty"`
		Compute  map[string]string `json:"compute,omitempty"` // the setting
		Deployed *deployedJSON     `json:"deployed,omitempty"`
		NotAsked string            `json:"notAsked,omitempty"`
		Here     *deployedJSON     `json:"thisMachine,omitempty"` // left out if no deployment is up
		Next     *stepJSON         `json:"next,omitempty"`
		Back     *stepJSON         `json:"back,omitempty"`
		Services []step.Row        `json:"services"`           // and the monolith
		Computes []step.ComputeRow `json:"computes,omitempty"` // on Fargate or Lambda, or on their way to another compute
	}{Env: p.env, Phase: at.Phase.String(), Shift: at.Shift, Places: texts(at.Places), Compute: texts(at.Compute), Services: step.Rows(p.app), Computes: step.ComputeRows(p.app)}
	if p.notAsked != nil {
		report.NotAsked = p.notAsked.Error()
	} else {
		report.Deployed = p.state(p.deployed)
	}
	if p.here.Exists {
		report.Here = p.state(p.here)
		report.Here.Region = ""
	}
	taken := func(to migration.Position, err error) *stepJSON {
		if err != nil {
			return nil
		}
		return &stepJSON{to.Phase.String(), to.Shift, texts(to.Places), texts(to.Compute), step.Changes(p.app.Migration, at, to)}
	}
	report.Next, report.Back = taken(step.Next(p.app, nil)), taken(step.Back(p.app, nil))
	return report
}

func (p *phase) state(d step.Deployed) *deployedJSON {
	state := &deployedJSON{Region: d.Region}
	if d.Exists {
		state.Phase = d.Reached.Phase.String()
	}
	if d.Begun != d.Reached {
		state.Begun = d.Begun.String()
	}
	computes := step.Computes(p.app.Migration, d.Reached)
	for name, word := range computes {
		if word == migration.EC2 && p.app.Migration.State(p.app.At).ComputePlace(name) == migration.EC2 {
			delete(computes, name)
		}
	}
	if d.Exists {
		state.Compute = computes
	}
	switch {
	case d.Reached.Places != "":
		state.Places = step.Places(p.app.Migration, d.Reached)
	case d.Exact:
		state.Shift = &d.Reached.Shift
	}
	return state
}

func texts(places map[string]migration.Place) map[string]string {
	texts := map[string]string{}
	for key, place := range places {
		texts[key] = place.String()
	}
	return texts
}
