package onaws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/rdsdata"
	"github.com/aws/aws-sdk-go-v2/service/rdsdata/types"

	"cutover/internal/database"
)

// The outputs of the stack with the data: the ARN of the cluster, the ARN of the secret with the
// administrator's password, and the names of the databases, with commas between them.
const (
	clusterOutput = "DatabaseArn"
	secretOutput  = "DatabaseSecretArn"
	namesOutput   = "Databases"
)

// Setup makes databases and users of services in an Aurora PostgreSQL cluster, through the Data API. It needs
// no connection to the cluster.
type Setup struct {
	// Stack has the cluster. Its outputs name the databases.
	Stack string
	// Did is called for each step with whether there was something to do.
	Did func(step string, changed bool)
	// Waiting is called once if the cluster has to resume first.
	Waiting func()

	poll time.Duration // between two tries while the cluster resumes; default: two seconds
}

// resumeTimeout is how long a cluster may take to resume. AWS says about 15 seconds, and 30 or more after a
// pause of more than a day.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
const resumeTimeout = 2 * time.Minute

// Run takes the steps of [database.Closed] and [database.Setup] that are not taken yet.
func (s Setup) Run(ctx context.Context, getenv func(string) string) error {
	s.poll = cmp.Or(s.poll, 2*time.Second)
	outputs, err := s.outputs(ctx, getenv)
	if err != nil {
		return err
	}
	steps := database.Closed()
	for name := range strings.SplitSeq(outputs[namesOutput], ",") {
		own, err := database.Setup(name)
		if err != nil {
			return err
		}
		steps = append(steps, own...)
	}
	config, err := Config(ctx, getenv, "RDS_DATA")
	if err != nil {
		return fmt.Errorf("AWS was not asked: %w", err)
	}
	client := rdsdata.NewFromConfig(config)
	run := func(sql, name string) (*rdsdata.ExecuteStatementOutput, error) {
		return s.execute(ctx, client, &rdsdata.ExecuteStatementInput{
			ResourceArn: aws.String(outputs[clusterOutput]), SecretArn: aws.String(outputs[secretOutput]), Database: aws.String(name), Sql: aws.String(sql),
		})
	}
	for _, step := range steps {
		done, err := run(step.Done, step.Database)
		if err != nil {
			return fmt.Errorf("cannot find out whether to %s: %w", step.Does, err)
		}
		if len(done.Records) == 0 {
			if _, err := run(step.SQL, step.Database); err != nil {
				return fmt.Errorf("cannot %s: %w", step.Does, err)
			}
		}
		s.Did(step.Does, len(done.Records) == 0)
	}
	return nil
}

// outputs reads the outputs of the stack.
func (s Setup) outputs(ctx context.Context, getenv func(string) string) (map[string]string, error) {
	config, err := Config(ctx, getenv, "CLOUDFORMATION")
	if err != nil {
		return nil, fmt.Errorf("AWS was not asked: %w", err)
	}
	answer, err := cloudformation.NewFromConfig(config).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(s.Stack)})
	if err != nil && strings.Contains(err.Error(), "does not exist") || err == nil && len(answer.Stacks) == 0 {
		return nil, fmt.Errorf("there is no stack %s in %s: no service has a database there, or the environment is not deployed", s.Stack, config.Region)
	} else if err != nil {
		return nil, fmt.Errorf("AWS did not answer for the stack %s in %s: %w", s.Stack, config.Region, err)
	}
	outputs := map[string]string{}
	for _, output := range answer.Stacks[0].Outputs {
		outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
	}
	for _, name := range []string{clusterOutput, secretOutput, namesOutput} {
		if outputs[name] == "" {
			return nil, fmt.Errorf("the stack %s in %s has no output %s: no service keeps its records in PostgreSQL there", s.Stack, config.Region, name)
		}
	}
	return outputs, nil
}

// execute runs a statement, and waits for a cluster that has paused.
func (s Setup) execute(ctx context.Context, client *rdsdata.Client, statement *rdsdata.ExecuteStatementInput) (*rdsdata.ExecuteStatementOutput, error) {
	patience, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	for first := true; ; first = false {
		answer, err := client.ExecuteStatement(patience, statement)
		var resuming *types.DatabaseResumingException
		if !errors.As(err, &resuming) {
			return answer, err
		}
		if first {
			s.Waiting()
		}
		select {
		case <-patience.Done():
			return nil, cmp.Or(ctx.Err(), fmt.Errorf("the cluster has not resumed in %v: %w", resumeTimeout, err))
		case <-time.After(s.poll):
		}
	}
}
