// Package broker stands for Amazon MQ on this machine: each broker of an assembly that a task uses is a RabbitMQ of its own. Clients
// connect without TLS, which is Amazon MQ's.
package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Provider is the provider of brokers.
type Provider struct {
	dir string
	Options

	mu      sync.Mutex
	running map[string]*broker  // by identity
	users   map[string][]string // identities, by the service whose tasks use them
}

// Options says what a provider is told.
type Options struct {
	// Resolve replaces dynamic references to secrets in a text, whose parts text has filled in. Required.
	Resolve func(m *model.Model, text provider.Text, filled string) (string, error)
	// Secrets gives the values of secrets that the user gives, by the name of the variable or by "container.variable". Default: none.
	Secrets func() (map[string]string, error)
	// Events is called with every event. Required.
	Events func(provider.Event)
}

// broker is a broker that runs.
type broker struct {
	spec  *model.Broker
	dir   string
	kept  programs.Kept
	front *front
}

// New returns a provider that keeps the data of brokers below a directory.
func New(dir string, options Options) *Provider {
	return &Provider{dir: dir, Options: options, running: map[string]*broker{}}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string { return []string{model.MQBroker} }

func (p *Provider) event(name, state, message string) {
	p.Events(provider.Event{Kind: "messaging", Subject: name, State: state, Message: message})
}

// identity tells a broker from the one that replaces it: the key, and the properties whose change replaces the broker.
func identity(spec *model.Broker) string {
	fixed := map[string]any{}
	for name, value := range spec.Resource.Properties {
		if replaces, _ := model.Replaces(spec.Resource.Type, name); replaces {
			fixed[name] = value
		}
	}
	text, _ := json.Marshal(fixed) // it came from JSON
	sum := sha256.Sum256(text)
	return spec.Key() + " " + hex.EncodeToString(sum[:4])
}

// fileName makes a name for files of an identity.
var fileName = strings.NewReplacer("/", "-", " ", "-")

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Provider: p, model: m, text: text, wanted: provider.Resources[*model.Broker]{}, users: map[string][]string{}}
	var given map[string]string
	if p.Secrets != nil {
		given, _ = p.Secrets() // the provider of services tells the error
	}
	for _, d := range m.TaskDefinitions {
		for _, b := range used(m, d, given) {
			next.wanted[b.Key()] = b
			for _, s := range m.Services {
				if s.TaskDefinition == d {
					next.users[s.Name] = append(next.users[s.Name], identity(b))
				}
			}
		}
	}
	return next
}

// used are the brokers that a task uses, but for secrets that the user gives.
func used(m *model.Model, d *model.TaskDefinition, given map[string]string) []*model.Broker {
	asked := *d
	asked.Containers = slices.Clone(d.Containers)
	for i := range asked.Containers {
		c := &asked.Containers[i]
		c.Secrets = slices.DeleteFunc(slices.Clone(c.Secrets), func(s model.Secret) bool {
			_, all := given[s.Name]
			_, own := given[c.Name+"."+s.Name]
			return all || own
		})
	}
	return m.BrokersOf(&asked)
}

type plan struct {
	*Provider
	model  *model.Model
	text   provider.Text
	wanted provider.Resources[*model.Broker]
	users  map[string][]string
}

// Stands implements [provider.Partial].
func (p *plan) Stands(r *assembly.Resource) bool { return p.wanted[r.String()] != nil }

// Check implements [provider.Plan].
func (p *plan) Check() error {
	var errs []error
	found := len(p.wanted) == 0
	for _, key := range p.wanted.Keys() {
		b := p.wanted[key]
		errs = append(errs, b.Problem("BrokerName", "EngineType", "DeploymentMode", "Users"))
		if b.Engine != model.RabbitMQ {
			errs = append(errs, b.Errorf("EngineType", "%s is not honoured: only %s runs here. Name a broker of your own: give the secret with its address by --secret", b.Engine, model.RabbitMQ))
			continue
		}
		if len(b.Users) != 1 {
			errs = append(errs, b.Errorf("Users", "there are %d: a broker of RabbitMQ begins with one user", len(b.Users)))
			continue
		}
		errs = append(errs, b.Unsupported(provider.Ignored(passed, listed), refused))
		if _, _, err := p.user(b); err != nil && !errors.Is(err, provider.ErrNotYet) {
			errs = append(errs, b.Errorf("Users[0]", "%v", err))
		}
		if !found {
			found = true
			if _, err := programs.FindRabbitMQ("", ""); err != nil {
				errs = append(errs, fmt.Errorf("%v: %w; or name a broker of your own: give the secret with its address by --secret", b.Resource, err))
			}
		}
	}
	return assembly.Join(errs...)
}

