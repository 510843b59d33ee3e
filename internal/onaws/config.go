// Package onaws does on AWS what CloudFormation does not do: it runs a command in a task of its own, and
// sets up databases.
package onaws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// client sends requests whose bodies can only be read. The SDK closes a body as soon as an answer begins. If the transport then looks
// by io.WriterTo whether the body is at its end, it gets an error, and closes the connection below the answer. Endpoints that are near,
// such as an emulated AWS, answer as fast as that.
type client struct{ *awshttp.BuildableClient }

func (c client) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.BuildableClient.Do(r)
}

// Config returns the region, the endpoint and the credentials for calls of a service, as in "SSM". They come
// from the environment variables, or from a profile through the AWS command line. The endpoint may come from
// AWS_ENDPOINT_URL_<SERVICE>.
func Config(ctx context.Context, getenv func(string) string, service string) (aws.Config, error) {
	c := aws.Config{Region: cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION")), RetryMaxAttempts: 2, HTTPClient: client{awshttp.NewBuildableClient()}}
	if endpoint := cmp.Or(getenv("AWS_ENDPOINT_URL_"+service), getenv("AWS_ENDPOINT_URL")); endpoint != "" {
		c.BaseEndpoint = aws.String(endpoint)
	}
	// The AWS command line knows all kinds of a profile's credentials.
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
