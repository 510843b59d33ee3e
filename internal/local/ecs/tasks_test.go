package ecs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"cutover/internal/local/secrets"
	"cutover/internal/model"
)

// app is a stack with a service Web whose container web has these secrets, and with more resources.
func app(secrets, resources string) map[string]string {
	return map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://111111111111/eu-west-1", "properties": {"templateFile": "s.json"}}}}`,
		"s.json": `{"Resources": {` + resources + `
			"Web": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "T"}}},
			"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "web", "ContainerDefinitions": [
				{"Name": "web", "Image": "web", "Memory": 64, "Secrets": [` + secrets + `]},
				{"Name": "log", "Image": "log", "Memory": 64, "Essential": false, "Secrets": [{"Name": "KEY", "ValueFrom": "log-key"}]}]}}}}`,
	}
}

const stored = `"Plain": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "/db/user", "Value": "admin"}},
	"Unnamed": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Fn::Sub": "x-${T}"}}},
	"Elsewhere": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": "dynamic", "Value": "{{resolve:ssm:/x}}"}},
	"Json": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "prod/db", "SecretString": "{\"password\": \"hunter2\", \"port\": 5432}"}},
	"Made": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {"GenerateStringKey": "password", "SecretStringTemplate": "{\"user\": \"root\"}"}}},
	"Url": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": {"Fn::Sub": "db://{{resolve:secretsmanager:prod/db:SecretString:password}}@${T}"}}},
	"Rotated": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {}}},
	"Rotation": {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": {"SecretId": {"Ref": "Rotated"}}},`

func secret(from string) string { return `{"Name": "PW", "ValueFrom": ` + from + `}` }

// A secret has the value that is given, or else the one that the assembly has.
func TestSecrets(t *testing.T) {
	const ssm, secretsManager = "arn:aws:ssm:eu-west-1:1:parameter", "arn:aws:secretsmanager:eu-west-1:1:secret:"
	for _, test := range []struct {
		from  string
		given string // NAME=VALUE
		want  string // or the end of the error
	}{
		{`"x"`, "PW=a=b", "a=b"},
		{`"x"`, "PW=", ""},
		{`"x"`, "web.PW=own", "own"},
		{`"x"`, "web.PW=own PW=all", "own"},
		{`"/db/user"`, "PW=given", "given"},
		{`"/db/user"`, "", "admin"},
		{`{"Ref": "Plain"}`, "", "admin"},
		{`{"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ssm:eu-west-1:1:parameter", {"Ref": "Plain"}]]}`, "", "admin"},
		{`"` + ssm + `/db/user"`, "", "admin"},
		{`{"Ref": "Unnamed"}`, "", "text of x-${S/T}"},
		{`{"Ref": "Json"}`, "", `{"password": "hunter2", "port": 5432}`},
		{`{"Fn::Join": ["", [{"Ref": "Json"}, ":password::"]]}`, "", "hunter2"},
		{`{"Fn::Join": ["", [{"Ref": "Json"}, ":port::"]]}`, "", "5432"},
		{`"` + secretsManager + `prod/db-AbCdEf:password::"`, "", "hunter2"},
		{`"` + secretsManager + `prod/db:password::"`, "", "hunter2"},
		{`{"Fn::Join": ["", [{"Ref": "Made"}, ":password::"]]}`, "PW=given", "given"},

		{`"x"`, "", "the secret PW (x) has no value here"},
		{`"x"`, "log.PW=other", "the secret PW (x) has no value here"},
		{`{"Fn::Join": ["", [{"Ref": "Made"}, ":user::"]]}`, "", "root"},
		{`{"Ref": "Url"}`, "", "text of db://hunter2@${S/T}"},
		{`{"Ref": "Rotated"}`, "", "the secret PW (${S/Rotated}) has no value here (S/Rotated: S/Rotation, which is an AWS::SecretsManager::RotationSchedule, gives the secret another value on AWS, and nothing does here): give one"},
		{`"dynamic"`, "", "the secret PW (dynamic) has no value here"},
		{`"` + ssm + `/db/users"`, "", "has no value here"},
		{`"` + secretsManager + `prod/db2-AbCdEf:password::"`, "", "has no value here"},
		{`"` + secretsManager + `prod/db-AbCdEfG:password::"`, "", "has no value here"},
		{`{"Fn::Join": ["", [{"Ref": "Json"}, ":user::"]]}`, "", `the secret has no key "user"`},
	} {
		given := map[string]string{"KEY": "k"}
		for pair := range strings.FieldsSeq(test.given) {
			name, value, _ := strings.Cut(pair, "=")
			given[name] = value
		}
		p := NewProvider(newWorld(t).Scheduler, Given{Secrets: func() (map[string]string, error) { return given, nil }, SecretsFile: "x/secrets.env", Managed: secrets.New(t.TempDir()).Value})
		next := p.Plan(modelOf(t, app(secret(test.from), stored)), func(value any) (string, error) {
			return fmt.Sprintf("text of %v", value), nil
		}).(*plan)
		if next.refused != nil {
			t.Fatal(test.from, next.refused)
		}
		service, err := next.fill(next.services["S/Web"])
		if err == nil {
			got := service.TaskDefinition.Containers[0]
			if variables := Variables(got); got.Secrets[0].Value != test.want || len(variables) != 1 || variables[0].Name != "PW" || variables[0].Value != test.want {
				t.Errorf("%s with %s: %+v, want %q", test.from, test.given, got, test.want)
			}
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "S/T/Properties.ContainerDefinitions[0].Secrets[0].ValueFrom: container web: ") || !strings.Contains(text, test.want) || test.want == "" {
			t.Errorf("%s with %s: the error is %v, want %q", test.from, test.given, err, test.want)
		}
		for _, value := range []string{"hunter2", "admin", "5432"} {
			if strings.Contains(err.Error(), value) {
				t.Errorf("an error shows a value: %v", err)
			}
		}
	}
}

