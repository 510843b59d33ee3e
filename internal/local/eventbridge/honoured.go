package eventbridge

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// forAWS are settings for AWS only: descriptions, roles, placement, and what becomes of a call that
// fails.
var forAWS = map[string]string{
	"Description": "", "EventBusName": "", "RoleArn": "", "Tags": "", "GroupName": "", "KmsKeyArn": "",
	"Group": "", "PlacementConstraints": "", "PlacementStrategy": "", "PlacementStrategies": "", "PropagateTags": "", "ReferenceId": "",
	"EnableECSManagedTags": "", "EnableExecuteCommand": "", "TagList": "", "RetryPolicy": "", "DeadLetterConfig": "", "Base": "", "Weight": "",
	"EventPattern": "",
	// They are listed.
	"NetworkConfiguration": "", "PlatformVersion": "",
}

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"InputTransformer":      "there is no event to take values from here: give the overrides in Input",
	"InputPath":             "there is no event to take values from here: give the overrides in Input",
	"ActionAfterCompletion": "a schedule stays when it has come to its end here",
}

// check says what is in the way of a schedule, a line each.
func check(s *model.Schedule, tasks *ecs.Tasks) error {
	errs := []error{s.Unsupported(forAWS, notHonoured)}
	refuse := func(property, format string, args ...any) { errs = append(errs, s.Errorf(property, format, args...)) }
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		refuse("ScheduleExpressionTimezone", "%q is no time zone, as in Europe/Berlin", s.TimeZone)
		zone = time.UTC
	}
	if _, err := Parse(s.Expression, s.Scheduler, zone); err != nil {
		refuse("ScheduleExpression", "%v", err)
	}
	for _, run := range s.Runs {
		at := run.Property + ".EcsParameters."
		errs = append(errs, s.Only(at+"LaunchType", run.LaunchType, "there is no machine of your own to stand for here", "EC2", "FARGATE"))
		if run.TaskDefinition == nil {
			continue // a problem of the schedule
		}
		err := tasks.Check(run.TaskDefinition)
		if err == nil {
			filled, _ := tasks.Fill(run.TaskDefinition)
			_, err = override(s, run, filled, tasks.Text)
		}
		if !errors.Is(err, provider.ErrNotYet) {
			errs = append(errs, err)
		}
	}
	return assembly.Join(errs...)
}

// overrides are those of RunTask.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
type overrides struct {
	Containers []struct {
		Name                           string
		Command                        []string
		Environment                    []struct{ Name, Value string }
		CPU, Memory, MemoryReservation int
	} `json:"containerOverrides"`
	// Roles have no effect here.
	TaskRole      string `json:"taskRoleArn"`
	ExecutionRole string `json:"executionRoleArn"`
}

// override returns a filled-in task definition with the overrides of a target's input.
func override(s *model.Schedule, run model.TaskRun, of *model.TaskDefinition, text provider.Text) (*model.TaskDefinition, error) {
	input, err := run.Input, error(nil)
	at := run.Property + ".Input"
	if run.Parts != nil {
		if input, err = text(run.Parts); err != nil {
			return nil, errors.Join(s.Errorf(at, "its value is not known"), err)
		}
	}
	if input == "" {
		return of, nil
	}
	var o overrides
	decoder := json.NewDecoder(strings.NewReader(input))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		if member, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return nil, s.Errorf(at, "the override %s is not honoured here", member)
		}
		return nil, s.Errorf(at, "it is not the overrides of RunTask as JSON, as in {\"containerOverrides\": [{\"name\": \"web\", \"command\": [\"work\"]}]}")
	}
	d := *of
	d.Containers = nil
	for _, c := range of.Containers {
		for _, one := range o.Containers {
			if one.Name != c.Name {
				continue
			}
			if one.Command != nil {
				c.Command = one.Command
			}
			for _, v := range one.Environment {
				c.Set(v.Name, v.Value)
			}
			if one.CPU != 0 {
				c.CPUShares = one.CPU
			}
			if one.Memory != 0 {
				c.MemoryMiB = one.Memory
			}
			if one.MemoryReservation != 0 {
				c.MemoryReservationMiB = one.MemoryReservation
			}
		}
		d.Containers = append(d.Containers, c)
	}
	for _, one := range o.Containers {
		if !containsContainer(run.TaskDefinition, one.Name) {
			return nil, s.Errorf(at, "%v has no container %q", run.TaskDefinition.Resource, one.Name)
		}
	}
	return &d, nil
}

func containsContainer(d *model.TaskDefinition, name string) bool {
	for _, c := range d.Containers {
		if c.Name == name {
			return true
		}
	}
	return false
}

// Compatibility is what becomes of the settings of schedules and their targets.
func Compatibility() []provider.Compatibility {
	return provider.Settings(forAWS, nil, map[string]string{"NetworkConfiguration": ecs.OwnNetwork, "PlatformVersion": ecs.OwnMachine}, notHonoured)
}
