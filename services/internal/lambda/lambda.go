// Package lambda runs the HTTP handler of a service as a function of AWS Lambda: it asks for events of a load
// balancer or of a REST API, and answers them byte for byte as a task does.
package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Service is what answers the events.
type Service struct {
	// API is the host and port of the Runtime API, as in AWS_LAMBDA_RUNTIME_API
	// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). Required.
	API string
	// Handler answers requests, one at a time. Required. It has to see to it that an answer fits, see [Fits].
	Handler http.Handler
	// Records answers the records of a queue or a stream, by the source that their events name, as in aws:sqs. A function returns
	// which records failed. Default: such events are refused.
	Records map[string]Records
	// Log gets what no request can be told. Required.
	Log *slog.Logger
	// Flush sends what is not sent yet, before each answer: after the answer the program is stopped until the next
	// event. It has at most half of the time that the event has left. Default: nothing.
	Flush func(context.Context)
}

// Records takes an event with records, and returns those that failed. If it returns an error, all of them have.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
type Records func(ctx context.Context, event []byte) (failed []string, err error)

const (
	// A program has 10 s to start
	// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib).
	startTimeout = 10 * time.Second
	// The pauses before the Runtime API is asked again, while it is not there yet. Each is twice the one before.
	firstPause, lastPause = 10 * time.Millisecond, time.Second
)

// Serve answers events until the context ends; what it has begun by then it answers. The error is why it cannot ask
// for the next one.
func (s Service) Serve(ctx context.Context) error {
	event, err := s.first(ctx)
	for ; err == nil; event, err = s.next(ctx) {
		// The end of the program is no reason to give up a request.
		if err := s.answer(context.WithoutCancel(ctx), event); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// first asks for the first event. If nobody listens yet, it asks again until startTimeout is over.
func (s Service) first(ctx context.Context) (event, error) {
	latest := time.Now().Add(startTimeout)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		e, err := s.next(ctx)
		var unreachable *url.Error
		if !errors.As(err, &unreachable) || time.Now().Add(pause).After(latest) {
			return e, err
		}
		select {
		case <-ctx.Done():
			return e, err
		case <-time.After(pause):
		}
	}
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

func (s Service) at(path string) string { return "http://" + s.API + "/2018-06-01/runtime/" + path }

func (s Service) next(ctx context.Context) (event, error) {
	fail := func(err error) (event, error) {
		return event{}, fmt.Errorf("Lambda's Runtime API at %s gives no event: %w", s.API, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.at("invocation/next"), nil)
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
	deadline := response.Header.Get("Lambda-Runtime-Deadline-Ms")
	ms, err := strconv.ParseInt(deadline, 10, 64)
	if err != nil {
		return fail(fmt.Errorf("it sends the Lambda-Runtime-Deadline-Ms %q, which is no number", deadline))
	}
	e.deadline = time.UnixMilli(ms)
	return e, nil
}

// answer answers an event. The error is that the program cannot go on.
func (s Service) answer(ctx context.Context, e event) error {
	limited, cancel := context.WithDeadline(ctx, e.deadline)
	defer cancel()
	result, err := s.Answer(limited, e.payload)
	if s.Flush != nil {
		half, cancel := context.WithTimeout(ctx, time.Until(e.deadline)/2)
		s.Flush(half)
		cancel()
	}
	// Without the deadline: what is too late, Lambda refuses.
	if err != nil {
		kind := "Runtime.InvalidEvent"
		if source(e.payload) != "" {
			kind = "Records.Failed"
		}
		return s.post(ctx, "invocation/"+e.id+"/error", kind, failure(kind, err))
	}
	return s.post(ctx, "invocation/"+e.id+"/response", "", result)
}

// source is where the records of an event come from, as in aws:sqs; empty if it has none.
func source(event []byte) string {
	if !bytes.Contains(event[:min(len(event), 64)], []byte(`"Records"`)) {
		return ""
	}
	var e struct {
		Records []struct {
			Source string `json:"eventSource"`
		}
	}
	if err := json.Unmarshal(event, &e); err != nil || len(e.Records) == 0 {
		return ""
	}
	return e.Records[0].Source
}

// Answer is the result of the function for an event. The error says that the event is none of a load balancer or an API, or that
// its records were not taken.
func (s Service) Answer(ctx context.Context, event []byte) ([]byte, error) {
	if take := s.Records[source(event)]; take != nil {
		failed, err := take(ctx, event)
		if err != nil {
			return nil, err
		}
		type item struct {
			ID string `json:"itemIdentifier"`
		}
		failures := []item{}
		for _, id := range failed {
			failures = append(failures, item{id})
		}
		return json.Marshal(map[string]any{"batchItemFailures": failures})
	}
	asked, err := parse(event)
	if err != nil {
		return nil, err
	}
	request, err := asked.request(ctx)
	w := &recorder{header: http.Header{}}
	if err != nil { // as net/http answers a request that it cannot read
		w.header.Set("Content-Type", "text/plain; charset=utf-8")
		w.status = http.StatusBadRequest
		w.body.WriteString("400 Bad Request")
	} else {
		s.Handler.ServeHTTP(w, request)
	}
	return w.result(asked), nil
}

// Failed tells Lambda that the program cannot start, and why. The error is that Lambda cannot be told.
func Failed(ctx context.Context, api string, err error) error {
	const kind = "Runtime.InitError"
	return Service{API: api, Log: slog.New(slog.DiscardHandler)}.post(ctx, "init/error", kind, failure(kind, err))
}

func failure(kind string, err error) []byte {
	text, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": err.Error()}) // texts only
	return text
}

// post sends an answer, or an error of a kind. An answer that Lambda does not take, as one that is too late, is the end
// of that request only.
func (s Service) post(ctx context.Context, path, errorType string, body []byte) error {
	fail := func(err error) error {
		return fmt.Errorf("Lambda's Runtime API at %s does not take %s: %w", s.API, path, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.at(path), bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if errorType != "" {
		request.Header.Set("Lambda-Runtime-Function-Error-Type", errorType)
	}
	response, err := client.Do(request)
	if err != nil {
		return fail(err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fail(err)
	}
	if response.StatusCode < http.StatusBadRequest {
		return nil
	}
	err = fail(fmt.Errorf("it answers with status %d: %s", response.StatusCode, strings.TrimSpace(string(text))))
	if response.StatusCode < http.StatusInternalServerError {
		s.Log.Warn("an answer was not taken", "error", err.Error())
		return nil
	}
	return err // "Runtime should exit promptly", says the documentation of the Runtime API
}
