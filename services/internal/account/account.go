// Package account has what a service's calls of AWS are signed with, and where they go.
package account

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Account is what signs the calls of a service: its role's credentials, and the region.
type Account struct {
	aws.CredentialsProvider
	Region string
}

// credentialsTimeout is how long the agent of the task may take to hand out credentials.
const credentialsTimeout = 2 * time.Second

// Endpoint is the URL in a variable, as in AWS_ENDPOINT_URL_SQS, and where the service is if it is not in AWS; nil if the variable is
// not set.
func Endpoint(getenv func(string) string, variable string) (*string, error) {
	endpoint := getenv(variable)
	if endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s is %q: give a URL such as http://localhost:8000", variable, endpoint)
	}
	return &endpoint, nil
}

// Of reads the variables with credentials and a region. The variables are those of the AWS SDKs, of
// the two places where a service runs: a task of ECS gets the address of its role's credentials
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html), a Lambda function and the
// local target hand out the credentials themselves. No other place is asked: what a service may do must never
// depend on the instance that it runs on.
func Of(getenv func(string) string) (Account, error) {
	a := Account{Region: getenv("AWS_REGION")}
	if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(a.Region) {
		return a, fmt.Errorf("AWS_REGION is %q: give the region of the account, such as eu-central-1", a.Region)
	}
	id, secret, uri := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	switch {
	case id != "" && secret != "":
		a.CredentialsProvider = credentials.NewStaticCredentialsProvider(id, secret, getenv("AWS_SESSION_TOKEN"))
	case uri != "":
		a.CredentialsProvider = aws.NewCredentialsCache(
			endpointcreds.New("http://169.254.170.2"+uri, func(o *endpointcreds.Options) { o.HTTPClient = &http.Client{Timeout: credentialsTimeout} }),
			func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	default:
		return a, errors.New("no credentials: give the task a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return a, nil
}

// EmbedRoots lets the program trust the public authorities if its image has no certificates, as an image from
// scratch has none. It takes milliseconds, so that only a service that calls AWS does it.
var EmbedRoots = sync.OnceFunc(func() {
	roots := x509.NewCertPool()
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue
		}
		if root.Constraint == nil {
			roots.AddCert(cert)
		} else {
			roots.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	x509.SetFallbackRoots(roots)
})
