package broker

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/assembly/assemblytest"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// app is a stack with the broker b and a task of the service jobs that has its address, in the way that use says.
func app(t *testing.T, properties, policies, use string) *model.Model {
	t.Helper()
	resources := `"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": "i", ` + use + `}]}},
		"J": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "jobs", "TaskDefinition": {"Ref": "T"}}}`
	if properties != "" {
		resources += `, "B": {"Type": "AWS::AmazonMQ::Broker"` + policies + `, "Properties": {"BrokerName": "b", "Users": [{"Username": "u", "Password": "secret"}], ` + properties + `}},
			"Url": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": {"Fn::Sub": ["amqps://${host}", {"host": {"Fn::Select": [0, {"Fn::GetAtt": ["B", "AmqpEndpoints"]}]}}]}}}`
	}
	a := assemblytest.Read(t, "111111111111/eu-west-1", `{"Resources": {`+resources+`}}`)
	return model.Read(a)
}

const (
	single   = `"EngineType": "RABBITMQ", "DeploymentMode": "SINGLE_INSTANCE", "EngineVersion": "3.13", "HostInstanceType": "mq.m7g.medium"`
	larger   = `"EngineType": "RABBITMQ", "DeploymentMode": "SINGLE_INSTANCE", "EngineVersion": "4.2", "HostInstanceType": "mq.m7g.large"`
	cluster  = `"EngineType": "RABBITMQ", "DeploymentMode": "CLUSTER_MULTI_AZ"`
	asSecret = `"Secrets": [{"Name": "AMQP_URL", "ValueFrom": {"Ref": "Url"}}]`
)

func text(value any) (string, error) { return fmt.Sprint(value), nil }

func options(tell func(provider.Event)) Options {
	return Options{Resolve: func(_ *model.Model, _ provider.Text, filled string) (string, error) { return filled, nil }, Events: tell}
}

