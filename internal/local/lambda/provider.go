//go:build unix

package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/ecs"
	"cutover/internal/local/latency"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Options says how functions run.
type Options struct {
	// Dir has the code of functions. One provider at a time may use it. Required.
	Dir string
	// Access gives environments credentials and addresses of stores. Required.
	Access *access.Access
	// Tasks gives the values of secrets, as tasks get theirs. Required.
	Tasks func(m *model.Model, text provider.Text) *ecs.Tasks
	// Driver runs images of functions, and commands in place of functions. Required.
	Driver ecs.Driver
	// Replaced names the functions, or their services, that the driver replaces by a command.
	Replaced []string
	// Events is called with every event, one after the other. Required.
	Events func(provider.Event)
	// Logs is called with every line that a function writes. Required.
	Logs func(ecs.LogLine)
	// Idle is how long an environment waits for its next invocation. Default 5 minutes.
	Idle time.Duration
}

// Provider is the provider of functions, their versions, aliases and permissions.
type Provider struct {
	options Options
	secrets *secretsServer
	watch   sync.Once // of the memory
	stopped chan struct{}
	// starting has a token for each environment that starts.
	starting chan struct{}

	mu          sync.Mutex
	model       *model.Model // of the last update
	functions   provider.Resources[*function]
	versions    provider.Resources[*version] // by the resource of the version
	aliases     provider.Resources[*model.FunctionAlias]
	permissions provider.Resources[permission]
	allowed     map[[2]string]bool // targets by their target groups, as permissions say
	live        map[*version]bool  // of which something is left
}

// permission lets load balancers, or APIs, invoke a function.
type permission struct {
	*model.FunctionPermission
	text provider.Text
}

// New returns a provider without functions.
func New(options Options) *Provider {
	options.Idle = cmp.Or(options.Idle, idleLimit)
	p := &Provider{
		options: options, stopped: make(chan struct{}), starting: make(chan struct{}, 2*runtime.NumCPU()),
		functions: provider.Resources[*function]{}, versions: provider.Resources[*version]{}, live: map[*version]bool{}, allowed: map[[2]string]bool{},
	}
	p.secrets = &secretsServer{access: options.Access, function: func(environment string) string {
		if e := p.byID(environment); e != nil {
			return e.version.spec.Key()
		}
		return ""
	}, warn: func(by *access.Signer, message string) {
		if e := p.byID(by.Task); e != nil {
			p.tellOnce(e.version, e, message)
		}
	}}
	return p
}

// byID finds an environment that lives; nil if there is none.
func (p *Provider) byID(id string) *environment {
	p.mu.Lock()
	defer p.mu.Unlock()
	for v := range p.live {
		for e := range v.environments {
			if e.id == id {
				return e
			}
		}
	}
	return nil
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{model.LambdaFunction, model.LambdaVersion, model.LambdaAlias, model.LambdaPermission}
}

// Stop implements [provider.Provider]. Invocations finish first.
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	all := slices.Collect(maps.Keys(p.live))
	p.functions, p.versions, p.aliases, p.permissions = provider.Resources[*function]{}, provider.Resources[*version]{}, nil, nil
	p.mu.Unlock()
	err := p.end(ctx, all)
	p.watch.Do(func() {}) // nothing starts it any more
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stopped:
	default:
		close(p.stopped)
	}
	return errors.Join(err, p.secrets.close())
}

// Invoke runs the function that a target of a load balancer names, and returns what the function returned. Target
// is as in the template: the key, "stack/logical id", of a function, a version or an alias, or an ARN. Group is the
// key of the target group, which needs a permission. The error is an [*Error]; if the context ends, the context's. The
// function runs to its end nevertheless, as on AWS.
func (p *Provider) Invoke(ctx context.Context, target, group string, payload []byte) ([]byte, error) {
	return p.invoke(ctx, target, caller{model.LoadBalancing, "the target group " + group, p.permitted(target, group)}, payload)
}

// InvokeFor is like Invoke, for a service of AWS as in apigateway.amazonaws.com. The source is the ARN that needs a
// permission.
func (p *Provider) InvokeFor(ctx context.Context, target, principal, source string, payload []byte) ([]byte, error) {
	permitted := p.permits(target, principal, func(one permission) bool {
		allowed, known := one.source()
		return known && (allowed == "" || access.SameResource(allowed, source))
	})
	return p.invoke(ctx, target, caller{principal, source, permitted}, payload)
}

