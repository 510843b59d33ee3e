package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/provider"
	"cutover/internal/nightly"
)

// serveExchange is a service that knows the address of a message broker and nothing else. Asked to POST to a path, it publishes the body
// to the queue of that name. It answers once the broker has confirmed that. Asked to GET a path, it answers what is in the queue.
func serveExchange() int {
	var mu sync.Mutex
	var open *amqp.Connection
	use := func(queue string, do func(*amqp.Channel) error) error {
		mu.Lock()
		defer mu.Unlock()
		if open == nil || open.IsClosed() {
			c, err := amqp.Dial(os.Getenv("AMQP_URL"))
			if err != nil {
				return err
			}
			open = c
		}
		channel, err := open.Channel()
		if err != nil {
			return err
		}
		defer channel.Close()
		if _, err := channel.QueueDeclare(queue, true, false, false, false, nil); err != nil {
			return err
		}
		return do(channel)
	}
	handle := func(pattern string, do func(w http.ResponseWriter, r *http.Request, queue string, channel *amqp.Channel) error) {
		http.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			queue := r.PathValue("queue")
			if err := use(queue, func(channel *amqp.Channel) error { return do(w, r, queue, channel) }); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		})
	}
	handle("POST /{queue}", func(w http.ResponseWriter, r *http.Request, queue string, channel *amqp.Channel) error {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = channel.Confirm(false)
		}
		if err != nil {
			return err
		}
		confirmed, err := channel.PublishWithDeferredConfirmWithContext(r.Context(), "", queue, false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
		if err != nil {
			return err
		}
		if ok, err := confirmed.WaitContext(r.Context()); err != nil || !ok {
			return errors.Join(errors.New("the broker has not confirmed"), err)
		}
		fmt.Fprint(w, os.Getenv("NAME"))
		return nil
	})
	handle("GET /{queue}", func(w http.ResponseWriter, _ *http.Request, queue string, channel *amqp.Channel) error {
		var last amqp.Delivery
		fmt.Fprintln(w, os.Getenv("NAME"))
		for {
			m, ok, err := channel.Get(queue, false)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			last = m
			fmt.Fprintln(w, string(m.Body))
		}
		if last.Acknowledger == nil {
			return nil
		}
		return last.Ack(true)
	})
	http.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
	return 1
}

// exchanging is an app whose monolith and whose service jobs use the message broker of the golden template, and so does the program
// legacy, which has no load balancer. The path /jobs leads to the monolith, or to the service.
func exchanging(t *testing.T, switched bool, changes ...func(broker, app object)) (dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "stacks/golden/broker/dev-Broker.json"))
	if err != nil {
		t.Fatal(err)
	}
	var broker object
	if err := json.Unmarshal(text, &broker); err != nil {
		t.Fatal(err)
	}
	to := func(monolith, jobs int) []any {
		return []any{object{"Type": "forward", "ForwardConfig": object{"TargetGroups": []any{
			object{"TargetGroupArn": ref("MonolithTargets"), "Weight": monolith}, object{"TargetGroupArn": ref("JobsTargets"), "Weight": jobs},
		}}}}
	}
	action := to(1, 0)
	if switched {
		action = to(0, 1)
	}
	resources := object{
		"Vpc": object{"Type": "AWS::EC2::VPC"}, "Cluster": object{"Type": "AWS::ECS::Cluster"},
		"Balancer": object{"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": object{"Subnets": []any{"a", "b"}}},
		"Listener": object{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": object{
			"LoadBalancerArn": ref("Balancer"), "Port": 80, "Protocol": "HTTP", "DefaultActions": []any{object{"Type": "forward", "TargetGroupArn": ref("MonolithTargets")}},
		}},
		"Rule": object{"Type": "AWS::ElasticLoadBalancingV2::ListenerRule", "Properties": object{
			"ListenerArn": ref("Listener"), "Priority": 10, "Actions": action,
			"Conditions": []any{object{"Field": "path-pattern", "PathPatternConfig": object{"Values": []any{"/requests", "/replies"}}}},
		}},
	}
	for _, id := range []string{"Monolith", "Jobs", "Legacy"} {
		name := strings.ToLower(id)
		service := object{"ServiceName": name, "Cluster": ref("Cluster"), "TaskDefinition": ref(id + "Task"), "DesiredCount": 1}
		container := object{"Name": name, "Image": "i", "Memory": 64, "Environment": []any{object{"Name": "NAME", "Value": name}},
			"Secrets": []any{object{"Name": "AMQP_URL", "ValueFrom": object{"Fn::Join": []any{"", []any{
				"arn:", ref("AWS::Partition"), ":secretsmanager:", ref("AWS::Region"), ":", ref("AWS::AccountId"), ":secret:dev/broker-url",
			}}}}}}
		if id != "Legacy" {
			container["PortMappings"] = []any{object{"ContainerPort": 3000}}
			service["LoadBalancers"] = []any{object{"ContainerName": name, "ContainerPort": 3000, "TargetGroupArn": ref(id + "Targets")}}
			resources[id+"Targets"] = object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{
				"Port": 80, "Protocol": "HTTP", "VpcId": ref("Vpc"), "HealthCheckPath": "/ping", "Matcher": object{"HttpCode": "204"}, "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4,
			}}
		}
		resources[id] = object{"Type": "AWS::ECS::Service", "Properties": service}
		resources[id+"Task"] = object{"Type": "AWS::ECS::TaskDefinition", "Properties": object{"Family": name, "ContainerDefinitions": []any{container}}}
	}
	for _, change := range changes {
		change(broker["Resources"].(map[string]any), resources)
	}
	dir = t.TempDir()
	stack := func(name string, template object, dependencies ...string) object {
		writeJSON(t, dir, name+".json", template)
		return object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "dependencies": dependencies, "properties": object{"templateFile": name + ".json"}}
	}
	writeJSON(t, dir, "manifest.json", object{"artifacts": object{"dev-Broker": stack("dev-Broker", broker), "App": stack("App", object{"Resources": resources}, "dev-Broker")}})
	return dir
}

