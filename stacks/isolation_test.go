package stacks_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/migration"
)

// Who may do what, and who reaches whom, worked out from the templates alone.
// docs/isolation.md is the answer as people read and review it.

const isolationDocument = "docs/isolation.md"

// The account and region for which the templates are read, so that they have
// whole ARNs. They say nothing about where the deployment goes.
const account, region = "123456789012", "us-east-1"

// wholeResource has the actions that AWS offers no resource for, so that their
// policies have to say "*", and what they come to
// (https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html).
var wholeResource = map[string]string{
	"ecr:GetAuthorizationToken":        "a registry login; which images it can pull is decided by the other actions",
	"ecs:DiscoverPollEndpoint":         "tells the ECS agent which address to poll",
	"ssmmessages:CreateControlChannel": "Session Manager's channel of the instance that asks",
	"ssmmessages:CreateDataChannel":    "Session Manager's channel of the instance that asks",
	"ssmmessages:OpenControlChannel":   "Session Manager's channel of the instance that asks",
	"ssmmessages:OpenDataChannel":      "Session Manager's channel of the instance that asks",
}

// partResource has the actions whose resource gets its id only when it exists.
var partResource = map[string]string{
	"ecs:Poll":                      "container instances have ids that ECS makes; the condition holds it to the cluster",
	"ecs:StartTelemetrySession":     "container instances have ids that ECS makes; the condition holds it to the cluster",
	"ssm:UpdateInstanceInformation": "instances have ids that EC2 makes",
	"logs:CreateLogStream":          "the streams of one log group",
	"logs:PutLogEvents":             "the streams of one log group",
	"logs:DescribeLogStreams":       "the streams of one log group",
}

// awsManaged is what the policies grant that AWS maintains and the templates
// name. Each is a page of
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html.
var awsManaged = map[string][]grant{
	"service-role/AWSLambdaBasicExecutionRole": {
		{effect: "Allow", actions: []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}, resources: []string{"*"}},
	},
}

// outsiders are identities that the templates only refer to.
var outsiders = map[string]string{
	"*":                                 "anybody",
	"arn:aws:iam::" + account + ":root": "the account: whom its own policies allow it",
	"arn:aws:iam::" + account + ":role/cdk-hnb659fds-image-publishing-role-" + account + "-" + region: "publisher: the role with which `cdk` pushes images",
}

// notOurs are identities of CDK's own functions, with the policies it gives them.
// No container and no instance can become them.
var notOurs = map[string]string{
	"Network/Custom::VpcRestrictDefaultSGCustomResourceProvider/Role": "CDK's function that empties the VPC's default security group while the stack deploys",
}

// part is an identity without the environment's name that its stack begins with.
func part(identity string) string {
	if _, path, ok := strings.Cut(identity, "-"); ok && strings.Contains(path, "/") {
		return path
	}
	return identity
}

// otherwiseHeld says whether what an identity may do with a resource of ours is
// not for the templates to narrow: a service of AWS acts by its own rules, and in
// the account its own policies decide.
func otherwiseHeld(identity string) bool {
	return strings.HasPrefix(identity, "service ") || identity == outsiders["arn:aws:iam::"+account+":root"]
}

// grant is one statement of a policy and whom it is for.
type grant struct {
	identity           string
	effect             string
	actions, resources []string
	condition          string
}

