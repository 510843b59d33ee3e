package step

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"cutover/migration"
)

// askTimeout bounds how long AWS is asked, credentials included: who wants to
// know the phase should not have to wait for a network that is not there.
const askTimeout = 10 * time.Second

// Deployed is what an environment is in, as its SSM parameters tell.
type Deployed struct {
	// Region is the region that was asked.
	Region string
	// Exists is false if the environment was never deployed there, or not to its end.
	Exists bool
	// Reached is the state that was deployed last, and Begun the one that was
	// begun last: another one while a deployment goes on or was interrupted.
	Reached, Begun migration.State
	// Exact is false if there is no telling whether a shift is set and what was
	// begun: with the gate off, only the phases are known and are the same.
	Exact bool
	// Since is when the state was reached. A shift that replaces another one is no
	// other state. Zero if AWS does not say.
	Since time.Time
}

// Ask reads from AWS what an environment is in. Credentials and region are those
// of the environment's variables or, through the AWS command line if there is
// one, those of the profile. Its error says that AWS was not asked, or did not
// answer, and why.
func Ask(ctx context.Context, env string, getenv func(string) string) (Deployed, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	config, err := account(ctx, getenv, "SSM")
	if err != nil {
		return Deployed{}, fmt.Errorf("AWS was not asked: %w", err)
	}
	phaseName := "/" + env + "/phase"
	off := "/" + env + "/phase-gate/begun/off"
	names := []string{phaseName, off}
	states := map[string]string{}
	for _, state := range migration.Names() {
		name := "/" + env + "/phase-gate/reached/" + state
		names = append(names, name)
		states[name] = state
	}
	answer, err := ssm.NewFromConfig(config).GetParameters(ctx, &ssm.GetParametersInput{Names: names})
	if err != nil {
		return Deployed{}, fmt.Errorf("AWS did not answer for %s in %s: %w", phaseName, config.Region, err)
	}
	d := Deployed{Region: config.Region}
	gate := true
	var held []string
	for _, parameter := range answer.Parameters {
		if at := aws.ToTime(parameter.LastModifiedDate); at.After(d.Since) {
			d.Since = at
		}
		switch name := aws.ToString(parameter.Name); name {
		case phaseName:
			d.Exists = true
			if d.Reached.Phase, err = migration.ParsePhase(aws.ToString(parameter.Value)); err != nil {
				return Deployed{}, fmt.Errorf("the SSM parameter %s in %s: %w", name, config.Region, err)
			}
		case off:
			gate = false
		default:
			held = append(held, states[name])
		}
	}
	d.Begun = d.Reached
	if reached, begun, ok := migration.Deployed(d.Reached.Phase, held); d.Exists && gate && ok {
		d.Reached, d.Begun, d.Exact = reached, begun, true
	}
	return d, nil
}

// account returns whom to ask, and as whom. The service is the one that the
// variable AWS_ENDPOINT_URL_SERVICE is for.
func account(ctx context.Context, getenv func(string) string, service string) (aws.Config, error) {
	first := func(names ...string) string {
		i := slices.IndexFunc(names, func(name string) bool { return getenv(name) != "" })
		if i < 0 {
			return ""
		}
		return getenv(names[i])
	}
	c := aws.Config{Region: first("AWS_REGION", "AWS_DEFAULT_REGION"), RetryMaxAttempts: 2}
	if endpoint := first("AWS_ENDPOINT_URL_"+service, "AWS_ENDPOINT_URL"); endpoint != "" {
		c.BaseEndpoint = aws.String(endpoint)
	}
	// The command line knows every kind of credentials that a profile may have.
	program, missing := exec.LookPath("aws")
	if id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
		c.Credentials = credentials.NewStaticCredentialsProvider(id, secret, getenv("AWS_SESSION_TOKEN"))
	} else if missing == nil {
		c.Credentials = aws.NewCredentialsCache(processcreds.NewProviderCommand(
			processcreds.NewCommandBuilderFunc(func(ctx context.Context) (*exec.Cmd, error) {
				return exec.CommandContext(ctx, program, "configure", "export-credentials", "--format", "process"), nil
			})))
		if _, err := c.Credentials.Retrieve(ctx); ctx.Err() != nil {
			return c, fmt.Errorf("`aws configure export-credentials` gave no answer: %w", ctx.Err())
		} else if err != nil {
			return c, errors.New("there are no credentials, neither in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor from `aws configure export-credentials` (AWS CLI 2)")
		}
	} else {
		return c, errors.New("there are no credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and no aws command to ask for those of a profile")
	}
	if c.Region == "" && missing == nil {
		output, _ := exec.CommandContext(ctx, program, "configure", "get", "region").Output() // fails if there is none
		c.Region = strings.TrimSpace(string(output))
	}
	if c.Region == "" {
		return c, errors.New("there is no region: set AWS_REGION")
	}
	return c, nil
}
