package queues

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
)

// maxBody bounds requests. Messages, and batches of them, have 1 MiB at most, which a form may encode threefold.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
const maxBody = 8 << 20

// A receiver waits for 20 s at most. Patience is how long the program may take for any request.
const patience = 40 * time.Second

// proxy answers tasks as SQS and SNS do: a request needs the signature of a task, and the role of the task, the policy
// of the queue or topic and that of its key must allow what the request does. What is allowed goes on to the program,
// signed anew.
type proxy struct {
	upstream func(service string) access.Endpoint
	signers  func(key string) (*access.Signer, bool)
	// find is a queue or topic that was deployed; nil if it was not.
	find func(service, name string) *resource
	// refused is called with what a task may not do, once for each text.
	refused func(by *access.Signer, r *access.Refusal)
	client  *http.Client
	signer  *v4.Signer

	mu     sync.Mutex
	faults map[*fault]bool
	served map[string]int // requests, by service and name
	denied map[string]bool
}

// ask is what a request asks for.
type ask struct {
	// service is sqs or sns, and operation as in SendMessage.
	service, operation string
	// name is that of the queue or topic; empty if the request is about none.
	name        string
	contentType string
	body        []byte
}

func newProxy() *proxy {
	return &proxy{
		client: &http.Client{Transport: access.Transport(), Timeout: patience}, signer: v4.NewSigner(),
		faults: map[*fault]bool{}, served: map[string]int{}, denied: map[string]bool{},
	}
}

const (
	jsonType = "application/x-amz-json-1.0"
	formType = "application/x-www-form-urlencoded"
)

// read finds out what a request asks for. SQS speaks JSON, and SNS forms.
func read(r *http.Request, body []byte) (ask, *access.Refusal) {
	a := ask{contentType: r.Header.Get("Content-Type"), body: body}
	if operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS."); ok {
		a.service, a.operation = "sqs", operation
		var members struct{ QueueUrl, QueueName, SourceArn string }
		if err := json.Unmarshal(body, &members); err != nil {
			return a, access.Refuse("SerializationException", "the body is not a request: %v", err)
		}
		a.name = last(members.QueueUrl + members.QueueName + members.SourceArn)
		return a, nil
	}
	form, err := url.ParseQuery(string(body))
	a.service, a.operation = "sns", form.Get("Action")
	if err != nil || a.operation == "" || !strings.HasPrefix(a.contentType, formType) {
		return a, access.Refuse("InvalidAction", "the request names no operation of SQS, which are in the header X-Amz-Target, and none of SNS, which are the form's Action")
	}
	// Of this machine's topics, there is one of each name: in which region and account does not matter.
	for _, parameter := range []string{"TopicArn", "ResourceArn", "SubscriptionArn"} {
		parts := strings.SplitN(form.Get(parameter), ":", 6)
		if len(parts) != 6 {
			continue
		}
		a.name, _, _ = strings.Cut(parts[5], ":")
		if parameter != "SubscriptionArn" {
			form.Set(parameter, provider.ARN("sns", parts[5]))
		}
	}
	if form.Get("Name") != "" {
		a.name = form.Get("Name")
	}
	a.body = []byte(form.Encode())
	return a, nil
}

// last is the name at the end of an ARN or a URL.
func last(name string) string { return name[strings.LastIndexAny(name, ":/")+1:] }

