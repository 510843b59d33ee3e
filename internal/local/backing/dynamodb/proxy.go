package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// maxBody bounds requests. The largest ones have 16 MB of items.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
const maxBody = 32 << 20

// proxy answers tasks as DynamoDB does: a request needs the signature of a task, and the role of the task must
// allow what the request does. What is allowed goes on to the database, signed anew.
type proxy struct {
	upstream func() access.Endpoint
	signers  func(key string) (*access.Signer, bool)
	// policy are the statements of a table's own policy.
	policy func(table string) []model.Statement
	// refused is called with what a task may not do, once for each text.
	refused func(by *access.Signer, r *refusal)
	client  *http.Client
	signer  *v4.Signer

	mu     sync.Mutex
	faults map[*fault]bool
	served map[string]int // requests, by table
	denied map[string]bool
}

func newProxy() *proxy {
	return &proxy{
		client: &http.Client{Transport: access.Transport()}, signer: v4.NewSigner(),
		faults: map[*fault]bool{}, served: map[string]int{}, denied: map[string]bool{},
	}
}

// ServeHTTP implements [http.Handler].
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, refuse("SerializationException", "the body cannot be read: %v", err))
		return
	}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if r.Method != http.MethodPost || !strings.HasPrefix(service, "DynamoDB") || operation == "" {
		answer(w, refuse("UnknownOperationException", "the header X-Amz-Target names no operation of DynamoDB"))
		return
	}
	all, refused := p.allowed(r, operation, body)
	if refused != nil {
		answer(w, refused)
		return
	}
	f := p.faultOf(all)
	if f != nil && !f.before(w, r, operation) {
		return
	}
	response, err := p.forward(r.Context(), r, body)
	if err != nil {
		if r.Context().Err() == nil {
			answer(w, &refusal{Status: http.StatusInternalServerError, Kind: "InternalServerError", Message: "the database does not answer"})
		}
		return
	}
	defer func() { _ = response.Body.Close() }()
	if f != nil && !f.after(w, operation, response.StatusCode) {
		return
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
}

// allowed finds the tables of a request, and refuses the request if its task may not do what it asks for.
func (p *proxy) allowed(r *http.Request, operation string, body []byte) ([]use, *refusal) {
	signer, refused := access.Authenticate(r, body, "dynamodb", p.signers, time.Now())
	if refused != nil {
		return nil, refused
	}
	all, refused := uses(operation, body)
	if refused != nil {
		return nil, refused
	}
	for _, u := range all {
		resource := arn(u.table) + u.below
		if u.table == "" {
			resource = "*"
		}
		if !signer.May(u.action, resource, p.policy(u.table)...) {
			refused := refuse("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s", signer.Principal, u.action, resource)
			p.mu.Lock()
			first := !p.denied[refused.Message]
			p.denied[refused.Message] = true
			p.mu.Unlock()
			if first {
				p.refused(signer, refused)
			}
			return nil, refused
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range all {
		p.served[u.table]++
	}
	return all, nil
}

// arn is the ARN of a table on this machine.
func arn(table string) string { return provider.ARN("dynamodb", "table/"+table) }

// forward sends a request to the database.
func (p *proxy) forward(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	return p.send(ctx, r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"), body)
}

func (p *proxy) send(ctx context.Context, target, contentType string, body []byte) (*http.Response, error) {
	to := p.upstream()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("Content-Type", contentType)
	if err := p.signer.SignHTTP(ctx, to.Credentials, request, access.Hash(body), "dynamodb", to.Region, time.Now()); err != nil {
		return nil, err
	}
	return p.client.Do(request)
}

// call asks the database for an operation, as the administrator.
func (p *proxy) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	response, err := p.send(ctx, "DynamoDB_20120810."+operation, jsonType, body)
	if err != nil {
		return err
	}
	return access.Answered(operation, response, out)
}

const jsonType = "application/x-amz-json-1.0"

// answer writes an error as DynamoDB does.
func answer(w http.ResponseWriter, r *refusal) {
	space := "com.amazon.coral.service#"
	if r.Kind == "ProvisionedThroughputExceededException" || r.Kind == "InternalServerError" {
		space = "com.amazonaws.dynamodb.v20120810#"
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": space + r.Kind, "message": r.Message})
}
