package apigateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Options are what APIs need. All but Port and Free are required.
type Options struct {
	// Dir gets the file with the credentials of the deployment, if an API asks for signatures.
	Dir string
	// Port is the local port of the first API; further ones have the ports behind it. 0 is the first free one from 8081 on,
	// of 8081 to 8089. Free gives all of them any free port.
	Port int
	Free bool
	// Balancers tells where the listener of a load balancer answers, by the load balancer's key and the listener's port; 0
	// if it does not.
	Balancers interface {
		Address(balancer string, port int) int
	}
	// Functions invokes functions of Lambda.
	Functions Invoker
	// Access knows who signs requests.
	Access *access.Access
	// Events is called with every event.
	Events func(provider.Event)
}

// Invoker invokes a function, by its key or ARN, for a service of AWS and the ARN of a resource. The method Reason() string
// of the error, if it has one, is LambdaAccessDenied, LambdaThrottling or LambdaResourceNotFound if the function did not
// begin.
type Invoker interface {
	InvokeFor(ctx context.Context, target, principal, source string, payload []byte) (result []byte, err error)
}

// Provider is the provider of REST APIs, and of VPC links.
type Provider struct {
	options   Options
	transport *http.Transport

	mu     sync.Mutex
	apis   map[string]*api                 // that listen
	made   provider.Resources[*definition] // by their deployments
	stages provider.Resources[*stage]
	told   map[string]bool
	model  *model.Model                  // of the last update
	groups map[*model.Integration]string // what the security groups of the model say
}

// idle is how long a connection to a load balancer is kept without a request. A load balancer ends one after 60 s.
const idle = 30 * time.Second

// New returns a provider without APIs.
func New(options Options) *Provider {
	return &Provider{
		options: options, apis: map[string]*api{}, made: provider.Resources[*definition]{}, stages: provider.Resources[*stage]{}, told: map[string]bool{},
		// The certificate of a listener is one of this machine, and so is the connection.
		transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true, MaxIdleConnsPerHost: 256, IdleConnTimeout: idle},
	}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{
		model.APIGatewayDeployment, model.APIGatewayMethod, model.APIGatewayModel, model.APIGatewayResource, model.APIGatewayRestAPI,
		model.APIGatewayStage, model.APIGatewayValidator, model.APIGatewayVPCLink,
	}
}

// Stop implements [provider.Provider]. Requests are answered first.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	all := slices.Collect(maps.Values(p.apis))
	p.apis = map[string]*api{}
	p.mu.Unlock()
	err := shut(ctx, all)
	p.transport.CloseIdleConnections()
	return errors.Join(err, p.forgetCredentials())
}

// shut closes APIs when their requests are answered, or when the context ends.
func shut(ctx context.Context, all []*api) error {
	var servers []*http.Server
	for _, a := range all {
		servers = append(servers, a.server)
	}
	return provider.Shutdown(ctx, servers...)
}

// Port is the port of an API on this machine, by the key of the API; 0 if it does not listen.
func (p *Provider) Port(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.apis[key]; a != nil {
		return portOf(a.socket)
	}
	return 0
}

func portOf(socket net.Listener) int { return socket.Addr().(*net.TCPAddr).Port }

// stage is a stage of an API by its name; nil if there is none.
func (p *Provider) stage(api, name string) *stage {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.stages {
		if s.spec.API.Key() == api && s.spec.Name == name {
			return s
		}
	}
	return nil
}

// refused says which security group keeps the requests of an integration from its load balancer; empty if none does.
func (p *Provider) refused(i *model.Integration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	why, known := p.groups[i]
	if !known {
		why = p.model.Refused(now(p.model, i))
		p.groups[i] = why
	}
	return why
}

// now is an integration with the VPC link and the load balancer as a model has them: the integration may be of an earlier
// deployment.
func now(m *model.Model, i *model.Integration) *model.Integration {
	of := model.Integration{Port: i.Port}
	for _, l := range m.VPCLinks {
		if l.Key() == i.Link.Key() {
			of.Link = l
		}
	}
	for _, lb := range m.LoadBalancers {
		if lb.Key() == i.Target.Key() {
			of.Target = lb
		}
	}
	return &of
}

