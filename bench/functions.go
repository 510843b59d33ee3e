package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"cutover/internal/build"
)

// functionRequests is the number of requests of a round, one after the other, as an execution environment has them.
const functionRequests = 5000

// functionEvent is what a load balancer makes of a request for the route.
const functionEvent = `{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/users-lambda/0123456789abcdef"}},` +
	`"httpMethod":"GET","path":"` + route + `","multiValueQueryStringParameters":{},"multiValueHeaders":{"host":["forum"],"user-agent":["bench"],` +
	`"x-amzn-trace-id":["Root=1-67891233-abcdef012345678912345678"],"x-forwarded-for":["192.0.2.1"],"x-forwarded-port":["80"],"x-forwarded-proto":["http"]},` +
	`"body":"","isBase64Encoded":false}`

// functions compares a service as a task with the same program as a function.
func (b *bench) functions(out io.Writer) error {
	fmt.Println("Asking a service as a task, and as a function")
	built, err := b.programs(build.Service{Name: "users", Dir: "services/users"})
	if err != nil {
		return err
	}
	program := built[0].command("")[0]
	r := &results{}
	err = turns(b, b.rounds, []string{"task", "function"}, func(_ int, as string) error {
		figures, err := b.ask(program, as)
		r.add("Functions/as="+as, figures...)
		return err
	})
	if err != nil {
		return err
	}
	zipped, err := zipSize(program)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The service users. %d rounds of a start and %d requests, one after the other. The program has\n%.1f MB, and %.1f MB in the zip file of a function:\n\n",
		b.rounds, functionRequests, built[0].image/1e6, zipped/1e6)
	if err := r.compare(b.ctx, out, b.work, "as", "task", "function"); err != nil {
		return err
	}
	return b.deployFunctions(out)
}

// ask starts a program as a task or as a function, and asks it. The figures are the time from the start to the first
// answer, the requests for each second of its CPU, and its memory.
func (b *bench) ask(program, as string) (figures []figure, err error) {
	ctx, stop := context.WithCancel(b.ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var once func() error
	if as == "task" {
		once, err = taskAsker(ctx, cmd)
	} else {
		once, err = functionAsker(ctx, cmd)
	}
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		stop()
		_ = cmd.Wait() // it was killed
	}()
	for err = once(); err != nil && as == "task" && time.Since(began) < stopTimeout; err = once() { // until it listens
		time.Sleep(100 * time.Microsecond)
	}
	if err != nil {
		return nil, err
	}
	first := time.Since(began)
	before, err := processorTime(cmd.Process.Pid, false)
	for i := 0; i < functionRequests && err == nil; i++ {
		err = once()
	}
	after, timeErr := processorTime(cmd.Process.Pid, false)
	memory, memoryErr := resident(cmd.Process.Pid)
	return []figure{
		{first.Seconds(), "first-answer-sec"}, {functionRequests / (after - before).Seconds(), "req/cpu-sec"}, {memory, "loaded-B"},
	}, errors.Join(err, timeErr, memoryErr)
}

// taskAsker returns what asks a task once.
func taskAsker(ctx context.Context, cmd *exec.Cmd) (func() error, error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "HOST=127.0.0.1", "PORT="+portOf(addresses[0]))
	client := &http.Client{Transport: &http.Transport{}}
	context.AfterFunc(ctx, client.CloseIdleConnections)
	return func() error {
		response, err := client.Get("http://" + addresses[0] + route)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", route, response.Status)
		}
		return nil
	}, nil
}

// functionAsker returns what asks a function once. It serves Lambda's Runtime API until the context ends.
func functionAsker(ctx context.Context, cmd *exec.Cmd) (func() error, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	events, results := make(chan struct{}), make(chan string)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			result, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusAccepted)
			select {
			case results <- string(result):
			case <-ctx.Done():
			}
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
		select {
		case <-events:
			_, _ = io.WriteString(w, functionEvent)
		case <-ctx.Done():
		}
	})}
	go func() { _ = server.Serve(ln) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+ln.Addr().String())
	return func() error {
		timeout := time.After(stopTimeout)
		select {
		case events <- struct{}{}:
		case <-timeout:
			return errors.New("the function asks for no event")
		}
		select {
		case result := <-results:
			if !strings.Contains(result, `"statusCode":200`) {
				return fmt.Errorf("the function answers %s", result)
			}
			return nil
		case <-timeout:
			return errors.New("the function does not answer")
		}
	}, nil
}

// zipSize is the size of a program in a zip file, in bytes.
func zipSize(program string) (size float64, err error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return 0, err
	}
	var count counter
	z := zip.NewWriter(&count)
	file, err := z.Create("bootstrap")
	if err == nil {
		_, err = file.Write(text)
	}
	err = errors.Join(err, z.Close())
	return float64(count), err
}

// counter counts what is written.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
