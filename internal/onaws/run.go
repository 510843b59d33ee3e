package onaws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Command is a command that runs in a task of its own, from a service's task definition.
type Command struct {
	// Cluster is the name of the ECS cluster.
	Cluster string
	// Services are names of ECS services, of which one is deployed or two: those of the pairs of a service. The
	// command gets what the one has that has tasks.
	Services []string
	// Container is whose command is replaced.
	Container string
	// Command takes the place of the image's CMD. The image's ENTRYPOINT stays.
	Command []string
	// Started is called when ECS has taken the task, with the task's id and definition.
	Started func(task, definition string)
	// Output is called with each line that the container writes. Lines come late, as CloudWatch Logs has them.
	Output func(line string)
	// Warn is called if the logs cannot be read. The command goes on.
	Warn func(error)

	poll time.Duration // between two questions; default: one second
}

// lateLogs is how many questions for lines must have none after the task has stopped. CloudWatch Logs may get
// the last lines later than ECS says so; AWS gives no time.
const lateLogs = 3

// stopTimeout is the time that AWS has to take the order to stop a task.
const stopTimeout = 10 * time.Second

// Run runs a command, waits for its end, and returns the container's exit code. The task has the role, the
// network, and the capacity of the service. If the context ends, Run stops the task.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
func (c Command) Run(ctx context.Context, getenv func(string) string) (exit int, err error) {
	c.poll = cmp.Or(c.poll, time.Second)
	config, err := Config(ctx, getenv, "ECS")
	if err != nil {
		return 0, fmt.Errorf("AWS was not asked: %w", err)
	}
	client := ecs.NewFromConfig(config)
	service, err := c.service(ctx, client, config.Region)
	if err != nil {
		return 0, err
	}
	answer, err := client.RunTask(ctx, &ecs.RunTaskInput{
		Cluster: aws.String(c.Cluster), TaskDefinition: service.TaskDefinition, Count: aws.Int32(1), StartedBy: aws.String("cutover run"),
		CapacityProviderStrategy: service.CapacityProviderStrategy, LaunchType: launchType(service), NetworkConfiguration: service.NetworkConfiguration,
		PlacementConstraints: service.PlacementConstraints, PlacementStrategy: service.PlacementStrategy, PlatformVersion: service.PlatformVersion,
		EnableECSManagedTags: true, PropagateTags: types.PropagateTagsTaskDefinition,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String(c.Container), Command: c.Command}}},
	})
	if err != nil {
		return 0, fmt.Errorf("ECS does not run the task: %w", err)
	}
	if len(answer.Failures) > 0 || len(answer.Tasks) == 0 {
		return 0, fmt.Errorf("ECS does not run the task: %s", failures(answer.Failures))
	}
	arn := aws.ToString(answer.Tasks[0].TaskArn)
	id := arn[strings.LastIndex(arn, "/")+1:]
	if c.Started != nil {
		definition := aws.ToString(service.TaskDefinition)
		c.Started(id, definition[strings.LastIndex(definition, "/")+1:])
	}
	stopped, err := c.follow(ctx, client, arn, id, c.reader(ctx, client, aws.ToString(service.TaskDefinition), id, getenv))
	if err != nil && ctx.Err() == nil {
		return 0, fmt.Errorf("%w; the task may still run", err)
	} else if err != nil {
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		_, stopping := client.StopTask(patient, &ecs.StopTaskInput{Cluster: aws.String(c.Cluster), Task: aws.String(arn), Reason: aws.String("cutover run was interrupted")})
		if stopping != nil {
			stopping = fmt.Errorf("task %s may still run: %w", id, stopping)
		}
		return 0, errors.Join(err, stopping)
	}
	for _, container := range stopped.Containers {
		if aws.ToString(container.Name) == c.Container && container.ExitCode != nil {
			return int(*container.ExitCode), nil
		}
	}
	return 0, fmt.Errorf("task %s has no exit code: %s", id, reason(stopped))
}

// launchType is that of a service without a capacity provider strategy. ECS takes only one of both.
func launchType(service *types.Service) types.LaunchType {
	if len(service.CapacityProviderStrategy) > 0 {
		return ""
	}
	return service.LaunchType
}

