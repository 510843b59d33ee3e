package store

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
)

// account is what signs the calls of a service: its role's credentials, and the region.
type account struct {
	aws.CredentialsProvider
	region string
}

// accountOf reads the variables with credentials and a region. The variables are those of the AWS SDKs, of
// the two places where a service runs: a task of ECS gets the address of its role's credentials
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html), a Lambda function and the
// local target hand out the credentials themselves. No other place is asked: what a service may do must never
// depend on the instance that it runs on.
func accountOf(getenv func(string) string) (account, error) {
	a := account{region: getenv("AWS_REGION")}
	if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(a.region) {
		return a, fmt.Errorf("AWS_REGION is %q: give the region of the store, such as eu-central-1", a.region)
	}
	id, secret, uri := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	switch {
	case id != "" && secret != "":
		a.CredentialsProvider = credentials.NewStaticCredentialsProvider(id, secret, getenv("AWS_SESSION_TOKEN"))
	case uri != "":
		a.CredentialsProvider = aws.NewCredentialsCache(
			endpointcreds.New("http://169.254.170.2"+uri, func(o *endpointcreds.Options) { o.HTTPClient = &http.Client{Timeout: time.Duration(defaultPatience)} }),
			func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	default:
		return a, errors.New("no credentials: give the task a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return a, nil
}
