// Package dynamodb stands for DynamoDB on this machine: the tables of an assembly in DynamoDB Local, or in a
// database that the user names, behind a proxy that does what IAM does.
package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// EndpointVariable names the user's own database, for `cutover up` as for the SDKs of AWS. Its credentials and
// region are in their variables, too.
const EndpointVariable = "AWS_ENDPOINT_URL_DYNAMODB"

// Provider is the provider of tables. Nothing runs before a template has a table.
type Provider struct {
	dir    string
	access *access.Access
	tell   func(provider.Event)
	proxy  *proxy

	kept     programs.Kept // nothing runs with an endpoint of the user
	starting sync.Mutex    // held while the database is started

	mu       sync.Mutex
	tables   map[string]*table // that were deployed, by name
	streams  map[string]string // ARNs, by the name of the table
	model    *model.Model      // of the last update, for faults
	found    *programs.Found   // nil before a plan needs it
	listener net.Listener      // of the proxy
}

// New returns a provider without tables. It keeps data in a directory.
func New(dir string, roles *access.Access, tell func(provider.Event)) *Provider {
	p := &Provider{dir: filepath.Join(dir, "dynamodb"), access: roles, tell: tell, proxy: newProxy(), tables: map[string]*table{}, streams: map[string]string{}}
	p.proxy.signers, p.proxy.upstream, p.proxy.policy = roles.Signer, p.upstream, p.policy
	p.proxy.refused = func(by *access.Signer, r *refusal) {
		tell(provider.Event{Kind: "store", Subject: by.Service, Task: by.Task, State: provider.Warning, Message: r.Message})
	}
	p.kept.Tell = func(name, state, message string) {
		tell(provider.Event{Kind: "store", Subject: name, State: state, Message: message})
	}
	roles.Offer(p.variables)
	return p
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string { return []string{model.DynamoDBTable, model.DynamoDBGlobalTable} }

// variables tell tasks where the proxy answers, while it does.
func (p *Provider) variables() []model.Variable {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return []model.Variable{{Name: EndpointVariable, Value: "http://localhost:" + port, Here: true}}
}

// own is the endpoint that the user names; empty for none.
func own() string { return os.Getenv(EndpointVariable) }

// upstream is where the database answers now.
func (p *Provider) upstream() access.Endpoint {
	if url := own(); url != "" {
		return access.Own(url, "us-east-1")
	}
	if program := p.kept.Running(); program != nil {
		return access.Local(program.URL)
	}
	return access.Local("")
}

func (p *Provider) policy(name string) []model.Statement {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tables[name]; t != nil {
		return t.of.Policy
	}
	return nil
}

// start starts the database and the proxy, unless they run.
func (p *Provider) start(ctx context.Context) error {
	p.starting.Lock()
	defer p.starting.Unlock()
	p.mu.Lock()
	runs, found := p.listener != nil, p.found
	p.mu.Unlock()
	if runs {
		return nil
	}
	if own() == "" {
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

// Status implements [provider.Provider]. It returns the tables as []provider.StoreStatus.
func (p *Provider) Status() any {
	program := p.kept.Running()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []provider.StoreStatus
	for _, name := range slices.Sorted(maps.Keys(p.tables)) {
		one := provider.StoreStatus{Name: name, Program: "DynamoDB at " + own(), Source: EndpointVariable}
		if program != nil {
			one.Program, one.Source, one.Data = program.Name, program.Source, p.dir
		}
		if p.listener != nil {
			one.Endpoint = "http://" + p.listener.Addr().String()
		}
		one.Requests, one.Faults = p.proxy.seen(name)
		all = append(all, one)
	}
	if all == nil {
		return nil
	}
	return all
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Provider: p, model: m, all: provider.Resources[*table]{}}
	for _, of := range m.Tables {
		next.all[of.Key()] = read(m.Assembly, of)
	}
	next.wanted = sync.OnceValue(func() provider.Resources[*table] { return next.used(text) })
	return next
}

// plan has the tables of an assembly.
type plan struct {
	*Provider
	model *model.Model
	all   provider.Resources[*table]
	// wanted are the tables that run here.
	wanted func() provider.Resources[*table]
}

// used are the tables that a task may use, or a function that runs here, and those whose stream invokes a function. Other tables are
// for what does not run on this machine.
func (p *plan) used(text provider.Text) provider.Resources[*table] {
	used := provider.Resources[*table]{}
	if len(p.all) == 0 {
		return used
	}
	grants := access.Of(p.model, text)
	var roles []*model.Role
	for _, d := range p.model.TaskDefinitions {
		roles = append(roles, d.TaskRole)
	}
	for _, f := range p.model.Functions {
		if f.Invoked {
			roles = append(roles, f.Role)
		}
	}
	for _, e := range p.model.EventSources {
		if e.Here() && e.Table != nil {
			used[e.Table.Key()] = p.all[e.Table.Key()]
		}
	}
	for _, of := range roles {
		if of == nil {
			continue
		}
		role := grants.As(of)
		for key, t := range p.all {
			if t.usedBy(role) {
				used[key] = t
			}
		}
	}
	return used
}

// reading and writing are actions of which a role that uses a table has one.
var readingAndWriting = []string{"GetItem", "Query", "Scan", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLSelect", "PartiQLInsert"}

func (t *table) usedBy(role *access.Signer) bool {
	return slices.ContainsFunc(readingAndWriting, func(action string) bool {
		return role.May("dynamodb:"+action, arn(t.TableName), t.of.Policy...)
	})
}

// names are those that DynamoDB takes for tables.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
var names = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// Check implements [provider.Plan]. It fetches the database's program if the assembly needs it first.
func (p *plan) Check() error {
	var errs []error
	holders := map[string]string{}
	wanted := p.wanted()
	for _, key := range wanted.Keys() {
		t := wanted[key]
		errs = append(errs, t.err)
		if !names.MatchString(t.TableName) {
			errs = append(errs, t.of.Errorf("TableName", "DynamoDB takes no table with the name %q", t.TableName))
		}
		if other := holders[t.TableName]; other != "" {
			errs = append(errs, t.of.Errorf("TableName", "the table %s is also that of %s", t.TableName, other))
		}
		holders[t.TableName] = key
	}
	if err := assembly.Join(errs...); err != nil || len(wanted) == 0 || own() != "" {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		found, err := programs.FindDynamoDB(context.Background())
		if err != nil {
			return fmt.Errorf("%w; or name a database of your own with %s", err, EndpointVariable)
		}
		p.found = &found
	}
	return nil
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	wanted := p.wanted()
	for _, key := range p.all.Keys() {
		if wanted[key] != nil {
			all = append(all, wanted[key].passedOver()...)
		} else {
			all = append(all, provider.PassedOver{Place: key, Subject: p.all[key].TableName, Setting: "the table", Why: "no task or function that runs here may use it: it is not made here"})
		}
	}
	return all
}

// Attribute gives a table's name (Ref), Arn and StreamArn.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	t := p.all[ref.Resource.String()]
	switch {
	case t == nil:
	case ref.Attribute == "":
		return t.TableName, nil
	case ref.Attribute == "Arn":
		stack := ref.Resource.Stack
		return fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", stack.Region, stack.Account, t.TableName), nil
	case ref.Attribute == "StreamArn" && t.of.Stream != "":
		p.mu.Lock()
		defer p.mu.Unlock()
		if stream := p.streams[t.TableName]; stream != "" {
			return stream, nil
		}
		return nil, provider.ErrNotYet
	}
	return nil, provider.NotGiven(ref)
}

// Update implements [provider.Plan].
func (p *plan) Update(ctx context.Context, stack string) error {
	wanted := p.wanted().Of(stack)
	p.mu.Lock()
	p.Provider.model = p.model
	p.mu.Unlock()
	if len(wanted) == 0 {
		return nil
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	for _, key := range wanted.Keys() {
		t := wanted[key]
		stream, err := p.proxy.make(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		p.mu.Lock()
		p.tables[t.TableName], p.streams[t.TableName] = t, stream
		p.mu.Unlock()
	}
	return nil
}

// Clean implements [provider.Plan]. As on AWS, a table that leaves its template or is replaced is deleted with
// its items, unless a policy of the template or the table's deletion protection keeps it.
func (p *plan) Clean(ctx context.Context, stack string) error {
	p.mu.Lock()
	old := maps.Clone(p.tables)
	p.mu.Unlock()
	for name, t := range old {
		next := p.wanted()[t.of.Key()]
		if provider.StackOf(t.of.Key()) != stack || next != nil && next.TableName == name {
			continue
		}
		policy := model.Kept(t.of.Resource)
		if next != nil {
			policy = cmp.Or(t.of.Resource.UpdateReplacePolicy, "Delete")
		}
		switch {
		case policy != "Delete":
			p.tell(provider.Event{Kind: "store", Subject: name, Message: "the table stays, because its template keeps it"})
		case t.of.DeletionProtection:
			p.tell(provider.Event{Kind: "store", Subject: name, State: provider.Warning, Message: "the table stays: it is protected from deletion, so that CloudFormation would fail to delete it"})
		default:
			if err := p.proxy.remove(ctx, name); err != nil {
				return fmt.Errorf("%s: %w", t.of.Key(), err)
			}
			p.tell(provider.Event{Kind: "store", Subject: name, Message: "the table was deleted with its items"})
		}
		p.mu.Lock()
		delete(p.tables, name)
		delete(p.streams, name)
		p.mu.Unlock()
	}
	return nil
}

// Faults implements [provider.Faulter].
func (p *Provider) Faults() []provider.FaultKind { return provider.StoreFaults }

// Fault implements [provider.Faulter], for all tables that the role of the service may use.
func (p *Provider) Fault(_ context.Context, kind, service string) (func(context.Context) error, error) {
	tables := p.tablesOf(service)
	if len(tables) == 0 {
		return nil, nil
	}
	if kind == "store-kill" {
		program := p.kept.Running()
		if program == nil {
			return nil, fmt.Errorf("the database at %s is not killed: it is yours", own())
		}
		program.Kill()
		return func(ctx context.Context) error { return program.Again(ctx, p.kept.Running) }, nil
	}
	end := p.proxy.begin(kind, tables)
	return func(context.Context) error { end(); return nil }, nil
}

// tablesOf are the names of the tables that a service, or a function, may read or write.
func (p *Provider) tablesOf(service string) (all []string) {
	p.mu.Lock()
	m, tables := p.model, maps.Clone(p.tables)
	p.mu.Unlock()
	if m == nil {
		return nil
	}
	add := func(role *model.Role) {
		as := p.access.As(role)
		for name, t := range tables {
			if t.usedBy(as) {
				all = append(all, name)
			}
		}
	}
	for _, s := range m.Services {
		if s.Name == service && s.TaskDefinition != nil && s.TaskDefinition.TaskRole != nil {
			add(s.TaskDefinition.TaskRole)
		}
	}
	for _, f := range m.Functions {
		if f.Name == service && f.Role != nil {
			add(f.Role)
		}
	}
	return all
}