// deployed reads the assembly once more, as it is in an account.
func deployed(t *testing.T, a *assembly.Assembly) *assembly.Assembly {
	t.Helper()
	a, err := assembly.Read(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, stack := range a.Stacks {
		stack.Account, stack.Region = account, region
	}
	return a
}

// arn is the ARN that a resource is going to have, "" for a kind that is in no
// policy and nobody's to keep from others.
func arn(r *assembly.Resource) string {
	name := func(property, otherwise string) string {
		if name, ok := r.Properties[property].(string); ok {
			return name
		}
		return otherwise
	}
	in := func(service, rest string) string {
		return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, region, account, rest)
	}
	own := "${" + r.String() + "}"
	switch r.Type {
	case "AWS::ECR::Repository":
		return in("ecr", "repository/"+name("RepositoryName", own))
	case "AWS::ECS::Cluster":
		return in("ecs", "cluster/"+name("ClusterName", own))
	case "AWS::ECS::TaskDefinition":
		return in("ecs", "task-definition/"+name("Family", own))
	case "AWS::ECS::Service":
		return in("ecs", "service/"+name("ServiceName", own))
	case "AWS::Logs::LogGroup":
		return in("logs", "log-group:"+name("LogGroupName", own)+":*")
	case "AWS::SSM::Parameter":
		return in("ssm", "parameter"+name("Name", "/"+own))
	case "AWS::SecretsManager::Secret":
		return in("secretsmanager", "secret:"+name("Name", own))
	case "AWS::ElasticLoadBalancingV2::TargetGroup":
		return in("elasticloadbalancing", "targetgroup/"+name("Name", own))
	case "AWS::ElasticLoadBalancingV2::LoadBalancer":
		return in("elasticloadbalancing", "loadbalancer/app/"+name("Name", own))
	case "AWS::AutoScaling::AutoScalingGroup":
		return in("autoscaling", "autoScalingGroup:"+own)
	case "AWS::IAM::Role":
		return "arn:aws:iam::" + account + ":role/" + name("RoleName", own)
	case "AWS::Lambda::Function":
		return in("lambda", "function:"+name("FunctionName", own))
	case "AWS::S3::Bucket":
		return "arn:aws:s3:::" + name("BucketName", own)
	case "AWS::DynamoDB::Table":
		return in("dynamodb", "table/"+name("TableName", own))
	case "AWS::KMS::Key":
		return in("kms", "key/"+own)
	case "AWS::SQS::Queue":
		return in("sqs", name("QueueName", own))
	case "AWS::SNS::Topic":
		return in("sns", name("TopicName", own))
	}
	return ""
}

// text is a resolved value of a policy as the deployment will have it.
func text(value any) string {
	switch v := value.(type) {
	case assembly.Ref:
		if a := arn(v.Resource); a != "" && (v.Attribute == "Arn" || v.Attribute == "") {
			return a
		}
		return "${" + v.String() + "}"
	case assembly.Text:
		var b strings.Builder
		for _, part := range v {
			b.WriteString(text(part))
		}
		return b.String()
	}
	return fmt.Sprint(value)
}

func texts(value any) []string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var all []string
	for _, v := range list {
		all = append(all, text(v))
	}
	return all
}

// identities gives every role a name that says who has it.
func identities(t *testing.T, a *assembly.Assembly) map[*assembly.Resource]string {
	t.Helper()
	names := map[*assembly.Resource]string{}
	for _, r := range a.Resources("AWS::IAM::Role") {
		names[r] = strings.TrimSuffix(r.Path, "/Resource")
	}
	is := func(value any, name string) {
		if ref, ok := value.(assembly.Ref); ok {
			names[ref.Resource] = name
		}
	}
	for _, r := range a.Resources("AWS::ECS::TaskDefinition") {
		family := resolve(t, a, r, "Family").(string)
		is(resolve(t, a, r, "TaskRoleArn"), family+": task")
		is(resolve(t, a, r, "ExecutionRoleArn"), family+": execution")
	}
	for _, r := range a.Resources("AWS::IAM::InstanceProfile") {
		is(resolve(t, a, r, "Roles").([]any)[0], "instances")
	}
	return names
}