// InvokeMapped is like Invoke, for an event source mapping, which needs no permission of the function. It waits for the end of the
// function. Version is the one that ran; empty if none did.
func (p *Provider) InvokeMapped(target string, payload []byte) (result []byte, version string, err error) {
	v, in, err := p.admit(target, caller{permitted: true}, payload)
	if err != nil {
		return nil, "", err
	}
	result, err = p.wait(context.Background(), v, in)
	return result, v.number, err
}

// caller is what asks for an invocation.
type caller struct {
	principal, source string
	permitted         bool
}

func (p *Provider) invoke(ctx context.Context, target string, by caller, payload []byte) ([]byte, error) {
	v, in, err := p.admit(target, by, payload)
	if err != nil {
		return nil, err
	}
	return p.wait(ctx, v, in)
}

// wait runs an invocation, and waits for its result.
func (p *Provider) wait(ctx context.Context, v *version, in *invocation) ([]byte, error) {
	p.watch.Do(func() { go p.watchMemory() })
	go p.run(v, in)
	select {
	case <-in.answered:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	onItsWay := time.NewTimer(way)
	defer onItsWay.Stop()
	select {
	case <-in.freed:
	case <-onItsWay.C:
	case <-ctx.Done():
	}
	if in.err != nil {
		return nil, in.err
	}
	return in.result, nil
}

// admit finds the version for an invocation, and a place in the function's concurrency.
func (p *Provider) admit(target string, by caller, payload []byte) (*version, *invocation, error) {
	p.mu.Lock()
	v, qualifier := p.find(target)
	if v == nil {
		p.mu.Unlock()
		return nil, nil, &Error{Type: "ResourceNotFoundException", Message: "Function not found: " + target, reason: "LambdaResourceNotFound"}
	}
	f := v.function
	limit := f.spec.Concurrency
	if limit < 0 {
		limit = accountConcurrency
	}
	throttled := by.permitted && f.running >= limit
	switch {
	case throttled:
		f.Throttles++
	case by.permitted:
		f.running++
		f.most = max(f.most, f.running)
		v.running++
		f.Invocations++
	}
	name := f.spec.Name
	p.mu.Unlock()
	switch {
	case throttled:
		p.tellOnce(v, nil, fmt.Sprintf("an invocation was throttled: the function may have %d at once", limit))
		return nil, nil, &Error{Type: "TooManyRequestsException", Message: "Rate Exceeded.", reason: "LambdaThrottling"}
	case !by.permitted:
		err := &Error{Type: "AccessDeniedException", reason: "LambdaAccessDenied", Message: fmt.Sprintf(
			"no %s of the assembly lets %s do lambda:InvokeFunction on %s for %s", model.LambdaPermission, by.principal, target, by.source)}
		p.tellOnce(v, nil, err.Error())
		return nil, nil, err
	}
	return v, newInvocation(arn(name, qualifier), payload), nil
}

// arn is the ARN of a function, with what is behind the name.
func arn(name, qualifier string) string {
	if qualifier != "" {
		name += ":" + qualifier
	}
	return provider.ARN("lambda", "function:"+name)
}

// find finds the version that a target means, and how the target names it. It is nil for none.
func (p *Provider) find(target string) (v *version, qualifier string) {
	key := p.key(target)
	if v := p.versions[key]; v != nil {
		return v, v.number
	}
	if f := p.functions[key]; f != nil {
		return f.latest, ""
	}
	alias := p.aliases[key]
	if alias == nil {
		return nil, ""
	}
	chosen, part := alias.Version, rand.Float64()
	for _, other := range alias.Weights {
		if part -= other.Weight; part < 0 {
			chosen = other.Version
			break
		}
	}
	if chosen == model.Latest {
		if f := p.functions[alias.Function.Key()]; f != nil {
			return f.latest, alias.Name
		}
		return nil, ""
	}
	return p.versions[chosen], alias.Name
}

// key is the key of the resource that a target, or a permission, names. Empty if there is none.
func (p *Provider) key(target string) string {
	if p.functions[target] != nil || p.versions[target] != nil || p.aliases[target] != nil {
		return target
	}
	if p.model == nil {
		return ""
	}
	if f := p.model.OutsideFunction(target); f != nil {
		return f.Key()
	}
	switch t := p.model.FunctionTarget(target); {
	case t.Alias != nil:
		return t.Alias.Key()
	case t.Version != nil:
		return t.Version.Key()
	case t.Function != nil:
		return t.Function.Key()
	}
	return ""
}

// permitted says whether a permission lets the target group invoke the target.
func (p *Provider) permitted(target, group string) bool {
	pair := [2]string{target, group}
	p.mu.Lock()
	known, m := p.allowed[pair], p.model
	p.mu.Unlock()
	if known || !p.permits(target, model.LoadBalancing, func(one permission) bool { return one.lets(m, group) }) {
		return known
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed[pair] = true
	return true
}

// permits says whether a permission for a principal lets it invoke the target. A permission for an alias is none for its
// version, and the other way round.
// https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
func (p *Provider) permits(target, principal string, lets func(permission) bool) bool {
	p.mu.Lock()
	if f := p.functions[p.key(target)]; f != nil && f.spec.Outside() {
		p.mu.Unlock()
		return true // its permission is elsewhere
	}
	var all []permission
	for _, one := range p.permissions {
		if one.By(principal) && p.key(one.Function) == p.key(target) {
			all = append(all, one)
		}
	}
	p.mu.Unlock()
	return slices.ContainsFunc(all, lets)
}

// source is the ARN that a permission is for; empty for any. It is not known if it is that of a resource that is not
// there.
func (one permission) source() (source string, known bool) {
	if one.Parts == nil {
		return one.Source, true
	}
	source, err := one.text(one.Parts)
	return source, err == nil
}

// lets says whether the source of a permission is a target group.
func (one permission) lets(m *model.Model, group string) bool {
	source, known := one.source()
	if !known || source == "" {
		return known
	}
	for _, g := range m.TargetGroups {
		if g.Key() == group {
			arn, err := one.text(assembly.Ref{Resource: g.Resource})
			return err == nil && access.SameResource(source, arn)
		}
	}
	return false
}

// FunctionStatus is a function as it is at one moment.
type FunctionStatus struct {
	Name string `json:"name"`
	// Service is the value of the tag "service", or else the name.
	Service string `json:"service"`
	// Version is the number of the version that the alias has, and Alias its name. Without an alias, Version is that
	// of the newest version, or $LATEST.
	Version string `json:"version"`
	Alias   string `json:"alias,omitempty"`
	// Concurrency is how many invocations there may be at once.
	Concurrency int `json:"concurrency"`
	// Idle and Busy are execution environments.
	Idle int `json:"idle"`
	Busy int `json:"busy"`
	// Invocations counts those that were begun, and Errors those without a result. Timeouts are errors, too, and
	// Throttles neither.
	Invocations int `json:"invocations"`
	ColdStarts  int `json:"coldStarts"`
	Errors      int `json:"errors"`
	Timeouts    int `json:"timeouts"`
	Throttles   int `json:"throttles"`
	// Most is the most invocations at once.
	Most int `json:"most"`
	// Cold and Warm say how long invocations took that waited for a cold start, and that did not.
	Cold Took `json:"cold"`
	Warm Took `json:"warm"`
	// MemoryMiB is what an environment may use, and PeakMemoryMiB the most that one was seen to use; absent if not known.
	MemoryMiB     int `json:"memoryMiB,omitempty"`
	PeakMemoryMiB int `json:"peakMemoryMiB,omitempty"`
}

// Took is how long results of invocations took: half of them at most P50, 99 of 100 at most P99. They are 0 without
// results.
type Took struct {
	P50 time.Duration `json:"p50Nanoseconds"`
	P99 time.Duration `json:"p99Nanoseconds"`
}

func took(c *latency.Counts) Took { return Took{c.Percentile(0.5), c.Percentile(0.99)} }

// Status implements [provider.Provider]. It returns a list of [FunctionStatus], by key.
func (p *Provider) Status() any {
	p.checkMemory(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.functions) == 0 {
		return nil
	}
	all := []FunctionStatus{}
	for _, key := range p.functions.Keys() {
		f := p.functions[key]
		s := FunctionStatus{
			Name: f.spec.Name, Service: f.spec.Service(), Version: model.Latest, Concurrency: f.spec.Concurrency,
			Invocations: f.Invocations, ColdStarts: f.ColdStarts, Errors: f.Errors, Timeouts: f.Timeouts, Throttles: f.Throttles, MemoryMiB: f.spec.MemoryMiB,
			Most: f.most, Cold: took(&f.cold), Warm: took(&f.warm),
		}
		if s.Concurrency < 0 {
			s.Concurrency = accountConcurrency
		}
		if f.published > 0 {
			s.Version = strconv.Itoa(f.published)
		}
		for _, key := range p.aliases.Keys() {
			if alias := p.aliases[key]; alias.Function.Key() == f.spec.Key() {
				s.Alias, s.Version = alias.Name, alias.Version
				if v := p.versions[alias.Version]; v != nil {
					s.Version = v.number
				}
			}
		}
		peak := f.peak
		for v := range p.live {
			if v.function != f {
				continue
			}
			for e, busy := range v.environments {
				peak = max(peak, e.peak)
				if busy {
					s.Busy++
				} else {
					s.Idle++
				}
			}
		}
		s.PeakMemoryMiB = (peak + 1<<20 - 1) >> 20
		all = append(all, s)
	}
	return all
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{
		Provider: p, model: m, text: text, tasks: p.options.Tasks(m, text),
		functions: provider.Resources[*model.Function]{}, versions: provider.Resources[*model.FunctionVersion]{},
		aliases: provider.Resources[*model.FunctionAlias]{}, permissions: provider.Resources[permission]{},
	}
	for _, f := range m.Functions {
		if f.Invoked {
			next.functions[f.Key()] = f
		}
	}
	for _, f := range m.OutsideFunctions {
		next.functions[f.Key()] = f
	}
	for _, v := range m.FunctionVersions {
		if v.Function != nil && v.Function.Invoked {
			next.versions[v.Key()] = v
		}
	}
	for _, a := range m.FunctionAliases {
		if a.Function != nil && a.Function.Invoked {
			next.aliases[a.Key()] = a
		}
	}
	for _, one := range m.FunctionPermissions {
		if f := m.FunctionTarget(one.Function).Function; f != nil && f.Invoked {
			next.permissions[one.Key()] = permission{one, text}
		}
	}
	return next
}

// plan has the functions of an assembly that a target group names, and what belongs to them.
type plan struct {
	*Provider
	model       *model.Model
	text        provider.Text
	tasks       *ecs.Tasks
	functions   provider.Resources[*model.Function]
	versions    provider.Resources[*model.FunctionVersion]
	aliases     provider.Resources[*model.FunctionAlias]
	permissions provider.Resources[permission]
}

// Stands implements [provider.Partial].
func (p *plan) Stands(r *assembly.Resource) bool {
	key := r.String()
	_, permission := p.permissions[key]
	return permission || p.functions[key] != nil || p.versions[key] != nil || p.aliases[key] != nil
}

// Attribute gives the names, ARNs and numbers of functions, versions and aliases.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	key := ref.Resource.String()
	given := map[string]string{}
	if f := p.functions[key]; f != nil {
		given = map[string]string{"": f.Name, "Arn": arn(f.Name, "")}
	}
	if a := p.aliases[key]; a != nil {
		given = map[string]string{"": arn(a.Function.Name, a.Name), "AliasArn": arn(a.Function.Name, a.Name)}
	}
	if v := p.versions[key]; v != nil && (ref.Attribute == "" || ref.Attribute == "Version" || ref.Attribute == "FunctionArn") {
		p.mu.Lock()
		made := p.Provider.versions[key]
		p.mu.Unlock()
		if made == nil {
			return nil, provider.ErrNotYet
		}
		full := arn(v.Function.Name, made.number)
		given = map[string]string{"": full, "FunctionArn": full, "Version": made.number}
	}
	value, ok := given[ref.Attribute]
	if !ok {
		return nil, provider.NotGiven(ref)
	}
	return value, nil
}

// fill returns a function whose variables have their values, and its secrets.
func (p *plan) fill(of *model.Function) (*model.Function, []model.Secret, error) {
	f := *of
	f.Environment = slices.Clone(of.Environment)
	var secrets []model.Secret
	var never []error
	var missing error
	note := func(name string, err error) {
		err = fmt.Errorf("%v: %w", of.Errorf("Environment.Variables."+name, "the value is not known"), err)
		if errors.Is(err, provider.ErrNotYet) {
			missing = cmp.Or(missing, err)
		} else {
			never = append(never, err)
		}
	}
	for i := range f.Environment {
		v := &f.Environment[i]
		var err error
		if v.Parts != nil {
			v.Value, err = p.text(v.Parts)
		}
		if err == nil && model.Dynamic(v.Value) {
			err = errors.New("only CloudFormation resolves a reference in {{}}")
		}
		if err == nil && v.Name == model.SecretsVariable {
			secrets, err = model.FunctionSecrets(v.Value)
		}
		if err != nil {
			note(v.Name, err)
		}
	}
	for _, s := range secrets {
		if _, err := p.tasks.Secret(model.Container{Name: of.Service()}, s); err != nil {
			if !errors.Is(err, provider.ErrNotYet) { // the function reads it when it starts
				note(model.SecretsVariable, err)
			}
		}
	}
	if err := assembly.Join(never...); err != nil {
		return &f, secrets, err
	}
	return &f, secrets, missing
}

// Update implements [provider.Plan]. A function with other code or settings has a new version $LATEST. A version
// that is there stays as it is. No environment starts before the first invocation.
func (p *plan) Update(ctx context.Context, stack string) error {
	p.mu.Lock()
	p.Provider.model = p.model
	p.mu.Unlock()
	for _, key := range p.functions.Of(stack).Keys() {
		if err := p.updateFunction(ctx, key); err != nil {
			return err
		}
	}
	for _, key := range p.versions.Of(stack).Keys() {
		if err := p.updateVersion(key); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Provider.aliases = p.Provider.aliases.Updated(stack, p.aliases)
	p.Provider.permissions = p.Provider.permissions.Updated(stack, p.permissions)
	clear(p.allowed)
	return nil
}

func (p *plan) updateFunction(ctx context.Context, key string) error {
	spec, secrets, err := p.fill(p.functions[key])
	if err == nil {
		err = p.prepare(ctx, spec)
	}
	if err != nil {
		return err
	}
	if secrets != nil {
		if err := p.secrets.serve(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	f := p.Provider.functions[key]
	if f == nil {
		f = &function{told: map[string]bool{}}
	}
	before, now := f.latest, settings(spec, secrets)
	p.mu.Unlock()
	v := before
	if before == nil || before.settings != now {
		if v, err = p.newVersion(f, spec, secrets, now, model.Latest); err != nil {
			return err
		}
	}
	p.mu.Lock()
	f.spec, f.latest = spec, v
	p.Provider.functions = p.Provider.functions.Updated(provider.StackOf(key), provider.Resources[*function]{key: f})
	p.secrets.set(key, p.tasks, model.Container{Name: spec.Service()}, secrets)
	p.mu.Unlock()
	if before != nil && before != v {
		p.retire(before)
	}
	return nil
}

func (p *plan) updateVersion(key string) error {
	p.mu.Lock()
	known := p.Provider.versions[key]
	f := p.Provider.functions[p.versions[key].Function.Key()]
	p.mu.Unlock()
	switch {
	case f == nil:
		return p.versions[key].Errorf("FunctionName", "the function %s is not deployed yet", p.versions[key].Function.Key())
	case known != nil && known.function == f:
		return nil
	}
	p.mu.Lock()
	latest := f.latest
	f.published++
	number := strconv.Itoa(f.published)
	p.mu.Unlock()
	v, err := p.newVersion(f, latest.spec, latest.secrets, latest.settings, number)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.Provider.versions = p.Provider.versions.Updated(provider.StackOf(key), provider.Resources[*version]{key: v})
	p.mu.Unlock()
	if known != nil {
		p.retire(known)
	}
	return nil
}

// Clean implements [provider.Plan]. Invocations of what is deleted finish first.
func (p *plan) Clean(ctx context.Context, stack string) error {
	p.mu.Lock()
	var gone []*version
	functions, versions := provider.Resources[*function]{}, provider.Resources[*version]{}
	for key := range p.functions {
		functions[key] = p.Provider.functions[key]
	}
	for key := range p.versions {
		versions[key] = p.Provider.versions[key]
	}
	for key, f := range p.Provider.functions.Of(stack) {
		if _, kept := functions[key]; !kept {
			gone = append(gone, f.latest)
			p.secrets.set(key, nil, model.Container{}, nil)
		}
	}
	for key, v := range p.Provider.versions.Of(stack) {
		if _, kept := versions[key]; !kept {
			gone = append(gone, v)
		}
	}
	p.Provider.aliases = p.Provider.aliases.Cleaned(stack, p.aliases)
	p.Provider.permissions = p.Provider.permissions.Cleaned(stack, p.permissions)
	clear(p.allowed)
	p.Provider.versions = p.Provider.versions.Cleaned(stack, versions)
	p.Provider.functions = p.Provider.functions.Cleaned(stack, functions)
	p.mu.Unlock()
	return p.end(ctx, gone)
}
