package model

import (
	"fmt"
	"time"

	"cutover/internal/assembly"
)

// Schedule starts tasks at certain times: a scheduled rule of EventBridge, or a schedule of EventBridge
// Scheduler.
type Schedule struct {
	Base
	Name string
	// Expression is rate(…), cron(…), or at(…) of EventBridge Scheduler. Empty for a rule that waits for
	// events.
	Expression string
	// Scheduler says that it is of EventBridge Scheduler.
	Scheduler bool
	// TimeZone is an IANA name, for cron and at. Default: UTC, as always for a rule.
	TimeZone string
	// Enabled says that the schedule is followed. Default true.
	Enabled bool
	// Begin and End bound when the schedule is due. Zero for no bound.
	Begin, End time.Time
	// Flexible says that tasks may start within a time window.
	Flexible bool
	// Runs are the targets that are ECS tasks. Others counts the other targets.
	Runs   []TaskRun
	Others int
}

// StartsTasks says whether the schedule is ever due, and has a target that is an ECS task.
func (s *Schedule) StartsTasks() bool { return s.Expression != "" && len(s.Runs) > 0 }

// TaskRun is what a schedule starts.
type TaskRun struct {
	// Property is the target's place in the schedule, as in "Targets[0]".
	Property string
	// TaskDefinition is nil if the assembly does not have it.
	TaskDefinition *TaskDefinition
	// Count is how many tasks are started at a time. Default 1.
	Count int
	// LaunchType is EC2 (the default), FARGATE or EXTERNAL. CapacityProviders go before it.
	LaunchType        string
	CapacityProviders []string
	// Input has the overrides of RunTask, as JSON. Empty for none, and where parts of it are only known
	// after the deployment. Then Parts has them.
	Input string
	Parts assembly.Text
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-rule.html
func (m *Model) scheduledRule(s *Schedule, p assembly.Value) {
	s.Name = name(&s.Base, p.Field("Name"))
	s.Expression = p.Field("ScheduleExpression").Text("")
	s.TimeZone = "UTC"
	s.Enabled = p.Field("State").Text("ENABLED") != "DISABLED"
	for i, target := range p.Field("Targets").List() {
		m.taskRun(s, fmt.Sprintf("Targets[%d]", i), target)
	}
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-scheduler-schedule.html
func (m *Model) schedule(s *Schedule, p assembly.Value) {
	s.Name = name(&s.Base, p.Field("Name"))
	s.Scheduler = true
	s.Expression = p.Field("ScheduleExpression").Need("an expression").Text("")
	s.TimeZone = p.Field("ScheduleExpressionTimezone").Text("UTC")
	s.Enabled = p.Field("State").Text("ENABLED") != "DISABLED"
	s.Begin, s.End = date(p.Field("StartDate")), date(p.Field("EndDate"))
	s.Flexible = p.Field("FlexibleTimeWindow").Field("Mode").Text("OFF") == "FLEXIBLE"
	p.Field("FlexibleTimeWindow").Field("MaximumWindowInMinutes")
	m.taskRun(s, "Target", p.Field("Target"))
}

func date(v assembly.Value) time.Time {
	text := v.Text("")
	at, err := time.Parse(time.RFC3339, text)
	if text != "" && err != nil {
		v.Refuse("%q is no time in UTC, as in 2027-01-31T08:00:00Z", text)
	}
	return at
}

// taskRun adds a target to a schedule.
func (m *Model) taskRun(s *Schedule, property string, target assembly.Value) {
	parameters := target.Field("EcsParameters")
	if !parameters.Present() {
		s.Others++
		return
	}
	target.Field("Id")
	target.Field("Arn") // of the cluster
	run := TaskRun{
		Property:       property,
		TaskDefinition: refer[TaskDefinition](m, parameters.Field("TaskDefinitionArn").Need("a task definition"), ECSTaskDefinition, "TaskDefinitionArn"),
		Count:          parameters.Field("TaskCount").Int(1, 1, 10),
		LaunchType:     parameters.Field("LaunchType").OneOf("EC2", "FARGATE", "EXTERNAL"),
	}
	for _, strategy := range parameters.Field("CapacityProviderStrategy").List() {
		run.CapacityProviders = append(run.CapacityProviders, strategy.Field("CapacityProvider").Identity(""))
	}
	run.Input, run.Parts = target.Field("Input").Mixed()
	s.Runs = append(s.Runs, run)
}