func resolve(t *testing.T, a *assembly.Assembly, r *assembly.Resource, property string) any {
	t.Helper()
	value, err := r.Resolve(a, property)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// grants are all statements of all policies of the assembly, and of the policies
// of AWS that it names. It fails on what it does not understand.
func grants(t *testing.T, a *assembly.Assembly) []grant {
	t.Helper()
	names := identities(t, a)
	var all []grant
	add := func(r *assembly.Resource, identity string, document any) {
		for _, s := range listOf(document.(object)["Statement"]) {
			for key := range s {
				if !slices.Contains([]string{"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}, key) {
					t.Fatalf("%s: a statement with %s: this test does not know what it comes to", r, key)
				}
			}
			g := grant{identity: identity, effect: s["Effect"].(string), actions: texts(s["Action"])}
			if s["Resource"] != nil {
				g.resources = texts(s["Resource"])
			}
			// A policy that belongs to what it is about need not say what that is.
			if s["Principal"] != nil && (s["Resource"] == nil || slices.Equal(g.resources, []string{"*"})) {
				g.resources = []string{arn(r)}
			}
			if condition, ok := s["Condition"].(object); ok {
				g.condition = conditionText(condition)
			}
			if s["Principal"] == nil {
				all = append(all, g)
				continue
			}
			principals, ok := s["Principal"].(object)
			if !ok {
				principals = object{"AWS": s["Principal"]} // "*"
			}
			for kind, who := range principals {
				for _, w := range texts(who) {
					g := g
					g.identity = cmp.Or(outsiders[w], strings.ToLower(kind)+" "+w)
					all = append(all, g)
				}
			}
		}
	}
	for _, stack := range a.Stacks {
		for _, r := range stack.Resources {
			switch r.Type {
			case "AWS::IAM::Role":
				policies, _ := resolve(t, a, r, "Policies").([]any)
				for _, p := range policies {
					add(r, names[r], p.(object)["PolicyDocument"])
				}
				managed, _ := resolve(t, a, r, "ManagedPolicyArns").([]any)
				for _, m := range managed {
					name := strings.TrimPrefix(text(m), "arn:aws:iam::aws:policy/")
					statements, ok := awsManaged[name]
					if !ok {
						t.Fatalf("%s has the policy %s: list in awsManaged what it grants, or better grant what is needed", r, name)
					}
					for _, g := range statements {
						g.identity = names[r]
						all = append(all, g)
					}
				}
			case "AWS::IAM::Policy":
				for _, role := range resolve(t, a, r, "Roles").([]any) {
					add(r, names[role.(assembly.Ref).Resource], resolve(t, a, r, "PolicyDocument"))
				}
			case "AWS::IAM::InstanceProfile":
			case "AWS::Lambda::Permission":
				t.Fatalf("%s: this test does not know what a function's permission comes to", r)
			default:
				if strings.HasPrefix(r.Type, "AWS::IAM::") {
					t.Fatalf("%s is of type %s: this test does not know what it grants", r, r.Type)
				}
				for _, property := range []string{"RepositoryPolicyText", "PolicyDocument", "KeyPolicy", "ResourcePolicy"} {
					if document, ok := resolve(t, a, r, property).(object); ok {
						add(r, "", document)
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.identity, b.identity), cmp.Compare(a.actions[0], b.actions[0]), slices.Compare(a.resources, b.resources))
	})
	return all
}

func conditionText(condition object) string {
	var parts []string
	for _, operator := range slices.Sorted(maps.Keys(condition)) {
		keys := condition[operator].(object)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			parts = append(parts, fmt.Sprintf("%s %s %s", key, operator, strings.Join(texts(keys[key]), ", ")))
		}
	}
	return strings.Join(parts, " and ")
}

// matches says whether a resource of a policy, with its wildcards, covers an ARN.
func matches(pattern, arn string) bool {
	expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("^" + expression + "$").MatchString(arn)
}

// may lists the actions that an identity has on a resource.
func may(all []grant, identity, arn string) []string {
	var actions []string
	service := strings.Split(arn, ":")[2]
	for _, g := range all {
		if g.identity != identity || g.effect != "Allow" || !slices.ContainsFunc(g.resources, func(p string) bool { return matches(p, arn) }) {
			continue
		}
		for _, action := range g.actions {
			// An action that takes no resource is about none.
			if (strings.HasPrefix(action, service+":") || strings.HasPrefix(action, "*")) && wholeResource[action] == "" {
				actions = append(actions, action)
			}
		}
	}
	return actions
}

var forum = []string{"api", "users", "threads", "posts"}

// productionForIsolation is the deployment with everything that an environment may have.
func productionForIsolation(t *testing.T) *assembly.Assembly {
	t.Helper()
	return deployed(t, synth(t, settings{
		"env": "prod", "phase": "parallel",
		"certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
	}))
}

// assembliesOfIsolation are all phases, and one with a shift: an identity must
// not be able to do more in one of them. The last one is production.
func assembliesOfIsolation(t *testing.T) []*assembly.Assembly {
	t.Helper()
	var all []*assembly.Assembly
	for _, phase := range migration.Phases() {
		all = append(all, deployed(t, inPhase(t, phase)))
	}
	return append(all, deployed(t, synth(t, settings{"phase": "parallel", "shift": "users=10"})), productionForIsolation(t))
}

// TestNothingMoreIsGranted asserts the exact list: the document has every grant,
// it is the same in every phase, and nothing is granted on more than AWS has a
// way to say.
func TestNothingMoreIsGranted(t *testing.T) {
	var first string
	assemblies := assembliesOfIsolation(t)
	for i, a := range assemblies {
		all := grants(t, a)
		switch table := grantTable(all); {
		case i == 0:
			first = table
		case i < len(assemblies)-1:
			equal(t, "grants in another phase", first, table)
		}
		for _, g := range all {
			if g.effect != "Allow" || notOurs[part(g.identity)] != "" || otherwiseHeld(g.identity) {
				continue
			}
			for _, action := range g.actions {
				if strings.Contains(action, "*") {
					t.Errorf("%s may do %s: name the actions", g.identity, action)
				}
				for _, resource := range g.resources {
					switch {
					case resource == "*" && wholeResource[action] == "":
						t.Errorf("%s may do %s on everything", g.identity, action)
					case resource != "*" && strings.Contains(resource, "*") && partResource[action] == "":
						t.Errorf("%s may do %s on %s", g.identity, action, resource)
					}
				}
			}
		}
	}
}

// foreignGrants lists what the roles of services may do with anything but the
// service's own repository and log group.
func foreignGrants(all []grant, services []string) []string {
	var foreign []string
	for _, g := range all {
		service, role, _ := strings.Cut(g.identity, ": ")
		if role != "task" && role != "execution" || !slices.Contains(services, service) {
			continue
		}
		for _, resource := range g.resources {
			for _, action := range g.actions {
				own := resource == "arn:aws:ecr:"+region+":"+account+":repository/"+service || resource == "arn:aws:logs:"+region+":"+account+":log-group:/ecs/"+service+":*"
				if !own && !(resource == "*" && wholeResource[action] != "") {
					foreign = append(foreign, fmt.Sprintf("%s may do %s on %s", g.identity, action, resource))
				}
			}
		}
	}
	return foreign
}

// TestTakenOver answers what whoever is in a service's container reaches with
// the service's roles, be it the task's or the execution role, which only the ECS
// agent has: the service's own repository and log group, and nothing else at all.
func TestTakenOver(t *testing.T) {
	for _, a := range assembliesOfIsolation(t) {
		all := grants(t, a)
		for _, foreign := range foreignGrants(all, forum) {
			t.Error(foreign)
		}
		for _, service := range forum {
			mine := map[string]bool{
				"arn:aws:ecr:us-east-1:123456789012:repository/" + service:             true,
				"arn:aws:logs:us-east-1:123456789012:log-group:/ecs/" + service + ":*": true,
			}
			identities := []string{service + ": task", service + ": execution"}
			// What there is, whoever it belongs to.
			for _, stack := range a.Stacks {
				for _, r := range stack.Resources {
					target := arn(r)
					if target == "" || mine[target] {
						continue
					}
					for _, identity := range identities {
						if actions := may(all, identity, target); len(actions) > 0 {
							t.Errorf("%s may do %s on %s", identity, actions, target)
						}
					}
				}
			}
			if actions := may(all, service+": task", "arn:aws:ecr:us-east-1:123456789012:repository/"+service); len(actions) > 0 {
				t.Errorf("the task of %s may do %s on its repository", service, actions)
			}
		}

		// Nothing is anybody's.
		for _, g := range all {
			if g.identity == outsiders["*"] && g.effect == "Allow" {
				t.Errorf("anybody may do %s on %s", g.actions, g.resources)
			}
		}

		// Nobody becomes another: services of AWS assume the roles, each its own kind.
		names := identities(t, a)
		for _, r := range a.Resources("AWS::IAM::Role") {
			want := map[bool]string{true: "ecs-tasks.amazonaws.com"}[strings.Contains(names[r], ": ")]
			if names[r] == "instances" {
				want = "ec2.amazonaws.com"
			}
			for _, s := range listOf(resolve(t, a, r, "AssumeRolePolicyDocument").(object)["Statement"]) {
				principal := s["Principal"].(object)
				if len(principal) != 1 || principal["Service"] == nil {
					t.Errorf("%s can be assumed by %v", names[r], principal)
				} else if want != "" && principal["Service"] != want {
					t.Errorf("%s can be assumed by %v, want %s alone", names[r], principal["Service"], want)
				}
			}
		}

		// Nothing is handed to a container but what it is configured with.
		for _, r := range a.Resources("AWS::ECS::TaskDefinition") {
			for _, c := range listOf(resolve(t, a, r, "ContainerDefinitions")) {
				for _, key := range []string{"Secrets", "MountPoints", "VolumesFrom", "EnvironmentFiles", "Privileged", "Links", "ExtraHosts"} {
					if c[key] != nil {
						t.Errorf("%s: the container has %s %v", r, key, c[key])
					}
				}
			}
			for _, key := range []string{"Volumes", "PidMode", "IpcMode"} {
				if value := resolve(t, a, r, key); value != nil {
					t.Errorf("%s has %s %v", r, key, value)
				}
			}
		}
	}
}

// reach is one pair of parties of which the first may connect to the second.
type reach struct{ from, to, ports string }

const internet = "the internet"

// network works out from the security groups who may connect to whom: what the
// one's group lets out and the other's lets in.
func network(t *testing.T, a *assembly.Assembly) []reach {
	t.Helper()
	type rule struct{ group, peer, ports string }
	var ingress, egress []rule
	groups := map[string]string{}
	for _, r := range a.Resources("AWS::EC2::SecurityGroup") {
		groups[r.String()+".GroupId"] = strings.TrimSuffix(strings.TrimPrefix(r.Path, r.Stack.Name+"/"), "/Resource")
	}
	party := func(r *assembly.Resource, peer object) string {
		for _, key := range []string{"SourceSecurityGroupId", "DestinationSecurityGroupId"} {
			if peer[key] != nil {
				return groups[fmt.Sprint(plain(peer[key]))]
			}
		}
		if peer["CidrIp"] == "0.0.0.0/0" {
			return internet
		}
		if peer["CidrIp"] == "255.255.255.255/32" {
			return "nobody" // how CDK writes a group that lets nothing out
		}
		t.Fatalf("%s: this test does not know who %v is", r, peer)
		return ""
	}
	ports := func(peer object) string {
		if peer["IpProtocol"] == "-1" {
			return "any"
		}
		return fmt.Sprintf("%v %v–%v", peer["IpProtocol"], peer["FromPort"], peer["ToPort"])
	}
	for _, r := range a.Resources("AWS::EC2::SecurityGroup") {
		id := groups[r.String()+".GroupId"]
		for _, p := range listOf(resolve(t, a, r, "SecurityGroupIngress")) {
			ingress = append(ingress, rule{id, party(r, p), ports(p)})
		}
		for _, p := range listOf(resolve(t, a, r, "SecurityGroupEgress")) {
			egress = append(egress, rule{id, party(r, p), ports(p)})
		}
	}
	for kind, rules := range map[string]*[]rule{"AWS::EC2::SecurityGroupIngress": &ingress, "AWS::EC2::SecurityGroupEgress": &egress} {
		for _, r := range a.Resources(kind) {
			p := object{}
			for name := range r.Properties {
				p[name] = resolve(t, a, r, name)
			}
			*rules = append(*rules, rule{groups[fmt.Sprint(plain(p["GroupId"]))], party(r, p), ports(p)})
		}
	}
	var all []reach
	for _, in := range ingress {
		for id := range maps.Values(groups) {
			// What is open to the internet is open to who may connect to anywhere.
			if in.peer != id && in.peer != internet {
				continue
			}
			for _, out := range egress {
				switch {
				case out.group != id:
				case out.peer == in.group && out.ports == in.ports, out.peer == internet && out.ports == "any":
					all = append(all, reach{id, in.group, in.ports})
				}
			}
		}
		if in.peer == internet {
			all = append(all, reach{internet, in.group, in.ports})
		}
	}
	for _, out := range egress {
		if out.peer == internet {
			all = append(all, reach{out.group, internet, out.ports})
		}
	}
	slices.SortFunc(all, func(a, b reach) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.ports, b.ports))
	})
	return slices.Compact(all)
}