// Programs of two services, and Debian's command line for AMQP, exchange messages through a broker while a path is switched and switched
// back. No message is lost, the order stays, and what was there before a switch is read after it. Durable messages survive the end of
// the program.
func TestBroker(t *testing.T) {
	nightly.Test(t, "it exchanges messages through RabbitMQ while it deploys")
	t.Parallel()
	_, err := programs.FindRabbitMQ("", "")
	programstest.Need(t, err)
	if _, err := exec.LookPath("amqp-consume"); err != nil {
		programstest.Need(t, fmt.Errorf("%w: on Debian and Ubuntu install amqp-tools", err))
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	exchange := fmt.Sprintf("%s=exchange exec '%s'", roleVariable, program)
	// Whatever is in one queue it puts into the other.
	const legacy = `for q in requests replies; do amqp-declare-queue --url="$AMQP_URL" -d -q $q || exit 1; done
		exec amqp-consume --url="$AMQP_URL" -q requests -- amqp-publish --url="$AMQP_URL" -p -r replies`
	dir := stateDir(t)
	d := start(t, dir, map[string]string{"monolith": exchange, "jobs": exchange, "legacy": legacy})
	d.deploy(exchanging(t, false))
	url := d.url(80)
	endpoint := func() string {
		for _, m := range d.Status().Messaging {
			if m.Kind == "broker" && m.Name == "dev" && strings.HasPrefix(m.Program, "RabbitMQ ") {
				return m.Endpoint
			}
		}
		t.Fatalf("the status has no broker: %+v", d.Status().Messaging)
		return ""
	}
	before := endpoint()

	client := &http.Client{Timeout: limit}
	by := map[string]int{} // messages, by the service that took them
	sent := 0
	ask := func(method, path, body string) string {
		for {
			request, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err == nil {
				text, failed := io.ReadAll(response.Body)
				response.Body.Close()
				if failed == nil && response.StatusCode == http.StatusOK {
					return string(text)
				}
				err = fmt.Errorf("%s: %s, %w", response.Status, text, failed)
			}
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
			t.Logf("%s %s %s again: %v", method, path, body, err)
		}
	}
	send := func() {
		sent++
		by[ask("POST", "/requests", strconv.Itoa(sent))]++
	}
	waiting := func(queue string) int {
		for _, m := range d.Status().Messaging {
			if m.Name == "dev/"+queue && m.Depth != nil {
				return m.Depth.Waiting
			}
		}
		return -1
	}
	var got []int
	read := func(want string) {
		t.Helper()
		until(t, "all replies", func() bool { return waiting("requests") == 0 && len(got)+waiting("replies") >= sent })
		lines := strings.Split(strings.TrimSpace(ask("GET", "/replies", "")), "\n")
		if lines[0] != want {
			t.Errorf("%s reads the queue, want %s", lines[0], want)
		}
		for _, line := range lines[1:] {
			n, err := strconv.Atoi(line)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
	}
	deploy := func(switched bool) {
		t.Helper()
		ended := make(chan struct{})
		dir := exchanging(t, switched)
		go func() {
			defer close(ended)
			if err := d.Deploy(t.Context(), dir); err != nil {
				t.Error(err)
			}
		}()
		for {
			send()
			select {
			case <-ended:
				return
			default:
			}
		}
	}
	ask("POST", "/kept", "first")
	for range 5 {
		send()
	}
	until(t, "the replies of before the switch", func() bool { return waiting("replies") == 5 })
	deploy(true)
	for range 5 {
		send()
	}
	read("jobs")
	if len(got) < sent || got[0] != 1 {
		t.Errorf("after the switch %v are read", got)
	}
	deploy(false)
	for range 5 {
		send()
	}
	read("monolith")
	if distinct := slices.Compact(slices.Clone(got)); !slices.IsSorted(got) || len(distinct) != sent {
		t.Errorf("of %d messages %d came, in the order %v", sent, len(distinct), got)
	}
	t.Logf("%d messages: taken by %v, %d twice", sent, by, len(got)-sent)
	if by["jobs"] < 5 || by["monolith"] < 10 {
		t.Errorf("messages were taken by %v, want both services", by)
	}
	if after := endpoint(); after != before {
		t.Errorf("the broker is at %s, and was at %s", after, before)
	}

	ask("POST", "/kept", "a")
	ask("POST", "/kept", "b")
	until(t, "the broker's count of what is kept", func() bool { return waiting("kept") == 3 })
	again, err := d.Fault(t.Context(), "broker-kill", "jobs")
	if err != nil {
		t.Fatal(err)
	}
	if err := again(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer := ask("GET", "/kept", ""); answer != "monolith\nfirst\na\nb\n" {
		t.Errorf("after the end of the program the queue has %q", answer)
	}
	if !d.happened("messaging", "dev", provider.Warning) {
		t.Error("no event says that the program has ended")
	}
	// Who sees all of the deployment sees no password.
	text, err := json.Marshal([]any{d.Status(), d.told()})
	kept, failed := os.ReadFile(filepath.Join(dataDir(dir), "secrets", "generated.json"))
	info, _ := os.Stat(filepath.Join(dataDir(dir), "secrets", "generated.json"))
	if err != nil || failed != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(err, failed, info.Mode())
	}
	var made map[string]struct{ Value string }
	var user struct{ Username, Password string }
	if err := json.Unmarshal(kept, &made); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(made["dev-Broker/User00B015A1"].Value), &user); err != nil || user.Username != "cutover" || len(user.Password) != 32 || strings.Contains(string(text), user.Password) {
		t.Errorf("the user is %q with a password of %d, %v; or the password is shown", user.Username, len(user.Password), err)
	}
	if n := d.Status().NotRun["AWS::AmazonMQ::Broker"] + d.Status().NotRun["AWS::SecretsManager::Secret"]; n != 0 {
		t.Errorf("%d resources are said not to run here", n)
	}
}

// A broker needs no program if the user names one.
func TestOwnBroker(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := fmt.Sprintf("%s=server exec '%s'", roleVariable, program)
	d := &deployment{t: t}
	options := d.options(stateDir(t), map[string]string{"monolith": `[ "$AMQP_URL" = amqp://own ] && ` + server, "jobs": server})
	options.Secrets = func() (map[string]string, error) { return map[string]string{"AMQP_URL": "amqp://own"}, nil }
	d.begin(options)
	d.deploy(exchanging(t, false, func(_, app object) {
		delete(app, "Legacy") // ECS waits 40 seconds for a task without a load balancer
		delete(app, "LegacyTask")
	}))
	if status := d.Status(); len(status.Messaging) != 0 || status.NotRun["AWS::AmazonMQ::Broker"] != 1 {
		t.Errorf("there is a broker: %+v, %v", status.Messaging, status.NotRun)
	}
}

// What a broker cannot be here is refused before anything starts.
func TestRefusedBrokers(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(broker, app object){
		"dev-Broker/Broker/Properties.EngineType: ACTIVEMQ is not honoured: only RABBITMQ runs here": func(b, _ object) {
			b["Broker"].(object)["Properties"].(object)["EngineType"] = "ACTIVEMQ"
		},
		"dev-Broker/Broker/Properties.LdapServerMetadata: not honoured: clients log in here with the user of the template alone": func(b, _ object) {
			b["Broker"].(object)["Properties"].(object)["LdapServerMetadata"] = object{"Hosts": []any{"ldap"}}
		},
		"dev-Broker/Broker/Properties.Users: there are 0": func(b, _ object) {
			delete(b["Broker"].(object)["Properties"].(object), "Users")
		},
		"dev-Broker/Broker/Properties.Users[0]: dev-Broker/User00B015A1: dev-Broker/Rotation, which is an AWS::SecretsManager::RotationSchedule, gives the secret another value": func(b, _ object) {
			b["Rotation"] = object{"Type": "AWS::SecretsManager::RotationSchedule", "Properties": object{"SecretId": ref("User00B015A1")}}
		},
	} {
		d := start(t, stateDir(t), nil)
		d.refuse(exchanging(t, false, change), want)
		if events := d.told(); len(events) > 0 {
			t.Errorf("something was begun: %v", events)
		}
	}
}