// user is the user of a broker with the password. No error has the password.
func (p *plan) user(b *model.Broker) (name, password string, err error) {
	if name, err = p.filled(b.Users[0].Name); err == nil {
		password, err = p.filled(b.Users[0].Password)
	}
	return name, password, err
}

func (p *plan) filled(of assembly.Text) (string, error) {
	text, err := p.text(of)
	if err != nil {
		return "", err
	}
	return p.Resolve(p.model, p.text, text)
}

// Attribute gives the address of a broker that runs, of AMQP without TLS, its id and its ARN.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	spec := p.wanted[ref.Resource.String()]
	if spec == nil {
		return nil, provider.NotGiven(ref)
	}
	id := "b-" + fileName.Replace(identity(spec))
	switch ref.Attribute {
	case "":
		return id, nil
	case "Arn":
		return provider.ARN("mq", "broker:"+spec.Name+":"+id), nil
	case "AmqpEndpoints":
		p.mu.Lock()
		defer p.mu.Unlock()
		if b := p.running[identity(spec)]; b != nil {
			return []any{"amqp://" + b.front.host()}, nil
		}
		return nil, provider.ErrNotYet
	}
	return nil, provider.NotGiven(ref)
}

// Plain makes addresses of brokers on this machine such without TLS: a template may write the scheme beside the host. Here TLS is
// nobody's.
func (p *Provider) Plain(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.running {
		text = plain(text, b.front.host())
	}
	return text
}

// plain replaces the scheme of URLs with a host.
func plain(text, host string) string {
	const secure = "amqps://"
	var done strings.Builder
	for {
		before, after, found := strings.Cut(text, secure)
		done.WriteString(before)
		if !found {
			return done.String()
		}
		// The host is between the user and the path.
		authority := after
		if end := strings.IndexAny(after, "/?# ,\"'"); end >= 0 {
			authority = after[:end]
		}
		if authority[strings.LastIndex(authority, "@")+1:] == host {
			done.WriteString("amqp://")
		} else {
			done.WriteString(secure)
		}
		text = after
	}
}

// Update implements [provider.Plan]. A broker that runs goes on, whatever its version and size are on AWS. One that is replaced is
// another one, which is empty.
func (p *plan) Update(ctx context.Context, stack string) error {
	p.mu.Lock()
	p.Provider.users = p.users
	p.mu.Unlock()
	for _, key := range p.wanted.Of(stack).Keys() {
		spec := p.wanted[key]
		p.mu.Lock()
		b := p.running[identity(spec)]
		if b != nil {
			b.spec = spec
		}
		p.mu.Unlock()
		if b == nil {
			if err := p.start(ctx, spec); err != nil {
				return fmt.Errorf("%v: %w", spec.Resource, err)
			}
		}
	}
	return nil
}

