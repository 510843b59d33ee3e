package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-cmp/cmp"

	"cutover/internal/emulate"
)

// aws runs the AWS command line, and reads its answer.
func (a *account) aws(t *testing.T, into any, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(a.ctx, "aws", append(args, "--output", "json")...)
	cmd.Env = os.Environ()
	for name, value := range a.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, err.(*exec.ExitError).Stderr)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// calls is what is deployed of the ways in which services find each other.
type calls struct {
	Namespaces map[string]string            // type by name
	Names      map[string]string            // of AWS Cloud Map: record and its life
	Connected  map[string]string            // names of Service Connect by ECS service; empty for one that only calls
	Registered map[string]string            // name in the zone, by ECS service
	Addresses  map[string]map[string]string // variables by ECS service
	Ways       []string                     // that callers have into security groups
	Broker     []string                     // what tells services the address of the message broker
}

func (a *account) calls(t *testing.T) calls {
	t.Helper()
	c := calls{map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]map[string]string{}, nil, nil}
	var spaces struct{ Namespaces []struct{ Name, Type string } }
	a.aws(t, &spaces, "servicediscovery", "list-namespaces")
	for _, one := range spaces.Namespaces {
		c.Namespaces[one.Name] = one.Type
	}
	var names struct {
		Services []struct {
			Name, Arn string
			DnsConfig struct {
				DnsRecords []struct {
					Type string
					TTL  int
				}
			}
		}
	}
	a.aws(t, &names, "servicediscovery", "list-services")
	arns := map[string]string{}
	for _, one := range names.Services {
		arns[one.Arn] = one.Name
		for _, record := range one.DnsConfig.DnsRecords {
			c.Names[one.Name] += fmt.Sprintf("%s for %d s", record.Type, record.TTL)
		}
	}
	balancer := aws.ToString(a.loadBalancers(t)[0].DNSName)
	for _, s := range a.services(t) {
		name := *s.ServiceName
		for _, r := range s.ServiceRegistries {
			c.Registered[name] = arns[*r.RegistryArn]
			if r.ContainerPort != nil {
				c.Registered[name] += fmt.Sprintf(" at %s:%d", *r.ContainerName, *r.ContainerPort)
			}
		}
		if of := s.Deployments[0].ServiceConnectConfiguration; of != nil && of.Enabled {
			var found []string
			for _, one := range of.Services {
				found = append(found, fmt.Sprintf("%s:%d", *one.ClientAliases[0].DnsName, *one.ClientAliases[0].Port))
			}
			c.Connected[name] = strings.Join(append(found, "in "+*of.Namespace), " ")
		}
		definition, err := a.ecs.DescribeTaskDefinition(a.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.TaskDefinition})
		container := must(t, definition, err).TaskDefinition.ContainerDefinitions[0]
		for _, secret := range container.Secrets {
			c.Broker = append(c.Broker, fmt.Sprintf("%s of %s: %s", *secret.Name, name, a.brokerURL(t, *secret.ValueFrom)))
		}
		for _, variable := range container.Environment {
			if strings.HasSuffix(*variable.Name, "_URL") {
				if c.Addresses[name] == nil {
					c.Addresses[name] = map[string]string{}
				}
				c.Addresses[name][*variable.Name] = strings.Replace(*variable.Value, balancer, "BALANCER", 1)
			}
		}
	}
	var groups struct {
		SecurityGroups []struct {
			GroupId       string
			IpPermissions []struct {
				FromPort, ToPort int
				UserIdGroupPairs []struct{ GroupId string }
			}
		}
	}
	a.aws(t, &groups, "ec2", "describe-security-groups")
	ids := map[string]string{}
	for key, id := range a.resources(t) {
		if f := strings.Fields(key); f[1] == "AWS::EC2::SecurityGroup" {
			ids[id] = f[0] + "/" + f[2]
		}
	}
	for _, group := range groups.SecurityGroups {
		for _, permission := range group.IpPermissions {
			for _, from := range permission.UserIdGroupPairs {
				if !strings.Contains(ids[from.GroupId], "LoadBalancer") {
					c.Ways = append(c.Ways, fmt.Sprintf("%s → %s %d-%d", ids[from.GroupId], ids[group.GroupId], permission.FromPort, permission.ToPort))
				}
			}
		}
	}
	slices.Sort(c.Ways)
	slices.Sort(c.Broker)
	return c
}

// brokerURL is the URL in a secret, with words for the password of the broker's user and the address of the broker.
func (a *account) brokerURL(t *testing.T, id string) string {
	t.Helper()
	read := func(id string) string {
		var secret struct{ SecretString string }
		a.aws(t, &secret, "secretsmanager", "get-secret-value", "--secret-id", id)
		return secret.SecretString
	}
	var user struct{ Username, Password string }
	if err := json.Unmarshal([]byte(read("dev/broker")), &user); err != nil || len(user.Password) < 12 {
		t.Fatal("the broker's user has no password: ", err)
	}
	var brokers struct{ BrokerSummaries []struct{ BrokerId string } }
	a.aws(t, &brokers, "mq", "list-brokers")
	var broker struct {
		BrokerInstances []struct{ Endpoints []string }
		Users           []struct{ Username string }
	}
	a.aws(t, &broker, "mq", "describe-broker", "--broker-id", brokers.BrokerSummaries[0].BrokerId)
	_, address, _ := strings.Cut(broker.BrokerInstances[0].Endpoints[0], "//")
	return strings.NewReplacer(broker.Users[0].Username+":"+user.Password+"@", "USER:PASSWORD@", address, "BROKER").Replace(read(id))
}

