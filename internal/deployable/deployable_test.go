package deployable

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/assembly/assemblytest"
	"cutover/internal/golden"
	"cutover/internal/model"
)

// read reads the model of one stack, S, with these resources and the condition Never. It exports the
// resource Exported and has the resource Kept as an output.
func read(t *testing.T, resources ...string) *model.Model {
	t.Helper()
	a := assemblytest.Read(t, assemblytest.Unknown, `{"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
			"Outputs": {"Out": {"Value": {"Ref": "Exported"}, "Export": {"Name": "x"}}, "Kept": {"Value": {"Ref": "Kept"}}}, "Resources": {`+strings.Join(resources, ",\n")+`}}`)
	return model.Read(a)
}

func resource(id, resourceType, properties string) string {
	return fmt.Sprintf(`%q: {"Type": %q, "Properties": {%s}}`, id, resourceType, properties)
}

// with adds what AWS asks for, unless the properties begin with a dash.
func with(required, properties string) string {
	if bare, ok := strings.CutPrefix(properties, "-"); ok {
		return bare
	}
	return strings.TrimSuffix(required+", "+properties, ", ")
}

func balancer(id, properties string) string {
	return resource(id, model.ELBLoadBalancer, with(`"Subnets": ["subnet-1", "subnet-2"]`, properties))
}

func listener(id, balancer string, port int, protocol, more, group string) string {
	return resource(id, model.ELBListener, fmt.Sprintf(`"LoadBalancerArn": %s, "Port": %d, "Protocol": %q, %s
		"DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": %q}}]`, balancer, port, protocol, more, group))
}

func group(id, properties string) string {
	if !strings.Contains(properties, `"Protocol"`) {
		properties = strings.TrimSuffix(`"Protocol": "HTTP", `+properties, ", ")
	}
	return resource(id, model.ELBTargetGroup, with(`"Port": 80, "VpcId": "vpc-1"`, properties))
}

func task(properties, container string) string {
	return resource("T", model.ECSTaskDefinition, properties+`"ContainerDefinitions": [{"Name": "c", "Image": "i", "PortMappings": [{"ContainerPort": 80}], `+container+`}]`)
}

func service(properties string, groups ...string) string {
	var at []string
	for _, group := range groups {
		at = append(at, `{"ContainerName": "c", "ContainerPort": 80, "TargetGroupArn": {"Ref": "`+group+`"}}`)
	}
	return resource("Service", model.ECSService, properties+`"TaskDefinition": {"Ref": "T"}, "LoadBalancers": [`+strings.Join(at, ", ")+`]`)
}

// ordered is a task of the containers a (with a health check), b, c and d, of which only c and d are
// essential: a and c depend on "container:condition", and d has links.
func ordered(a, c, d string) string {
	on := func(list string) string {
		var all []string
		for name := range strings.SplitSeq(strings.ReplaceAll(list, `"`, ""), ", ") {
			if name, until, ok := strings.Cut(name, ":"); ok {
				all = append(all, fmt.Sprintf(`{"ContainerName": %q, "Condition": %q}`, name, until))
			}
		}
		return strings.Join(all, ", ")
	}
	return resource("T", model.ECSTaskDefinition, `"ContainerDefinitions": [
		{"Name": "a", "Image": "i", "Memory": 64, "Essential": false, "HealthCheck": {"Command": ["CMD", "/check"]}, "DependsOn": [`+on(a)+`]},
		{"Name": "b", "Image": "i", "Memory": 64, "Essential": false}, {"Name": "c", "Image": "i", "Memory": 64, "DependsOn": [`+on(c)+`]},
		{"Name": "d", "Image": "i", "Memory": 64, "Links": [`+d+`]}]`)
}

// rule is one of the listener L whose condition cannot be read.
func rule(actions string) string {
	return resource("R", model.ELBListenerRule, `"ListenerArn": {"Ref": "L"}, "Priority": 1, "Conditions": [{"Field": "nonsense"}], `+actions)
}

// named is a service with a name, unless the name is empty, in a cluster.
func named(id, name, cluster string) string {
	properties := `"TaskDefinition": "t", "Cluster": {"Ref": "` + cluster + `"}`
	if name != "" {
		properties += `, "ServiceName": "` + name + `"`
	}
	return resource(id, model.ECSService, properties)
}

var clusters = resource("C", model.ECSCluster, "") + ", " + resource("D", model.ECSCluster, "")

const (
	interfaces = `"NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["s"]}}, `

	a = `{"Ref": "A"}`
	b = `{"Ref": "B"}`
)

// keyed is a table with a key.
func keyed(id, properties string) string {
	return resource(id, model.DynamoDBTable, `"KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}], `+properties)
}

// cluster is a database cluster with an instance of a class.
func cluster(id, capacity, class string) string {
	if capacity != "" {
		capacity = `"ServerlessV2ScalingConfiguration": ` + capacity
	}
	return resource(id, model.RDSCluster, capacity) + ", " + resource(id+"I", model.RDSInstance, fmt.Sprintf(`"DBClusterIdentifier": {"Ref": %q}, "DBInstanceClass": %q`, id, class))
}

