// Package lambda runs the HTTP handler of a service as a function of AWS Lambda: it asks for events of a load
// balancer, and answers them byte for byte as a task does.
package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Service is what answers the events.
type Service struct {
	// API is the host and port of the Runtime API, as in AWS_LAMBDA_RUNTIME_API
	// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). Required.
	API string
	// Handler answers requests, one at a time. Required.
	Handler http.Handler
	// TooLarge answers in place of an answer that the load balancer would not take. Required.
	TooLarge http.Handler
	// Flush sends what is not sent yet, before each answer: after the answer the program is stopped until the next
	// event. Default: nothing.
	Flush func()
}

// MaxAnswer is the size in bytes of the JSON of an answer that the load balancer takes
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#lambda-target-limits).
const MaxAnswer = 1 << 20

// Serve answers events until the context ends. The error is why it cannot ask for the next one.
func (s Service) Serve(ctx context.Context) error {
	for ctx.Err() == nil {
		event, err := s.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := s.answer(ctx, event); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// event is one invocation.
type event struct {
	id       string
	deadline time.Time
	payload  []byte
}

// The Runtime API is on this machine: no proxy of the environment, and no time limit, for the next event may come in an
// hour.
var client = &http.Client{Transport: &http.Transport{}}

func (s Service) url(path string) string { return "http://" + s.API + "/2018-06-01/runtime/" + path }

func (s Service) next(ctx context.Context) (event, error) {
	fail := func(err error) (event, error) {
		return event{}, fmt.Errorf("Lambda's Runtime API at %s gives no event: %w", s.API, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("invocation/next"), nil)
	if err != nil {
		return fail(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = response.Body.Close() }()
	payload, err := io.ReadAll(response.Body)
	if err != nil {
		return fail(err)
	}
	e := event{id: response.Header.Get("Lambda-Runtime-Aws-Request-Id"), payload: payload}
	if response.StatusCode != http.StatusOK || e.id == "" {
		return fail(fmt.Errorf("it answers with status %d: %.200s", response.StatusCode, payload))
	}
	if ms, err := strconv.ParseInt(response.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64); err == nil {
		e.deadline = time.UnixMilli(ms)
	}
	return e, nil
}

func (s Service) answer(ctx context.Context, e event) error {
	if !e.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, e.deadline)
		defer cancel()
	}
	answer, err := s.Answer(ctx, e.payload)
	if s.Flush != nil {
		s.Flush()
	}
	// The context of the request may be over; what Lambda does then is Lambda's business.
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		return s.post(ctx, "invocation/"+e.id+"/error", failure("Runtime.InvalidEvent", err))
	}
	return s.post(ctx, "invocation/"+e.id+"/response", answer)
}

// Answer is the result of the function for an event. The error says that the event is not one of a load balancer.
func (s Service) Answer(ctx context.Context, event []byte) ([]byte, error) {
	asked, err := parse(event)
	if err != nil {
		return nil, err
	}
	request, err := asked.request(ctx)
	if err != nil { // as net/http answers a request that it cannot read
		w := &recorder{header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, status: http.StatusBadRequest}
		w.body.WriteString("400 Bad Request")
		return w.result(asked), nil
	}
	w := &recorder{header: http.Header{}}
	s.Handler.ServeHTTP(w, request)
	result := w.result(asked)
	if len(result) > MaxAnswer {
		w = &recorder{header: http.Header{}}
		s.TooLarge.ServeHTTP(w, request)
		result = w.result(asked)
	}
	return result, nil
}

// Failed tells Lambda that the program cannot start. It ends with the context.
func Failed(ctx context.Context, api string, err error) error {
	return Service{API: api}.post(ctx, "init/error", failure("Runtime.InitError", err))
}

func failure(kind string, err error) []byte {
	text, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": err.Error()}) // texts only
	return text
}

func (s Service) post(ctx context.Context, path string, body []byte) error {
	fail := func(err error) error {
		return fmt.Errorf("Lambda's Runtime API at %s does not take %s: %w", s.API, path, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(path), bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return fail(err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fail(err)
	}
	// An answer that Lambda does not take is the end of this request only.
	if response.StatusCode >= http.StatusInternalServerError {
		return fail(fmt.Errorf("it answers with status %d: %s", response.StatusCode, strings.TrimSpace(string(text))))
	}
	return nil
}
