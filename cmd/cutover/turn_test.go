package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/model"
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
	off := parameters("monolith")
	off["/dev/phase-gate/begun/off"] = "off"
	refused := errors.New("a name exists already")
	for _, test := range []struct {
		name       string
		parameters map[string]string
		to, want   string
	}{
		{"left out", parameters("monolith"), "retired", "retired is out of turn, because dev on this machine is in monolith: parallel comes next\n"},
		{"back too far", parameters("retired"), "parallel", "parallel is out of turn, because dev on this machine is in retired: it is the last phase, and switched is the way back\n"},
		{"something else is wrong", parameters("monolith"), "parallel", ""},
		{"with the gate off", off, "retired", ""},
		{"another environment", map[string]string{"/prod/phase": "monolith"}, "retired", ""},
		{"nothing is deployed", nil, "retired", ""},
		{"to one with the gate off", parameters("monolith"), gateless, ""},
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
