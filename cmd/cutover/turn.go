package main

import (
	"fmt"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/model"
	"cutover/internal/step"
)

// outOfTurn adds to the error of a deployment on this machine which phase comes next, if the gate of
// the assembly in a directory has refused its phase. The parameters are those before the deployment.
func outOfTurn(refused error, parameters map[string]string, dir string) error {
	a, err := assembly.Read(dir)
	if err != nil {
		return refused
	}
	list, _ := listing.Read(dir) // one phase for all needs no list
	m := list.Migration()
	values := map[string]string{}
	for _, p := range model.Read(a).Parameters {
		values[p.Name] = p.Value
	}
	for name := range values {
		env := environment(name)
		if env == "" {
			continue
		}
		from, err1 := step.Read(m, env, step.Here, parameters)
		to, err2 := step.Read(m, env, step.Here, values)
		if err1 != nil || err2 != nil || !from.Exact || !to.Exact {
			continue // without a gate
		}
		if turn := step.OutOfTurn(m, env, to.Reached, from); turn != nil {
			return fmt.Errorf("%s is out of turn, because %w\n%w", step.Words(m, to.Reached), turn, refused)
		}
	}
	return refused
}

// environment returns the environment whose phase or places a parameter has, by the parameter's name.
// It is empty for other parameters.
func environment(parameter string) string {
	env, name, _ := strings.Cut(strings.TrimPrefix(parameter, "/"), "/")
	if name == "phase" || name == "phase-places" {
		return env
	}
	return ""
}
