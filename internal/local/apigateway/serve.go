package apigateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"cutover/internal/local/backing/access"
	"cutover/internal/model"
)

// maxHeader is the size of the request line and the values of all headers.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const maxHeader = 10_240

// api is an API that listens. Its stages change.
type api struct {
	*Provider
	key    string
	socket net.Listener
	server *http.Server
}

// exchange is a request and what becomes of it.
type exchange struct {
	*api
	r                    *http.Request
	id, extendedID, root string
	at                   time.Time
}

// ServeHTTP answers a request for a stage.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{api: a, r: r, id: uuid.NewString(), extendedID: extendedID(), at: time.Now()}
	given, of := x.answer()
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	header := w.Header()
	maps.Copy(header, given.header)
	header[requestIDHeader], header[extendedIDHeader] = []string{x.id}, []string{x.extendedID}
	switch {
	case given.status == http.StatusNoContent || given.status == http.StatusNotModified:
		delete(header, "Content-Length")
	case r.Method != http.MethodHead || len(given.body) > 0:
		header["Content-Length"] = []string{strconv.Itoa(len(given.body))}
	}
	w.WriteHeader(given.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(given.body) // the client may be gone
	}
	if of != nil {
		of.note(given.status, time.Since(x.at))
	}
}

// extendedID is as in JKJaXmPLvHcESHA=.
func extendedID() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	text := make([]byte, 15)
	for i := range text {
		text[i] = letters[rand.IntN(len(letters))]
	}
	return string(text) + "="
}

// answer is the answer of a request, and its stage; nil if there is none.
func (x *exchange) answer() (*answer, *stage) {
	rawPath, query := asked(x.r)
	name, _, _ := strings.Cut(strings.TrimPrefix(rawPath, "/"), "/")
	of := x.stage(x.key, name)
	if of == nil {
		return errForbidden.answer(), nil
	}
	if headSize(x.r) > maxHeader {
		return errHeader.answer(), of
	}
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxPayload+1))
	switch {
	case err != nil:
		return errBody.answer(), of
	case len(body) > maxPayload:
		return errTooLarge.answer(), of
	}
	path, _ := below(name, rawPath)
	return x.ask(of, &request{method: overridden(x.r.Method, x.r.Header), path: path, query: query, header: x.r.Header, host: x.r.Host, body: body}), of
}

// asked is the path and the query of a request, as they were sent.
func asked(r *http.Request) (path, query string) {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery // with a scheme and a host
}

// headSize is the size of what AWS limits: "total combined size of request line and header values".
func headSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto) + 2 + len(r.Host)
	for _, values := range r.Header {
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}

// ask answers a request for a path below a stage.
func (x *exchange) ask(of *stage, r *request) *answer {
	found := of.definition.find(r.method, r.path)
	if found == nil {
		return errNoRoute.answer()
	}
	var signer *access.Signer
	if found.method.Authorization == "AWS_IAM" {
		var refused *refusal
		if signer, refused = authorize(x.r, r.body, of.definition.api.Resource.Stack.Region, of.arn(r.method, r.path), x.options.Access.Signer, x.at); refused != nil {
			return refused.answer()
		}
	}
	if refused := validate(found, r); refused != nil {
		return refused.answer()
	}
	settings := of.spec.SettingsOf(found.method, r.method)
	if !of.throttle.allow(found.method, r.method, settings) {
		of.noteThrottled()
		return errThrottled.answer()
	}
	ttl := of.spec.Keeps(found.method, r.method)
	if ttl == 0 {
		return x.integrate(of, found, r, signer)
	}
	key, warn := cacheKey(found, r.method, r), false
	if invalidates(r.header) && signer != nil && signer.May(invalidateCache, of.arn(r.method, r.path)) {
		of.noteCache(false)
	} else {
		warn = invalidates(r.header)
		kept := of.cache.get(key)
		of.noteCache(kept != nil)
		if kept != nil {
			return warned(kept, warn)
		}
	}
	given, refused := x.integration(of, found, r, signer)
	if given == nil {
		return refused.answer()
	}
	of.cache.put(key, r, given, ttl)
	return warned(given, warn)
}

// warned adds the header for a client that may not ask for a new answer, which is the default of a method.
// https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html#apigw-Type-MethodSetting-unauthorizedCacheControlHeaderStrategy
func warned(a *answer, warn bool) *answer {
	if !warn {
		return a
	}
	header := a.header.Clone()
	header["Warning"] = []string{"199 Cache-control headers were ignored because the caller was unauthorized."}
	return &answer{a.status, header, a.body}
}

