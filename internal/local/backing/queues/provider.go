// Package queues stands for SQS and SNS on this machine: the queues, topics and subscriptions of an assembly in fauxqs,
// or at an endpoint that the user names, behind a proxy that does what IAM and KMS do.
package queues

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Variables name the user's own endpoints, for `cutover up` as for the SDKs of AWS. Both are given, or none: topics send
// to queues. Credentials and region are in their variables, too.
const (
	SQSVariable = "AWS_ENDPOINT_URL_SQS"
	SNSVariable = "AWS_ENDPOINT_URL_SNS"
)

// Provider is the provider of queues and topics. Nothing runs before a task or a function may use one.
type Provider struct {
	dir    string
	access *access.Access
	tell   func(provider.Event)
	proxy  *proxy

	kept     programs.Kept // nothing runs with an endpoint of the user
	starting sync.Mutex    // held while the program is started

	mu       sync.Mutex
	deployed map[string]*resource // queues and topics, by service and name
	model    *model.Model         // of the last update, for faults
	found    *programs.Found      // nil before a plan needs it
	listener net.Listener         // of the proxy
}

// New returns a provider without queues. It keeps data in a directory.
func New(dir string, roles *access.Access, tell func(provider.Event)) *Provider {
	p := &Provider{dir: filepath.Join(dir, "queues"), access: roles, tell: tell, proxy: newProxy(), deployed: map[string]*resource{}}
	p.proxy.signers, p.proxy.upstream, p.proxy.find = roles.Signer, p.upstream, p.find
	p.proxy.refused = func(by *access.Signer, r *access.Refusal) {
		p.event(by.Service, by.Task, provider.Warning, r.Message)
	}
	p.kept.Tell = func(name, state, message string) { p.event(name, "", state, message) }
	roles.Offer(p.variables)
	return p
}

func (p *Provider) event(subject, task, state, message string) {
	p.tell(provider.Event{Kind: "messaging", Subject: subject, Task: task, State: state, Message: message})
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{model.SQSQueue, model.SQSQueuePolicy, model.SNSTopic, model.SNSTopicPolicy, model.SNSSubscription, model.KMSKey}
}

// variables tell tasks where the proxy answers, while it does.
func (p *Provider) variables() []model.Variable {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	url := p.address()
	return []model.Variable{{Name: SNSVariable, Value: url, Here: true}, {Name: SQSVariable, Value: url, Here: true}}
}

// address is where the proxy answers. The lock is held.
func (p *Provider) address() string {
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return "http://localhost:" + port
}

// own is the endpoint of a service that the user names; empty for none.
func own(service string) string {
	return os.Getenv(map[string]string{"sqs": SQSVariable, "sns": SNSVariable}[service])
}

// upstream is where a service answers now.
func (p *Provider) upstream(service string) access.Endpoint {
	if url := own(service); url != "" {
		return access.Own(url, provider.Region)
	}
	if program := p.kept.Running(); program != nil {
		return access.Local(program.URL)
	}
	return access.Local("")
}

func (p *Provider) find(service, name string) *resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deployed[service+":"+name]
}

// start starts the program and the proxy, unless they run.
func (p *Provider) start(ctx context.Context) error {
	p.starting.Lock()
	defer p.starting.Unlock()
	p.mu.Lock()
	runs, found := p.listener != nil, p.found
	p.mu.Unlock()
	if runs {
		return nil
	}
	if own("sqs") == "" {
		if err := p.kept.Start(ctx, *found, p.dir); err != nil {
			return err
		}
	}
	listener, err := access.Serve(p.proxy)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	return nil
}

// Stop implements [provider.Provider]. The data stay.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	listener := p.listener
	p.listener = nil
	p.mu.Unlock()
	var err error
	if listener != nil {
		err = listener.Close()
	}
	return errors.Join(err, p.kept.Stop(ctx))
}

// Status implements [provider.Provider]. It returns topics and queues as []provider.MessageStatus.
func (p *Provider) Status() any {
	all, url := p.status()
	if all == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var asked sync.WaitGroup
	for i := range all {
		if one := &all[i]; url != "" && one.Kind == kinds["sqs"] {
			asked.Go(func() { one.Depth = depth(ctx, url, one.Name, time.Now()) })
		}
	}
	asked.Wait()
	return all
}

// status has all but the depths, and where the program answers; empty if the user names an endpoint.
func (p *Provider) status() (all []provider.MessageStatus, url string) {
	program := p.kept.Running()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.deployed)) {
		r := p.deployed[name]
		one := provider.MessageStatus{Name: r.name, Kind: kinds[r.service], Program: "endpoint at " + own(r.service), Source: SQSVariable + ", " + SNSVariable}
		if program != nil {
			one.Program, one.Source, one.Data = program.Name, program.Source, p.dir
		}
		if p.listener != nil {
			one.Endpoint = p.address()
		}
		one.Requests, one.Faults = p.proxy.seen(name)
		all = append(all, one)
	}
	if program != nil {
		url = program.URL
	}
	return all, url
}

// kinds are what the services have.
var kinds = map[string]string{"sqs": "queue", "sns": "topic"}

// Faults implements [provider.Faulter].
func (p *Provider) Faults() []provider.FaultKind { return provider.EventFaults }

// Fault implements [provider.Faulter], for all topics and queues that a role of the service may use.
func (p *Provider) Fault(_ context.Context, kind, service string) (func(context.Context) error, error) {
	names := p.usedBy(service)
	if kind == "topic-away" {
		names = slices.DeleteFunc(names, func(n string) bool { return n[:3] != "sns" })
	} else if kind != "queue-kill" {
		names = slices.DeleteFunc(names, func(n string) bool { return n[:3] != "sqs" })
	}
	if len(names) == 0 {
		return nil, nil
	}
	if kind == "queue-kill" {
		program := p.kept.Running()
		if program == nil {
			return nil, fmt.Errorf("what answers at %s is not killed: it is yours", own("sqs"))
		}
		program.Kill()
		return func(ctx context.Context) error { return program.Again(ctx, p.kept.Running) }, nil
	}
	end := p.proxy.begin(kind, names)
	return func(context.Context) error { end(); return nil }, nil
}

// usedBy are the topics and queues that the roles of a service may use. The service is that of its ECS service, of its
// function, or of the tag of the role, so that workers belong to their service.
func (p *Provider) usedBy(service string) (all []string) {
	p.mu.Lock()
	m, deployed := p.model, maps.Clone(p.deployed)
	p.mu.Unlock()
	if m == nil {
		return nil
	}
	add := func(name string, role *model.Role) {
		if role == nil || name != service && p.access.As(role).Service != service {
			return
		}
		for _, use := range m.MessageUses(role) {
			for name, r := range deployed {
				if r.base.Key() == use.Key() {
					all = append(all, name)
				}
			}
		}
	}
	for _, s := range m.Services {
		if s.TaskDefinition != nil {
			add(s.Name, s.TaskDefinition.TaskRole)
		}
	}
	for _, f := range m.Functions {
		add(f.Name, f.Role)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