// TestCalls deploys services that find each other in all ways, then through the load balancer alone, and then
// again. The namespaces stay, so they are not in the way of themselves.
func TestCalls(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required(t, root, "aws")
	emulated := emulated(t)
	out := t.TempDir()
	cli, a := newCDK(interrupted, root, emulated.Env()), newAccount(interrupted, emulated.Endpoint(), emulate.Region)
	elsewhere := *cli
	elsewhere.dir = out
	elsewhere.must(t, "bootstrap", fmt.Sprintf("aws://%s/%s", emulate.Account, emulate.Region))
	t.Run("synthesize", func(t *testing.T) {
		for _, app := range []string{"names", "balanced", "bridged"} {
			t.Run(app, func(t *testing.T) {
				t.Parallel()
				synthesis := *cli
				synthesis.env = append(slices.Clone(cli.env), "CUTOVER_E2E_APP="+app)
				synthesis.must(t, "synth", "-q", "--app", forum, "-o", filepath.Join(out, app), "-c", "phase=switched")
			})
		}
	})
	deploy := func(app string) {
		t.Helper()
		if out, err := cli.deploy(filepath.Join(out, app)); err != nil {
			t.Fatalf("%v\n%s", err, tail(out, 60))
		}
	}
	compare := func(when string, want calls) {
		t.Helper()
		if diff := cmp.Diff(want, a.calls(t)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", when, diff)
		}
	}
	const instances, tasks = "dev-Network/InstanceSecurityGroup896E10BF", "SecurityGroupDD263621"
	broker := []string{instances + " → dev-Broker/" + tasks + " 5671-5671", "dev-Threads/" + tasks + " → dev-Broker/" + tasks + " 5671-5671"}
	urls := []string{"AMQP_URL of api: amqps://USER:PASSWORD@BROKER", "AMQP_URL of threads: amqps://USER:PASSWORD@BROKER"}
	named := calls{
		Namespaces: map[string]string{"dev": "HTTP", "dev.internal": "DNS_PRIVATE"},
		Names:      map[string]string{"threads": "A for 10 s", "posts": "SRV for 5 s"},
		Connected:  map[string]string{"users-fargate": "users-fargate:3000 in dev", "threads": "in dev"},
		Registered: map[string]string{"threads": "threads", "posts": "posts at posts:3000"},
		Addresses: map[string]map[string]string{
			"api":     {"THREADS_URL": "http://threads.dev.internal:3000", "POSTS_URL": "http+srv://posts.dev.internal", "PAGES_URL": "http://BALANCER"},
			"threads": {"USERS_URL": "http://users-fargate:3000", "POSTS_URL": "http+srv://posts.dev.internal"},
		},
		Ways: []string{
			instances + " → " + instances + " 32768-65535",
			instances + " → dev-Threads/" + tasks + " 3000-3000",
			"dev-Threads/" + tasks + " → " + instances + " 32768-65535",
			"dev-Threads/" + tasks + " → dev-Users/FargateSecurityGroup4A64555C 3000-3000",
			broker[0], broker[1],
		},
		Broker: urls,
	}
	slices.Sort(named.Ways)
	balanced := calls{
		Namespaces: named.Namespaces, Names: map[string]string{}, Connected: map[string]string{}, Registered: map[string]string{},
		Addresses: map[string]map[string]string{
			"api":     {"THREADS_URL": "http://BALANCER", "POSTS_URL": "http://BALANCER", "PAGES_URL": "http://BALANCER"},
			"threads": {"USERS_URL": "http://BALANCER", "POSTS_URL": "http://BALANCER"},
		},
		Ways: broker, Broker: urls,
	}
	deploy("names")
	compare("with names", named)
	deploy("balanced")
	compare("through the load balancer", balanced)
	// AWS does not change the network mode of a service that is deployed, and no service changes.
	before := a.updates(t)
	refused, err := cli.deploy(filepath.Join(out, "bridged"))
	if err == nil || !strings.Contains(refused, "dev-Routing failed to deploy") || !strings.Contains(refused, "custom-named resource requires replacing. Rename threads") {
		t.Errorf("another network mode: %v\n%s", err, tail(refused, 60))
	}
	compare("after the refusal", balanced)
	for _, stack := range []string{"dev-Users", "dev-Threads", "dev-Posts", "dev-Pages", "dev-Api"} {
		equal(t, "last change of "+stack, a.updates(t)[stack], before[stack])
	}
	deploy("names")
	compare("with names again", named)
}
