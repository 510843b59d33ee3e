package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/emulate"
)

// A stand is where the services of examples/adopt are beside the shop, and what is there then.
type stand struct {
	phase  string
	rules  []string       // of ours on the listener, in the order in which it tries them
	counts map[string]int // of our ECS services
	asked  string         // who answers for orders, and who for catalog
}

const (
	ordersParked  = "159 orders.parked.invalid → orders-fargate"
	ordersFirst   = "159 /api/orders* → orders-fargate"
	catalogParked = "169 catalog.parked.invalid → catalog-fargate"
	catalogFirst  = "169 /api/catalog* → catalog-fargate"
)

// adopting moves orders and then catalog, and catalog back.
var adopting = []stand{
	{"orders=monolith", []string{ordersParked, catalogParked}, tasks(0, 0), "shop shop"},
	{"orders=parallel", []string{ordersParked, catalogParked}, tasks(1, 0), "shop shop"},
	{"orders=10%", []string{"159 /api/orders* → orders-fargate 10, shop 90", catalogParked}, tasks(1, 0), "orders-fargate 10%, shop 90% shop"},
	{"orders=switched", []string{ordersFirst, catalogParked}, tasks(1, 0), "orders-fargate shop"},
	{"orders=switched,catalog=parallel", []string{ordersFirst, catalogParked}, tasks(1, 1), "orders-fargate shop"},
	{"orders=switched,catalog=switched", []string{ordersFirst, catalogFirst}, tasks(1, 1), "orders-fargate catalog-fargate"},
	{"orders=switched,catalog=parallel", []string{ordersFirst, catalogParked}, tasks(1, 1), "orders-fargate shop"},
	{"orders=switched,catalog=monolith", []string{ordersFirst, catalogParked}, tasks(1, 0), "orders-fargate shop"},
}

func tasks(orders, catalog int) map[string]int {
	return map[string]int{"orders-fargate": orders, "catalog-fargate": catalog}
}

