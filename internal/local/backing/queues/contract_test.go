package queues

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/backing/queues/contract"
	"cutover/internal/nightly"
)

// clients are those of an endpoint.
func clients(url string, credentials aws.Credentials) contract.Endpoint {
	config := aws.Config{Region: "local", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil })}
	return contract.Endpoint{SQS: sqs.NewFromConfig(config), SNS: sns.NewFromConfig(config)}
}

// TestContract: what stands for SQS and SNS does what the document says, and no more. CUTOVER_CONTRACT is another endpoint.
func TestContract(t *testing.T) {
	nightly.Test(t, "it checks each promise against a program that stands for SNS and SQS")
	t.Parallel()
	url := os.Getenv("CUTOVER_CONTRACT")
	if url == "" {
		url = programstest.Queues(t).URL
	}
	endpoint := clients(url, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	for _, promise := range contract.Promises {
		if promise.Check == nil {
			continue
		}
		t.Run(promise.Does, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := promise.Check(ctx, endpoint)
			if promise.Only == "" && err != nil {
				t.Error(err)
			} else if promise.Only != "" && err == nil {
				t.Error("this is shown here as well: take it out of what only AWS shows")
			}
		})
	}
}