func (p *plan) start(ctx context.Context, spec *model.Broker) error {
	name, password, err := p.user(spec)
	if err != nil {
		return err
	}
	found, err := programs.FindRabbitMQ(name, password)
	if err != nil {
		return err
	}
	b := &broker{spec: spec, dir: filepath.Join(p.dir, "rabbitmq-"+fileName.Replace(identity(spec)))}
	b.kept.Tell = func(program, state, message string) { p.event(spec.Name, state, program+" "+message) }
	if err := b.kept.Start(ctx, found, b.dir); err != nil {
		return err
	}
	if b.front, err = newFront(func() string { return b.kept.Running().Address }); err != nil {
		return errors.Join(err, b.kept.Stop(ctx))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[identity(spec)] = b
	return nil
}

// Clean implements [provider.Plan]. A broker that leaves its template, or is replaced, ends. Its data go unless the template keeps them.
func (p *plan) Clean(ctx context.Context, stack string) error {
	p.mu.Lock()
	gone := map[string]*broker{}
	for id, b := range p.running {
		next := p.wanted[b.spec.Key()]
		if b.spec.Resource.Stack.Name == stack && (next == nil || identity(next) != id) {
			gone[id] = b
		}
	}
	p.mu.Unlock()
	for id, b := range gone {
		policy, what := model.Kept(b.spec.Resource), "the broker was deleted"
		if p.wanted[b.spec.Key()] != nil {
			policy, what = b.spec.Resource.UpdateReplacePolicy, "the broker was replaced by an empty one, at another address"
		}
		err := p.end(ctx, id)
		if policy == "Delete" || policy == "" {
			err = errors.Join(err, programs.Remove(b.dir))
		} else {
			what += ": its data stay, because its template keeps it"
		}
		if err != nil {
			return fmt.Errorf("%v: %w", b.spec.Resource, err)
		}
		p.event(b.spec.Name, "", what)
	}
	return nil
}

// end stops a broker. Its data stay.
func (p *Provider) end(ctx context.Context, id string) error {
	p.mu.Lock()
	b := p.running[id]
	delete(p.running, id)
	p.mu.Unlock()
	if b == nil {
		return nil
	}
	return errors.Join(b.front.stop(), b.kept.Stop(ctx))
}

// Stop implements [provider.Provider]. The data stay.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	ids := slices.Collect(maps.Keys(p.running))
	p.mu.Unlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, p.end(ctx, id))
	}
	return errors.Join(errs...)
}

// Status implements [provider.Provider]. It returns brokers and their queues as []provider.MessageStatus.
func (p *Provider) Status() any {
	p.mu.Lock()
	running := maps.Clone(p.running)
	specs := map[string]*model.Broker{}
	for id, b := range running {
		specs[id] = b.spec
	}
	p.mu.Unlock()
	var all []provider.MessageStatus
	for _, id := range slices.Sorted(maps.Keys(running)) {
		b, spec := running[id], specs[id]
		program := b.kept.Running()
		one := provider.MessageStatus{Name: spec.Name, Kind: "broker", Program: program.Name, Source: program.Source, Endpoint: "amqp://" + b.front.host(), Data: b.dir, Connections: b.front.connections()}
		all = append(all, one)
		one.Kind, one.Connections = "queue", 0
		for _, q := range queues(program.URL) {
			one.Name, one.Depth = spec.Name+"/"+q.Name, &provider.Depth{Waiting: q.Ready, InFlight: q.Unacknowledged}
			all = append(all, one)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// queue is a queue as the management API tells it.
type queue struct {
	Name           string `json:"name"`
	Ready          int    `json:"messages_ready"`
	Unacknowledged int    `json:"messages_unacknowledged"`
}

// queues are the queues of a program; none if it does not tell. These totals are of now.
// https://www.rabbitmq.com/docs/management#disable-stats
func queues(api string) (all []queue) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/api/queues?disable_stats=true&enable_queue_totals=true", nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&all) != nil {
		return nil
	}
	slices.SortFunc(all, func(a, b queue) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Faults implements [provider.Faulter].
func (p *Provider) Faults() []provider.FaultKind { return provider.BrokerFaults }

// Fault implements [provider.Faulter], for the brokers whose addresses the tasks of the service have.
func (p *Provider) Fault(_ context.Context, _, service string) (func(context.Context) error, error) {
	p.mu.Lock()
	var using []*broker
	for _, id := range p.users[service] {
		if b := p.running[id]; b != nil && !slices.Contains(using, b) {
			using = append(using, b)
		}
	}
	p.mu.Unlock()
	if len(using) == 0 {
		return nil, nil
	}
	var again []func(context.Context) error
	for _, b := range using {
		program := b.kept.Running()
		program.Kill()
		again = append(again, func(ctx context.Context) error { return program.Again(ctx, b.kept.Running) })
	}
	return func(ctx context.Context) error {
		var errs []error
		for _, wait := range again {
			errs = append(errs, wait(ctx))
		}
		return errors.Join(errs...)
	}, nil
}