// TestAdopt puts services beside the shop of another team, which a plain CDK app in JavaScript has deployed. At each step the
// templates are deployed on the emulated AWS, and by the local target, through which requests are sent all the while. Nothing of
// the other team changes.
func TestAdopt(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root, "aws", "npm")
	aws := emulated(t)
	cli, a := newCDK(interrupted, root, aws.Env()), newAccount(interrupted, aws.Endpoint(), emulate.Region)
	top, step := t, stepping(t)

	// The app is in the module, as its imports need it.
	if err := os.MkdirAll(filepath.Join(root, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(filepath.Join(root, "build"), "adopt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	s := &shop{account: a, cdk: cli, work: work, ours: filepath.Join(work, "ours"), program: filepath.Join(work, "cutover")}
	theirs := *cli
	theirs.dir = filepath.Join(work, "existing")
	ours := *cli
	ours.dir = s.ours

	step("set up", func(t *testing.T) {
		copied(t, filepath.Join(root, "examples/adopt"), work, "existing/app.js", "existing/cdk.json", "existing/package.json", "existing/package-lock.json", "app/server.js", "app/Dockerfile")
		copied(t, filepath.Join(root, "examples/adopt"), s.ours, "main.go", "cdk.json")
		s.must(t, root, "go", "build", "-o", s.program, "./cmd/cutover")
		s.must(t, root, ".ci/node-image")
		s.must(t, theirs.dir, "npm", "ci", "--no-audit", "--no-fund")
		bootstrap := *cli
		bootstrap.dir = work
		bootstrap.must(t, "bootstrap", fmt.Sprintf("aws://%s/%s", emulate.Account, emulate.Region))
	})
	var before map[string]any
	step("the other team deploys their shop", func(t *testing.T) {
		theirs.must(t, "deploy", "--require-approval", "never")
		before = s.foreign(t)
	})
	step("adopt it", func(t *testing.T) {
		s.must(t, s.ours, s.program, "adopt", "shop")
		ours.must(t, "synth", "--quiet")
		s.adopted(t, 0, "Nothing has changed since")
	})

	assembly := func(phase string) string { return filepath.Join(work, "assemblies", phase) }
	local := &requests{}
	for i, at := range adopting {
		step(fmt.Sprintf("%d %s", i+1, at.phase), func(t *testing.T) {
			ours.must(t, slices.Concat([]string{"deploy", "-c", "phase=" + at.phase, "-o", assembly(at.phase)}, deployOptions)...)
			s.stands(t, at)
			if diff := cmp.Diff(before, s.foreign(t)); diff != "" {
				t.Errorf("what the other team has is another one (-before +now):\n%s", diff)
			}
			if i == 0 {
				s.up(t, assembly(at.phase), filepath.Join(root, "examples/adopt/app/server.js"))
				top.Cleanup(func() { s.exec(s.ours, s.program, "down") }) // if a step fails
				local.start(t, s.url)
				top.Cleanup(local.stop)
			} else {
				s.must(t, s.ours, s.program, "deploy", "--app", assembly(at.phase))
			}
			s.answers(t, at.asked)
			local.lostNone(t)
		})
	}
	step("stop it here", func(t *testing.T) {
		local.end(t)
		s.must(t, s.ours, s.program, "down")
	})
	step("rehearse", func(t *testing.T) {
		out := s.must(t, s.ours, slices.Concat([]string{s.program, "rehearse", "--rate", "50", "--dwell", "1s"}, s.run(filepath.Join(root, "examples/adopt/app/server.js")))...)
		if !strings.Contains(out, "PASSED") {
			t.Errorf("the rehearsal ends with\n%s", tail(out, 20))
		}
	})
	step("nothing has changed", func(t *testing.T) { s.adopted(t, 0, "Nothing has changed since") })
	step("the other team takes a path by hand", func(t *testing.T) {
		var made struct{ Rules []struct{ RuleArn string } }
		a.aws(t, &made, "elbv2", "create-rule", "--listener-arn", s.listener(t), "--priority", "30",
			"--conditions", "Field=path-pattern,Values=/api/orders*", "--actions", "Type=fixed-response,FixedResponseConfig={StatusCode=503}")
		s.adopted(t, 3, "What has changed since")
		s.must(t, s.ours, "aws", "elbv2", "delete-rule", "--rule-arn", made.Rules[0].RuleArn)
		s.adopted(t, 0, "Nothing has changed since")
	})
	step("destroy", func(t *testing.T) {
		ours.must(t, "destroy", "--app", assembly(adopting[len(adopting)-1].phase), "--all", "--force")
		if diff := cmp.Diff(before, s.foreign(t)); diff != "" {
			t.Errorf("what the other team has is another one (-before +now):\n%s", diff)
		}
		if left := s.rules(t); len(left) > 0 {
			t.Errorf("rules of ours are left: %q", left)
		}
		theirs.must(t, "destroy", "--force")
	})
}

// shop is the shop of another team, with services of ours beside it.
type shop struct {
	*account
	cdk           *cdk
	work, ours    string // directories of all, and of our app
	program       string // the command cutover
	url           string // of the load balancer on this machine
	listenerFound string
}

// copied copies files from one directory to another.
func copied(t *testing.T, from, to string, files ...string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(from, file))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, file)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, file), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// exec runs a command in a directory, in the environment of the cdk command.
func (s *shop) exec(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.ctx, args[0], args[1:]...)
	if strings.HasPrefix(args[0], ".") {
		cmd.Path = filepath.Join(dir, args[0])
	}
	// The first cdk is that of the repository, as a user has it.
	cmd.Dir, cmd.Env = dir, append(slices.Clone(s.cdk.env), "PATH="+filepath.Dir(s.cdk.program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (s *shop) must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := s.exec(dir, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, tail(out, 60))
	}
	return out
}

// adopted looks again at what was adopted. It compares the exit code and what is printed.
func (s *shop) adopted(t *testing.T, code int, says string) {
	t.Helper()
	out, err := s.exec(s.ours, s.program, "adopt", "--check")
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code || !strings.Contains(out, says) {
		t.Errorf("adopt --check: exit code %d, want %d, with %q:\n%s", got, code, says, out)
	}
}

// document is an answer of the AWS CLI.
func (s *shop) document(t *testing.T, args ...string) map[string]any {
	t.Helper()
	var answer map[string]any
	s.aws(t, &answer, args...)
	return answer
}

