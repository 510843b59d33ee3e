package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// FromVariable has what the program reads when it starts: a JSON object with the variable that the service expects, and
// where its value is, as in the Secrets of a task definition
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html): the ARN of a parameter, or the ARN of a
// secret, which may end with :KEY:STAGE:VERSION.
const FromVariable = "CUTOVER_SECRETS"

// secretsTimeout is less than startTimeout, so that Lambda can be told what went wrong.
const secretsTimeout = 8 * time.Second

// Secrets returns an environment that also has what [FromVariable] names. Values are read with the credentials of
// the function's role, and are nowhere else. It is getenv itself if there is nothing to read. The error names each
// variable that cannot be read, and has no value.
func Secrets(ctx context.Context, getenv func(string) string) (func(string) string, error) {
	text := getenv(FromVariable)
	if text == "" {
		return getenv, nil
	}
	var from map[string]string
	if err := json.Unmarshal([]byte(text), &from); err != nil {
		return nil, fmt.Errorf("%s is not a JSON object of variables and ARNs: %w", FromVariable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, secretsTimeout)
	defer cancel()
	// Several variables may have one value, as the address of a load balancer.
	read := map[place]func() (string, error){}
	places, keys := map[string]place{}, map[string]string{}
	var errs []error
	var group sync.WaitGroup
	for _, name := range slices.Sorted(maps.Keys(from)) {
		at, key, err := parsePlace(from[name])
		if err != nil {
			errs = append(errs, cannotRead(name, from[name], err))
			continue
		}
		places[name], keys[name] = at, key
		if read[at] == nil {
			once := sync.OnceValues(func() (string, error) { return at.read(ctx, getenv) })
			read[at] = once
			group.Go(func() { _, _ = once() })
		}
	}
	group.Wait()
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		value, err := read[places[name]]()
		if err == nil && keys[name] != "" {
			value, err = member(value, keys[name])
		}
		if err != nil {
			errs = append(errs, cannotRead(name, from[name], err))
		}
		values[name] = value
	}
	return func(name string) string {
		if value, ok := values[name]; ok {
			return value
		}
		return getenv(name)
	}, errors.Join(errs...)
}

func cannotRead(name, from string, err error) error {
	return fmt.Errorf("%s cannot be read from %s: %w", name, from, err)
}

// place is where a value is. Stage and version are those of a secret, and may be empty.
type place struct {
	arn            arn.ARN
	stage, version string
}

// parsePlace reads the ARN of a parameter, or of a secret with up to three more parts: the key in the secret, the stage
// and the version.
func parsePlace(from string) (at place, key string, err error) {
	if at.arn, err = arn.Parse(from); err != nil {
		return at, "", errors.New("this is no ARN")
	}
	switch at.arn.Service {
	case "ssm":
		return at, "", nil
	case "secretsmanager":
		parts := append(strings.Split(at.arn.Resource, ":"), "", "", "", "") // "secret", the name, and the three
		at.arn.Resource = parts[0] + ":" + parts[1]
		at.stage, at.version = parts[3], parts[4]
		return at, parts[2], nil
	}
	return at, "", fmt.Errorf("this is neither a secret nor a parameter, but of %q", at.arn.Service)
}

// read reads the value. The SDK tries again if AWS is busy, as Parameter Store is if many functions start at once.
func (at place) read(ctx context.Context, getenv func(string) string) (string, error) {
	role := credentials.NewStaticCredentialsProvider(getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN"))
	// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
	endpoint := func(service string) *string {
		if url := cmp.Or(getenv("AWS_ENDPOINT_URL_"+service), getenv("AWS_ENDPOINT_URL")); url != "" {
			return &url
		}
		return nil
	}
	if at.arn.Service == "ssm" {
		client := ssm.New(ssm.Options{Region: at.arn.Region, Credentials: role, BaseEndpoint: endpoint("SSM")})
		out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(at.arn.String()), WithDecryption: aws.Bool(true)})
		if err != nil {
			return "", err
		}
		if out.Parameter == nil {
			return "", errors.New("the answer has no parameter")
		}
		return aws.ToString(out.Parameter.Value), nil
	}
	client := secretsmanager.New(secretsmanager.Options{Region: at.arn.Region, Credentials: role, BaseEndpoint: endpoint("SECRETS_MANAGER")})
	input := &secretsmanager.GetSecretValueInput{SecretId: aws.String(at.arn.String())}
	if at.stage != "" {
		input.VersionStage = &at.stage
	}
	if at.version != "" {
		input.VersionId = &at.version
	}
	out, err := client.GetSecretValue(ctx, input)
	if err != nil {
		return "", err
	}
	if out.SecretString != nil {
		return *out.SecretString, nil
	}
	return string(out.SecretBinary), nil
}

// member takes the value of a key out of a secret, which is a JSON object.
func member(secret, key string) (string, error) {
	var all map[string]any
	if err := json.Unmarshal([]byte(secret), &all); err != nil {
		return "", errors.New("the secret is not a JSON object") // the error of the decoder would show a part of it
	}
	value, ok := all[key]
	if text, isText := value.(string); ok && isText {
		return text, nil
	}
	if !ok {
		return "", fmt.Errorf("the secret has no key %q", key)
	}
	text, err := json.Marshal(value)
	return string(text), err
}