// TestWhoReachesWhom: an instance, and so a container, reaches no other instance.
// What is on its own instance no security group keeps it from: that is the user
// data's to do, and test/instance runs it.
func TestWhoReachesWhom(t *testing.T) {
	assemblies := assembliesOfIsolation(t)
	for i, a := range assemblies {
		want := []string{
			"InstanceSecurityGroup → LoadBalancerSecurityGroup: tcp 80–80",
			"InstanceSecurityGroup → the internet: any",
			"LoadBalancerSecurityGroup → InstanceSecurityGroup: tcp 32768–65535",
			"the internet → LoadBalancerSecurityGroup: tcp 80–80",
		}
		if i == len(assemblies)-1 { // with a certificate
			want = []string{
				"InstanceSecurityGroup → LoadBalancerSecurityGroup: tcp 443–443",
				want[0], want[1], want[2],
				"the internet → LoadBalancerSecurityGroup: tcp 443–443",
				want[3],
			}
		}
		equal(t, "who may connect to whom", want, lines(network(t, a), func(r reach) string { return fmt.Sprintf("%s → %s: %s", r.from, r.to, r.ports) }))

		// The first lock of the metadata; the second is in the user data.
		for _, r := range a.Resources("AWS::EC2::LaunchTemplate") {
			data := r.Properties["LaunchTemplateData"].(object)
			equal(t, "metadata options", any(object{"HttpTokens": "required", "HttpPutResponseHopLimit": 1.0}), data["MetadataOptions"])
			script, err := a.Resolve(r.Stack, r.LogicalID, "UserData", data["UserData"].(object)["Fn::Base64"])
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range []string{
				"-A CONTAINER-FORWARD -d 169.254.169.254/32 -j DROP\n",
				"-A CONTAINER-FORWARD -i docker0 -o docker0 -j DROP\n",
				"-A CONTAINER-TO-HOST -j DROP\n",
			} {
				if !strings.Contains(text(script), rule) {
					t.Errorf("the user data of %s has no rule %q", r, rule)
				}
			}
		}
	}
}