// tellOnce tells of a stage what nobody else says.
func (p *Provider) tellOnce(of *stage, message string) {
	p.mu.Lock()
	key := of.spec.Key() + " " + message
	told := p.told[key]
	p.told[key] = true
	p.mu.Unlock()
	if !told {
		p.options.Events(provider.Event{Kind: "stack", Subject: of.spec.Resource.Stack.Name, State: provider.Warning, Message: front{stage: of}.Name() + ": " + message})
	}
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, _ provider.Text) provider.Plan {
	p.mu.Lock()
	was := p.model
	p.mu.Unlock()
	next := &plan{Provider: p, model: m, was: was, apis: provider.Resources[*model.RestAPI]{}, made: provider.Resources[*model.APIDeployment]{}, stages: provider.Resources[*model.APIStage]{}}
	for _, s := range m.APIStages {
		next.stages[s.Key()] = s
		if s.API != nil {
			next.apis[s.API.Key()] = s.API
		}
	}
	for _, d := range m.APIDeployments {
		next.made[d.Key()] = d
	}
	return next
}

// plan has the APIs of an assembly that have a stage.
type plan struct {
	*Provider
	// was is the model before, nil before the first deployment.
	model, was *model.Model

	apis   provider.Resources[*model.RestAPI]
	made   provider.Resources[*model.APIDeployment]
	stages provider.Resources[*model.APIStage]

	provider.Sockets // for APIs without one
}

// listen opens sockets for APIs without one.
func (p *plan) listen() error {
	keys := slices.DeleteFunc(p.apis.Keys(), func(key string) bool { return p.Port(key) != 0 })
	return p.Listen(provider.FrontPorts{Name: "apigateway", First: 8081, Last: 8089, Port: p.options.Port, Free: p.options.Free}, keys)
}

// Attribute gives ids, and the name of a stage.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	key := ref.Resource.String()
	own := map[string]string{
		model.APIGatewayDeployment: "DeploymentId", model.APIGatewayResource: "ResourceId", model.APIGatewayRestAPI: "RestApiId",
		model.APIGatewayValidator: "RequestValidatorId", model.APIGatewayVPCLink: "VpcLinkId",
	}[ref.Resource.Type]
	switch stage := p.stages[key]; {
	case stage != nil && ref.Attribute == "":
		return stage.Name, nil
	case ref.Resource.Type == model.APIGatewayRestAPI && ref.Attribute == "RootResourceId":
		return id(key + "/"), nil
	case ref.Attribute == "" || ref.Attribute == own:
		return id(key), nil
	}
	return nil, provider.NotGiven(ref)
}

// Update implements [provider.Plan]. A deployment that is new has the resources and methods as they are now, and one that
// is there keeps its own. A new one also has the methods that leave: see [model.RestAPI.Snapshot]. Requests that begin
// afterwards go by what the stage has now, and others end as they began.
func (p *plan) Update(_ context.Context, stack string) error {
	for _, key := range p.apis.Of(stack).Keys() {
		if socket := p.Take(key); socket != nil {
			p.serve(key, socket)
		}
	}
	made := provider.Resources[*definition]{}
	p.mu.Lock()
	before := p.Provider.made
	p.Provider.model, p.groups = p.model, map[*model.Integration]string{}
	p.mu.Unlock()
	for key, d := range p.made.Of(stack) {
		old := before[key]
		if old == nil {
			made[key] = p.snapshot(stack, d)
			continue
		}
		if old.fingerprint() != define(d.API).fingerprint() {
			p.options.Events(provider.Event{Kind: "stack", Subject: stack, State: provider.Warning,
				Message: fmt.Sprintf("%s is an earlier deployment, and keeps the methods that it was made with: as on AWS, a change of methods needs a deployment with another logical id", key)})
		}
		made[key] = old
	}
	next, err := p.change(stack, made)
	if err != nil {
		return err
	}
	for _, of := range next {
		p.warnOfOld(of)
	}
	return nil
}

// change gives the stages of a stack what they have now.
func (p *plan) change(stack string, made provider.Resources[*definition]) (provider.Resources[*stage], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Provider.made = p.Provider.made.Updated(stack, made)
	next := provider.Resources[*stage]{}
	for key, spec := range p.stages.Of(stack) {
		definition := p.Provider.made[spec.Deployment.Key()]
		if definition == nil {
			return nil, spec.Errorf("DeploymentId", "%s is not deployed yet", spec.Deployment.Key())
		}
		kept := &state{}
		if now := p.Provider.stages[key]; now != nil {
			kept = now.state
			if now.spec.CacheGB != spec.CacheGB { // AWS makes another cache
				kept.cache.clear()
			}
		}
		next[key] = &stage{spec, definition, kept}
		if err := p.credentials(definition); err != nil {
			return nil, err
		}
	}
	p.Provider.stages = p.Provider.stages.Updated(stack, next)
	return next, nil
}

