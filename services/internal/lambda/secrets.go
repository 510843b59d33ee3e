package lambda

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// FromVariable has what the program reads when it starts: a JSON object with the variable that the service expects, and
// where its value is, as in the Secrets of a task definition
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html): the ARN of a parameter, or the ARN of a
// secret, which may end with :KEY:STAGE:VERSION.
const FromVariable = "CUTOVER_SECRETS"

// secretsTimeout is less than the 10 s that a program has to start
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib).
const secretsTimeout = 8 * time.Second

// Secrets returns an environment that also has what [FromVariable] names. Values are read with the credentials of
// the function's role, and are nowhere else. It is getenv itself if there is nothing to read.
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
	read := map[string]*value{}
	for _, where := range from {
		base, _ := split(where)
		if read[base] == nil {
			read[base] = &value{}
		}
	}
	var group sync.WaitGroup
	for where, to := range read {
		group.Go(func() { to.text, to.err = get(ctx, getenv, where) })
	}
	group.Wait()
	values := map[string]string{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(from)) {
		base, key := split(from[name])
		one, err := read[base].text, read[base].err
		if err == nil && key != "" {
			one, err = member(one, key)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s cannot be read from %s: %w", name, from[name], err))
		}
		values[name] = one
	}
	return func(name string) string {
		if value, ok := values[name]; ok {
			return value
		}
		return getenv(name)
	}, errors.Join(errs...)
}

type value struct {
	text string
	err  error
}

// split takes the key of a secret off: "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME:KEY:STAGE:VERSION".
func split(where string) (base, key string) {
	if parts := strings.Split(where, ":"); len(parts) > 7 && parts[2] == "secretsmanager" {
		// A stage or a version stays with the base.
		base = strings.Join(parts[:7], ":")
		if rest := strings.Join(parts[8:], ":"); strings.Trim(rest, ":") != "" {
			base += "::" + rest
		}
		return base, parts[7]
	}
	return where, ""
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

// get reads one value. Both services speak JSON with the name of the operation in a header.
func get(ctx context.Context, getenv func(string) string, where string) (string, error) {
	parts := strings.Split(where, ":")
	if len(parts) < 6 || parts[0] != "arn" {
		return "", errors.New("it is no ARN")
	}
	region := parts[3]
	var host, endpoint, operation, signed string
	var asked map[string]any
	var answer struct {
		SecretString string
		SecretBinary []byte
		Parameter    struct{ Value string }
		Message      string `json:"message"`
		Type         string `json:"__type"`
	}
	switch parts[2] {
	case "ssm":
		host, endpoint, operation, signed = "ssm", getenv("AWS_ENDPOINT_URL_SSM"), "AmazonSSM.GetParameter", "ssm"
		asked = map[string]any{"Name": where, "WithDecryption": true}
	case "secretsmanager":
		host, endpoint, operation, signed = "secretsmanager", getenv("AWS_ENDPOINT_URL_SECRETS_MANAGER"), "secretsmanager.GetSecretValue", "secretsmanager"
		asked = map[string]any{"SecretId": strings.Join(parts[:min(7, len(parts))], ":")}
		if len(parts) > 8 && parts[8] != "" {
			asked["VersionStage"] = parts[8]
		}
		if len(parts) > 9 && parts[9] != "" {
			asked["VersionId"] = parts[9]
		}
	default:
		return "", fmt.Errorf("it is neither a secret nor a parameter, but of %q", parts[2])
	}
	if endpoint == "" {
		endpoint = "https://" + host + "." + region + "." + suffix(parts[1])
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", operation)
	role := aws.Credentials{AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN")}
	digest := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, role, request, hex.EncodeToString(digest[:]), signed, region, time.Now()); err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if err := json.Unmarshal(text, &answer); err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s %s", response.StatusCode, answer.Type, answer.Message)
	}
	if parts[2] == "ssm" {
		return answer.Parameter.Value, nil
	}
	if answer.SecretString == "" {
		return string(answer.SecretBinary), nil
	}
	return answer.SecretString, nil
}

// suffix is the domain of a partition.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
func suffix(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}
