// Package client calls what stands for services of AWS on this machine, as their SDKs do.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Client calls services of AWS on this machine. Its methods may be called by several goroutines.
type Client struct {
	variables func() []model.Variable
	http      *http.Client
	signer    *v4.Signer
}

// New returns a client. The variables are those that an SDK reads, at each call: credentials, a region and endpoints.
func New(variables func() []model.Variable) *Client {
	return &Client{variables, &http.Client{Timeout: time.Minute}, v4.NewSigner()}
}

// Service is a service that speaks JSON.
type Service struct {
	name     string // as in a signature
	target   string // before the name of an operation
	endpoint string // the variable
}

// The services.
var (
	Streams = Service{"dynamodb", "DynamoDBStreams_20120810.", "AWS_ENDPOINT_URL_DYNAMODB"}
	SQS     = Service{"sqs", "AmazonSQS.", "AWS_ENDPOINT_URL_SQS"}
)

func (c *Client) given() map[string]string {
	all := map[string]string{}
	for _, v := range c.variables() {
		all[v.Name] = v.Value
	}
	return all
}

// QueueURL is that of a queue.
func (c *Client) QueueURL(name string) string {
	return strings.TrimSuffix(c.given()[SQS.endpoint], "/") + "/" + provider.Account + "/" + name
}

// Visible is how many messages of a queue can be received now.
func (c *Client) Visible(ctx context.Context, queue string) (n int, err error) {
	var out struct {
		Attributes struct {
			ApproximateNumberOfMessages int `json:",string"`
		}
	}
	err = c.Call(ctx, SQS, "GetQueueAttributes", map[string]any{"QueueUrl": c.QueueURL(queue), "AttributeNames": []string{"ApproximateNumberOfMessages"}}, &out)
	return out.Attributes.ApproximateNumberOfMessages, err
}

// Call asks a service for an operation. Out may be nil. The error is an [*access.Refusal] if the service answers one.
func (c *Client) Call(ctx context.Context, of Service, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	given := c.given()
	url := given[of.endpoint]
	if url == "" {
		return fmt.Errorf("nothing on this machine stands for %s: %s is not set", of.name, of.endpoint)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Amz-Target", of.target+operation)
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	by := aws.Credentials{AccessKeyID: given["AWS_ACCESS_KEY_ID"], SecretAccessKey: given["AWS_SECRET_ACCESS_KEY"], SessionToken: given["AWS_SESSION_TOKEN"]}
	if err := c.signer.SignHTTP(ctx, by, request, access.Hash(body), of.name, given["AWS_REGION"], time.Now()); err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	return access.Answered(operation, response, out)
}
