// Package emulate runs an AWS on this machine. The real CDK CLI can bootstrap it, deploy to it, compare with it and
// destroy what it has deployed. The emulated AWS consists of
//   - the service APIs, by moto, a Python program;
//   - CloudFormation, by a package of its own on top of moto;
//   - CloudFront, which keeps what it is given;
//   - ECR, with a real registry behind it;
//   - a Docker engine that builds and pushes the images.
//
// Everything listens on the loopback interface, on free ports, and lives in one temporary directory. Close leaves no
// process, mount, network interface, image or file.
//
// The emulation ends at the control plane. No instance boots, no task runs, no load balancer, API or distribution routes a
// request, no topic or queue delivers to anybody, and nobody checks a permission. One Lambda function runs, as a program on this machine: that of CDK's
// BucketDeployment, with the AWS CLI in its layer. Other custom resources succeed at once. The CloudFormation package only
// records resource types without a handler. AWS.Recorded names those that a deployment contained.
package emulate

import (
	"bytes"
	"context"
	_ "embed" // moto's corrections
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/child"
	"cutover/internal/emulate/cloudformation"
)

// The emulated account and region.
const (
	Account = "123456789012"
	Region  = "us-east-1"
)

// Options may all be left out.
type Options struct {
	// Log receives a line for each stack, refused push and failure. Default: no log.
	Log io.Writer
}

// startTimeout is the time for moto and the Docker engine to start.
const startTimeout = time.Minute

// AWS is a running emulator.
type AWS struct {
	dir       string
	log       *log.Logger
	engine    *cloudformation.Engine
	address   string // of the API
	registry  string // of the registry
	docker    dockerEngine
	mu        sync.Mutex
	closers   []func() error // guarded by mu
	closeOnce sync.Once
	closeErr  error
}

// Missing returns what this machine lacks for Start, each with its remedy.
func Missing() []string {
	var out []string
	if !supported {
		out = append(out, "Linux (the emulator's Docker registry must be on the same host as the Docker engine)")
	}
	return append(append(out, motoMissing()...), dockerMissing()...)
}

func motoMissing() []string {
	// moto's server needs Flask, which comes with the extra "server".
	python := exec.Command("python3", "-c", "import importlib.util as u, sys; sys.exit(not (u.find_spec('moto') and u.find_spec('flask')))")
	python.Dir = os.TempDir() // Python imports from the current directory first
	if python.Run() != nil {
		return []string{"python3 with moto's server (pip install 'moto[server]==5.2.1')"}
	}
	return nil
}

// Start runs the emulator until Close or the end of ctx. It fails if a program is missing (see Missing) or does not start
// in time. After a failure, nothing runs.
func Start(ctx context.Context, o Options) (*AWS, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if m := Missing(); len(m) > 0 {
		return nil, fmt.Errorf("the emulated AWS needs %s", strings.Join(m, "; "))
	}
	dir, err := os.MkdirTemp("", "cutover-aws-")
	if err != nil {
		return nil, err
	}
	a := &AWS{dir: dir, log: log.New(o.Log, "", 0)}
	a.onClose(func() error { return os.RemoveAll(dir) })
	if err := a.start(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	context.AfterFunc(ctx, func() { a.Close() })
	return a, nil
}

func (a *AWS) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	docker := make(chan error, 1)
	go func() { docker <- a.startDocker(ctx) }() // beside moto, for each takes seconds
	err := a.startServices(ctx)
	return errors.Join(err, <-docker)
}

func (a *AWS) startServices(ctx context.Context) error {
	backend, err := a.startMoto(ctx)
	if err != nil {
		return err
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	images, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		front.Close()
		return err
	}
	a.address, a.registry = named(front), named(images)
	a.engine = cloudformation.New(cloudformation.Options{Endpoint: "http://" + a.address, Account: Account, Region: Region, Log: a.log})
	ecr := newECR("http://"+backend, a.registry, a.log)
	a.serve(images, ecr.registry)
	a.serve(front, newFront("http://"+backend, a.engine, ecr))
	return nil
}

// named is the listener's address with the name localhost. Template URLs need the name, and Docker uses no TLS for it.
func named(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}

func (a *AWS) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	a.onClose(s.Close)
}