// foreign is all that the API says of what the other team has: their stack with its template, and the resources in it that have to do with requests.
func (s *shop) foreign(t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{}
	keep := func(args ...string) map[string]any {
		answer := s.document(t, args...)
		all[strings.Join(args, " ")] = answer
		return answer
	}
	keep("cloudformation", "describe-stacks", "--stack-name", "Shop")
	keep("cloudformation", "get-template", "--stack-name", "Shop")
	resources := keep("cloudformation", "describe-stack-resources", "--stack-name", "Shop")
	of := map[string][]string{}
	for _, r := range resources["StackResources"].([]any) {
		r := r.(map[string]any)
		of[r["ResourceType"].(string)] = append(of[r["ResourceType"].(string)], r["PhysicalResourceId"].(string))
	}
	const balancing, network = "AWS::ElasticLoadBalancingV2::", "AWS::EC2::"
	balancer, group := of[balancing+"LoadBalancer"][0], of[balancing+"TargetGroup"][0]
	keep("elbv2", "describe-load-balancers", "--load-balancer-arns", balancer)
	keep("elbv2", "describe-load-balancer-attributes", "--load-balancer-arn", balancer)
	keep("elbv2", "describe-listeners", "--load-balancer-arn", balancer)
	keep("elbv2", "describe-target-groups", "--target-group-arns", group)
	keep("elbv2", "describe-target-group-attributes", "--target-group-arn", group)
	keep("elbv2", "describe-target-health", "--target-group-arn", group)
	keep(append([]string{"elbv2", "describe-rules", "--rule-arns"}, of[balancing+"ListenerRule"]...)...)
	keep("ecs", "describe-services", "--cluster", "shop", "--services", "shop")
	keep(append([]string{"ec2", "describe-security-groups", "--group-ids"}, of[network+"SecurityGroup"]...)...)
	keep(append([]string{"ec2", "describe-subnets", "--subnet-ids"}, of[network+"Subnet"]...)...)
	keep(append([]string{"ec2", "describe-route-tables", "--route-table-ids"}, of[network+"RouteTable"]...)...)
	keep("ec2", "describe-vpcs", "--vpc-ids", of[network+"VPC"][0])
	var theirs []any // however many rules of ours are beside them
	for _, r := range s.document(t, "elbv2", "describe-rules", "--listener-arn", s.listener(t))["Rules"].([]any) {
		if !ownRule(r.(map[string]any)["Priority"].(string)) {
			theirs = append(theirs, r)
		}
	}
	all["rules of others"] = theirs
	return all
}

// ownRule says whether a priority is in the window that adopt chooses: 100 to 199.
func ownRule(priority string) bool { return len(priority) == 3 && priority[0] == '1' }

// listener is the ARN of the shop's listener.
func (s *shop) listener(t *testing.T) string {
	t.Helper()
	if s.listenerFound == "" {
		s.listenerFound = *s.listeners(t)[0].ListenerArn
	}
	return s.listenerFound
}

// rules are ours on the listener, as a stand has them.
func (s *shop) rules(t *testing.T) (lines []string) {
	t.Helper()
	var found struct {
		Rules []struct {
			Priority   string
			Conditions []struct{ PathPatternConfig, HostHeaderConfig struct{ Values []string } }
			Actions    []struct {
				TargetGroupArn string
				ForwardConfig  struct {
					TargetGroups []struct {
						TargetGroupArn string
						Weight         int
					}
				}
			}
		}
	}
	s.aws(t, &found, "elbv2", "describe-rules", "--listener-arn", s.listener(t))
	name := func(arn string) string { return strings.Split(arn, "/")[1] }
	for _, r := range found.Rules {
		if !ownRule(r.Priority) {
			continue
		}
		var words []string
		for _, c := range r.Conditions {
			words = append(append(words, c.HostHeaderConfig.Values...), c.PathPatternConfig.Values...)
		}
		var targets []string
		for _, action := range r.Actions {
			for _, g := range action.ForwardConfig.TargetGroups {
				targets = append(targets, fmt.Sprintf("%s %d", name(g.TargetGroupArn), g.Weight))
			}
			if len(action.ForwardConfig.TargetGroups) == 0 {
				targets = append(targets, name(action.TargetGroupArn))
			}
		}
		lines = append(lines, r.Priority+" "+strings.Join(words, " ")+" → "+strings.Join(targets, ", "))
	}
	slices.Sort(lines)
	return lines
}

