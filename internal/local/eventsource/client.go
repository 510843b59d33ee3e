package eventsource

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// client calls services of AWS on this machine, as a function with its role.
type client struct {
	access   *access.Access
	function *model.Function
	id       string // of the mapping, which has credentials of its own
	http     *http.Client
	signer   *v4.Signer
}

func newClient(roles *access.Access, of *model.Function, id string) *client {
	plain := *of
	plain.Environment = nil // what it sets for itself is not for its mapping
	return &client{roles, &plain, id, &http.Client{Timeout: time.Minute}, v4.NewSigner()}
}

// refusal is an error that a service answers.
type refusal struct {
	// Kind is as in AccessDeniedException.
	Kind, Message string
}

func (r *refusal) Error() string { return r.Kind + ": " + r.Message }

// api is a service that speaks JSON.
type api struct {
	name     string // as in a signature
	target   string // prefix of an operation
	variable string // with the endpoint
	content  string
}

var (
	streams = api{"dynamodb", "DynamoDBStreams_20120810.", "AWS_ENDPOINT_URL_DYNAMODB", "application/x-amz-json-1.0"}
	queues  = api{"sqs", "AmazonSQS.", "AWS_ENDPOINT_URL_SQS", "application/x-amz-json-1.0"}
)

// endpoint is where a service answers; empty if it does not.
func (c *client) endpoint(of api) string { return c.variables()[of.variable] }

func (c *client) variables() map[string]string {
	all := map[string]string{}
	for _, v := range c.access.FunctionVariables(c.id, c.function) {
		all[v.Name] = v.Value
	}
	return all
}

// queueURL is that of a queue on this machine.
func (c *client) queueURL(name string) string {
	return c.endpoint(queues) + "/" + provider.Account + "/" + name
}

// call asks a service for an operation. The error is a [*refusal] if the service answers one.
func (c *client) call(ctx context.Context, of api, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	given := c.variables()
	url := given[of.variable]
	if url == "" {
		return fmt.Errorf("%s does not run here", of.name)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Amz-Target", of.target+operation)
	request.Header.Set("Content-Type", of.content)
	by := aws.Credentials{AccessKeyID: given["AWS_ACCESS_KEY_ID"], SecretAccessKey: given["AWS_SECRET_ACCESS_KEY"], SessionToken: given["AWS_SESSION_TOKEN"]}
	if err := c.signer.SignHTTP(ctx, by, request, access.Hash(body), of.name, given["AWS_REGION"], time.Now()); err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusOK && out == nil:
		return nil
	case response.StatusCode == http.StatusOK:
		return json.Unmarshal(text, out)
	}
	var failure struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Upper   string `json:"Message"`
	}
	if json.Unmarshal(text, &failure) != nil || failure.Type == "" {
		return fmt.Errorf("%s: %s: %s", operation, response.Status, text)
	}
	return &refusal{failure.Type[strings.LastIndex(failure.Type, "#")+1:], failure.Message + failure.Upper}
}
