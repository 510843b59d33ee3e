package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"cutover/deployment"
	"cutover/internal/emulate"
	"cutover/internal/step"
	"cutover/migration"
)

// An account reads back what is deployed.
type account struct {
	ctx            context.Context
	cloudformation *cloudformation.Client
	ecr            *ecr.Client
	ecs            *ecs.Client
	elb            *elb.Client
	ssm            *ssm.Client
	env            map[string]string // by which others find it
}

// send sends a request to a service as one that is signed, with pairs of headers. The SDK for it need not be compiled.
func (a *account) send(t *testing.T, method, service, path string, body io.Reader, header ...string) (text []byte, answer *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(a.ctx, method, a.env["AWS_ENDPOINT_URL"]+path, body)
	must(t, req, err)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+emulate.Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	defer must(t, resp, err).Body.Close()
	text, err = io.ReadAll(resp.Body)
	return must(t, text, err), resp
}

func newAccount(ctx context.Context, endpoint, region string) *account {
	c := aws.Config{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	return &account{ctx: ctx, cloudformation: cloudformation.NewFromConfig(c), ecr: ecr.NewFromConfig(c), ecs: ecs.NewFromConfig(c),
		elb: elb.NewFromConfig(c), ssm: ssm.NewFromConfig(c),
		env: map[string]string{"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}}
}

// told compares what "cutover phase" is told with the phases that were reached last and begun last.
func (a *account) told(t *testing.T, reached, begun migration.State) {
	t.Helper()
	a.toldOf(t, deployment.Forum.Migration(), reached, begun)
}

// toldOf is told for a list of services.
func (a *account) toldOf(t *testing.T, m migration.Migration, reached, begun migration.State) {
	t.Helper()
	got, err := step.Ask(a.ctx, m, "dev", func(name string) string { return a.env[name] })
	if err != nil {
		t.Error(err)
	} else if !got.Exists || !got.Exact || got.Reached != reached || got.Begun != begun {
		t.Errorf("cutover phase is told %+v, want that %v was reached and %v begun", got, reached, begun)
	}
}

// must fails the test at once if the call failed.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A state is the part of a deployment that a phase decides.
type state struct {
	Rules  []string         // in the order in which the load balancer tries them; the default action last
	Counts map[string]int32 // desired count by ECS service
	Gate   []string         // names below /dev/phase-gate/
	Phase  string           // value of /dev/phase
	Places string           // value of /dev/phase-places
	Moves  string           // value of /dev/phase-places-compute
}

func (a *account) state(t *testing.T) state {
	t.Helper()
	s := state{Counts: map[string]int32{}}
	for _, svc := range a.services(t) {
		s.Counts[*svc.ServiceName] = svc.DesiredCount
	}
	for name, value := range a.parameters(t, "/dev") {
		if gate, ok := strings.CutPrefix(name, "/dev/phase-gate/"); ok {
			s.Gate = append(s.Gate, gate)
		} else if name == "/dev/phase" {
			s.Phase = value
		} else if name == "/dev/phase-places" {
			s.Places = value
		} else if name == "/dev/phase-places-compute" {
			s.Moves = value
		} else if strings.HasPrefix(name, "/dev/phase-gate-compute/") {
			continue
		} else {
			t.Errorf("unexpected parameter %s = %s", name, value)
		}
	}
	slices.Sort(s.Gate)
	groups := map[string]string{}
	for _, g := range a.targetGroups(t) {
		groups[*g.TargetGroupArn] = *g.TargetGroupName
	}
	listeners := a.listeners(t)
	if len(listeners) != 1 || listeners[0].Protocol != elbtypes.ProtocolEnumHttp || *listeners[0].Port != 80 {
		t.Fatalf("listeners: %d, want one of HTTP on port 80", len(listeners))
	}
	out, err := a.elb.DescribeRules(a.ctx, &elb.DescribeRulesInput{ListenerArn: listeners[0].ListenerArn})
	must(t, out, err)
	byPriority := func(x, y elbtypes.Rule) int { return priority(t, x) - priority(t, y) }
	for _, r := range slices.SortedFunc(slices.Values(out.Rules), byPriority) {
		s.Rules = append(s.Rules, describe(t, r, groups))
	}
	return s
}

func priority(t *testing.T, r elbtypes.Rule) int {
	if *r.Priority == "default" {
		return 1 << 30
	}
	var n int
	if _, err := fmt.Sscan(*r.Priority, &n); err != nil {
		t.Fatalf("priority %q: %v", *r.Priority, err)
	}
	return n
}

// describe writes a rule as "PRIORITY PATH… → GROUP WEIGHT, …", without the weight of a single group.
func describe(t *testing.T, r elbtypes.Rule, groups map[string]string) string {
	var paths, targets []string
	for _, c := range r.Conditions {
		if c.PathPatternConfig == nil {
			t.Errorf("rule %s: condition on %s", *r.Priority, aws.ToString(c.Field))
			continue
		}
		paths = append(paths, c.PathPatternConfig.Values...)
	}
	for _, a := range r.Actions {
		switch {
		case a.ForwardConfig != nil:
			for _, g := range a.ForwardConfig.TargetGroups {
				targets = append(targets, fmt.Sprintf("%s %d", groups[*g.TargetGroupArn], *g.Weight))
			}
		case a.TargetGroupArn != nil:
			targets = append(targets, groups[*a.TargetGroupArn])
		default:
			t.Errorf("rule %s: action %s", *r.Priority, a.Type)
		}
	}
	head := strings.Join(append([]string{*r.Priority}, paths...), " ")
	return head + " → " + strings.Join(targets, ", ")
}

func (a *account) services(t *testing.T) []ecstypes.Service {
	t.Helper()
	list, err := a.ecs.ListServices(a.ctx, &ecs.ListServicesInput{Cluster: aws.String("dev")})
	must(t, list, err)
	out, err := a.ecs.DescribeServices(a.ctx, &ecs.DescribeServicesInput{Cluster: aws.String("dev"), Services: list.ServiceArns,
		Include: []ecstypes.ServiceField{ecstypes.ServiceFieldTags}})
	return must(t, out, err).Services
}

func (a *account) targetGroups(t *testing.T) []elbtypes.TargetGroup {
	t.Helper()
	out, err := a.elb.DescribeTargetGroups(a.ctx, &elb.DescribeTargetGroupsInput{})
	return must(t, out, err).TargetGroups
}

func (a *account) loadBalancers(t *testing.T) []elbtypes.LoadBalancer {
	t.Helper()
	out, err := a.elb.DescribeLoadBalancers(a.ctx, &elb.DescribeLoadBalancersInput{})
	return must(t, out, err).LoadBalancers
}

func (a *account) listeners(t *testing.T) []elbtypes.Listener {
	t.Helper()
	lbs := a.loadBalancers(t)
	if len(lbs) != 1 {
		t.Fatalf("load balancers: %d, want 1", len(lbs))
	}
	out, err := a.elb.DescribeListeners(a.ctx, &elb.DescribeListenersInput{LoadBalancerArn: lbs[0].LoadBalancerArn})
	return must(t, out, err).Listeners
}

func (a *account) parameters(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	pages := ssm.NewGetParametersByPathPaginator(a.ssm, &ssm.GetParametersByPathInput{Path: &path, Recursive: aws.Bool(true)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(a.ctx)
		for _, p := range must(t, out, err).Parameters {
			found[*p.Name] = *p.Value
		}
	}
	return found
}

// stacks returns the status of every stack by name.
func (a *account) stacks(t *testing.T) map[string]string {
	t.Helper()
	out, err := a.cloudformation.DescribeStacks(a.ctx, &cloudformation.DescribeStacksInput{})
	found := map[string]string{}
	for _, s := range must(t, out, err).Stacks {
		found[*s.StackName] = string(s.StackStatus)
	}
	return found
}

// resources returns every resource of every stack, "STACK TYPE LOGICAL-ID", with its physical id.
func (a *account) resources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name := range a.stacks(t) {
		pages := cloudformation.NewListStackResourcesPaginator(a.cloudformation, &cloudformation.ListStackResourcesInput{StackName: &name})
		for pages.HasMorePages() {
			out, err := pages.NextPage(a.ctx)
			for _, r := range must(t, out, err).StackResourceSummaries {
				found[name+" "+*r.ResourceType+" "+*r.LogicalResourceId] = aws.ToString(r.PhysicalResourceId)
			}
		}
	}
	return found
}

// changed lists the resources that came, went or were replaced between two calls of resources, "+", "-" or "!".
func changed(before, after map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if id, ok := after[k]; !ok {
			out = append(out, "- "+k)
		} else if id != before[k] {
			out = append(out, "! "+k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[k]; !ok {
			out = append(out, "+ "+k)
		}
	}
	return out
}

// updates returns the time of each stack's last change.
func (a *account) updates(t *testing.T) map[string]string {
	t.Helper()
	out, err := a.cloudformation.DescribeStacks(a.ctx, &cloudformation.DescribeStacksInput{})
	found := map[string]string{}
	for _, s := range must(t, out, err).Stacks {
		found[*s.StackName] = fmt.Sprint(s.LastUpdatedTime)
	}
	return found
}