// TestStands: a broker runs if a task has its address, and if the user gives no other one.
func TestStands(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		use, given string
		want       bool
	}{
		{asSecret, "", true},
		{asSecret, "OTHER", true},
		{asSecret, "d.AMQP_URL", true},
		{asSecret, "AMQP_URL", false},
		{asSecret, "c.AMQP_URL", false},
		{`"Environment": [{"Name": "A", "Value": {"Fn::Select": [0, {"Fn::GetAtt": ["B", "AmqpEndpoints"]}]}}]`, "A", true},
		{`"Environment": [{"Name": "A", "Value": "amqp://elsewhere"}]`, "", false},
	} {
		o := options(nil)
		o.Secrets = func() (map[string]string, error) { return map[string]string{test.given: "amqp://own"}, nil }
		m := app(t, single, "", test.use)
		if got := New(t.TempDir(), o).Plan(m, text).(provider.Partial).Stands(m.Brokers[0].Resource); got != test.want {
			t.Errorf("%s, given %s: %t, want %t", test.use, test.given, got, test.want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"amqps://u:p@localhost:5671":          "amqp://u:p@localhost:5671",
		"amqps://localhost:5671/vhost?a=b@c":  "amqp://localhost:5671/vhost?a=b@c",
		"amqps://localhost:56711":             "amqps://localhost:56711",
		"amqps://localhost:5671.example.com":  "amqps://localhost:5671.example.com",
		"amqps://other:5671/x@localhost:5671": "amqps://other:5671/x@localhost:5671",
		"amqp://localhost:5671":               "amqp://localhost:5671",
		"":                                    "",
		`{"a": "amqps://u:p@localhost:5671", "b": "amqps://other:1"}`: `{"a": "amqp://u:p@localhost:5671", "b": "amqps://other:1"}`,
		"amqps://a:1,amqps://u:p@localhost:5671":                      "amqps://a:1,amqp://u:p@localhost:5671",
	} {
		if got := plain(text, "localhost:5671"); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A broker has no other settings than those that are known.
func TestCheck(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	const missing = "S/B: RabbitMQ is missing: erl, of Erlang, is not on PATH. Install RabbitMQ, on Debian and Ubuntu with: apt-get install rabbitmq-server; or name a broker of your own: give the secret with its address by --secret"
	for properties, want := range map[string]string{
		single: missing,
		cluster + `, "Configuration": {"Id": "x", "Revision": 1}, "Tags": [{"Key": "a", "Value": "b"}], "MaintenanceWindowStartTime": {"DayOfWeek": "SUNDAY"}`: missing,
		`"EngineType": "ACTIVEMQ"`:                 "S/B/Properties.EngineType: ACTIVEMQ is not honoured: only RABBITMQ runs here. Name a broker of your own: give the secret with its address by --secret",
		`"EngineType": "ARTEMIS"`:                  `S/B/Properties.EngineType: "ARTEMIS" is none of RABBITMQ, ACTIVEMQ` + "\n" + missing,
		single + `, "New": 1`:                      "S/B/Properties.New: not honoured: what it does is not known here\n" + missing,
		single + `, "DataReplicationMode": "CRDR"`: "S/B/Properties.DataReplicationMode: CRDR is not honoured: there is no other broker here\n" + missing,
	} {
		if err := New(t.TempDir(), options(nil)).Plan(app(t, properties, "", asSecret), text).Check(); fmt.Sprint(err) != want {
			t.Errorf("%s:\n%v\nwant\n%s", properties, err, want)
		}
	}
	var listed []string
	for _, over := range New(t.TempDir(), options(nil)).Plan(app(t, cluster+`, "EngineVersion": "4.2", "Logs": {"General": true}`, "", asSecret), text).(provider.Reporter).PassedOver() {
		listed = append(listed, over.Setting)
	}
	if got := strings.Join(listed, " "); got != "DeploymentMode EngineVersion Logs" {
		t.Errorf("listed are %s", got)
	}
	o := options(nil)
	o.Resolve = func(*model.Model, provider.Text, string) (string, error) { return "", errors.New("no such secret") }
	if err := New(t.TempDir(), o).Plan(app(t, single, "", asSecret), text).Check(); !strings.Contains(fmt.Sprint(err), "S/B/Properties.Users[0]: no such secret") {
		t.Errorf("a password without a value: %v", err)
	}
}

// A change that AWS makes in place changes nothing. What replaces the broker gives an empty one elsewhere, and the one before goes at
// last, so that a failed deployment goes back to it. Data stay if the template keeps them.
func TestReplacement(t *testing.T) {
	nightly.Test(t, "it starts RabbitMQ three times")
	t.Parallel()
	_, err := programs.FindRabbitMQ("", "")
	programstest.Need(t, err)
	dir := t.TempDir()
	var mu sync.Mutex
	var told []string
	p := New(dir, options(func(e provider.Event) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e.Message)
	}))
	t.Cleanup(func() { _ = p.Stop(t.Context()) })
	plan := func(properties, policies string) (*model.Model, provider.Plan) {
		m := app(t, properties, policies, asSecret)
		return m, p.Plan(m, text)
	}
	address := func(m *model.Model, of provider.Plan) string {
		t.Helper()
		got, err := of.Attribute(assembly.Ref{Resource: m.Brokers[0].Resource, Attribute: "AmqpEndpoints"})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got)
	}
	runs := func(what string, brokers, directories int) {
		t.Helper()
		all, _ := p.Status().([]provider.MessageStatus)
		files, _ := filepath.Glob(filepath.Join(dir, "rabbitmq-*"))
		if len(all) != brokers || len(files) != directories {
			t.Errorf("%s: %d brokers run, with %d directories, want %d and %d", what, len(all), len(files), brokers, directories)
		}
	}
	const keep = `, "DeletionPolicy": "Retain"`
	m, first := plan(single, keep)
	if _, err := first.Attribute(assembly.Ref{Resource: m.Brokers[0].Resource, Attribute: "AmqpEndpoints"}); !errors.Is(err, provider.ErrNotYet) {
		t.Errorf("before the update: %v", err)
	}
	if err := errors.Join(first.Check(), first.Update(t.Context(), "Other"), first.Update(t.Context(), "S"), first.Clean(t.Context(), "S")); err != nil {
		t.Fatal(err)
	}
	at := address(m, first)
	runs("first", 1, 1)
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(at, "[amqp://"), "]"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	m, next := plan(larger, keep)
	if err := errors.Join(next.Update(t.Context(), "S"), next.Clean(t.Context(), "S")); err != nil || address(m, next) != at {
		t.Errorf("after a change in place the broker is at %s, and was at %s: %v", address(m, next), at, err)
	}
	m, next = plan(cluster, keep)
	if err := next.Update(t.Context(), "S"); err != nil || address(m, next) == at {
		t.Errorf("after a replacement the broker is at %s still: %v", at, err)
	}
	runs("in between", 2, 2)
	m, back := plan(larger, keep) // the stack failed
	if err := errors.Join(back.Update(t.Context(), "S"), back.Clean(t.Context(), "Other"), back.Clean(t.Context(), "S")); err != nil || address(m, back) != at {
		t.Errorf("after the return the broker is at %s, and was at %s: %v", address(m, back), at, err)
	}
	runs("back", 1, 1)

	if clear, err := p.Fault(t.Context(), "broker-kill", "other"); clear != nil || err != nil {
		t.Errorf("a service without a broker: %v", err)
	}
	_, gone := plan("", "")
	if err := gone.Clean(t.Context(), "S"); err != nil {
		t.Error(err)
	}
	runs("gone", 0, 1)
	if got := strings.Join(told, "\n"); !strings.Contains(got, "the broker was replaced by an empty one, at another address") || !strings.HasSuffix(got, "the broker was deleted: its data stay, because its template keeps it") {
		t.Errorf("the events are\n%s", got)
	}
	if p.Status() != nil {
		t.Error("the status has a broker that is gone")
	}
}
