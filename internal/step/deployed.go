package step

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"cutover/config"
	"cutover/internal/onaws"
	"cutover/migration"
)

// askTimeout is the time that AWS has to answer, credentials included. Without a network, the phase
// in cdk.json should still appear soon.
const askTimeout = 10 * time.Second

// mostNames is how many parameters one request may name
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html).
const mostNames = 10

// Here is the region of a deployment on this machine.
const Here = "this machine"

// Deployed is the state of an environment, as its SSM parameters tell. It is not exact if the gate is
// off.
type Deployed struct {
	migration.Deployed
	// Internal says that the load balancers have addresses in the VPC only.
	Internal bool
	// Region is the region that was asked, or [Here].
	Region string
	// Since is when the state was reached; zero if AWS does not say. Another shift is the same
	// state.
	Since time.Time
}

// Where is an environment in words, as in "dev in eu-west-1" or "dev on this machine".
func (d Deployed) Where(env string) string {
	if d.Region == Here {
		return env + " on " + Here
	}
	return env + " in " + d.Region
}

// Read tells the state of an environment by the values of SSM parameters, by name. Other parameters
// do not matter.
func Read(m migration.Migration, env, region string, values map[string]string) (Deployed, error) {
	d := Deployed{Region: region}
	own := map[string]string{}
	for name, value := range values {
		if name, ok := strings.CutPrefix(name, "/"+env+"/"); ok {
			own[name] = value
		}
	}
	for _, claim := range migration.NotInternetFacing() {
		if own[claim.Name] == claim.Value { // also before the last stack of the first deployment has the scheme
			delete(own, claim.Name)
		}
	}
	if d.Internal = own[config.SchemeParameter] == config.Internal; d.Internal {
		renamed := map[string]string{}
		for name, value := range own {
			renamed[migration.InternetFacing(name)] = value
		}
		own = renamed
	}
	var err error
	if d.Deployed, err = m.Deployed(own); err != nil {
		return Deployed{}, fmt.Errorf("%s: the SSM parameter /%s/%w", d.Where(env), env, err)
	}
	if _, off := own[migration.GateOff("")]; off {
		d.Begun, d.Exact = d.Reached, false
	}
	return d, nil
}

// Ask reads the state of an environment from AWS. Credentials and region come from the environment
// variables, or from a profile through the AWS command line. The error says why AWS was not asked
// or did not answer.
func Ask(ctx context.Context, m migration.Migration, env string, getenv func(string) string) (Deployed, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	on, err := onaws.Config(ctx, getenv, "SSM")
	if err != nil {
		return Deployed{}, fmt.Errorf("AWS was not asked: %w", err)
	}
	values, since := map[string]string{}, time.Time{}
	ask := func(all []string) error {
		for names := range slices.Chunk(all, mostNames) {
			for i, name := range names {
				names[i] = "/" + env + "/" + name
			}
			answer, err := ssm.NewFromConfig(on).GetParameters(ctx, &ssm.GetParametersInput{Names: names})
			if err != nil {
				return fmt.Errorf("AWS did not answer for %s in %s: %w", names[0], on.Region, err)
			}
			for _, parameter := range answer.Parameters {
				values[aws.ToString(parameter.Name)] = aws.ToString(parameter.Value)
				if at := aws.ToTime(parameter.LastModifiedDate); at.After(since) {
					since = at
				}
			}
		}
		return nil
	}
	names := append(m.DeployedNames(), migration.GateOff(""))
	if err := ask(append(slices.Clone(names), config.SchemeParameter)); err != nil {
		return Deployed{}, err
	}
	if values["/"+env+"/"+config.SchemeParameter] == config.Internal {
		for i := range names {
			names[i] = migration.Internal(names[i])
		}
		if err := ask(names); err != nil {
			return Deployed{}, err
		}
	}
	d, err := Read(m, env, on.Region, values)
	d.Since = since
	return d, err
}
