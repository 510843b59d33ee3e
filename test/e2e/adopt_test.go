package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
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
	emulated := emulated(t)
	cli, a := newCDK(interrupted, root, emulated.Env()), newAccount(interrupted, emulated.Endpoint(), emulate.Region)
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
	var before map[string]string
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
				local.start(t, s.address)
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
	address       string // of the load balancer on this machine
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

// said is an answer of the API as it is, without the id of the request. The AWS CLI takes a second for each.
func (s *shop) said(t *testing.T, service, version, action string, params ...string) string {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	body, response := s.send(t, http.MethodPost, service, "", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", action, response.Status, body)
	}
	return requestID.ReplaceAllString(string(body), "")
}

var requestID = regexp.MustCompile(`(?i)<requestid>[^<]*</requestid>`)

// foreign is all that the API says of what the other team has: their stack with its template, and the resources in it that have
// to do with requests.
func (s *shop) foreign(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	keep := func(service, version, action, list string, ids ...string) {
		params := []string{list, ids[0]}
		if strings.HasSuffix(list, ".") {
			params = nil
			for i, id := range ids {
				params = append(params, fmt.Sprint(list, i+1), id)
			}
		}
		all[action] = s.said(t, service, version, action, params...)
	}
	of := map[string][]string{}
	resources := s.resources(t)
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		if f := strings.Fields(name); f[0] == "Shop" {
			of[f[1]] = append(of[f[1]], resources[name])
			all[name] = resources[name]
		}
	}
	const version, balancing = "2015-12-01", "AWS::ElasticLoadBalancingV2::"
	balancer, group := of[balancing+"LoadBalancer"][0], of[balancing+"TargetGroup"][0]
	for _, action := range []string{"DescribeStacks", "GetTemplate", "DescribeStackEvents"} {
		keep("cloudformation", "2010-05-15", action, "StackName", "Shop")
	}
	keep("elasticloadbalancing", version, "DescribeLoadBalancers", "LoadBalancerArns.member.", balancer)
	keep("elasticloadbalancing", version, "DescribeLoadBalancerAttributes", "LoadBalancerArn", balancer)
	keep("elasticloadbalancing", version, "DescribeListeners", "LoadBalancerArn", balancer)
	keep("elasticloadbalancing", version, "DescribeTargetGroups", "TargetGroupArns.member.", group)
	keep("elasticloadbalancing", version, "DescribeTargetGroupAttributes", "TargetGroupArn", group)
	keep("elasticloadbalancing", version, "DescribeTargetHealth", "TargetGroupArn", group)
	keep("elasticloadbalancing", version, "DescribeRules", "RuleArns.member.", of[balancing+"ListenerRule"]...)
	for _, one := range []struct{ action, list, kind string }{
		{"DescribeSecurityGroups", "GroupId.", "SecurityGroup"}, {"DescribeSubnets", "SubnetId.", "Subnet"},
		{"DescribeRouteTables", "RouteTableId.", "RouteTable"}, {"DescribeVpcs", "VpcId.", "VPC"},
	} {
		keep("ec2", "2016-11-15", one.action, one.list, of["AWS::EC2::"+one.kind]...)
	}
	services, err := s.ecs.DescribeServices(s.ctx, &ecs.DescribeServicesInput{Cluster: aws.String("shop"), Services: []string{"shop"}})
	text, err := json.MarshalIndent(must(t, services, err).Services, "", "  ")
	all["DescribeServices"] = string(must(t, text, err))
	rules, err := s.elb.DescribeRules(s.ctx, &elb.DescribeRulesInput{ListenerArn: aws.String(s.listener(t))})
	for _, r := range must(t, rules, err).Rules {
		if !ownRule(*r.Priority) {
			all["rules of others"] += *r.Priority + " " + *r.RuleArn + "\n"
		}
	}
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
	out, err := s.elb.DescribeRules(s.ctx, &elb.DescribeRulesInput{ListenerArn: aws.String(s.listener(t))})
	name := func(arn *string) string { return strings.Split(*arn, "/")[1] }
	for _, r := range must(t, out, err).Rules {
		if !ownRule(*r.Priority) {
			continue
		}
		words := []string{*r.Priority}
		for _, c := range r.Conditions {
			if c.HostHeaderConfig != nil {
				words = append(words, c.HostHeaderConfig.Values...)
			} else {
				words = append(words, c.PathPatternConfig.Values...)
			}
		}
		var targets []string
		for _, action := range r.Actions {
			if action.ForwardConfig == nil {
				targets = append(targets, name(action.TargetGroupArn))
				continue
			}
			for _, g := range action.ForwardConfig.TargetGroups {
				targets = append(targets, fmt.Sprintf("%s %d", name(g.TargetGroupArn), *g.Weight))
			}
		}
		lines = append(lines, strings.Join(words, " ")+" → "+strings.Join(targets, ", "))
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
	services, err := s.ecs.DescribeServices(s.ctx, &ecs.DescribeServicesInput{Cluster: aws.String("shop"), Services: slices.Collect(maps.Keys(want.counts))})
	counts := map[string]int{}
	for _, one := range must(t, services, err).Services {
		counts[*one.ServiceName] = int(one.DesiredCount)
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
	s.address = "http://localhost:" + port
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
func (r *requests) start(t *testing.T, address string) {
	ctx, stop := context.WithCancel(interrupted)
	r.stop, r.done = stop, make(chan struct{})
	paths := []string{"/api/orders", "/api/orders/1", "/api/catalog", "/api/customers", "/teapot", "/none"}
	first := map[string]string{}
	for _, path := range paths {
		answer, err := ask(ctx, address+path)
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
			answer, err := ask(ctx, address+path)
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
func ask(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
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