func TestRefused(t *testing.T) {
	lbs := balancer("A", "") + ", " + balancer("B", "")
	certificate := `"Certificates": [{"CertificateArn": "arn:x"}],`
	small := task("", `"Memory": 64`)
	var many []string
	for i := range 101 {
		many = append(many, group(fmt.Sprintf("G%d", i), ""))
		if i > 0 {
			many = append(many, resource(fmt.Sprintf("R%d", i), model.ELBListenerRule, fmt.Sprintf(`"ListenerArn": {"Ref": "L"}, "Priority": %d,
				"Conditions": [{"Field": "path-pattern", "Values": ["/a"]}], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G%d"}}]`, i, i)))
		}
	}
	six := []string{"G", "G", "G", "G", "G", "G"}
	for _, test := range []struct {
		name, want string
		resources  []string
	}{
		{"a mesh", "S/X: AWS has ended App Mesh on 2026-09-30: let services find each other by Service Connect, and remove all AWS::AppMesh resources", []string{resource("X", "AWS::AppMesh::Route", "")}},
		{"a mesh that does not exist", "", []string{`"X": {"Type": "AWS::AppMesh::Mesh", "Condition": "Never"}`}},
		{"two ports", "", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), listener("M", a, 81, "HTTP", "", "G"), group("G", "")}},
		{"one port of two", "", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), listener("M", b, 80, "HTTP", "", "H"), group("G", ""), group("H", "")}},
		{"one port twice", "S/M/Properties.Port: AWS refuses a second listener on port 80 of one load balancer; the first one is S/L",
			[]string{lbs, listener("L", a, 80, "HTTP", "", "G"), listener("M", a, 80, "HTTPS", certificate, "G"), group("G", "")}},
		{"one port twice, elsewhere", "S/M/Properties.Port: AWS refuses a second listener",
			[]string{listener("L", `"arn:x"`, 80, "HTTP", "", "G"), listener("M", `"arn:x"`, 80, "HTTP", "", "G"), group("G", "")}},
		{"not known whether one", "", []string{listener("L", `{"Ref": "AWS::StackId"}`, 80, "HTTP", "", "G"), listener("M", `{"Ref": "AWS::StackId"}`, 80, "HTTP", "", "G"), group("G", "")}},
		{"TLS", "", []string{lbs, listener("L", a, 443, "HTTPS", certificate, "G"), group("G", "")}},
		{"no certificate", "S/L/Properties.Certificates: AWS refuses an HTTPS listener with 0 default certificates: it needs exactly one", []string{lbs, listener("L", a, 443, "HTTPS", "", "G"), group("G", "")}},
		{"two certificates", "with 2 default certificates", []string{lbs, listener("L", a, 443, "HTTPS", strings.Replace(certificate, `}]`, `}, {"CertificateArn": "arn:y"}]`, 1), "G"), group("G", "")}},
		{"a certificate known later", "", []string{lbs, listener("L", a, 443, "HTTPS", strings.Replace(certificate, `"arn:x"`, `{"Fn::ImportValue": "x"}`, 1), "G"), group("G", "")}},

		{"a group behind an action that cannot be read", "", []string{lbs, small, service("", "H"), listener("L", a, 80, "HTTP", "", "G"), group("G", ""), group("H", ""),
			rule(`"Actions": [{"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {}}, {"Type": "forward", "Order": 2, "TargetGroupArn": {"Ref": "H"}}]`)}},
		{"a group behind a default action that cannot be read", "", []string{lbs, small, service("", "H"), group("H", ""),
			resource("L", model.ELBListener, `"LoadBalancerArn": {"Ref": "A"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": {"Fn::Transform": "x"}`)}},
		{"a group that a nested stack may forward to", "", []string{lbs, small, service("", "H"), group("H", ""), resource("N", model.CloudFormationStack, "")}},
		{"a group beside conditions that cannot be read", "target group S/H does not have an associated load balancer", []string{lbs, small, service("", "H"), listener("L", a, 80, "HTTP", "", "G"), group("G", ""), group("H", ""),
			rule(`"Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G"}}]`)}},
		{"a group at two", "S/G: AWS refuses a target group at two load balancers, S/A and S/B", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), listener("M", b, 81, "HTTP", "", "G"), group("G", "")}},
		{"a group at one and elsewhere", "AWS refuses a target group at two load balancers, S/A and arn:x", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), listener("M", `"arn:x"`, 81, "HTTP", "", "G"), group("G", "")}},
		{"a group of another kind", "S/G/Properties.Protocol: AWS refuses a target group of protocol TCP at the Application Load Balancer of S/L", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", `"Protocol": "TCP"`)}},
		{"100 groups", "", append([]string{lbs, listener("L", a, 80, "HTTP", "", "G1")}, many...)},
		{"101 groups", "S/A: AWS refuses 101 target groups: a load balancer can have 100", append([]string{lbs, listener("L", a, 80, "HTTP", "", "G0")}, many...)},

		{"names", "", []string{balancer("A", `"Name": "a-1"`), group("G", `"Name": "`+strings.Repeat("g", 32)+`"`), group("H", `"Name": "g"`), balancer("B", `"Name": "g"`)}},
		{"a long name", `S/G/Properties.Name: AWS refuses "ggg`, []string{group("G", `"Name": "`+strings.Repeat("g", 33)+`"`)}},
		{"a hyphen first", `AWS refuses "-a": the name of a load balancer can have 32 letters`, []string{balancer("A", `"Name": "-a"`)}},
		{"a hyphen last", `AWS refuses "a-"`, []string{balancer("A", `"Name": "a-"`)}},
		{"internal", `cannot begin with "internal-"`, []string{balancer("A", `"Name": "internal-a"`)}},
		{"a name twice", `S/H/Properties.Name: AWS refuses a second target group called "g"; the first one is S/G`, []string{group("G", `"Name": "g"`), group("H", `"Name": "g"`)}},
		{"a load balancer twice", `S/B/Properties.Name: AWS refuses a second load balancer called "g"`, []string{balancer("A", `"Name": "g"`), balancer("B", `"Name": "g"`)}},
		{"one subnet", "S/A/Properties.Subnets: AWS refuses one subnet", []string{balancer("A", `-"Subnets": ["subnet-1"]`)}},
		{"no subnets", "S/A/Properties.Subnets: AWS refuses a load balancer unless it has one of Subnets and SubnetMappings", []string{balancer("A", "-")}},
		{"subnets in two ways", "unless it has one of Subnets and SubnetMappings", []string{balancer("A", `"SubnetMappings": [{"SubnetId": "subnet-3"}]`)}},
		{"one of two ways", "", []string{balancer("A", `"SubnetMappings": {"Fn::If": ["Never", [], {"Ref": "AWS::NoValue"}]}`)}},
		{"neither of two ways", "unless it has one of", []string{balancer("A", `-"Subnets": {"Fn::If": ["Never", [], {"Ref": "AWS::NoValue"}]}`)}},
		{"known later", "", []string{balancer("A", `-"Subnets": {"Fn::ImportValue": "x"}`), resource("G", model.ELBTargetGroup, `"Port": 80, "Protocol": "HTTP", "VpcId": {"Fn::ImportValue": "x"}`)}},
		{"mappings", "", []string{balancer("A", `-"SubnetMappings": [{"SubnetId": "subnet-3"}, {"SubnetId": "subnet-4"}]`)}},
		{"no port", "S/G/Properties.Port: AWS refuses a target group of type instance without it", []string{resource("G", model.ELBTargetGroup, `"Protocol": "HTTP", "VpcId": "vpc-1"`)}},
		{"no protocol", "S/G/Properties.Protocol: AWS refuses", []string{resource("G", model.ELBTargetGroup, `"Port": 80, "VpcId": "vpc-1"`)}},
		{"no VPC", "S/G/Properties.VpcId: AWS refuses", []string{resource("G", model.ELBTargetGroup, `"TargetType": "ip", "Port": 80, "Protocol": "HTTP"`)}},
		{"nothing for a function", "", []string{resource("G", model.ELBTargetGroup, `"TargetType": "lambda"`)}},
		{"one subnet is enough for another kind", "", []string{balancer("A", `-"Type": "network", "Subnets": ["subnet-1"]`)}},

		{"attached", "", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", ""), small, service("", "G")}},
		{"attached at a weight of 0", "", []string{lbs, resource("L", model.ELBListener, `"LoadBalancerArn": {"Ref": "A"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": [
			{"TargetGroupArn": {"Ref": "G"}, "Weight": 0}, {"TargetGroupArn": {"Ref": "H"}, "Weight": 1}]}}]`), group("G", ""), group("H", ""), small, service("", "G")}},
		{"attached by a rule of a listener elsewhere", "", []string{resource("R", model.ELBListenerRule, `"ListenerArn": "arn:x", "Priority": 1, "Conditions": [{"Field": "path-pattern", "Values": ["/a"]}], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G"}}]`),
			group("G", ""), small, service("", "G")}},
		{"not attached", "S/Service/Properties.LoadBalancers[1]: AWS refuses the service: target group S/H does not have an associated load balancer",
			[]string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", ""), group("H", ""), small, service("", "G", "H")}},
		{"an interface of its own", "", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", `"TargetType": "ip"`), task(`"NetworkMode": "awsvpc", `, `"Memory": 64`), service(interfaces, "G")}},
		{"no subnets for an interface", "S/Service/Properties.NetworkConfiguration: AWS refuses a service of tasks in network mode awsvpc without it", []string{task(`"NetworkMode": "awsvpc", `, `"Memory": 64`), service("")}},
		{"Fargate", "", []string{task(`"NetworkMode": "awsvpc", `, `"Memory": 64`), service(`"LaunchType": "FARGATE", ` + interfaces)}},
		{"Fargate on a bridge", "S/T/Properties.NetworkMode: AWS refuses bridge for the tasks of S/Service: those on Fargate need awsvpc", []string{small, service(`"LaunchType": "FARGATE", `)}},
		{"Fargate by a provider on a bridge", "AWS refuses bridge for the tasks of S/Service", []string{small, service(`"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT"}], `)}},
		{"another port of the host", "S/T/Properties.ContainerDefinitions[0].PortMappings[0].HostPort: AWS refuses 81 in network mode host: it is the container's port, 80, or left out",
			[]string{strings.Replace(task(`"NetworkMode": "host", `, `"Memory": 64`), `"ContainerPort": 80`, `"ContainerPort": 80, "HostPort": 81`, 1)}},
		{"the port of the host", "", []string{strings.Replace(task(`"NetworkMode": "host", `, `"Memory": 64`), `"ContainerPort": 80`, `"ContainerPort": 80, "HostPort": 80`, 1)}},
		{"another port of an instance", "", []string{strings.Replace(small, `"ContainerPort": 80`, `"ContainerPort": 80, "HostPort": 81`, 1)}},
		{"instances for tasks with an interface", "tasks in network mode awsvpc need target type ip, and S/G has instance", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", ""), task(`"NetworkMode": "awsvpc", `, `"Memory": 64`), service(interfaces, "G")}},
		{"addresses for tasks on a bridge", "tasks in network mode bridge need target type instance, and S/G has ip", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", `"TargetType": "ip"`), small, service("", "G")}},
		{"five groups", "", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", ""), small, service("", six[1:]...)}},
		{"six groups", "S/Service/Properties.LoadBalancers: AWS refuses 6 target groups: a service can have 5", []string{lbs, listener("L", a, 80, "HTTP", "", "G"), group("G", ""), small, service("", six...)}},
		{"names of services", "", []string{named("One", "a_b-C1", "C"), named("Two", "b", "C"), named("Three", "b", "D"), named("Four", "", "C"), named("Five", strings.Repeat("x", 255), "C"), clusters}},
		{"a service's name with a space", `S/One/Properties.ServiceName: AWS refuses "a b": the name can have 255 letters, digits, hyphens and underscores`, []string{named("One", "a b", "C"), clusters}},
		{"a service's name that is too long", `S/One/Properties.ServiceName: AWS refuses "xx`, []string{named("One", strings.Repeat("x", 256), "C"), clusters}},
		{"a service's name twice", `S/Two/Properties.ServiceName: AWS refuses a second service called "a" in a cluster; the first one is S/One`, []string{named("One", "a", "C"), named("Two", "a", "C"), clusters}},
		{"a cluster's name", `S/C/Properties.ClusterName: AWS refuses "a b": the name can have 255 letters, digits, hyphens and underscores`, []string{resource("C", model.ECSCluster, `"ClusterName": "a b"`)}},
		{"a family", `S/T/Properties.Family: AWS refuses "c.d": the name can have 255`, []string{task(`"Family": "c.d", `, `"Memory": 64`)}},
		{"a container's name", `S/T/Properties.ContainerDefinitions[1].Name: AWS refuses "e/f": the name can have 255`, []string{task("", `"Memory": 64}, {"Name": "e/f", "Image": "i", "Memory": 64`)}},
		{"names that ECS takes", "", []string{resource("C", model.ECSCluster, `"ClusterName": "a-B_1"`), task(`"Family": "a-B_1", `, `"Memory": 64}, {"Name": "a-B_1", "Image": "i", "Memory": 64`)}},
		{"the scheme", `S/A/Properties.Scheme: AWS refuses "public": choose from internet-facing, internal`, []string{balancer("A", `"Scheme": "public"`)}},
		{"the kind of addresses", `S/A/Properties.IpAddressType: AWS refuses "ipv6": choose from ipv4, dualstack, dualstack-without-public-ipv4`, []string{balancer("A", `"IpAddressType": "ipv6"`)}},
		{"schemes and addresses", "", []string{balancer("A", `"Scheme": "internal", "IpAddressType": "dualstack-without-public-ipv4"`), balancer("B", `"Scheme": "internet-facing", "IpAddressType": "dualstack"`), balancer("C", `"IpAddressType": "ipv4"`)}},
		{"a full task", "", []string{task(`"Cpu": "256", "Memory": "512", `, `"Cpu": 256, "Memory": 512`)}},
		{"too much CPU", "S/T/Properties.Cpu: AWS refuses 257 CPU units of containers in a task of 256", []string{task(`"Cpu": "256", "Memory": "512", `, `"Cpu": 257, "Memory": 512`)}},
		{"a limit of the whole task beside a reservation", "", []string{task(`"Cpu": "256", "Memory": "512", `, `"Memory": 512}, {"Name": "d", "Image": "i", "MemoryReservation": 128`)}},
		{"too much reserved memory", "S/T/Properties.Memory: AWS refuses 513 MiB of containers in a task of 512", []string{task(`"Cpu": "256", "Memory": "512", `, `"Memory": 512, "MemoryReservation": 256}, {"Name": "d", "Image": "i", "MemoryReservation": 257`)}},
		{"too much memory", "S/T/Properties.Memory: AWS refuses 513 MiB of containers in a task of 512", []string{task(`"Cpu": "256", "Memory": "512", `, `"Memory": 513`)}},
		{"an order", "", []string{ordered(`"b:START"`, `"a:HEALTHY", "b:COMPLETE", "b:SUCCESS"`, `"a", "b:alias", "c"`)}},
		{"an order without the container", `S/T/Properties.ContainerDefinitions[0].DependsOn[0].ContainerName: AWS refuses "x": the task has no such container`, []string{ordered(`"x:START"`, ``, ``)}},
		{"a link without the container", `S/T/Properties.ContainerDefinitions[3].Links[1]: AWS refuses "x:a": the task has no container "x"`, []string{ordered(``, ``, `"a", "x:a"`)}},
		{"the health of a container without a check", `ContainerDefinitions[0].DependsOn[1].Condition: AWS refuses HEALTHY: container "b" has no health check`, []string{ordered(`"b:START", "b:HEALTHY"`, ``, ``)}},
		{"the end of an essential container", `ContainerDefinitions[2].DependsOn[0].Condition: AWS refuses COMPLETE: container "d" is essential, so its end is the task's end`, []string{ordered(``, `"d:COMPLETE"`, ``)}},
		{"the success of an essential container", `DependsOn[0].Condition: AWS refuses SUCCESS: container "d" is essential`, []string{ordered(``, `"d:SUCCESS"`, ``)}},
		{"a container that waits for itself", `S/T/Properties.ContainerDefinitions[0]: AWS refuses a circle of containers that wait for each other: a, a`, []string{ordered(`"a:START"`, ``, ``)}},
		{"a circle", `S/T/Properties.ContainerDefinitions[0]: AWS refuses a circle of containers that wait for each other: a, d, a`, []string{ordered(`"d:START"`, ``, `"a"`)}},
		{"a circle that is not at the front", `S/T/Properties.ContainerDefinitions[2]: AWS refuses a circle of containers that wait for each other: c, d, c`, []string{ordered(`"c:START"`, `"d:START"`, `"c"`)}},
		{"a variable and a secret", `S/T/Properties.ContainerDefinitions[0].Secrets[1].Name: AWS refuses "B": the container's Environment has it, too`,
			[]string{task("", `"Memory": 64, "Environment": [{"Name": "B", "Value": "b"}], "Secrets": [{"Name": "A", "ValueFrom": "a"}, {"Name": "B", "ValueFrom": "b"}]`)}},
		{"a table", "", []string{keyed("T", `"TableName": "a.b"`), keyed("U", `"TableName": "c-_9"`), resource("V", model.DynamoDBGlobalTable, `"KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]`)}},
		{"a table's name that is short", `S/T/Properties.TableName: AWS refuses "ab": the name of a table has 3 to 255`, []string{keyed("T", `"TableName": "ab"`)}},
		{"a table's name that is long", `AWS refuses "ttt`, []string{keyed("T", `"TableName": "`+strings.Repeat("t", 256)+`"`)}},
		{"a table's name with a slash", `AWS refuses "a/b"`, []string{keyed("T", `"TableName": "a/b"`)}},
		{"a table's name twice", `S/U/Properties.TableName: AWS refuses a second table called "abc"; the first one is S/T`, []string{keyed("T", `"TableName": "abc"`), keyed("U", `"TableName": "abc"`)}},
		{"no key", "S/T/Properties.KeySchema: AWS refuses 0 keys: a table has a partition key", []string{resource("T", model.DynamoDBTable, "")}},
		{"three keys", "AWS refuses 3 keys", []string{resource("T", model.DynamoDBTable, `"KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}, {"AttributeName": "k", "KeyType": "RANGE"}, {"AttributeName": "k", "KeyType": "RANGE"}], "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]`)}},
		{"a key without a type", `S/T/Properties.KeySchema: AWS refuses the key "k": AttributeDefinitions does not have it`, []string{resource("T", model.DynamoDBTable, `"KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}]`)}},
		{"a cluster", "", []string{cluster("C", `{"MinCapacity": 1, "MaxCapacity": 1}`, "db.serverless"), resource("D", model.RDSCluster, `"DBClusterIdentifier": "c"`)}},
		{"a cluster without capacity", "S/CI/Properties.DBInstanceClass: AWS refuses a serverless instance: S/C has no ServerlessV2ScalingConfiguration", []string{cluster("C", "", "db.serverless")}},
		{"a cluster of instances", "", []string{cluster("C", "", "db.r8g.large")}},
		{"too little capacity", "S/C/Properties.ServerlessV2ScalingConfiguration: AWS refuses a MaxCapacity of 0.5: it is 1 or more", []string{cluster("C", `{"MinCapacity": 0, "MaxCapacity": 0.5}`, "db.serverless")}},
		{"more than the most", "AWS refuses a MinCapacity of 2: it is more than MaxCapacity, 1.5", []string{cluster("C", `{"MinCapacity": 2, "MaxCapacity": 1.5}`, "db.serverless")}},
		{"a cluster's name twice", `S/D/Properties.DBClusterIdentifier: AWS refuses a second database cluster called "c"; the first one is S/C`, []string{resource("C", model.RDSCluster, `"DBClusterIdentifier": "c"`), resource("D", model.RDSCluster, `"DBClusterIdentifier": "c"`)}},
		{"reserved less", "", []string{task(`"Memory": "512", `, `"Memory": 600, "MemoryReservation": 100`)}},
	} {
		got := Refused(read(t, test.resources...))
		if test.want == "" && got != nil || test.want != "" && (got == nil || !strings.Contains(got.Error(), test.want) || strings.Count(got.Error(), "\n") > 0) {
			t.Errorf("%s: %v, want %q", test.name, got, test.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	group1 := func(instanceType, max string) string {
		return resource("Machines", model.EC2AutoScalingGroup, `"MinSize": "1", "MaxSize": "`+max+`", "LaunchConfigurationName": {"Ref": "Launch"}`) + ", " +
			resource("Launch", model.EC2LaunchConfiguration, `"InstanceType": "`+instanceType+`"`)
	}
	for _, test := range []struct {
		name, want string
		resources  []string
	}{
		{"a web ACL", "S/Acl: a web ACL decides which requests come through; it is not evaluated here\nS/Before: puts a web ACL before a resource, and",
			[]string{resource("Acl", "AWS::WAFv2::WebACL", ""), resource("Before", "AWS::WAFv2::WebACLAssociation", "")}},
		{"a Classic Load Balancer", "S/X: a Classic Load Balancer takes requests; it is not evaluated here", []string{resource("X", "AWS::ElasticLoadBalancing::LoadBalancer", "")}},
		{"an Express service", "S/X: an Express gateway service takes requests and runs tasks", []string{resource("X", "AWS::ECS::ExpressGatewayService", "")}},
		{"an instance of Cloud Map", "S/X: an instance of AWS Cloud Map leads a name elsewhere than to tasks; it is not evaluated here", []string{resource("X", "AWS::ServiceDiscovery::Instance", "")}},
		{"a web ACL that does not exist", "", []string{`"X": {"Type": "AWS::WAFv2::WebACL", "Condition": "Never"}`}},
		{"an IP set", "", []string{resource("X", "AWS::WAFv2::IPSet", "")}},
		{"a Network Load Balancer", "", []string{balancer("A", `"Type": "network"`), listener("L", a, 80, "TCP", "", "G"), group("G", `"Protocol": "TCP"`), task("", `"Memory": 64`), service("", "G")}},
		{"one with TLS", "", []string{balancer("A", `"Type": "network"`), listener("L", a, 80, "TLS", "", "G"), group("G", `"Protocol": "TLS"`), task("", `"Memory": 64`), service("", "G")}},
		{"one without a listener", "", []string{balancer("A", `"Type": "network"`)}},
		{"UDP", "S/L: a Network Load Balancer takes requests; this does not run here: its listener UDP:53 is of protocol \"UDP\", and only TCP and TLS are forwarded here\nS/Service: its load balancer does not run here, so its tasks get no requests",
			[]string{balancer("A", `"Type": "network"`), listener("L", a, 53, "UDP", "", "G"), group("G", `"Protocol": "UDP"`), task("", `"Memory": 64`), service("", "G")}},
		{"a load balancer behind another one", "S/L: a Network Load Balancer takes requests; this does not run here: only tasks of ECS services are targets here, of protocol TCP or TLS, and those of S/G are others",
			[]string{balancer("A", `"Type": "network"`), listener("L", a, 80, "TCP", "", "G"), group("G", `"Protocol": "TCP", "TargetType": "alb", "Targets": [{"Id": "arn:x"}]`)}},
		{"addresses behind one", "and those of S/G are others", []string{balancer("A", `"Type": "network"`), listener("L", a, 80, "TCP", "", "G"), group("G", `"Protocol": "TCP", "TargetType": "ip", "Targets": [{"Id": "10.0.0.1"}]`)}},
		{"Service Connect", "", []string{task(`"Memory": "512", `, `"Memory": 64`), service(`"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n"}, `)}},
		{"Service Connect without memory", "S/Service: AWS wants Memory of the task for Service Connect, and S/T has none", []string{task("", `"Memory": 64`), service(`"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n"}, `)}},
		{"no Service Connect", "", []string{task("", `"Memory": 64`), service(`"ServiceConnectConfiguration": {"Enabled": false}, "ServiceRegistries": [], `)}},
		{"Cloud Map elsewhere", "S/Service: others find its tasks by r of AWS Cloud Map, which is not in the assembly; no such name is answered here", []string{task("", `"Memory": 64`), service(`"ServiceRegistries": [{"RegistryArn": "r"}], `)}},
		{"a private namespace", "", names("PrivateDnsNamespace", `"NamespaceId": {"Ref": "N"}, "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}]}`)},
		{"a public namespace", "S/Service: the public DNS has its tasks as users.example.com; no such name is answered here", names("PublicDnsNamespace", `"NamespaceId": {"Ref": "N"}, "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}]}`)},
		{"an HTTP namespace", "S/Service: others find its tasks by the API DiscoverInstances of AWS Cloud Map, as users; the API is not answered here", names("HttpNamespace", `"NamespaceId": {"Ref": "N"}`)},
		{"a private namespace without records", "by the API DiscoverInstances", names("PrivateDnsNamespace", `"NamespaceId": {"Ref": "N"}, "Type": "HTTP"`)},
		{"a namespace elsewhere", "S/Service: others find its tasks by the name users in a namespace that is not in the assembly; no such name is answered here", names("HttpNamespace", `"NamespaceId": "ns-1", "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}]}`)},
		{"scaling by the clock", "S/Service: S/X changes the bounds of its number of tasks at certain times; nothing is scheduled here", []string{task("", `"Memory": 64`), service(""), clusters,
			resource("X", model.AppAutoScalingTarget, `"ServiceNamespace": "ecs", "ResourceId": "service/default/Service", "MinCapacity": 1, "MaxCapacity": 2, "ScheduledActions": [{"Schedule": "cron(0 8 * * ? *)"}]`)}},
		{"scaling by an alarm", "S/Service: its policy S/P scales by an alarm or a metric that is not measured here, so the policy changes no number of tasks", []string{task("", `"Memory": 64`), service(""), clusters,
			resource("X", model.AppAutoScalingTarget, `"ServiceNamespace": "ecs", "ResourceId": "service/default/Service", "MinCapacity": 1, "MaxCapacity": 2`),
			resource("P", model.AppAutoScalingPolicy, `"PolicyType": "StepScaling", "ScalingTargetId": {"Ref": "X"}`)}},
		{"another kind beside one", "S/B: a load balancer of type gateway takes requests; it does not run here",
			[]string{balancer("A", ""), balancer("B", `"Type": "gateway"`), listener("L", a, 80, "HTTP", "", "G"), group("G", ""), group("H", `"Protocol": "GENEVE"`), task("", `"Memory": 64`), service("", "G", "H")}},
		{"a group of a custom resource and of another app", "S/Exported: no target is registered here: Custom::Register X, an app that imports Out may register targets",
			[]string{group("Exported", ""), resource("X", "Custom::Register", `"Group": {"Ref": "Exported"}, "Again": {"Ref": "Exported"}`)}},
		{"a group with targets", "", []string{group("Exported", `"Targets": [{"Id": "i-1"}]`)}},
		{"a group of a service", "", []string{group("Exported", ""), task("", `"Memory": 64`), service("", "Exported")}},
		{"a group of instances", "", []string{group("Exported", ""), resource("Machines", model.EC2AutoScalingGroup, `"TargetGroupARNs": [{"Ref": "Exported"}]`)}},
		{"a group of another kind and another app", "S/Exported: no target is registered here: an app that imports Out may", []string{group("Exported", `"Protocol": "TCP"`)}},
		{"a group of UDP and another app", "", []string{group("Exported", `"Protocol": "UDP"`)}},
		{"a group with metrics and an output", "", []string{group("Kept", ""), resource("X", "Example::Made::Up", `"Group": {"Fn::GetAtt": ["Kept", "TargetGroupFullName"]}`)}},
		{"a lookup", `S/X/Properties.Vpc: "vpc-12345" is what CDK puts in place of a lookup that has not been made`, []string{resource("X", "Example::Made::Up", `"Vpc": "vpc-12345", "Other": "vpc-123456"`)}},
		{"lookups inside", "S/X/Properties.A: \"dummy1b\" is what\nS/X/Properties.B: \"dummy-value-for-/a/b\" is what", []string{resource("X", "Example::Made::Up", `"B": {"C": [1, {"D": "dummy-value-for-/a/b"}]}, "A": ["eu-west-1a", "dummy1b"]`)}},
		{"no lookups", "", []string{resource("X", "Example::Made::Up", `"A": ["a dummy1a", "ami-12345678", "sg-12", "s-1234567", "DUMMYS"]`)}},

		{"a task that fits", "", []string{group1("t3.small", "1"), task("", `"Memory": 1894, "Cpu": 2048`), service("")}},
		{"a task that needs too much memory", "S/Service: no task of the service ever runs on AWS: a task needs 0 CPU units and 1895 MiB, and a t3.small has 2048 and about 1894 for tasks (memory)",
			[]string{group1("t3.small", "1"), task("", `"Memory": 1895`), service("")}},
		{"a task that needs too much CPU", "for tasks (CPU units)", []string{group1("t3.small", "1"), task("", `"Memory": 64, "Cpu": 2049`), service("")}},
		{"a task as a whole", "a task needs 4096 CPU units and 512 MiB", []string{group1("t3.small", "1"), task(`"Cpu": "4096", "Memory": "512", `, `"Memory": 64`), service("")}},
		{"a type that is not known", "", []string{group1("x9.huge", "1"), task("", `"Memory": 99999`), service("")}},
		{"instances elsewhere", "", []string{task("", `"Memory": 99999`), service("")}},
		{"Fargate by the cluster", "", []string{group1("t3.small", "1"), task("", `"Memory": 99999`), service(`"Cluster": {"Ref": "C"}, `),
			resource("C", model.ECSCluster, `"DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}]`)}},
		{"Fargate by another strategy", "", []string{group1("t3.small", "1"), task("", `"Memory": 99999`), service(`"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT"}], `)}},
		{"Fargate", "", []string{group1("t3.small", "1"), task("", `"Memory": 99999`), service(`"LaunchType": "FARGATE", `)}},
		{"Fargate by a provider", "", []string{group1("t3.small", "1"), task("", `"Memory": 99999`), service(`"CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT"}], `)}},

		{"a deployment that never ends", "S/Service: no deployment after the first one ever ends: of 2, 2 must stay healthy and at most 2 may run",
			[]string{task("", `"Memory": 64`), service(`"DesiredCount": 2, "DeploymentConfiguration": {"MinimumHealthyPercent": 51, "MaximumPercent": 149}, `)}},
		{"one may stop", "", []string{task("", `"Memory": 64`), service(`"DesiredCount": 2, "DeploymentConfiguration": {"MinimumHealthyPercent": 50, "MaximumPercent": 100}, `)}},
		{"one may start", "", []string{task("", `"Memory": 64`), service(`"DesiredCount": 2, "DeploymentConfiguration": {"MinimumHealthyPercent": 100, "MaximumPercent": 150}, `)}},
		{"no tasks", "", []string{task("", `"Memory": 64`), service(`"DesiredCount": 0, "DeploymentConfiguration": {"MinimumHealthyPercent": 100, "MaximumPercent": 100}, `)}},
	} {
		got := Warnings(read(t, test.resources...))
		want := strings.Split(test.want, "\n")
		if test.want == "" {
			want = nil
		}
		ok := len(got) == len(want)
		for i := range want {
			ok = ok && strings.Contains(got[i], want[i])
		}
		if !ok {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), test.want)
		}
	}
}

// names is a service that registers its tasks in a namespace N of a type.
func names(namespace, properties string) []string {
	return []string{task(`"NetworkMode": "awsvpc", `, `"Memory": 64`), service(`"ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["Names", "Arn"]}}], `),
		resource("N", "AWS::ServiceDiscovery::"+namespace, `"Name": "example.com"`), resource("Names", model.CloudMapService, `"Name": "users", `+properties)}
}

// A variable that names what need not exist yet is warned of: on AWS a task does not find it.
func TestWarningsOfOrder(t *testing.T) {
	callee := func(alias string) string {
		return resource("CalleeTask", model.ECSTaskDefinition, `"NetworkMode": "awsvpc", "Memory": "512", "ContainerDefinitions": [{"Name": "c", "Image": "i", "PortMappings": [{"ContainerPort": 3000, "Name": "http"}]}]`) + ", " +
			resource("Callee", model.ECSService, `"TaskDefinition": {"Ref": "CalleeTask"}, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "n", "Services": [{"PortName": "http", "ClientAliases": [`+alias+`]}]}`)
	}
	caller := func(namespace, value, dependsOn string) string {
		return resource("CallerTask", model.ECSTaskDefinition, `"NetworkMode": "awsvpc", "Memory": "512", "ContainerDefinitions": [{"Name": "c", "Image": "i", "Environment": [{"Name": "OTHER", "Value": "x"}, {"Name": "CALLEE", "Value": "`+value+`"}]}]`) + ", " +
			`"Caller": {"Type": "AWS::ECS::Service", ` + dependsOn + `"Properties": {"TaskDefinition": {"Ref": "CallerTask"}, "ServiceConnectConfiguration": {"Enabled": true, "Namespace": "` + namespace + `"}}}`
	}
	const users, web = `{"DnsName": "users", "Port": 3000}`, `{"DnsName": "users", "Port": 80}`
	for _, test := range []struct {
		alias, namespace, value, dependsOn string
		warns                              bool
	}{
		{users, "n", "http://users:3000/a", "", true},
		{users, "n", "http://Users:3000", "", true},
		{users, "n", "users:3000", "", true},
		{users, "n", "a,users:3000,b", "", true},
		{users, "n", "http://users", "", false},
		{users, "n", "http://users:30001", "", false},
		{users, "n", "http://my-users:3000", "", false},
		{users, "n", "http://my.users:3000", "", false},
		{web, "n", "http://users", "", true},
		{web, "n", "http://users/a", "", true},
		{web, "n", "http://users:80", "", true},
		{web, "n", "http://users:8080", "", false},
		{web, "n", "users", "", false},
		{users, "other", "http://users:3000", "", false},
		{users, "n", "http://users:3000", `"DependsOn": ["Callee"], `, false},
		{users, "n", "http://users:3000", `"DependsOn": ["Between"], `, false},
		{users, "n", "http://users:3000", `"DependsOn": ["CallerTask"], `, true},
	} {
		got := Warnings(read(t, callee(test.alias), caller(test.namespace, test.value, test.dependsOn), `"Between": {"Type": "AWS::CloudFormation::WaitConditionHandle", "DependsOn": ["Callee", "Between"]}`))
		want := "S/Caller: its variable CALLEE names http://users:"
		if (len(got) == 1 && strings.HasPrefix(got[0], want) && strings.HasSuffix(got[0], "so let S/Caller depend on Callee")) != test.warns || len(got) > 1 {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// Quotas that can be raised are warned about.
func TestQuotas(t *testing.T) {
	for _, test := range []struct {
		listeners, rules int
		want             string
	}{
		{50, 100, ""},
		{51, 100, "S/A: 51 listeners are more than AWS's default quota of 50 for a load balancer"},
		{50, 101, "S/A: 101 rules are more than AWS's default quota of 100 for a load balancer"},
	} {
		resources := []string{balancer("A", ""), group("G", "")}
		for i := range test.listeners {
			resources = append(resources, listener(fmt.Sprintf("L%d", i), a, 80+i, "HTTP", "", "G"))
		}
		for i := range test.rules {
			resources = append(resources, resource(fmt.Sprintf("R%d", i), model.ELBListenerRule, fmt.Sprintf(`"ListenerArn": {"Ref": "L%d"}, "Priority": %d,
				"Conditions": [{"Field": "path-pattern", "Values": ["/a"]}], "Actions": [{"Type": "forward", "TargetGroupArn": {"Ref": "G"}}]`, i%2, i+1)))
		}
		if got := strings.Join(Warnings(read(t, resources...)), "\n"); got != test.want {
			t.Errorf("%d listeners, %d rules: %q, want %q", test.listeners, test.rules, got, test.want)
		}
	}
}

// AWS creates the app's own assemblies, and all of them is evaluated.
func TestGoldens(t *testing.T) {
	for _, name := range golden.Names() {
		m := model.Read(golden.Read(t, "../..", name))
		if err, warnings := Refused(m), Warnings(m); err != nil || len(warnings) > 0 {
			t.Errorf("%s: refused %v, warnings %q", name, err, warnings)
		}
	}
}

// A stack comes after those that it depends on, also by way of others. In a stack, DependsOn decides.
func TestWaitsFor(t *testing.T) {
	first := &assembly.Stack{Name: "first"}
	second := &assembly.Stack{Name: "second", DependsOn: []*assembly.Stack{first}}
	third := &assembly.Stack{Name: "third", DependsOn: []*assembly.Stack{{Name: "other"}, second}}
	in := func(s *assembly.Stack) *assembly.Resource { return &assembly.Resource{Stack: s, LogicalID: "R"} }
	for _, test := range []struct {
		r, other *assembly.Stack
		want     bool
	}{{second, first, true}, {third, first, true}, {first, second, false}, {first, third, false}} {
		if got := waitsFor(in(test.r), in(test.other)); got != test.want {
			t.Errorf("%s waits for %s: %v", test.r.Name, test.other.Name, got)
		}
	}
}

// AWS has created what exists already: only what is deployed beside it can be refused.
func TestRefusedBesideWhatExists(t *testing.T) {
	dir := t.TempDir()
	assemblytest.Beside(t, dir)
	file := filepath.Join(dir, "share", assembly.ExistingFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(`"Name": "entrance"`, `"Name": "internal-entrance"`, `["subnet-0a", "subnet-0b"]`, `["subnet-0a"]`, `"Protocol": "HTTP", "DefaultActions"`, `"Protocol": "HTTPS", "DefaultActions"`,
		`"Port": 443, `, "", `"account": "123456789012", "region": "eu-central-1"`, "", `"Name": "unused"`, `"Name": "orders"`).Replace(string(text))
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(filepath.Join(dir, "share"))
	if err != nil {
		t.Fatal(err)
	}
	want := `dev-Orders/Group/Properties.Name: AWS refuses a second target group called "orders"; the first one is existing/TargetGroupUnused`
	if err := Refused(model.Read(a)); fmt.Sprint(err) != want {
		t.Errorf("refused: %v, want %s", err, want)
	}
}
