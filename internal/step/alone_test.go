package step_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/assembly"
	"cutover/internal/step"
)

// A service is deployed alone if no stack but its own differs from what is deployed.
func TestAlone(t *testing.T) {
	app, err := step.ReadContext(given, map[string]any{"phase": "parallel"}, "")
	if err != nil {
		t.Fatal(err)
	}
	const names = "dev-Routing dev-Users dev-UsersFunction dev-Usersettings dev-Watch"
	tests := []struct {
		service, stacks string            // the assembly's; default: names
		deployed        map[string]string // other texts than the stack's own template; "" for no such stack
		want            step.Alone
		err             string
	}{
		{service: "users", want: step.Alone{Stacks: []string{"dev-Users", "dev-UsersFunction"}}},
		{service: "users", stacks: "dev-Routing dev-Users", deployed: map[string]string{"dev-Users": "{}"},
			want: step.Alone{Stacks: []string{"dev-Users"}, Differ: []string{"dev-Users"}}},
		{service: "users", deployed: map[string]string{"dev-Users": "{}", "dev-UsersFunction": ""},
			want: step.Alone{Stacks: []string{"dev-Users", "dev-UsersFunction"}, Differ: []string{"dev-Users", "dev-UsersFunction"}}},
		{service: "users", stacks: "dev-UsersFunction", want: step.Alone{Stacks: []string{"dev-UsersFunction"}}},
		// What CloudFormation gives back has other white space, and no letters but those of ASCII.
		{service: "users", stacks: "dev-Users", deployed: map[string]string{"dev-Users": "{ \"Description\": \"dev-Users ? 1\"\n}"},
			want: step.Alone{Stacks: []string{"dev-Users"}}},
		{service: "users", deployed: map[string]string{"dev-Routing": "{}", "dev-Users": "{}", "dev-Usersettings": "Resources:\n", "dev-Watch": ""},
			err: "users cannot be deployed alone to dev in eu-west-1, because other stacks differ from what is deployed: dev-Routing, dev-Usersettings; " +
				"others are not deployed: dev-Watch. Deploy everything, or take back what changes them"},
		{service: "users", deployed: map[string]string{"dev-Watch": ""},
			err: "users cannot be deployed alone to dev in eu-west-1, because other stacks are not deployed: dev-Watch. Deploy everything, or take back what changes them"},
		{service: "threads", err: "the assembly has no stack dev-Threads"},
		{service: "user", err: `there is no service "user": choose from api, users, threads`},
	}
	for _, test := range tests {
		var stacks []*assembly.Stack
		deployed := map[string]string{}
		for name := range strings.FieldsSeq(names) {
			if test.stacks != "" && !strings.Contains(test.stacks+" ", name+" ") {
				continue
			}
			stack := &assembly.Stack{Name: name, Template: map[string]any{"Description": name + " → 1"}}
			stacks = append(stacks, stack)
			text, given := test.deployed[name]
			if !given {
				own, err := json.Marshal(stack.Template)
				if err != nil {
					t.Fatal(err)
				}
				text = string(own)
			}
			if text != "" {
				deployed[name] = text
			}
		}
		got, err := step.NewAlone(app, test.service, stacks, deployed, "dev in eu-west-1")
		if err != nil && err.Error() == test.err {
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s with %q: %v, want %q (-want +got):\n%s", test.service, test.deployed, err, test.err, diff)
		}
	}
}