// ServeHTTP implements [http.Handler].
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, "sqs", access.Refuse("SerializationException", "the body cannot be read: %v", err))
		return
	}
	a, refused := read(r, body)
	if refused == nil {
		refused = p.allowed(r, body, a)
	}
	if refused != nil {
		answer(w, a.service, refused)
		return
	}
	f := p.faultOf(a)
	if f != nil && f.before(w, r, a) {
		return
	}
	// A receiver may go away while it waits. What it would have got comes to others at once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	if a.operation != "ReceiveMessage" {
		ctx = r.Context()
	}
	var status int
	var header http.Header
	var text []byte
	if f != nil {
		status, header, text, err = f.do(ctx, p, a)
	} else {
		status, header, text, err = p.send(ctx, a)
	}
	switch gone := r.Context().Err() != nil; {
	case err != nil && gone:
		return
	case err != nil:
		answer(w, a.service, &access.Refusal{Status: http.StatusServiceUnavailable, Kind: "ServiceUnavailable", Message: "the program that stands for " + strings.ToUpper(a.service) + " does not answer"})
		return
	case gone && a.operation == "ReceiveMessage":
		p.giveBack(ctx, a, text)
		return
	}
	for _, name := range []string{"Content-Type", "X-Amzn-Query-Error"} {
		if value := header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	if slices.Contains([]string{"CreateQueue", "GetQueueUrl", "ListQueues", "ListDeadLetterSourceQueues"}, a.operation) {
		text = hosts.ReplaceAll(text, []byte(`"http://`+r.Host+`/`))
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// hosts are the hosts of URLs in JSON.
var hosts = regexp.MustCompile(`"https?://[^/"]+/`)

// actionOf is the action of IAM for an operation. A batch needs what its parts need.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html
func actionOf(a ask) string { return a.service + ":" + strings.TrimSuffix(a.operation, "Batch") }

// keyUses are the actions on the key of an encrypted queue or topic that an operation needs.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
// https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
var keyUses = map[string][]string{
	"sqs:SendMessage": {"kms:GenerateDataKey", "kms:Decrypt"}, "sqs:ReceiveMessage": {"kms:Decrypt"},
	"sns:Publish": {"kms:GenerateDataKey", "kms:Decrypt"},
}

// allowed refuses a request if its task may not do what it asks for.
func (p *proxy) allowed(r *http.Request, body []byte, a ask) *access.Refusal {
	signer, refused := access.Authenticate(r, body, a.service, p.signers, time.Now())
	if refused != nil {
		return refused
	}
	of, arn := p.find(a.service, a.name), provider.ARN(a.service, a.name)
	if a.name == "" {
		arn = "*"
	}
	action := actionOf(a)
	if !signer.May(action, arn, of.policy()...) {
		kind := "AccessDeniedException"
		if a.service == "sns" {
			kind = "AuthorizationError"
		}
		refused = &access.Refusal{Status: http.StatusForbidden, Kind: kind, Message: fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", signer.Principal, action, arn)}
	} else if of != nil && of.key != nil {
		through := signer.With(map[string]string{"kms:ViaService": a.service + "." + of.region + ".amazonaws.com", "kms:CallerAccount": provider.Account})
		for _, use := range keyUses[action] {
			if !through.May(use, of.key.arn, of.key.statements...) {
				kind := "KmsAccessDenied"
				if a.service == "sns" {
					kind = "KMSAccessDenied"
				}
				refused = access.Refuse(kind, "User: %s is not authorized to perform: %s on resource: %s, the key of %s", signer.Principal, use, of.key.arn, a.name)
				break
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if refused == nil {
		p.served[a.service+":"+a.name]++
		return nil
	}
	if !p.denied[refused.Message] {
		p.denied[refused.Message] = true
		p.refused(signer, refused)
	}
	return refused
}

// send sends a request to the program.
func (p *proxy) send(ctx context.Context, a ask) (int, http.Header, []byte, error) {
	to := p.upstream(a.service)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(to.URL, "/")+"/", bytes.NewReader(a.body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Content-Type", a.contentType)
	if a.service == "sqs" {
		request.Header.Set("X-Amz-Target", "AmazonSQS."+a.operation)
	}
	if err := p.signer.SignHTTP(ctx, to.Credentials, request, access.Hash(a.body), a.service, to.Region, time.Now()); err != nil {
		return 0, nil, nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, text, err
}

// message is a part of one that was received.
type message struct{ MessageId, ReceiptHandle string }

func received(text []byte) []message {
	var all struct{ Messages []message }
	_ = json.Unmarshal(text, &all)
	return all.Messages
}

// hide lets a message that was received come again after some seconds.
func (p *proxy) hide(ctx context.Context, a ask, handle string, seconds int) error {
	body, err := json.Marshal(map[string]any{"QueueUrl": urlOf(a), "ReceiptHandle": handle, "VisibilityTimeout": seconds})
	if err != nil {
		return err
	}
	status, _, text, err := p.send(ctx, ask{"sqs", "ChangeMessageVisibility", a.name, jsonType, body})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("ChangeMessageVisibility: %s", text)
	}
	return err
}

// giveBack lets others receive the messages of an answer.
func (p *proxy) giveBack(ctx context.Context, a ask, text []byte) {
	for _, m := range received(text) {
		_ = p.hide(ctx, a, m.ReceiptHandle, 0)
	}
}

// urlOf is the URL of the queue that a request is about.
func urlOf(a ask) string {
	var members struct{ QueueUrl string }
	_ = json.Unmarshal(a.body, &members)
	return members.QueueUrl
}

// answer writes an error as SQS and SNS do.
// https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html
func answer(w http.ResponseWriter, service string, r *access.Refusal) {
	if service == "sqs" {
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(r.Status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + r.Kind, "message": r.Message})
		return
	}
	type failure struct{ Type, Code, Message string }
	kind := "Sender"
	if r.Status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(r.Status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ ErrorResponse"`
		Error   failure
	}{Error: failure{kind, r.Kind, r.Message}})
}