// stands compares what is on the emulated AWS with the stand.
func (s *shop) stands(t *testing.T, want stand) {
	t.Helper()
	if got := s.rules(t); !slices.Equal(got, want.rules) {
		t.Errorf("rules of ours: %q, want %q", got, want.rules)
	}
	var found struct {
		Services []struct {
			ServiceName  string
			DesiredCount int
		}
	}
	s.aws(t, &found, "ecs", "describe-services", "--cluster", "shop", "--services", "orders-fargate", "catalog-fargate")
	counts := map[string]int{}
	for _, one := range found.Services {
		counts[one.ServiceName] = one.DesiredCount
	}
	if diff := cmp.Diff(want.counts, counts); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

// run has the options by which the program stands for the shop and for the services.
func (s *shop) run(program string) []string {
	return []string{"--run", "shop=node " + program, "--run", "orders=node " + program + " orders", "--run", "catalog=node " + program + " catalog"}
}

// up runs an assembly on this machine, at a free port.
func (s *shop) up(t *testing.T, assembly, program string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s.url = "http://localhost:" + port
	s.must(t, s.ours, slices.Concat([]string{s.program, "up", "--detach", "--app", assembly, "--port", "80=" + port}, s.run(program))...)
}

// answers compares who answers on this machine.
func (s *shop) answers(t *testing.T, want string) {
	t.Helper()
	var routes []struct{ Action string }
	out := s.must(t, s.ours, s.program, "routes", "--json", "/api/orders", "/api/catalog", "/api/customers", "/teapot")
	if err := json.Unmarshal([]byte(out), &routes); err != nil || len(routes) != 4 {
		t.Fatalf("routes: %v: %s", err, out)
	}
	equal(t, "who answers for orders and catalog", routes[0].Action+" "+routes[1].Action, want)
	equal(t, "who answers for customers", routes[2].Action, "shop")
	if !strings.Contains(routes[3].Action, "418") {
		t.Errorf("the rule of the other team answers with %s, want 418", routes[3].Action)
	}
}

// requests are sent all the while, one after the other, and their answers compared with the first ones.
type requests struct {
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	sent  int
	wrong []string
}

// start sends requests to a load balancer until the end.
func (r *requests) start(t *testing.T, url string) {
	ctx, stop := context.WithCancel(interrupted)
	r.stop, r.done = stop, make(chan struct{})
	paths := []string{"/api/orders", "/api/orders/1", "/api/catalog", "/api/customers", "/teapot", "/none"}
	first := map[string]string{}
	for _, path := range paths {
		answer, err := ask(ctx, url+path)
		if err != nil {
			t.Fatal(err)
		}
		first[path] = answer
	}
	equal(t, "an order", first["/api/orders/1"], `200 {"id":1,"customer":2,"product":3}`)
	equal(t, "the rule of the other team", first["/teapot"], "418 I am a teapot")
	go func() {
		defer close(r.done)
		for i := 0; ; i++ {
			path := paths[i%len(paths)]
			answer, err := ask(ctx, url+path)
			if ctx.Err() != nil {
				return
			}
			r.mu.Lock()
			r.sent++
			if err != nil {
				r.wrong = append(r.wrong, path+": "+err.Error())
			} else if answer != first[path] {
				r.wrong = append(r.wrong, path+": "+answer+", and before "+first[path])
			}
			r.mu.Unlock()
			time.Sleep(5 * time.Millisecond) // leaves the machine to the deployment
		}
	}()
}

// ask returns the status and the body of an answer.
func ask(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, bytes.TrimSpace(body)), err
}

// lostNone fails if a request was lost or answered in another way than at first.
func (r *requests) lostNone(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		t.Fatalf("%d of %d requests were lost or answered in another way, such as %s", len(r.wrong), r.sent, r.wrong[0])
	}
}

// end stops the requests.
func (r *requests) end(t *testing.T) {
	t.Helper()
	r.stop()
	<-r.done
	r.lostNone(t)
	t.Logf("%d requests were sent, and none was lost", r.sent)
}
