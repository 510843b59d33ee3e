package stacks_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/nightly"
	"cutover/migration"
)

// synthOwn returns the assembly of [own], in a phase in which all services have tasks.
func synthOwn(t *testing.T) *assembly.Assembly {
	t.Helper()
	return synthDeployment(t, own(), settings{"phase": "parallel", "alarms": "on"})
}

// own is a deployment with every option that a service and a sidecar have: an image from a registry,
// one from a Dockerfile and a Go package.
func own() config.Deployment {
	return config.Deployment{
		Monolith: config.Service{
			Name: "shop", Paths: []string{"/api*"}, Port: 8080,
			Image:       config.Registry{Name: "registry.example.com:5000/team/shop@sha256:" + digest, Credentials: "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"},
			HealthCheck: config.HealthCheck{Path: "/healthz", Command: []string{"CMD-SHELL", "wget -q -O- localhost:8080/healthz || exit 1"}},
			Volumes:     []config.Volume{{Name: "pictures", Path: "/pictures", ReadOnly: true}},
		},
		Services: []config.Service{
			{
				Name: "orders", Paths: []string{"/api/orders*"}, Order: 10, Port: 8081,
				Image: config.Dockerfile{
					Dir: "stacks/testdata/orders", File: "images/Dockerfile", Target: "release", Platform: "linux/amd64",
					BuildArgs: map[string]string{"GREETING": "hello"},
				},
				HealthCheck: config.HealthCheck{
					Path: "/ready?deep=1", Codes: "200-204,301", GracePeriodSeconds: 90, Command: []string{"CMD", "/orders", "--check"},
				},
				Command:     []string{"/orders", "--serve"},
				Environment: map[string]string{"TABLE": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders", "TEMPLATE": "${!name}, ${} and ${AWS"},
				Secrets: map[string]config.Secret{
					"PASSWORD": {SecretsManager: "shop/orders", Key: "password"},
					"SESSION":  {SecretsManager: "arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf", KMSKey: "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"},
					"LICENCE":  {Parameter: "/shop/licence"},
				},
				User:          "1000:1000",
				WritablePaths: []config.WritablePath{{Path: "/tmp"}, {Path: "/run/orders", SizeMiB: 8}},
				Volumes: []config.Volume{
					{Name: "data", Path: "/data"},
					{Name: "archive", Path: "/archive", ReadOnly: true, FileSystem: "fs-0123456789abcdef0", AccessPoint: "fsap-0123456789abcdef0"},
				},
				Sidecars: []config.Container{
					{
						Name: "statsd", Image: config.Registry{Name: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/statsd:2.1"},
						UDPPorts: []int{8125}, Ports: []int{8126}, CPU: 32, MemoryReservationMiB: 32, MemoryLimitMiB: 96,
						HealthCheck: []string{"CMD", "/statsd", "--check"},
					},
					{
						Name: "cache", Image: config.Dockerfile{Dir: "stacks/testdata/cache"}, Ports: []int{6379}, Essential: true,
						Command: []string{"/cache"}, Environment: map[string]string{"SIZE": "32"}, Secrets: map[string]config.Secret{"KEY": {Parameter: "cache-key"}},
						User: "999", WritablePaths: []config.WritablePath{{Path: "/var/run", SizeMiB: 16}},
						Volumes:   []config.Volume{{Name: "pictures", Path: "/pictures"}, {Name: "data", Path: "/data", ReadOnly: true}},
						Ulimits:   []config.Ulimit{{Name: "memlock", Soft: -1, Hard: -1}},
						DependsOn: []config.Dependency{{Container: "statsd"}},
					},
					{Name: "migrate", Image: config.Registry{Name: "public.ecr.aws/docker/library/busybox:1.37"}, Command: []string{"/bin/true"}},
				},
				DependsOn: []config.Dependency{
					{Container: "statsd", Condition: "HEALTHY"}, {Container: "cache"}, {Container: "migrate", Condition: "SUCCESS"},
				},
				Permissions: []config.Statement{
					{Actions: []string{"dynamodb:GetItem", "dynamodb:PutItem"}, Resources: []string{"arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders"}},
					{
						Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::shop-pictures/*"}, Reason: "The pictures have the names that customers give them",
						Conditions: map[string]map[string][]string{"StringEquals": {"s3:ExistingObjectTag/public": {"yes"}, "s3:ResourceAccount": {"${AWS::AccountId}"}}},
					},
				},
				Ulimits:                    []config.Ulimit{{Name: "nofile", Soft: 4096, Hard: 8192}},
				DeregistrationDelaySeconds: 60,
				StopTimeoutSeconds:         90,
				Alarms:                     config.Alarms{LatencyMilliseconds: 250, Errors: 3},
				CPU:                        128, MemoryReservationMiB: 192, MemoryLimitMiB: 384,
			},
			{Name: "pages", Paths: []string{"/api/pages*"}, Order: 20, Image: config.Registry{Name: "public.ecr.aws/nginx/nginx:1.29"}},
			{ // has no value that is a default
				Name: "users", Paths: []string{"/api/users*"}, Order: 30, Image: config.GoPackage{Dir: "services/users"}, Port: 8080,
				HealthCheck: config.HealthCheck{Path: "/ready", Codes: "204", Command: []string{"CMD", "/users", "check"}, GracePeriodSeconds: 77},
				Command:     []string{"--serve"}, User: "1000:1001", CPU: 300, MemoryReservationMiB: 301, MemoryLimitMiB: 700,
				WritablePaths:              []config.WritablePath{{Path: "/tmp", SizeMiB: 33}},
				DeregistrationDelaySeconds: 71, StopTimeoutSeconds: 97,
				Alarms: config.Alarms{LatencyMilliseconds: 2300, Errors: 29},
				Tasks:  2, MaxTasks: 5, TargetCPUPercent: 47,
				Sidecars: []config.Container{{
					Name: "agent", Image: config.Registry{Name: "public.ecr.aws/docker/library/busybox:1.37"}, User: "101:102", CPU: 31, MemoryReservationMiB: 37, MemoryLimitMiB: 99,
					WritablePaths: []config.WritablePath{{Path: "/run", SizeMiB: 11}}, HealthCheck: []string{"CMD-SHELL", "true"},
				}},
				DependsOn: []config.Dependency{{Container: "agent", Condition: "HEALTHY"}},
			},
		},
	}
}

// digest is that of some image.
const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// ownARN is an ARN of the deployment's own account and region, as a template has it.
func ownARN(service, resource string) object {
	return object{"Fn::Join": []any{"", []any{"arn:", object{"Ref": "AWS::Partition"}, ":" + service + ":", object{"Ref": "AWS::Region"}, ":", object{"Ref": "AWS::AccountId"}, ":" + resource}}}
}

// A sidecar gets what it is configured with, and the same limits as every container.
func TestSidecars(t *testing.T) {
	a := synthOwn(t)
	definition := resource(t, a, "dev-Orders", "AWS::ECS::TaskDefinition")
	logs := func(container string) object {
		return object{"LogDriver": "awslogs", "Options": object{
			"awslogs-group": object{"Ref": "LogGroupF5B46931"}, "awslogs-stream-prefix": container, "awslogs-region": object{"Ref": "AWS::Region"}, "mode": "non-blocking",
		}}
	}
	dropped := object{"Drop": []any{"ALL"}}
	containers := definition.Properties["ContainerDefinitions"].([]any)
	equal(t, "the least that a sidecar has", any(object{
		"Name": "migrate", "Image": "public.ecr.aws/docker/library/busybox:1.37", "Essential": false, "Command": []any{"/bin/true"},
		"Cpu": 64.0, "MemoryReservation": 64.0, "Memory": 128.0, "LogConfiguration": logs("migrate"), "StopTimeout": 90.0, "User": "65532:65532",
		"ReadonlyRootFilesystem": true, "DockerSecurityOptions": []any{"no-new-privileges"}, "LinuxParameters": object{"Capabilities": dropped},
	}), containers[3])
	equal(t, "a sidecar with ports", any(object{
		"Name": "statsd", "Image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/statsd:2.1", "Essential": false,
		"Cpu": 32.0, "MemoryReservation": 32.0, "Memory": 96.0, "LogConfiguration": logs("statsd"), "StopTimeout": 90.0, "User": "65532:65532",
		"HealthCheck":            object{"Command": []any{"CMD", "/statsd", "--check"}, "Interval": 10.0, "Timeout": 5.0, "Retries": 3.0},
		"PortMappings":           []any{object{"ContainerPort": 8126.0, "HostPort": 0.0, "Protocol": "tcp"}, object{"ContainerPort": 8125.0, "HostPort": 0.0, "Protocol": "udp"}},
		"ReadonlyRootFilesystem": true, "DockerSecurityOptions": []any{"no-new-privileges"}, "LinuxParameters": object{"Capabilities": dropped},
	}), containers[1])
	cache := maps.Clone(containers[2].(object))
	equal(t, "repository of a sidecar's image", true, strings.HasPrefix(fmt.Sprint(cache["Image"]), "map[Fn::Sub:${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/orders:v1-"))
	delete(cache, "Image")
	equal(t, "a sidecar with all options", object{
		"Name": "cache", "Essential": true, "Command": []any{"/cache"}, "Environment": []any{object{"Name": "SIZE", "Value": "32"}},
		"Secrets": []any{object{"Name": "KEY", "ValueFrom": ownARN("ssm", "parameter/cache-key")}},
		"Cpu":     64.0, "MemoryReservation": 64.0, "Memory": 128.0, "LogConfiguration": logs("cache"), "StopTimeout": 90.0, "User": "999",
		"PortMappings":           []any{object{"ContainerPort": 6379.0, "HostPort": 0.0, "Protocol": "tcp"}},
		"Ulimits":                []any{object{"Name": "memlock", "SoftLimit": -1.0, "HardLimit": -1.0}},
		"MountPoints":            []any{object{"SourceVolume": "pictures", "ContainerPath": "/pictures", "ReadOnly": false}, object{"SourceVolume": "data", "ContainerPath": "/data", "ReadOnly": true}},
		"DependsOn":              []any{object{"ContainerName": "statsd", "Condition": "START"}},
		"Links":                  []any{"statsd"},
		"ReadonlyRootFilesystem": true, "DockerSecurityOptions": []any{"no-new-privileges"},
		"LinuxParameters": object{"Capabilities": dropped, "Tmpfs": []any{object{"ContainerPath": "/var/run", "Size": 16.0, "MountOptions": []any{"noexec", "nosuid", "nodev"}}}},
	}, cache)

	// A container reaches the sidecars that go on beside it and have ports: not the migration.
	container := containers[0].(object)
	equal(t, "links", any([]any{"statsd", "cache"}), container["Links"])
	equal(t, "start order", any([]any{
		object{"ContainerName": "statsd", "Condition": "HEALTHY"}, object{"ContainerName": "cache", "Condition": "START"}, object{"ContainerName": "migrate", "Condition": "SUCCESS"},
	}), container["DependsOn"])
	equal(t, "balanced container", any("orders"), listOf(property(t, a, resource(t, a, "dev-Orders", "AWS::ECS::Service"), "LoadBalancers"))[0]["ContainerName"])
}

// Tasks with links go to instances whose user data lets linked containers talk. Without any link no
// instance does.
func TestLinks(t *testing.T) {
	a := synthOwn(t)
	for _, service := range a.Resources("AWS::ECS::Service") {
		var want any
		if service.Stack.Name == "dev-Orders" {
			want = []any{object{"Type": "memberOf", "Expression": "attribute:linked-containers == true"}}
		}
		equal(t, "constraints of "+service.Stack.Name, want, service.Properties["PlacementConstraints"])
	}
	const setting, apart = `settings["icc"] = False`, "-A CONTAINER-FORWARD -i docker0 -o docker0 -j DROP\n"
	script := fmt.Sprint(resource(t, a, "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties)
	if !strings.Contains(script, setting) || !strings.Contains(script, `{"linked-containers":"true"}`) || strings.Contains(script, apart) {
		t.Errorf("the user data does not let linked containers talk: %s", script)
	}
	script = fmt.Sprint(resource(t, synth(t, nil), "dev-Cluster", "AWS::EC2::LaunchTemplate").Properties)
	if strings.Contains(script, setting) || strings.Contains(script, "linked-containers") || !strings.Contains(script, apart) {
		t.Errorf("the user data lets linked containers talk, and there are none: %s", script)
	}
}

// ECS reads exactly the configured secrets, and pulls exactly the images of the task. The containers
// may do what their permissions say.
func TestGrantsOfOwn(t *testing.T) {
	a := synthOwn(t)
	statements := func(stack, role string) []object {
		for _, policy := range a.Resources("AWS::IAM::Policy") {
			if policy.Stack.Name == stack && strings.Contains(policy.LogicalID, role) {
				return listOf(policy.Properties["PolicyDocument"].(object)["Statement"])
			}
		}
		return nil
	}
	allow := func(actions, resources any) object {
		return object{"Effect": "Allow", "Action": actions, "Resource": resources}
	}
	logs := allow([]any{"logs:CreateLogStream", "logs:PutLogEvents"}, object{"Fn::GetAtt": []any{"LogGroupF5B46931", "Arn"}})
	elsewhere := object{"Fn::Join": []any{"", []any{"arn:", object{"Ref": "AWS::Partition"}, ":ecr:eu-central-1:123456789012:repository/tools/statsd"}}}
	equal(t, "execution role of orders", []object{
		allow([]any{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, []any{ownARN("ecr", "repository/orders"), elsewhere}),
		allow("ecr:GetAuthorizationToken", "*"),
		logs,
		allow("ssm:GetParameters", []any{ownARN("ssm", "parameter/cache-key"), ownARN("ssm", "parameter/shop/licence")}),
		allow("secretsmanager:GetSecretValue", []any{"arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf", ownARN("secretsmanager", "secret:shop/orders-??????")}),
		allow("kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"),
	}, statements("dev-Orders", "ExecutionRole"))
	equal(t, "execution role of an image elsewhere", []object{
		logs, allow("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"),
	}, statements("dev-Shop", "ExecutionRole"))

	output := func(name string) object {
		return object{"Fn::GetStackOutput": object{"StackName": "dev-Files", "Region": object{"Ref": "AWS::Region"}, "OutputName": name}}
	}
	efs := func(kind string, id any) object {
		parts := []any{"arn:", object{"Ref": "AWS::Partition"}, ":elasticfilesystem:", object{"Ref": "AWS::Region"}, ":", object{"Ref": "AWS::AccountId"}}
		if text, ok := id.(string); ok {
			return object{"Fn::Join": []any{"", append(parts, ":"+kind+"/"+text)}}
		}
		return object{"Fn::Join": []any{"", append(parts, ":"+kind+"/", id)}}
	}
	mount := func(actions, fileSystem, point any) object {
		statement := allow(actions, efs("file-system", fileSystem))
		statement["Condition"] = object{"StringEquals": object{"elasticfilesystem:AccessPointArn": efs("access-point", point)}}
		return statement
	}
	write := []any{"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"}
	fileSystem, data, pictures := output("PublishOutputRefFileSystem8A8E25C0D2086832"), output("PublishOutputRefFileSystemDataVolumeBB3385B07F4FB65A"), output("PublishOutputRefFileSystemPicturesVolume21C88BD10E88DEA3")
	bucket := allow("s3:GetObject", "arn:aws:s3:::shop-pictures/*")
	bucket["Condition"] = object{"StringEquals": object{"s3:ExistingObjectTag/public": []any{"yes"}, "s3:ResourceAccount": []any{object{"Ref": "AWS::AccountId"}}}}
	equal(t, "task role of orders", []object{
		mount(write, fileSystem, data),
		mount("elasticfilesystem:ClientMount", "fs-0123456789abcdef0", "fsap-0123456789abcdef0"), // read-only
		mount(write, fileSystem, pictures),
		allow([]any{"dynamodb:GetItem", "dynamodb:PutItem"}, ownARN("dynamodb", "table/orders")),
		bucket,
	}, statements("dev-Orders", "TaskRole"))
	equal(t, "task role of shop", []object{mount("elasticfilesystem:ClientMount", fileSystem, pictures)}, statements("dev-Shop", "TaskRole"))
	equal(t, "task role of pages", []object(nil), statements("dev-Pages", "TaskRole"))
	for path, rules := range nagSuppressions(t, a.Stack("dev-Orders")) {
		if strings.Contains(path, "TaskRole/DefaultPolicy") {
			equal(t, "why there is a wildcard", []suppressed{{ID: "AwsSolutions-IAM5", Reason: "The pictures have the names that customers give them"}}, rules)
		}
	}
}

// The file system is encrypted, backed up and reached over TLS only, from the instances. Each volume is
// a directory of its own. A task mounts its volumes with its role.
func TestVolumes(t *testing.T) {
	a := synthOwn(t)
	file := resource(t, a, "dev-Files", "AWS::EFS::FileSystem")
	equal(t, "encryption", any(true), file.Properties["Encrypted"])
	equal(t, "backups", any(object{"Status": "ENABLED"}), file.Properties["BackupPolicy"])
	equal(t, "throughput", any("elastic"), file.Properties["ThroughputMode"])
	equal(t, "policy: without a statement that allows, roles decide", []object{{
		"Sid": "OnlyEncrypted", "Effect": "Deny", "Principal": object{"AWS": "*"}, "Action": "*", "Condition": object{"Bool": object{"aws:SecureTransport": "false"}},
	}}, listOf(file.Properties["FileSystemPolicy"].(object)["Statement"]))

	points := map[string]string{} // directory to access point
	for _, point := range a.Resources("AWS::EFS::AccessPoint") {
		root := property(t, a, point, "RootDirectory").(object)
		points[root["Path"].(string)] = point.String()
		equal(t, point.String()+" creates", any(object{"OwnerUid": "65532", "OwnerGid": "65532", "Permissions": "750"}), root["CreationInfo"])
		equal(t, point.String()+" acts as", any(object{"Uid": "65532", "Gid": "65532"}), property(t, a, point, "PosixUser"))
		equal(t, point.String()+" is of", any(file.String()), property(t, a, point, "FileSystemId"))
	}
	equal(t, "access points", map[string]string{"/data": "dev-Files/FileSystemDataVolumeBB3385B0", "/pictures": "dev-Files/FileSystemPicturesVolume21C88BD1"}, points)

	group := resource(t, a, "dev-Files", "AWS::EC2::SecurityGroup")
	var subnets []any
	for _, target := range a.Resources("AWS::EFS::MountTarget") {
		equal(t, target.String()+" security groups", any([]any{group.String() + ".GroupId"}), property(t, a, target, "SecurityGroups"))
		subnets = append(subnets, property(t, a, target, "SubnetId"))
	}
	equal(t, "mount targets are where instances are", property(t, a, resource(t, a, "dev-Cluster", "AWS::AutoScaling::AutoScalingGroup"), "VPCZoneIdentifier"), any(subnets))
	instances := ""
	for _, r := range a.Resources("AWS::EC2::SecurityGroup") {
		if strings.HasPrefix(r.LogicalID, "InstanceSecurityGroup") {
			instances = r.String() + ".GroupId"
		}
	}
	ingress := resource(t, a, "dev-Files", "AWS::EC2::SecurityGroupIngress")
	for name, want := range map[string]any{"GroupId": group.String() + ".GroupId", "SourceSecurityGroupId": instances, "IpProtocol": "tcp", "FromPort": 2049.0, "ToPort": 2049.0} {
		equal(t, "ingress "+name, want, property(t, a, ingress, name))
	}
	equal(t, "other ingress", any(nil), group.Properties["SecurityGroupIngress"])

	efs := func(name, fileSystem, point string) object {
		return object{"Name": name, "EFSVolumeConfiguration": object{
			"FilesystemId": fileSystem, "TransitEncryption": "ENABLED", "AuthorizationConfig": object{"AccessPointId": point, "IAM": "ENABLED"},
		}}
	}
	equal(t, "volumes", any([]any{
		efs("data", file.String(), points["/data"]), efs("archive", "fs-0123456789abcdef0", "fsap-0123456789abcdef0"), efs("pictures", file.String(), points["/pictures"]),
	}), property(t, a, resource(t, a, "dev-Orders", "AWS::ECS::TaskDefinition"), "Volumes"))

	// A task that starts before there is a mount target in its zone fails.
	var waiting []string
	for _, stack := range a.Stacks {
		if slices.Contains(stack.DependsOn, a.Stack("dev-Files")) {
			waiting = append(waiting, stack.Name)
		}
	}
	equal(t, "stacks that wait for the file system", []string{"dev-Orders", "dev-Shop"}, waiting)
}

// TestContractsOfVolumes pins what holds data. Another logical id, or another value of a property that
// replaces a file system, loses the data. Unlike a golden, this list is not rewritten by a command.
func TestContractsOfVolumes(t *testing.T) {
	nightly.Test(t, "it synthesizes volumes once more")
	for _, test := range []struct {
		context  settings
		deletion string
	}{{settings{}, "Delete"}, {production(migration.Parallel), "Retain"}} {
		a := synthQuickly(t, own(), test.context)
		var got []string
		for _, r := range a.Resources("AWS::EFS::FileSystem") {
			got = append(got, "file system "+r.LogicalID)
			for _, property := range []string{"AvailabilityZoneName", "KmsKeyId", "PerformanceMode"} { // with Encrypted, these replace
				equal(t, property, any(nil), r.Properties[property])
			}
		}
		for _, r := range a.Resources("AWS::EFS::AccessPoint") {
			got = append(got, fmt.Sprintf("access point %s %v", r.LogicalID, r.Properties["RootDirectory"].(object)["Path"]))
		}
		slices.Sort(got)
		equal(t, "resources", []string{"access point FileSystemDataVolumeBB3385B0 /data", "access point FileSystemPicturesVolume21C88BD1 /pictures", "file system FileSystem8A8E25C0"}, got)
		for _, stack := range a.Stacks {
			if !strings.HasSuffix(stack.Name, "-Files") {
				continue
			}
			for _, r := range stack.Resources {
				if strings.HasSuffix(r.Type, "FileSystem") || strings.HasSuffix(r.Type, "AccessPoint") {
					equal(t, r.String(), []string{test.deletion, test.deletion}, []string{r.DeletionPolicy, fmt.Sprint(stack.Template["Resources"].(object)[r.LogicalID].(object)["UpdateReplacePolicy"])})
				}
			}
		}
	}
}

// The first volume of a deployed environment, a second one, and the end of the last one change the
// service that has the volume, and no other. No stack waits for another to let go of an export.
func TestVolumesComeAndGo(t *testing.T) {
	nightly.Test(t, "it synthesizes volumes twice")
	with := func(names ...string) *assembly.Assembly {
		d := alike(2)
		for _, name := range names {
			d.Services[0].Volumes = append(d.Services[0].Volumes, config.Volume{Name: name, Path: "/" + name})
		}
		a := synthQuickly(t, d, nil)
		for _, stack := range a.Stacks {
			for id, output := range stack.Outputs {
				if output.ExportName != nil {
					t.Errorf("%s exports %s", stack.Name, id)
				}
			}
		}
		return a
	}
	none, one, two := with(), with("data"), with("data", "more")
	changes := func(from, to *assembly.Assembly, sign string) []string {
		var lines []string
		for _, line := range assembly.Changes(from, to) {
			stack := strings.Fields(line)[1]
			if stack != "dev-Files" && stack != "dev-S00" {
				t.Errorf("another stack changes: %s", line)
			}
			if strings.HasPrefix(line, sign+" dev-Files") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if lines := changes(none, one, "~"); strings.Contains(fmt.Sprint(lines), "Properties") || len(changes(none, one, "+")) == 0 {
		t.Errorf("the stack of the file system is not new: %q", lines)
	}
	if lines := changes(one, none, "-"); len(lines) == 0 {
		t.Error("the stack of the file system is still there")
	}
	point := " dev-Files FileSystemMoreVolumeEFAE2FBB AWS::EFS::AccessPoint"
	equal(t, "a second volume", []string{"+" + point}, changes(one, two, "+"))
	equal(t, "one volume less", []string{"-" + point}, changes(two, one, "-"))
}

// A file system has one mount target in a zone, and an existing VPC may have several subnets there.
func TestMountTargetsInExistingVPC(t *testing.T) {
	nightly.Test(t, "it synthesizes a VPC that exists, twice")
	context := existingVPC(t, []string{"subnet-0000000000000000a", "subnet-0000000000000000b"}, []string{"subnet-0000000000000000c", "subnet-0000000000000000d"})
	d := alike(1)
	d.Services[0].Volumes = []config.Volume{{Name: "resource", Path: "/data"}}
	count := func() int { return len(synthQuickly(t, d, context).Resources("AWS::EFS::MountTarget")) }
	equal(t, "mount targets in two zones", 2, count())
	for _, value := range context {
		if vpc, ok := value.(object); ok {
			private := vpc["subnetGroups"].([]any)[1].(object)["subnets"].([]any)
			private[1].(object)["availabilityZone"] = private[0].(object)["availabilityZone"]
		}
	}
	equal(t, "mount targets in one zone", 1, count())
}