// warnOfOld tells of answers in the cache of a stage from before a deployment: they may be those of a service that does not
// answer any more.
func (p *Provider) warnOfOld(of *stage) {
	now := time.Now()
	answers, until := of.cache.fresh(now, func(method, path string) bool {
		_, ttl := of.spec.Kept(of.definition.routes, method, path)
		return ttl > 0
	})
	if answers > 0 {
		p.options.Events(provider.OldAnswers(of.spec.Resource.Stack.Name, front{stage: of}.Name()+",", answers, now, until))
	}
}

// snapshot is what a deployment of an API finds that is new.
func (p *plan) snapshot(stack string, d *model.APIDeployment) *definition {
	var was *model.RestAPI
	if p.was != nil {
		if i := slices.IndexFunc(p.was.RestAPIs, func(a *model.RestAPI) bool { return a.Key() == d.API.Key() }); i >= 0 {
			was = p.was.RestAPIs[i]
		}
	}
	found, left := d.API.Snapshot(was)
	for _, m := range left {
		p.options.Events(provider.Event{Kind: "stack", Subject: stack, State: provider.Warning,
			Message: fmt.Sprintf("%s still has %s, which leaves: as on AWS, methods are deleted after the deployment is made, and the next deployment is without them", d.Key(), m.Name())})
	}
	return &definition{d.API, found.Routes()}
}

// serve takes connections from a socket.
func (p *Provider) serve(key string, socket net.Listener) {
	a := &api{Provider: p, key: key, socket: socket}
	a.server = &http.Server{
		Handler: a, DisableGeneralOptionsHandler: true, MaxHeaderBytes: 4 * maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), // operators can do nothing about what net/http would write
	}
	p.mu.Lock()
	p.apis[key] = a
	p.mu.Unlock()
	go func() {
		if err := a.server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			p.options.Events(provider.Event{Kind: "stack", Subject: provider.StackOf(key), State: "FAILED", Message: fmt.Sprintf("%s takes no more connections: %v", key, err)})
		}
	}()
}

// Clean implements [provider.Plan]. An API that is gone first answers its requests.
func (p *plan) Clean(ctx context.Context, stack string) error {
	made, stages := provider.Resources[*definition]{}, provider.Resources[*stage]{}
	for key := range p.made {
		made[key] = nil
	}
	for key := range p.stages {
		stages[key] = nil
	}
	p.mu.Lock()
	p.Provider.stages = p.Provider.stages.Cleaned(stack, stages)
	p.Provider.made = p.Provider.made.Cleaned(stack, made)
	var gone []*api
	for key, a := range p.Provider.apis {
		if provider.StackOf(key) == stack && p.apis[key] == nil {
			gone = append(gone, a)
			delete(p.Provider.apis, key)
		}
	}
	p.mu.Unlock()
	return shut(ctx, gone)
}

// fingerprint tells definitions apart.
func (d *definition) fingerprint() string {
	all := map[string]any{}
	for _, m := range d.api.Methods {
		all[m.Key()] = m.Resource.Properties
		for r := m.Of; r != nil; r = r.Parent {
			all[r.Key()] = r.Resource.Properties
		}
	}
	text, _ := json.Marshal(all) // as decoded from JSON
	return string(text)
}

// credentialsFile is the file in the directory of a deployment with the credentials of its user, if an API asks for
// signatures. SDKs and the command line of AWS read it with the variable AWS_SHARED_CREDENTIALS_FILE.
func credentialsFile(dir string) string { return filepath.Join(dir, "credentials") }

// credentials writes the file if a method asks for a signature.
func (p *Provider) credentials(d *definition) error {
	if !slices.ContainsFunc(d.api.Methods, func(m *model.APIMethod) bool { return m.Authorization == "AWS_IAM" }) {
		return nil
	}
	user := p.options.Access.User()
	var b strings.Builder
	fmt.Fprintf(&b, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %s\n", user.Key, user.Secret, d.api.Resource.Stack.Region)
	if err := os.WriteFile(credentialsFile(p.options.Dir), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("the credentials for signing requests cannot be written: %w", err)
	}
	return nil
}

func (p *Provider) forgetCredentials() error {
	if err := os.Remove(credentialsFile(p.options.Dir)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