var (
	//go:embed moto_server.py
	motoServer string
	//go:embed moto_apigateway.py
	motoAPIGateway string
	//go:embed moto_events.py
	motoEvents string
)

// startMoto starts the service APIs and returns their address.
func (a *AWS) startMoto(ctx context.Context) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close() // moto cannot be given a listener
	p, err := startProcess(filepath.Join(a.dir, "moto.log"), append(os.Environ(),
		"MOTO_ACCOUNT_ID="+Account,
		"MOTO_IAM_LOAD_MANAGED_POLICIES=true", // roles attach them
		"MOTO_EC2_LOAD_DEFAULT_AMIS=false",    // slow, and unused
		"PYTHONDONTWRITEBYTECODE=1",
	), "python3", "-c", motoAPIGateway+motoEvents+motoServer, "-H", "127.0.0.1", "-p", port)
	if err != nil {
		return "", err
	}
	a.onClose(func() error { return p.stop(5 * time.Second) })
	address := "127.0.0.1:" + port
	return address, p.await(ctx, func() bool {
		resp, err := http.Get("http://" + address + "/moto-api/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// Registry returns the address of the registry behind ECR: localhost and a port. The registry has an image
// 123456789012.dkr.ecr.us-east-1.amazonaws.com/NAME:TAG of a template as NAME:TAG.
func (a *AWS) Registry() string { return a.registry }

// Endpoint returns the URL of the APIs.
func (a *AWS) Endpoint() string { return "http://" + a.address }

// Recorded returns the deployed resource types that exist in CloudFormation only. No API has anything about them.
func (a *AWS) Recorded() []string { return a.engine.Recorded() }

// Env returns an environment for the CDK CLI, programs with an AWS SDK and the docker command. It is the environment of
// this process, but leads to the emulator. It hides the user's profile, credentials, Docker context and CDK cache.
func (a *AWS) Env() []string {
	own := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "AWS_") || strings.HasPrefix(kv, "CDK_") || strings.HasPrefix(kv, "DOCKER_")
	})
	none := filepath.Join(a.dir, "none")
	return append(append(own,
		"AWS_ENDPOINT_URL="+a.Endpoint(), "AWS_REGION="+Region, "AWS_DEFAULT_REGION="+Region,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none, "AWS_EC2_METADATA_DISABLED=true",
		"CDK_HOME="+filepath.Join(a.dir, "cdk"), "CDK_DISABLE_CLI_TELEMETRY=true", "CDK_DISABLE_VERSION_CHECK=true",
		"NODE_COMPILE_CACHE="+filepath.Join(a.dir, "node"), // takes a quarter off each start of the CLI
		"NO_PROXY=localhost,127.0.0.1", "no_proxy=localhost,127.0.0.1",
	), a.docker.env()...)
}

// Close stops everything and removes all files. Later calls do nothing.
func (a *AWS) Close() error {
	a.closeOnce.Do(func() {
		var errs []error
		a.mu.Lock()
		defer a.mu.Unlock()
		for i := len(a.closers) - 1; i >= 0; i-- {
			errs = append(errs, a.closers[i]())
		}
		a.closeErr = errors.Join(errs...)
	})
	return a.closeErr
}

func (a *AWS) onClose(f func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closers = append(a.closers, f)
}

// A process is a child that dies with this process.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed after its exit
}

func startProcess(log string, env []string, name string, args ...string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the child has its own
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = filepath.Dir(log), env, f, f, childAttributes()
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	err = child.Start(cmd.Start, func() {
		cmd.Wait()
		close(p.done)
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// await waits until ready returns true.
func (p *process) await(ctx context.Context, ready func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended too early:\n%s", p.cmd.Path, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s did not start in time:\n%s", p.cmd.Path, p.tail())
		case <-tick.C:
			if ready() {
				return nil
			}
		}
	}
}

func (p *process) tail() []byte {
	b, _ := os.ReadFile(p.log)
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], []byte("\n"))
}

// stop asks the process to end. After the grace period it kills the process and all that it has started.
func (p *process) stop(grace time.Duration) error {
	terminate(p.cmd.Process)
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	killGroup(p.cmd.Process)
	<-p.done
	return nil
}