// service finds the ECS service, among pairs the one that has tasks.
func (c Command) service(ctx context.Context, client *ecs.Client, region string) (*types.Service, error) {
	answer, err := client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(c.Cluster), Services: c.Services})
	var none *types.ClusterNotFoundException
	if errors.As(err, &none) {
		return nil, fmt.Errorf("there is no ECS cluster %s in %s: deploy the environment first", c.Cluster, region)
	} else if err != nil {
		return nil, fmt.Errorf("AWS did not answer for the service %s: %w", c.Services[0], err)
	}
	var found *types.Service
	for i := range answer.Services {
		s := &answer.Services[i]
		if aws.ToString(s.Status) == "ACTIVE" && (found == nil || found.DesiredCount == 0 && s.DesiredCount > 0) {
			found = s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("the service %s is not deployed in the cluster %s in %s", c.Services[0], c.Cluster, region)
	}
	return found, nil
}

// failures says why ECS starts no task.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
func failures(all []types.Failure) string {
	var reasons []string
	for _, f := range all {
		text := aws.ToString(f.Reason)
		if strings.HasPrefix(text, "RESOURCE:") {
			text = fmt.Sprintf("no instance of the cluster has enough of %s free", strings.ToLower(strings.TrimPrefix(text, "RESOURCE:")))
		}
		if detail := aws.ToString(f.Detail); detail != "" {
			text += " (" + detail + ")"
		}
		reasons = append(reasons, text)
	}
	slices.Sort(reasons)
	return cmp.Or(strings.Join(slices.Compact(reasons), "; "), "it gives no reason")
}

// reason says why a task has stopped.
func reason(task *types.Task) string {
	text := aws.ToString(task.StoppedReason)
	for _, c := range task.Containers {
		if c.Reason != nil {
			text += fmt.Sprintf("; container %s: %s", aws.ToString(c.Name), *c.Reason)
		}
	}
	return cmp.Or(strings.TrimPrefix(text, "; "), "ECS gives no reason")
}

// follow waits until a task has stopped, and hands on what its container writes.
func (c Command) follow(ctx context.Context, client *ecs.Client, arn, id string, read func(context.Context) (lines int)) (*types.Task, error) {
	var stopped *types.Task
	for quiet := 0; stopped == nil || quiet < lateLogs; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(c.poll):
		}
		if stopped == nil {
			answer, err := client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(c.Cluster), Tasks: []string{arn}})
			if err != nil {
				return nil, fmt.Errorf("AWS did not answer for the task %s: %w", id, err)
			}
			if len(answer.Tasks) == 0 {
				return nil, fmt.Errorf("ECS does not know the task %s any more", id)
			}
			if aws.ToString(answer.Tasks[0].LastStatus) == "STOPPED" {
				stopped = &answer.Tasks[0]
			}
		}
		quiet++
		if read(ctx) > 0 || stopped == nil {
			quiet = 0
		}
	}
	return stopped, nil
}

// reader returns a function that reads the lines which CloudWatch Logs has got since the last call, and counts
// them. Without the log driver awslogs there are none.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
func (c Command) reader(ctx context.Context, client *ecs.Client, definition, id string, getenv func(string) string) func(context.Context) (lines int) {
	nothing := func(context.Context) int { return 0 }
	answer, err := client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(definition)})
	if err != nil {
		c.Warn(fmt.Errorf("AWS did not answer for the task definition, so the logs are not shown: %w", err))
		return nothing
	}
	var group, stream string
	for _, container := range answer.TaskDefinition.ContainerDefinitions {
		if log := container.LogConfiguration; aws.ToString(container.Name) == c.Container && log != nil && log.LogDriver == types.LogDriverAwslogs {
			group, stream = log.Options["awslogs-group"], log.Options["awslogs-stream-prefix"]+"/"+c.Container+"/"+id
		}
	}
	if group == "" {
		c.Warn(fmt.Errorf("container %s does not write to CloudWatch Logs: its output is not shown", c.Container))
		return nothing
	}
	config, err := Config(ctx, getenv, "CLOUDWATCH_LOGS")
	if err != nil {
		c.Warn(err)
		return nothing
	}
	store := cloudwatchlogs.NewFromConfig(config)
	var token *string
	failed := false
	return func(ctx context.Context) (lines int) {
		for !failed {
			answer, err := store.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(group), LogStreamName: aws.String(stream), StartFromHead: aws.Bool(true), NextToken: token})
			var none *logs.ResourceNotFoundException
			if errors.As(err, &none) || ctx.Err() != nil {
				break // the container has written nothing yet
			} else if err != nil {
				failed = true
				c.Warn(fmt.Errorf("AWS did not answer for the logs in %s: %w", group, err))
				break
			}
			for _, event := range answer.Events {
				c.Output(aws.ToString(event.Message))
			}
			lines, token = lines+len(answer.Events), answer.NextForwardToken
			if len(answer.Events) == 0 {
				break
			}
		}
		return lines
	}
}