// All that has no value is named at once, with what to do.
func TestMissingSecrets(t *testing.T) {
	files := app(secret(`"x"`)+`, {"Name": "TOKEN", "ValueFrom": "y"}`, "")
	p := NewProvider(newWorld(t).Scheduler, Given{SecretsFile: "x/secrets.env"})
	const at = "S/T/Properties.ContainerDefinitions"
	want := at + "[0].Secrets[0].ValueFrom: container web: the secret PW (x) has no value here: give one with --secret PW=VALUE, or in a line PW=VALUE of x/secrets.env\n" +
		at + "[0].Secrets[1].ValueFrom: container web: the secret TOKEN (y) has no value here: give one with --secret TOKEN=VALUE, or in a line TOKEN=VALUE of x/secrets.env\n" +
		at + "[1].Secrets[0].ValueFrom: container log: the secret KEY (log-key) has no value here: give one with --secret KEY=VALUE, or in a line KEY=VALUE of x/secrets.env"
	if got := fmt.Sprint(p.Plan(modelOf(t, files), nil).Check()); got != want {
		t.Errorf("the error is\n%s\nwant\n%s", got, want)
	}
	given := map[string]string{"PW": "v", "web.TOKEN": "v", "KEY": "v", "TOKN": "v", "log.PW": "v"}
	all := NewProvider(newWorld(t).Scheduler, Given{Secrets: func() (map[string]string, error) { return given, nil }}).Plan(modelOf(t, files), nil).(*plan)
	if err := all.Check(); err != nil {
		t.Error(err)
	}
	var unused []string
	for _, over := range all.PassedOver() {
		unused = append(unused, over.Setting+": "+over.Why)
	}
	if !slices.Equal(unused, []string{"TOKN: no container has a secret of this name", "log.PW: no container has a secret of this name"}) {
		t.Errorf("unused are %v", unused)
	}
	bad := NewProvider(newWorld(t).Scheduler, Given{Secrets: func() (map[string]string, error) { return nil, errors.New("line 3 is wrong") }})
	if err := bad.Plan(modelOf(t, files), nil).Check(); err == nil || !strings.Contains(err.Error(), "line 3 is wrong") {
		t.Errorf("the error is %v", err)
	}
}

// Another value of a secret is for the tasks that start from now on, as on ECS.
func TestChangedSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		with := func(value string, desired int) *model.Service {
			return spec("v1", desired, noBalancer, func(s *model.Service) {
				s.TaskDefinition.Containers[0].Secrets = []model.Secret{{Name: "PW", From: "x", Value: value}}
			})
		}
		w.apply(with("old", 1))
		w.apply(with("new", 1))
		w.apply(with("new", 2))
		var got []string
		for _, start := range w.started {
			got = append(got, start.Definition.Environment[0].Value)
		}
		if !slices.Equal(got, []string{"old", "new"}) {
			t.Errorf("the tasks got %v, want the first one to stay and the second to have the new value", got)
		}
		w.finish()
		for _, e := range w.events {
			if strings.Contains(e.Message, "old") || strings.Contains(e.Message, "new") {
				t.Errorf("an event shows a value: %s", e.Message)
			}
		}
	})
}

