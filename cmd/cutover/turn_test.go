package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"cutover/config"
	"cutover/deployment"
	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/model"
	"cutover/migration"
)

func TestOutOfTurn(t *testing.T) {
	parameters := func(phase string) map[string]string {
		a, err := assembly.Read(filepath.Join(golden, phase))
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for _, p := range model.Read(a).Parameters {
			values[p.Name] = p.Value
		}
		return values
	}
	gateless := t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `{"artifacts": {"dev-Phase": {"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": {"templateFile": "t.json"}}}}`,
		"t.json": `{"Resources": {
			"Phase": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/dev/phase", "Type": "String", "Value": "retired"}},
			"GateIsOff": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/dev/phase-gate/begun/off", "Type": "String", "Value": "off"}}}}`,
	} {
		if err := os.WriteFile(filepath.Join(gateless, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// an assembly with a list of services that have places of their own
	places := func(text string) (dir string, values map[string]string) {
		phase, compute := splitPosition(text)
		list := deployment.Forum
		if compute != "" {
			list = movingForum("users", "posts")
		}
		d, settings, err := config.Load(list, map[string]any{"phase": phase, "compute": compute}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		dir, values = t.TempDir(), map[string]string{}
		m, artifacts := d.Migration(), map[string]any{}
		for _, lock := range m.Locks(m.State(settings.Position)) {
			for stack, parameters := range map[string][]migration.Parameter{"dev-Gate" + lock.Balancer: lock.Gate, "dev-Phase" + lock.Balancer: lock.Last} {
				resources := map[string]any{}
				for _, p := range parameters {
					values["/dev/"+p.Name] = p.Value
					resources[p.ID] = map[string]any{"Type": "AWS::SSM::Parameter", "Properties": map[string]any{"Name": "/dev/" + p.Name, "Type": "String", "Value": p.Value}}
				}
				artifacts[stack] = map[string]any{"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": map[string]any{"templateFile": stack + ".json"}}
				write(t, filepath.Join(dir, stack+".json"), map[string]any{"Resources": resources})
			}
		}
		write(t, filepath.Join(dir, "manifest.json"), map[string]any{"artifacts": artifacts})
		if err := listing.Write(dir, dir, d); err != nil {
			t.Fatal(err)
		}
		return dir, values
	}
	usersAlone, usersAloneHere := places("users=switched")
	tenthOnFargate, tenthOnFargateHere := places("switched+users@10%")
	retiredOnEC2, _ := places("switched+posts@parallel+users@retired")
	otherPhase, _ := places("retired+users@retired")
	tooFar, _ := places("removed+users@10%")
	_, eachMonolithHere := places("users=monolith")
	_, usersParallelHere := places("users=parallel")
	parallel, _ := places("parallel")
	_, eachParallelHere := places("users=parallel,posts=parallel,threads=parallel")
	off := parameters("monolith")
	off["/dev/phase-gate/begun/off"] = "off"
	refused := errors.New("a name exists already")
	for _, test := range []struct {
		name       string
		parameters map[string]string
		to, want   string
	}{
		{"left out", parameters("monolith"), "retired", "retired is out of turn, because dev on this machine is in monolith: parallel comes next\n"},
		{"back too far", parameters("retired"), "parallel", "parallel is out of turn, because dev on this machine is in retired: removed comes next, or switched to go back\n"},
		{"something else is wrong", parameters("monolith"), "parallel", ""},
		{"with the gate off", off, "retired", ""},
		{"another environment", map[string]string{"/prod/phase": "monolith"}, "retired", ""},
		{"nothing is deployed", nil, "retired", ""},
		{"to one with the gate off", parameters("monolith"), gateless, ""},
		{"a service on its way", usersParallelHere, usersAlone, ""},
		{"a service that leaves a place out", eachMonolithHere, usersAlone, "posts=monolith, threads=monolith, users=switched is out of turn, because dev on this machine has users in monolith: parallel comes next\n"},
		{"one phase for all after places", usersAloneHere, parallel, "parallel is out of turn, because dev on this machine is in posts=monolith, threads=monolith, users=switched, a place for each service: one phase for all follows once each service has the same place, and no share, and is that place first\n"},
		{"one phase for all after the same places", eachParallelHere, parallel, ""},
		{"places after one phase for all", parameters("parallel"), usersAlone, "posts=monolith, threads=monolith, users=switched is out of turn, because dev on this machine is in parallel, one phase for all: first deploy the same for each service, posts=parallel, threads=parallel, users=parallel, which moves nothing\n"},
		{"the same share on Fargate", tenthOnFargateHere, tenthOnFargate, ""},
		{"a service that leaves a place out on its way to Fargate", tenthOnFargateHere, retiredOnEC2, "switched, compute users=retired, posts=parallel is out of turn, because dev on this machine has users in shift on its way to fargate: switched comes next, or parallel to go back\n"},
		{"and goes on with the phase", tenthOnFargateHere, otherPhase, "retired, compute users=retired, posts=stopped is out of turn, because dev on this machine has users in shift on its way to fargate: switched comes next, or parallel to go back\n"},
		{"the phase alone", tenthOnFargateHere, tooFar, "removed, compute users=shift, posts=stopped is out of turn, because dev on this machine is in switched: retired comes next, or parallel to go back\n"},
		{"no assembly", parameters("monolith"), "nowhere", ""},
	} {
		if !filepath.IsAbs(test.to) {
			test.to = filepath.Join(golden, test.to)
		}
		err := outOfTurn(refused, test.parameters, test.to)
		if !errors.Is(err, refused) || err.Error() != test.want+refused.Error() {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// write writes a value as JSON.
func write(t *testing.T, file string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
