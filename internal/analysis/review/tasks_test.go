package review_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
)

// orders is a service with all that a service can have.
const orders = `{
	"Group": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Name": "orders", "Port": 80, "HealthCheckPath": "/healthz", "HealthCheckIntervalSeconds": 6, "HealthCheckTimeoutSeconds": 5,
		"UnhealthyThresholdCount": 3, "Matcher": {"HttpCode": "200"}, "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "15"}]}},
	"Files": {"Type": "AWS::EFS::FileSystem", "Properties": {"Encrypted": true}},
	"Data": {"Type": "AWS::EFS::AccessPoint", "Properties": {"FileSystemId": {"Ref": "Files"}, "RootDirectory": {"Path": "/data"}}},
	"More": {"Type": "AWS::EFS::AccessPoint", "Properties": {"FileSystemId": {"Ref": "Files"}, "RootDirectory": {"Path": "/more"}}},
	"Task": {"Type": "AWS::IAM::Role", "Properties": {}},
	"Execution": {"Type": "AWS::IAM::Role", "Properties": {}},
	"May": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "Task"}], "PolicyDocument": {"Statement": [
		{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::shop/*"},
		{"Effect": "Allow", "Action": "elasticfilesystem:ClientMount", "Resource": {"Fn::Sub": "arn:${AWS::Partition}:elasticfilesystem:${AWS::Region}:${AWS::AccountId}:file-system/${Files}"}}]}}},
	"Reads": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "Execution"}], "PolicyDocument": {"Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/token"}}]}}},
	"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "orders", "TaskRoleArn": {"Fn::GetAtt": ["Task", "Arn"]}, "ExecutionRoleArn": {"Fn::GetAtt": ["Execution", "Arn"]},
		"Volumes": [{"Name": "data", "EFSVolumeConfiguration": {"FilesystemId": {"Ref": "Files"}, "AuthorizationConfig": {"AccessPointId": {"Ref": "Data"}}}}],
		"ContainerDefinitions": [
			{"Name": "orders", "Image": "node:24", "Command": ["node"], "Cpu": 256, "MemoryReservation": 256, "Memory": 512, "User": "1000", "StopTimeout": 20,
				"Environment": [{"Name": "MODE", "Value": "a"}, {"Name": "KEPT", "Value": "k"}], "Secrets": [{"Name": "TOKEN", "ValueFrom": "token"}],
				"LinuxParameters": {"Tmpfs": [{"ContainerPath": "/tmp", "Size": 64}], "Capabilities": {"Drop": ["ALL"]}},
				"MountPoints": [{"SourceVolume": "data", "ContainerPath": "/data", "ReadOnly": false}],
				"PortMappings": [{"ContainerPort": 8080}], "DependsOn": [{"ContainerName": "cache", "Condition": "START"}], "Links": ["cache"],
				"Ulimits": [{"Name": "nofile", "SoftLimit": 1024, "HardLimit": 2048}], "HealthCheck": {"Command": ["CMD", "check"]}},
			{"Name": "cache", "Image": "redis:7", "Essential": false, "Cpu": 64, "MemoryReservation": 64}]}},
	"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "orders", "TaskDefinition": {"Ref": "Definition"}, "DesiredCount": 2, "HealthCheckGracePeriodSeconds": 15,
		"Tags": [{"Key": "service", "Value": "orders"}], "LoadBalancers": [{"ContainerName": "orders", "ContainerPort": 8080, "TargetGroupArn": {"Ref": "Group"}}]}},
	"Errors": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Threshold": 10, "Tags": [{"Key": "service", "Value": "orders"}]}},
	"Others": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Threshold": 10, "Tags": [{"Key": "service", "Value": "users"}]}},
	"Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"UserData": "a"}}}
}`