// A container that is left out is neither checked nor waited for.
func TestWithout(t *testing.T) {
	files := app("", "")
	files["s.json"] = strings.NewReplacer(`"Name": "log", "Image": "log"`, `"Name": "log", "Image": "foreign"`,
		`"Name": "web", "Image": "web"`, `"Name": "web", "Image": "web", "DependsOn": [{"ContainerName": "log", "Condition": "START"}], "Links": ["log:logs", "log"]`).Replace(files["s.json"])
	files["s.json"] = strings.Replace(files["s.json"], `"ValueFrom": "log-key"}]}`, `"ValueFrom": "log-key"}]}, {"Name": "last", "Image": "noted", "Memory": 64, "Essential": false}`, 1)
	w := newWorld(t)
	planned := func(names ...string) *plan {
		return NewProvider(w.Scheduler, Given{Without: names, Secrets: func() (map[string]string, error) { return map[string]string{"KEY": "k"}, nil }}).Plan(modelOf(t, files), nil).(*plan)
	}
	next := planned("log")
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	service, _ := next.fill(next.services["S/Web"])
	if c := service.TaskDefinition.Containers; len(c) != 2 || len(c[0].Requires()) != 0 || c[1].Name != "last" {
		t.Errorf("left are %+v", c)
	}
	if before := next.services["S/Web"].TaskDefinition.Containers; len(before) != 3 || len(before[0].Requires()) != 3 {
		t.Errorf("the plan's own definition has %+v, want it as it was", before)
	}
	if got := fmt.Sprint(next.PassedOver()); got != "[{S/T/Properties.ContainerDefinitions[1] web log the container is left out, as you asked} {S/T/Properties.ContainerDefinitions[2].User last User a fake has no users}]" {
		t.Errorf("passed over is %s", got)
	}
	for _, test := range []struct {
		without, want string
	}{
		{"", `service Web (S/Web), container "log": it is for another machine`},
		{"web", "S/T/Properties.ContainerDefinitions: no essential container is left: leave one of them in"},
		{"lgo", `there is no container "lgo" to leave out: choose from last, log, web`},
	} {
		if err := planned(test.without).Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("without %q: the error is %v, want %q", test.without, err, test.want)
		}
	}
	of := maps.Clone(shop)
	next = NewProvider(w.Scheduler, Given{Without: []string{"web"}}).Plan(modelOf(t, of), func(any) (string, error) { return "", nil }).(*plan)
	if err := next.Check(); err == nil || !strings.Contains(err.Error(), `shop-web/Service/Properties.LoadBalancers[0]: container "web" cannot be left out: requests go to it`) {
		t.Errorf("without a container that gets requests: %v", err)
	}
}

// Settings of a container's surroundings are passed over and listed, each with its place.
func TestPassedOver(t *testing.T) {
	files := maps.Clone(shop)
	files["Web.json"] = strings.NewReplacer(
		`"NetworkMode": "bridge"`, `"NetworkMode": "bridge", "PidMode": "host", "IpcMode": "host", "Cpu": "512", "Memory": "1024", "Volumes": [{"Name": "v", "DockerVolumeConfiguration": {"Driver": "local"}}]`,
		`"StopTimeout": 60`, `"StopTimeout": 60, "DisableNetworking": true, "ResourceRequirements": [{"Type": "GPU", "Value": "1"}], "MountPoints": [{"SourceVolume": "v", "ContainerPath": "/v"}]`,
		`"MountPoints": [],`, ``,
		`"LogDriver": "awslogs"`, `"LogDriver": "awsfirelens"`).Replace(files["Web.json"])
	next := NewProvider(newWorld(t).Scheduler, Given{}).Plan(modelOf(t, files), func(any) (string, error) { return "", nil }).(*plan)
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, over := range next.PassedOver() {
		got[over.Place] = over.Subject + " " + over.Setting + ": " + over.Why
	}
	const at = "shop-web/Task/Properties."
	for place, want := range map[string]string{
		at + "PidMode": "Task PidMode: " + listed["IpcMode"],
		at + "IpcMode": "Task IpcMode: " + listed["IpcMode"],
		at + "Cpu":     "Task Cpu: a task reserves it, and its containers share no limit here",
		at + "Memory":  "Task Memory: a task reserves it, and its containers share no limit here",
		at + "ContainerDefinitions[0].DisableNetworking":          "web DisableNetworking: every container is on the bridge here",
		at + "ContainerDefinitions[0].ResourceRequirements":       "web ResourceRequirements: " + ownKernel,
		at + "ContainerDefinitions[0].LogConfiguration.LogDriver": "web LogConfiguration: " + toolsLog,
	} {
		if got[place] != want {
			t.Errorf("%s is %q, want %q", place, got[place], want)
		}
		delete(got, place)
	}
	for place := range got {
		if !strings.Contains(place, "DockerVolumeConfiguration") {
			t.Errorf("%s is passed over, too: %s", place, got[place])
		}
	}
	ours := NewProvider(newWorld(t).Scheduler, Given{}).Plan(modelOf(t, shop), func(any) (string, error) { return "", nil }).(*plan)
	if all := ours.PassedOver(); len(all) != 0 {
		t.Errorf("of the shop as it is, %v is passed over", all)
	}
}

// A text that only CloudFormation resolves is no value.
func TestDynamicReference(t *testing.T) {
	files := maps.Clone(shop)
	files["Web.json"] = strings.Replace(files["Web.json"], `{"Ref": "AWS::Region"}`, `"{{resolve:secretsmanager:db:SecretString:password}}"`, 1)
	err := NewProvider(newWorld(t).Scheduler, Given{}).Plan(modelOf(t, files), nil).Check()
	if want := "shop-web/Task/Properties.ContainerDefinitions[0].Environment[1].Value: R: only CloudFormation resolves a reference in {{}}: use Secrets"; fmt.Sprint(err) != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}
