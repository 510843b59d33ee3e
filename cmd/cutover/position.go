package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"cutover/internal/listing"
	"cutover/internal/step"
	"cutover/migration"
)

// positionText is the name of a stop in a position.
func positionText(m migration.Migration, at migration.Position) string {
	text := phaseText(m, at)
	if len(at.Compute) > 0 {
		text += "+" + strings.NewReplacer("=", "@", ",", "+").Replace(at.ComputeText())
	}
	return text
}

// phaseText is a position as the setting phase takes it. It leaves out services in monolith,
// and routes in the place of their service.
func phaseText(m migration.Migration, at migration.Position) string {
	if at.Places == nil {
		return at.Phase.String()
	}
	var parts []string
	for _, service := range m.Services {
		all, unnamed, same := at.Place(service.Name, service.Routes[0].Name), false, true
		for _, route := range service.Routes {
			same = same && at.Place(service.Name, route.Name) == all
			unnamed = unnamed || route.Name == ""
		}
		switch {
		case unnamed:
			all = at.Place(service.Name, "")
		case !same:
			all = migration.Place{}
		}
		if all != (migration.Place{}) {
			parts = append(parts, service.Name+"="+all.String())
		}
		for _, route := range service.Routes {
			if place := at.Place(service.Name, route.Name); place != all {
				parts = append(parts, migration.Key(service.Name, route.Name)+"="+place.String())
			}
		}
	}
	if len(parts) == 0 && len(m.Services) > 0 {
		parts = append(parts, m.Services[0].Name+"="+migration.Monolith.String())
	}
	slices.Sort(parts)
	if at.Phase >= migration.Retired {
		parts = append(parts, m.Monolith.Name+"="+at.Phase.String())
	}
	return strings.Join(parts, ",")
}

// contextOf reads the context of a cdk.json. There is none if the file is missing or damaged: the
// synthesis says what is wrong with the file.
func contextOf(path string) map[string]any {
	var file struct{ Context map[string]any }
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &file) != nil || file.Context == nil {
		return map[string]any{}
	}
	return file.Context
}

// checkPosition refuses a phase, places and other settings that the app would refuse after a
// synthesis. It can do so only if the last synthesis has left a list of the services that is not
// older than its source.
func checkPosition(pairs []string) error {
	list, ok := freshList()
	if len(pairs) == 0 || !ok {
		return nil
	}
	settings := contextOf(cdkFile)
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		settings[key] = value
	}
	if _, err := step.ReadContext(list.Deployment, settings, ""); err != nil {
		return fmt.Errorf("the app refuses %s with the settings in %s:\n%w", strings.Join(pairs, " and "), cdkFile, err)
	}
	return nil
}

// freshList is the list of services of the last synthesis, if it is not older than its source.
func freshList() (list listing.List, ok bool) {
	list, err := listing.Read("cdk.out")
	if err != nil {
		return list, false
	}
	changed, err := list.Changed(".")
	return list, changed == "" && err == nil
}

// phaseOf is the setting phase of a context, with its default.
func phaseOf(context map[string]any) any {
	if phase := context["phase"]; phase != nil {
		return phase
	}
	return migration.Monolith.String()
}