func (x *exchange) integrate(of *stage, found *route, r *request, signer *access.Signer) *answer {
	given, refused := x.integration(of, found, r, signer)
	if given == nil {
		return refused.answer()
	}
	return given
}

// integration is the answer of the integration, or that of API Gateway in its place.
func (x *exchange) integration(of *stage, found *route, r *request, signer *access.Signer) (*answer, refusal) {
	var given *answer
	var refused refusal
	if found.method.Integration.Type == "AWS_PROXY" {
		given, refused = x.invoke(of, found, r, signer)
	} else {
		given, refused = x.forward(of, found, r)
	}
	if given == nil {
		return nil, refused
	}
	given.header = answerHeader(given.header)
	return given, refusal{}
}

// forwarded adds the headers that API Gateway has for an integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
func (x *exchange) forwarded(header http.Header) {
	source := x.source()
	if sent := header["X-Forwarded-For"]; len(sent) > 0 {
		source = strings.Join(sent, ", ") + ", " + source
	}
	header["X-Forwarded-For"], header["X-Forwarded-Port"], header["X-Forwarded-Proto"] = []string{source}, []string{"443"}, []string{"https"}
	if len(header["X-Amzn-Trace-Id"]) == 0 {
		header["X-Amzn-Trace-Id"] = []string{fmt.Sprintf("Root=1-%08x-%016x%08x", x.at.Unix(), rand.Uint64(), rand.Uint32())}
	}
}

func (x *exchange) source() string {
	host, _, _ := net.SplitHostPort(x.r.RemoteAddr)
	return host
}

// forward asks a load balancer.
func (x *exchange) forward(of *stage, found *route, r *request) (*answer, refusal) {
	i := &found.method.Integration
	if why := x.refused(i); why != "" {
		x.tellOnce(of, fmt.Sprintf("its requests do not get from the VPC link %s to the load balancer %s: a security group %s; on AWS they run into a time-out", i.Link.Key(), i.Target.Key(), why))
		return nil, errNetwork
	}
	port := x.options.Balancers.Address(i.Target.Key(), i.Port)
	if port == 0 {
		return nil, errNetwork
	}
	header := integrationHeader(found, r, droppedByHTTP)
	x.forwarded(header)
	header["X-Amzn-Apigateway-Api-Id"] = []string{id(of.definition.api.Key())}
	host := i.Host
	if host == "" {
		host = fmt.Sprintf("localhost:%d", port)
	}
	return forward(x.r.Context(), x.transport, i, integrationMethod(i, r.method), host, fmt.Sprintf("127.0.0.1:%d", port), integrationPath(found, r), integrationQuery(found, r), header, r.body)
}

// invoke asks a function.
func (x *exchange) invoke(of *stage, found *route, r *request, signer *access.Signer) (*answer, refusal) {
	header := integrationHeader(found, r)
	header["Host"] = []string{r.host}
	if len(r.body) > 0 {
		header["Content-Length"] = []string{strconv.Itoa(len(r.body))}
	} else {
		delete(header, "Content-Length")
	}
	x.forwarded(header)
	api := of.definition.api
	resource := api.Key() + "/"
	if found.method.Of != nil {
		resource = found.method.Of.Key()
	}
	payload, err := encodeEvent(found, r, header, about{
		stage: of.spec.Name, api: id(api.Key()), deployment: id(of.spec.Deployment.Key()), resource: id(resource), account: account(&api.Base),
		variables: of.spec.Variables, binary: api.BinaryMediaTypes, id: x.id, extendedID: x.extendedID, source: x.source(), protocol: x.r.Proto, at: x.at, signer: signer,
	})
	if err != nil {
		return nil, errConfiguration
	}
	if len(payload) > maxEvent {
		return nil, errTooLarge
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), found.method.Integration.Timeout)
	defer cancel()
	result, err := x.options.Functions.InvokeFor(ctx, found.method.Integration.Function, model.APIGateway, of.arn(r.method, r.path), payload)
	var reasoned interface{ Reason() string }
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, errTimeout
	case errors.As(err, &reasoned) && (reasoned.Reason() == "LambdaAccessDenied" || reasoned.Reason() == "LambdaThrottling" || reasoned.Reason() == "LambdaResourceNotFound"):
		return nil, errConfiguration
	default:
		return nil, errFunction
	}
	given, err := decodeResult(result, api.BinaryMediaTypes, r.header.Get("Accept"))
	if err != nil {
		x.tellOnce(of, found.method.Integration.Function+": "+err.Error())
		return nil, errFunction
	}
	return given, refusal{}
}

// maxEvent is the size of an event of Lambda.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxEvent = 6 << 20
