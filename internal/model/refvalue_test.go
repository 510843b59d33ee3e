package model

import (
	"strings"
	"testing"
)

// What Ref of a resource is, as far as the template says so or a made-up name does no harm.
func TestRefValue(t *testing.T) {
	m := read(t, `"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "orders"}},
		"Joined": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Join": ["-", ["a", "b"]]}}},
		"Later": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "x-${Table}"}}},
		"Unnamed": {"Type": "AWS::DynamoDB::Table"}, "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}},
		"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/app"}}, "Logs2AB12CD34": {"Type": "AWS::Logs::LogGroup"},
		"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "db"}}, "SecretAB12CD34": {"Type": "AWS::SecretsManager::Secret"},
		"Files": {"Type": "AWS::EFS::FileSystem"}, "Files2": {"Type": "AWS::EFS::FileSystem"}`)
	got := map[string]string{}
	for _, r := range m.Assembly.Stacks[0].Resources {
		got[r.LogicalID] = RefValue(m.Assembly, r, "1", "here")
	}
	for id, want := range map[string]string{
		"Table": "orders", "Joined": "a-b", "Later": "", "Unnamed": "", "Queue": "", "Logs": "/app", "Logs2AB12CD34": "Logs2",
		"Secret": "arn:aws:secretsmanager:here:1:secret:db-000000", "SecretAB12CD34": "arn:aws:secretsmanager:here:1:secret:Secret-000000",
	} {
		if got[id] != want {
			t.Errorf("%s is %q, want %q", id, got[id], want)
		}
	}
	if !strings.HasPrefix(got["Files"], "fs-") || len(got["Files"]) != len("fs-0123456789abcdef0") || got["Files"] == got["Files2"] {
		t.Errorf("the file systems are %s and %s", got["Files"], got["Files2"])
	}
}

// A schedule has its targets that are ECS tasks, and a daemon has one task and bounds of its own.
func TestSchedules(t *testing.T) {
	m := read(t, `"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "a", "Image": "i", "Memory": 64}]}},
		"Rule12345678": {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(1 hour)", "State": "ENABLED", "Targets": [
			{"Id": "f", "Arn": "arn:f"}, {"Id": "t", "Arn": "arn:c", "Input": {"Ref": "T"}, "EcsParameters": {"TaskDefinitionArn": {"Ref": "T"}, "TaskCount": 3, "CapacityProviderStrategy": [{"CapacityProvider": "spot"}]}}]}},
		"Waits": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {}, "State": "DISABLED"}},
		"Sched": {"Type": "AWS::Scheduler::Schedule", "Properties": {"Name": "s", "ScheduleExpression": "at(x)", "ScheduleExpressionTimezone": "Asia/Tokyo", "State": "DISABLED",
			"StartDate": "2027-01-02T03:04:05Z", "EndDate": "2028-01-01T00:00:00Z", "FlexibleTimeWindow": {"Mode": "FLEXIBLE"}, "Target": {"Arn": "arn:c", "Input": "{}", "EcsParameters": {"TaskDefinitionArn": {"Ref": "T"}}}}},
		"Daemon": {"Type": "AWS::ECS::Service", "Properties": {"SchedulingStrategy": "DAEMON", "DesiredCount": 5, "TaskDefinition": {"Ref": "T"}}},
		"Own": {"Type": "AWS::ECS::Service", "Properties": {"SchedulingStrategy": "DAEMON", "TaskDefinition": {"Ref": "T"}, "DeploymentConfiguration": {"MinimumHealthyPercent": 50, "MaximumPercent": 150}}}`)
	rule, waits, sched := m.Schedules[0], m.Schedules[1], m.Schedules[2]
	for _, s := range m.Schedules {
		if err := s.Problem(); err != nil {
			t.Error(err)
		}
	}
	if rule.Name != "Rule" || rule.Expression != "rate(1 hour)" || !rule.Enabled || rule.Scheduler || rule.TimeZone != "UTC" || rule.Others != 1 || rule.Flexible || !rule.Begin.IsZero() || len(rule.Runs) != 1 {
		t.Errorf("the rule is %+v", rule)
	}
	if run := rule.Runs[0]; run.Property != "Targets[1]" || run.TaskDefinition != m.TaskDefinitions[0] || run.Count != 3 || run.CapacityProviders[0] != "spot" || run.LaunchType != "EC2" || run.Parts == nil {
		t.Errorf("the run is %+v", run)
	}
	if waits.Expression != "" || waits.Enabled || len(waits.Runs) != 0 {
		t.Errorf("the rule that waits is %+v", waits)
	}
	if sched.Name != "s" || sched.Enabled || !sched.Scheduler || sched.TimeZone != "Asia/Tokyo" || !sched.Flexible || sched.Begin.Unix() != 1798859045 || sched.End.Year() != 2028 ||
		len(sched.Runs) != 1 || sched.Runs[0].Property != "Target" || sched.Runs[0].Count != 1 || sched.Runs[0].Input != "{}" || sched.Others != 0 {
		t.Errorf("the schedule is %+v", sched)
	}
	for i, want := range [][2]int{{0, 100}, {50, 150}} {
		if s := m.Services[i]; s.DesiredCount != nil || s.Tasks() != 1 || s.MinimumHealthyPercent != want[0] || s.MaximumPercent != want[1] {
			t.Errorf("the daemon is %+v", s)
		}
	}
}
