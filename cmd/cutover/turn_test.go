package main

import (
	"errors"
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
		{"no assembly", parameters("monolith"), "nowhere", ""},
	} {
		err := outOfTurn(refused, test.parameters, filepath.Join(golden, test.to))
		if !errors.Is(err, refused) || err.Error() != test.want+refused.Error() {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
