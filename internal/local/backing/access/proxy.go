package access

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cutover/internal/local/provider"
)

// Endpoint is where what stands for a service answers, and what a request to it is signed with.
type Endpoint struct {
	URL, Region string
	Credentials aws.Credentials
}

// Local is the endpoint of a program on this machine, which takes any credentials. The URL is empty before it runs.
func Local(url string) Endpoint {
	return Endpoint{url, provider.Region, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}}
}

// Own is an endpoint that the user names, with the region and the credentials in the variables of the SDKs. The region
// is that for users who have set none.
func Own(url, region string) Endpoint {
	return Endpoint{url, cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), region), aws.Credentials{
		AccessKeyID:     cmp.Or(os.Getenv("AWS_ACCESS_KEY_ID"), "local"),
		SecretAccessKey: cmp.Or(os.Getenv("AWS_SECRET_ACCESS_KEY"), "local"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}}
}

// Transport is what a proxy forwards requests by.
func Transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.DisableCompression, transport.Proxy = 256, true, nil
	return transport
}

// Serve lets a proxy answer at a free port of this machine until the listener is closed.
func Serve(proxy http.Handler) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: proxy, IdleTimeout: 2 * time.Minute, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return l, nil
}

// Answered reads the answer of a service that speaks JSON to an operation, and closes it. Out may be nil. The error is a
// [*Refusal] if the service answers one.
func Answered(operation string, response *http.Response, out any) error {
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
	return &Refusal{Status: response.StatusCode, Kind: failure.Type[strings.LastIndex(failure.Type, "#")+1:], Message: failure.Message + failure.Upper}
}

// Is says whether an error is a refusal of a kind.
func Is(err error, kind string) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Kind == kind
}