func lines[T any](list []T, line func(T) string) []string {
	var all []string
	for _, v := range list {
		all = append(all, line(v))
	}
	return all
}

// TestGoldensOfIsolation compares the document with what the templates say.
func TestGoldensOfIsolation(t *testing.T) {
	a := deployed(t, inPhase(t, migration.Retired))
	document := isolationText(t, a)
	if *update {
		if err := os.MkdirAll(filepath.Dir(isolationDocument), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(isolationDocument, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compareGolden(t, isolationDocument, []byte(document))
}

// grantTable has a line for each list of actions of an identity.
func grantTable(all []grant) string {
	var rows []grant
	for _, g := range all {
		if last := len(rows) - 1; last >= 0 && rows[last].identity == g.identity && rows[last].effect == g.effect &&
			rows[last].condition == g.condition && slices.Equal(rows[last].actions, g.actions) {
			rows[last].resources = slices.Concat(rows[last].resources, g.resources)
			continue
		}
		rows = append(rows, g)
	}
	var b strings.Builder
	b.WriteString("| identity | | actions | on | if |\n|---|---|---|---|---|\n")
	for _, g := range rows {
		may := map[string]string{"Allow": "may", "Deny": "may not"}[g.effect]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", g.identity, may, code(g.actions), code(g.resources), g.condition)
	}
	return b.String()
}

func code(list []string) string {
	return "`" + strings.Join(list, "`<br>`") + "`"
}

func isolationText(t *testing.T, a *assembly.Assembly) string {
	t.Helper()
	all := grants(t, a)
	var b strings.Builder
	fmt.Fprintf(&b, `# Who may do what

Written by `+"`make golden`"+` from the templates, as if they were deployed to account %s in %s. A test
fails if this page differs from the templates, or if a phase of the migration grants anything else.
[SECURITY.md](../SECURITY.md) says what follows.

## Grants

The table has all that the templates grant to anybody. A service has two identities:

- The task role belongs to the container. The task roles have no policy and so no line: a task may do nothing.
- The execution role belongs to the ECS agent, which pulls the image and writes the log with it.

A service that scales adds no line. Application Auto Scaling sets its count with
[a role of its own](https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-service-linked-roles.html).
AWS makes this role in the account, and nobody else can assume it.

`, account, region)
	b.WriteString(grantTable(all))

	// Production has other stack names and a cluster of another name.
	known := map[string]bool{}
	for line := range strings.Lines(grantTable(all)) {
		known[line] = true
	}
	var more []string
	for line := range strings.Lines(grantTable(grants(t, productionForIsolation(t)))) {
		if !known[strings.NewReplacer("prod-", "dev-", "/prod", "/dev").Replace(line)] {
			more = append(more, line)
		}
	}
	b.WriteString("\nAn environment called `prod` has the same")
	if len(more) == 0 {
		b.WriteString(" and no more.\n")
	} else {
		b.WriteString(", and for its access logs and alarms:\n\n| identity | | actions | on | if |\n|---|---|---|---|---|\n" + strings.Join(more, ""))
	}

	b.WriteString("\n`${…}` stands for a name that the deployment creates.\n\n## Wildcards\n\nAll wildcards, each with the reason why AWS offers nothing narrower.\n\n| actions | on | why |\n|---|---|---|\n")
	type wildcard struct{ actions, resources []string }
	wildcards := map[string]*wildcard{}
	for _, g := range all {
		for _, action := range g.actions {
			for _, resource := range g.resources {
				if g.effect != "Allow" || !strings.Contains(resource, "*") {
					continue
				}
				why := partResource[action]
				if resource == "*" {
					why = "takes no resource: " + wholeResource[action]
				}
				if notOurs[part(g.identity)] != "" {
					why = "AWS's own policy, given to " + notOurs[part(g.identity)]
				}
				if otherwiseHeld(g.identity) {
					why = "on nothing but the resource that says so"
				}
				w := wildcards[why]
				if w == nil {
					w = &wildcard{}
					wildcards[why] = w
				}
				w.actions, w.resources = append(w.actions, action), append(w.resources, resource)
			}
		}
	}
	distinct := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	for _, why := range slices.Sorted(maps.Keys(wildcards)) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(distinct(wildcards[why].actions)), code(distinct(wildcards[why].resources)), why)
	}

	b.WriteString(`
## If a service is taken over

What both roles of a service can do together, on every resource of the templates.

`)
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(forum, " | "), strings.Repeat("---|", len(forum)))
	nothing := map[string]int{}
	for _, stack := range a.Stacks {
		for _, r := range stack.Resources {
			target := arn(r)
			if target == "" {
				continue
			}
			var cells []string
			found := false
			for _, service := range forum {
				actions := slices.Concat(may(all, service+": task", target), may(all, service+": execution", target))
				if len(actions) == 0 {
					cells = append(cells, "–")
					continue
				}
				found = true
				cells = append(cells, code(actions))
			}
			if !found {
				nothing[r.Type]++
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", target, strings.Join(cells, " | "))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(nothing)) {
		fmt.Fprintf(&b, "| %d of type %s |%s\n", nothing[kind], kind, strings.Repeat(" – |", len(forum)))
	}

	b.WriteString("\n## Who may become an identity\n\n| identity | is assumed by |\n|---|---|\n")
	names := identities(t, a)
	var trusts []string
	for _, r := range a.Resources("AWS::IAM::Role") {
		for _, s := range listOf(resolve(t, a, r, "AssumeRolePolicyDocument").(object)["Statement"]) {
			for kind, who := range s["Principal"].(object) {
				trusts = append(trusts, fmt.Sprintf("| %s | %s %s |\n", names[r], strings.ToLower(kind), code(texts(who))))
			}
		}
	}
	slices.Sort(trusts)
	b.WriteString(strings.Join(trusts, ""))

	b.WriteString("\n## Who may connect to whom\n\nThe table is from the security groups. A container has the security group of its instance.\n\n| from | to | ports |\n|---|---|---|\n")
	for _, r := range network(t, a) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.from, r.to, r.ports)
	}
	b.WriteString(`
There is no security group between two containers on one instance. The instances' user data keeps containers apart from each
other, from the instance and from its metadata. ` + "`go test ./test/instance`" + ` runs the user data and tests it.
`)
	return b.String()
}