// written reads an assembly of one stack, changed: a key is the path of a value, and nil takes it away.
func written(t *testing.T, change map[string]any) *assembly.Assembly {
	t.Helper()
	var resources map[string]any
	if err := json.Unmarshal([]byte(orders), &resources); err != nil {
		t.Fatal(err)
	}
	for path, value := range change {
		put(resources, strings.Split(path, "."), value)
	}
	text, err := json.Marshal(map[string]any{"Resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"manifest.json": `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "s.json"}}}}`,
		"s.json":        string(text),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// put sets the value at a path. The second step of a path is in the resource's properties, unless it is
// called DeletionPolicy or UpdatePolicy.
func put(resources map[string]any, path []string, value any) {
	var at any = resources
	if len(path) > 1 && path[1] != "DeletionPolicy" && path[1] != "UpdatePolicy" {
		path = append([]string{path[0], "Properties"}, path[1:]...)
	}
	for _, step := range path[:len(path)-1] {
		if i, err := strconv.Atoi(step); err == nil {
			at = at.([]any)[i]
		} else {
			at = at.(map[string]any)[step]
		}
	}
	last := path[len(path)-1]
	switch at := at.(type) {
	case map[string]any:
		if at[last] = value; value == nil {
			delete(at, last)
		}
	case []any:
		i, _ := strconv.Atoi(last)
		at[i] = value
	}
}

type object = map[string]any

// TestTasks has a change of each field of a service, and what it does to tasks that run.
func TestTasks(t *testing.T) {
	const c0, c1, may = "Definition.ContainerDefinitions.0.", "Definition.ContainerDefinitions.1.", "May.PolicyDocument.Statement"
	exchanged := func(what string) string {
		return "new tasks take the place of the running ones, while at least 100 % of the tasks stay healthy. What changes: " + what
	}
	replacedService := func(by string) string {
		return "the service is replaced (" + by + "): a new one is made, and then this one is deleted with its tasks. Move with a second service and target group beside these, and shift the requests"
	}
	replacedGroup := func(by string) string {
		return "the target group is replaced (" + by + "). New tasks are registered with the new one; a listener must send requests there first"
	}
	taken := func(property string) string {
		return "the deployment fails if the new one is called orders too: CloudFormation replaces nothing that has a name in the template. Choose another " + property
	}
	const room = ". While both revisions run, instances need room for both"
	for _, test := range []struct {
		name   string
		change map[string]any
		warns  []string
		does   []string
	}{
		{"nothing", nil, nil, nil},
		{"image", object{c0 + "Image": "node:25"}, nil, []string{exchanged("image node:24 → node:25")}},
		{"image of a sidecar", object{c1 + "Image": "redis:8"}, nil, []string{exchanged("cache: image redis:7 → redis:8")}},
		{"image with a name of a deployment", object{c0 + "Image": object{"Fn::Sub": "${AWS::AccountId}.dkr.ecr.us-east-1.amazonaws.com/a:1"}}, nil, []string{exchanged("image")}},
		{"port", object{c0 + "PortMappings": []any{object{"ContainerPort": 9090}}, "Service.LoadBalancers.0.ContainerPort": 9090}, nil,
			[]string{exchanged("ports"), "the target group stays. Running tasks get requests at port 8080 until they stop, new tasks at port 9090"}},
		{"health check path", object{"Group.HealthCheckPath": "/live"},
			[]string{"the load balancer asks running tasks, too, for /live and takes 200, before new tasks run. A task that answers otherwise is unhealthy after 3 checks (18 s), and ECS stops it. First deploy a version that answers both"}, nil},
		{"fewer health check codes", object{"Group.Matcher.HttpCode": "204,301-302"},
			[]string{"the load balancer asks running tasks, too, for /healthz and takes 204,301-302, before new tasks run. A task that answers otherwise is unhealthy after 3 checks (18 s), and ECS stops it. First deploy a version that answers both"}, nil},
		{"more health check codes", object{"Group.Matcher.HttpCode": "200-299"}, nil, []string{"the load balancer takes 200-299 of running tasks, too. No task is exchanged"}},
		{"health check interval", object{"Group.HealthCheckIntervalSeconds": 30}, nil, []string{"health checks change for running tasks, too: IntervalSeconds 6 → 30"}},
		{"health check command", object{c0 + "HealthCheck": nil}, nil, []string{exchanged("health check in the container")}},
		{"grace period", object{"Service.HealthCheckGracePeriodSeconds": 90}, nil, []string{"failed health checks of tasks that start from now on do not count for 90 s instead of 15 s. No task is exchanged"}},
		{"command", object{c0 + "Command": []any{"node", "x"}}, nil, []string{exchanged("command")}},
		{"environment", object{c0 + "Environment": []any{object{"Name": "KEPT", "Value": "k"}, object{"Name": "NEW", "Value": "n"}}}, nil, []string{exchanged("variables MODE, NEW")}},
		{"secrets", object{c0 + "Secrets": []any{object{"Name": "PW", "ValueFrom": "pw"}}, "Reads.PolicyDocument.Statement.0.Resource": "arn:aws:ssm:us-east-1:123456789012:parameter/pw"}, nil,
			[]string{exchanged("secrets PW, TOKEN"),
				"a task has the values that its secrets had when the task started. A value that you change later reaches the tasks of a later deployment",
				"a role may not do ssm:GetParameters on arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:parameter/token any more. If a task of the old revision needs that, the task does not start again"}},
		{"user", object{c0 + "User": nil}, nil, []string{exchanged("user 1000 → none")}},
		{"writable paths", object{c0 + "LinuxParameters.Tmpfs": nil}, nil, []string{exchanged("writable paths")}},
		{"capabilities", object{c0 + "LinuxParameters": object{"Tmpfs": []any{object{"ContainerPath": "/tmp", "Size": 64}}}}, nil, []string{exchanged("Capabilities")}},
		{"no kernel settings", object{c0 + "LinuxParameters": nil}, nil, []string{exchanged("Capabilities, writable paths")}},
		{"another volume", object{"Definition.Volumes.0.EFSVolumeConfiguration.AuthorizationConfig.AccessPointId": object{"Ref": "More"}},
			[]string{"new tasks see /more of S/Files at /data in orders, running tasks see /data of S/Files until they stop. Nothing is copied"}, []string{exchanged("volumes of the task")}},
		{"volume that is only read", object{c0 + "MountPoints.0.ReadOnly": true}, nil, []string{exchanged("mounted volumes"), "new tasks may only read at /data in orders"}},
		{"volume of another container", object{c1 + "MountPoints": []any{object{"SourceVolume": "data", "ContainerPath": "/d"}}}, nil,
			[]string{exchanged("cache: mounted volumes"), "new tasks see /data of S/Files at /d in cache"}},
		{"no volume, whose access point goes", object{"Definition.Volumes": nil, c0 + "MountPoints": nil, "Data": nil},
			[]string{"the access point of running tasks is deleted before new tasks run: S/Data. A task that runs may lose its files, and none starts"},
			[]string{exchanged("mounted volumes; volumes of the task"), "new tasks do not see /data of S/Files any more, which was at /data in orders. Its files stay"}},
		{"another file system", object{"Files.Encrypted": false},
			[]string{"the file system of running tasks is replaced: S/Files. New tasks do not see the files of before, if the new one does not have them"}, nil},
		{"sidecar that goes", object{"Definition.ContainerDefinitions.1": nil, c0 + "Links": nil, c0 + "DependsOn": nil}, nil,
			[]string{exchanged("links, start order; the container cache goes"), "a task takes 256 CPU units and 256 MiB of its instance instead of 320 and 320" + room}},
		{"sidecar that is new", object{c1 + "Name": "store"}, nil, []string{exchanged("the container cache goes; the container store is new")}},
		{"start order", object{c0 + "DependsOn.0.Condition": "HEALTHY"}, nil, []string{exchanged("start order")}},
		{"permission that is added", object{may: []any{object{"Effect": "Allow", "Action": []any{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, "Resource": "arn:aws:s3:::shop/*"},
			object{"Effect": "Allow", "Action": "elasticfilesystem:ClientMount", "Resource": object{"Fn::Sub": "arn:${AWS::Partition}:elasticfilesystem:${AWS::Region}:${AWS::AccountId}:file-system/${Files}"}}}},
			nil, []string{"running tasks, too, may do s3:DeleteObject on arn:aws:s3:::shop/*. It may take minutes"}},
		{"permissions that are taken away", object{may: []any{}},
			[]string{"running tasks may not do s3:GetObject, s3:PutObject on arn:aws:s3:::shop/* any more, before new tasks take their place. First deploy a version that does without"},
			[]string{"a role may not do elasticfilesystem:ClientMount on arn:aws:elasticfilesystem:${AWS::Region}:${AWS::AccountId}:file-system/${S/Files} any more. If a task of the old revision needs that, the task does not start again"}},
		{"permission with a condition", object{may + ".0.Condition": object{"StringEquals": object{"aws:SourceAccount": "1"}}},
			[]string{"running tasks may not do s3:GetObject, s3:PutObject on arn:aws:s3:::shop/* any more, before new tasks take their place. First deploy a version that does without"},
			[]string{"running tasks, too, may do s3:GetObject, s3:PutObject on arn:aws:s3:::shop/* if aws:SourceAccount StringEquals 1. It may take minutes"}},
		{"denied", object{may + ".0.Effect": "Deny"},
			[]string{"running tasks may not do s3:GetObject, s3:PutObject on arn:aws:s3:::shop/* any more, before new tasks take their place. First deploy a version that does without"}, nil},
		{"stop timeout", object{c0 + "StopTimeout": 60}, nil, []string{exchanged("stop timeout 20 s → 60 s"), "running tasks are stopped with their old timeout, new tasks with the new one"}},
		{"deregistration delay", object{"Group.TargetGroupAttributes.0.Value": "60"}, nil, []string{"requests in flight have 60 s instead of 15 s when a task is stopped from now on, a running task, too"}},
		{"memory", object{c0 + "MemoryReservation": 300, c0 + "Memory": 1000}, nil,
			[]string{exchanged("reserved memory 256 MiB → 300 MiB, memory limit 512 MiB → 1000 MiB"), "a task takes 320 CPU units and 364 MiB of its instance instead of 320 and 320" + room}},
		{"CPU", object{c1 + "Cpu": 128}, nil, []string{exchanged("cache: CPU 64 units → 128 units"), "a task takes 384 CPU units and 320 MiB of its instance instead of 320 and 320" + room}},
		{"ulimits", object{c0 + "Ulimits.0.SoftLimit": 1}, nil, []string{exchanged("ulimits")}},
		{"alarms", object{"Errors.Threshold": 20, "Others.Threshold": 30}, nil, []string{"the alarm Errors goes off at another threshold 10 → 20. No task is exchanged"}},
		{"something else", object{c0 + "Interactive": true, "Definition.PidMode": "task"}, nil, []string{exchanged("Interactive none → true; the setting PidMode none → task")}},
		{"tags alone", object{"Definition.Tags": []any{}, "Service.Tags": []any{object{"Key": "service", "Value": "x"}}}, nil, nil},
		{"containers that are not known", object{"Definition.ContainerDefinitions": object{"Fn::If": []any{}}}, nil,
			[]string{exchanged("the container orders goes; the container cache goes"), "new tasks do not see /data of S/Files any more, which was at /data in orders. Its files stay",
				"a task takes 0 CPU units and 0 MiB of its instance instead of 320 and 320" + room}},
		{"where tasks may run", object{"Service.PlacementConstraints": []any{object{"Type": "memberOf", "Expression": "attribute:linked == true"}}},
			[]string{"new tasks start only on instances with attribute:linked == true. Without such an instance they wait: replace the instances that run, one after the other"}, nil},
		{"number of tasks", object{"Service.DesiredCount": 4}, nil, []string{"4 tasks run instead of 2"}},
		{"bounds", object{"Service.DeploymentConfiguration": object{"MinimumHealthyPercent": 50}}, nil, []string{"the bounds or alarms of deployments change. No task is exchanged"}},
		{"bounds and command", object{"Service.DeploymentConfiguration": object{"MinimumHealthyPercent": 50}, c0 + "Command": nil}, nil,
			[]string{strings.Replace(exchanged("command"), "100", "50", 1), "the bounds or alarms of deployments change. No task is exchanged"}},
		{"another setting", object{"Service.EnableExecuteCommand": true}, nil, []string{"the setting EnableExecuteCommand of the service changes"}},
		{"another kind of group", object{"Group.Protocol": "HTTPS"}, []string{replacedGroup("Protocol"), taken("Name")}, nil},
		{"another kind of group without a name", object{"Group.TargetType": "ip", "Group.Name": nil}, []string{replacedGroup("Name, TargetType")}, nil},
		{"launch type", object{"Service.LaunchType": "FARGATE", "Group.TargetType": "ip"}, []string{
			replacedService("LaunchType"), taken("ServiceName"),
			"tasks run on FARGATE instead of EC2. On Fargate each has an address of its own, so the target group needs other targets, and is another one",
			replacedGroup("TargetType"), taken("Name")}, nil},
		{"launch type of a service whose name the deployment makes", object{"Service.LaunchType": "EXTERNAL", "Service.ServiceName": object{"Fn::Sub": "orders"}}, []string{replacedService("LaunchType, ServiceName")}, nil},
		{"provider on Fargate", object{"Service.CapacityProviderStrategy": []any{object{"CapacityProvider": "FARGATE", "Weight": 1, "Base": 2}, object{"CapacityProvider": "FARGATE_SPOT"}}},
			[]string{"tasks run on FARGATE, base 2, weight 1; FARGATE_SPOT instead of EC2. On Fargate each has an address of its own, so the target group needs other targets, and is another one"}, nil},
		{"provider of instances", object{"Service.CapacityProviderStrategy": []any{object{"CapacityProvider": object{"Ref": "Task"}, "Weight": 1}}}, nil,
			[]string{"tasks that start from now on run on the instances of a capacity provider, weight 1. Tasks that run stay where they are"}},
		{"network", object{"Service.NetworkConfiguration": object{"AwsvpcConfiguration": object{}}}, nil, []string{"new tasks take the place of the running ones: the setting NetworkConfiguration of the service changes"}},
		{"storage, size and platform", object{"Definition.EphemeralStorage": object{"SizeInGiB": 30}, "Definition.Cpu": "512", "Definition.Memory": "1024", "Definition.RuntimePlatform": object{}}, nil,
			[]string{exchanged("CPU of the task none → 512 units; storage of the task 20 GiB → 30 GiB; memory of the task none → 1024 MiB; the setting RuntimePlatform"),
				"a task takes 512 CPU units and 1024 MiB of its instance instead of 320 and 320" + room}},
	} {
		t.Run(test.name, func(t *testing.T) {
			changes, err := review.Tasks(review.Pair{Name: "parallel", Before: written(t, nil), After: written(t, test.change)})
			if err != nil {
				t.Fatal(err)
			}
			var warns, does []string
			for _, c := range changes {
				if c.Service != "orders" {
					t.Errorf("a change of %s", c.Service)
				}
				if !c.Running {
					t.Error("no task runs")
				}
				if exchanged := strings.Contains(strings.Join(append(c.Does, c.Warnings...), " "), "new tasks take the place") || slices.Contains([]string{"port", "launch type", "launch type of a service whose name the deployment makes"}, test.name); c.Exchanged != exchanged {
					t.Errorf("exchanged: %t", c.Exchanged)
				}
				warns, does = append(warns, c.Warnings...), append(does, c.Does...)
			}
			sorted := cmp.Transformer("set", func(list []string) map[string]bool {
				all := map[string]bool{}
				for _, one := range list {
					all[one] = true
				}
				return all
			})
			if diff := cmp.Diff(test.warns, warns, sorted); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.does, does, sorted); diff != "" {
				t.Errorf("what it does (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTasksElsewhere(t *testing.T) {
	tasks := func(before, after map[string]any) []review.TaskChange {
		t.Helper()
		changes, err := review.Tasks(review.Pair{Name: "parallel", Before: written(t, before), After: written(t, after)})
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	// A new service and one that goes have no running task that changes.
	if changes := tasks(object{"Service": nil}, nil); len(changes) > 0 {
		t.Errorf("a new service: %v", changes)
	}
	if changes := tasks(nil, object{"Service": nil}); len(changes) > 0 {
		t.Errorf("a service that goes: %v", changes)
	}
	// Where no task runs, nothing is exchanged, and the rest is told all the same.
	changes := tasks(object{"Service.DesiredCount": 0}, object{"Service.DesiredCount": 0, "Definition.ContainerDefinitions.0.User": "2"})
	if len(changes) != 1 || changes[0].Running || changes[0].Exchanged || !strings.HasSuffix(changes[0].Does[0], "What changes: user 1000 → 2") {
		t.Errorf("without tasks: %v", changes)
	}
	changes = tasks(object{"Service.DesiredCount": 0}, object{"Service.LoadBalancers.0.ContainerPort": 1})
	if len(changes) != 1 || changes[0].Running || changes[0].Exchanged {
		t.Errorf("the first tasks, at another port: %v", changes)
	}
	// A daemon has tasks whatever its count says.
	daemon := object{"Service.DesiredCount": 0, "Service.SchedulingStrategy": "DAEMON"}
	changes = tasks(daemon, object{"Service.DesiredCount": 0, "Service.SchedulingStrategy": "DAEMON", "Definition.ContainerDefinitions.0.User": "2"})
	if len(changes) != 1 || !changes[0].Exchanged || !strings.Contains(changes[0].Does[0], "at least 0 %") {
		t.Errorf("a daemon: %v", changes)
	}
	// An access point that is kept is not lost, and neither is one of a stack that a deployment leaves.
	kept := object{"Data.DeletionPolicy": "RetainExceptOnCreate"}
	if changes := tasks(kept, object{"Data": nil, "Definition.Volumes": nil, "Definition.ContainerDefinitions.0.MountPoints": nil}); len(changes) != 1 || len(changes[0].Warnings) > 0 {
		t.Errorf("an access point that stays: %v", changes)
	}
	// Instances have a launch template of their own time.
	changes = tasks(nil, object{"Launch.LaunchTemplateData.UserData": "b"})
	if len(changes) != 1 || changes[0].Service != "instances of S" || !strings.HasPrefix(changes[0].Does[0], "instances that run stay as they are") {
		t.Errorf("of instances: %v", changes)
	}
	for policy, replaced := range map[string]bool{"AutoScalingRollingUpdate": true, "AutoScalingReplacingUpdate": true, "AutoScalingScheduledAction": false} {
		group := object{"Group2": object{"Type": "AWS::AutoScaling::AutoScalingGroup", "UpdatePolicy": object{policy: object{}},
			"Properties": object{"MinSize": "1", "MaxSize": "1", "LaunchTemplate": object{"LaunchTemplateId": object{"Ref": "Launch"}}}}}
		other := object{"Group2": group["Group2"], "Launch.LaunchTemplateData.UserData": "b"}
		changes = tasks(group, other)
		if len(changes) != 1 || (len(changes[0].Warnings) == 1) != replaced || (len(changes[0].Does) == 1) == replaced {
			t.Errorf("instances of a group with %s: %v", policy, changes)
		}
	}
	if _, err := review.Tasks(review.Pair{Name: "parallel", Before: &assembly.Assembly{Dir: "gone"}, After: written(t, nil)}); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("an assembly that is gone: %v", err)
	}
}

// TestRunningTasks: the report has a section and lines in the headline only if there is something.
func TestRunningTasks(t *testing.T) {
	r := review.Report{Tasks: []review.TaskChange{
		{Service: "orders", Running: true, Exchanged: true, Warnings: []string{"they lose a_b*"}, Does: []string{"they see /data again"}},
		{Service: "users", Running: true, Exchanged: true, Does: []string{"new tasks"}},
		{Service: "posts", Warnings: []string{"much"}, Does: []string{"nothing"}},
	}}
	text := r.Markdown()
	for _, want := range []string{
		"- New tasks take the place of running ones: orders, users.\n- **Running tasks may be harmed: orders.**\n",
		"### Running tasks\n\n- **orders: they lose a\\_b\\***\n- orders: they see `/data` again\n- users: new tasks\n- posts: no task runs. Where tasks run, this happens:\n- **posts: much**\n- posts: nothing\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the review lacks %q:\n%s", want, text)
		}
	}
	if text := (&review.Report{}).Markdown(); strings.Contains(text, "unning tasks") || strings.Contains(text, "New tasks") {
		t.Errorf("of nothing:\n%s", text)
	}
}

// On Fargate, tasks take no room of instances, and a task on Spot may be stopped.
func TestTasksOnFargate(t *testing.T) {
	on := func(change object) *assembly.Assembly {
		all := object{"Service.LaunchType": "FARGATE", "Definition.Cpu": "256", "Definition.Memory": "512"}
		for key, value := range change {
			all[key] = value
		}
		return written(t, all)
	}
	spot := object{"Service.LaunchType": nil, "Service.CapacityProviderStrategy": []any{object{"CapacityProvider": "FARGATE", "Weight": 1}, object{"CapacityProvider": "FARGATE_SPOT", "Weight": 3}}}
	demand := object{"Service.LaunchType": nil, "Service.CapacityProviderStrategy": []any{object{"CapacityProvider": "FARGATE", "Weight": 1}}}
	for _, test := range []struct {
		name          string
		before, after object
		does          []string
	}{
		{"size", nil, object{"Definition.Cpu": "512", "Definition.Memory": "1024"}, []string{
			"new tasks take the place of the running ones, while at least 100 % of the tasks stay healthy. What changes: CPU of the task 256 units → 512 units; memory of the task 512 MiB → 1024 MiB",
			"a task has 512 CPU units and 1024 MiB instead of 256 and 512, and its price changes with them"}},
		{"Spot", demand, spot, []string{
			"tasks that start from now on run on FARGATE, weight 1; FARGATE_SPOT, weight 3. Tasks that run stay where they are",
			"AWS may stop a task on Spot with two minutes' notice. If there is no room for Spot, such a task waits"}},
		{"no Spot any more", spot, demand, []string{"tasks that start from now on run on FARGATE, weight 1. Tasks that run stay where they are"}},
		{"platform version", nil, object{"Service.PlatformVersion": "1.4.0"}, []string{"new tasks take the place of the running ones: the setting PlatformVersion of the service changes"}},
	} {
		changes, err := review.Tasks(review.Pair{Name: "x", Before: on(test.before), After: on(test.after)})
		if err != nil || len(changes) != 1 {
			t.Fatalf("%s: %v, %v", test.name, changes, err)
		}
		if diff := cmp.Diff(test.does, changes[0].Does); diff != "" || len(changes[0].Warnings) > 0 {
			t.Errorf("%s (-want +got):\n%s\n%v", test.name, diff, changes[0].Warnings)
		}
	}
}
