package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// ServerVariable is the environment variable with the URL of a PostgreSQL server of the user's own, with an
// administrator and the password. Then no program is started.
const ServerVariable = "CUTOVER_POSTGRESQL_URL"

// Provider runs PostgreSQL for the clusters of Aurora PostgreSQL.
type Provider struct {
	dir    string // of the data
	server string // the user's own, or empty
	access *access.Access
	tell   func(provider.Event)

	mu       sync.Mutex
	clusters map[string]*cluster // by key
	users    map[string][]string // that the task roles of a service may connect as, by the service's name
}

// cluster is a cluster that runs.
type cluster struct {
	provider *Provider
	spec     *model.DatabaseCluster // guarded by the provider's lock
	front    *Front
	ctx      context.Context // ends when the cluster stops
	stop     context.CancelFunc
	watch    sync.WaitGroup

	mu      sync.Mutex
	program *programs.Program // nil for a server of the user's own
}

// New returns a provider that keeps the data of clusters below a directory. Getenv gives [ServerVariable].
func New(dir string, by *access.Access, getenv func(string) string, tell func(provider.Event)) *Provider {
	p := &Provider{dir: dir, server: getenv(ServerVariable), access: by, tell: tell, clusters: map[string]*cluster{}}
	by.Offer(p.variables)
	return p
}

// authorities is the file with the certificates that clients of all clusters trust.
func (p *Provider) authorities() string { return filepath.Join(p.dir, "authorities.pem") }

// variables are what tasks get while a cluster runs: the file that PostgreSQL's clients take for roots.
// https://www.postgresql.org/docs/current/libpq-envars.html
func (p *Provider) variables() []model.Variable {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.clusters) == 0 {
		return nil
	}
	return []model.Variable{{Name: "PGSSLROOTCERT", Value: p.authorities(), Here: true}}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{model.RDSCluster, model.RDSInstance, model.RDSSubnetGroup, model.RDSClusterParameterGroup}
}

// Status implements [provider.Provider], with the clusters as []provider.StoreStatus; nil if there is none.
func (p *Provider) Status() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []provider.StoreStatus
	for _, key := range slices.Sorted(maps.Keys(p.clusters)) {
		c := p.clusters[key]
		one := provider.StoreStatus{Name: c.spec.Name, Program: "PostgreSQL", Source: ServerVariable, Endpoint: fmt.Sprintf("localhost:%d", c.front.Port())}
		one.Connections, one.Faults = c.front.Seen()
		if program := c.running(); program != nil {
			one.Program, one.Source, one.Data = program.Name, program.Source, p.directory(key)
		}
		all = append(all, one)
	}
	if all == nil {
		return nil
	}
	return all
}

// Stop implements [provider.Provider]. The data stay.
func (p *Provider) Stop(ctx context.Context) error {
	return p.remove(ctx, func(string) bool { return true })
}

// remove stops clusters by their keys.
func (p *Provider) remove(ctx context.Context, gone func(key string) bool) error {
	p.mu.Lock()
	var stopping []*cluster
	for key, c := range p.clusters {
		if gone(key) {
			stopping = append(stopping, c)
			delete(p.clusters, key)
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, c := range stopping {
		c.stop()
		c.watch.Wait()
		errs = append(errs, c.front.Stop())
		if program := c.running(); program != nil {
			errs = append(errs, program.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}

func (c *cluster) running() *programs.Program {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.program
}

// administrator is the URL of the superuser.
func (c *cluster) administrator() string {
	if program := c.running(); program != nil {
		return program.URL + "?sslmode=disable" // whatever the environment of this program says
	}
	return c.provider.server
}

// directory is where the data of a cluster are.
func (p *Provider) directory(key string) string {
	return filepath.Join(p.dir, "postgresql-"+strings.ReplaceAll(key, "/", "-"))
}

// start starts a cluster and what stands before it.
func (p *Provider) start(ctx context.Context, spec *model.DatabaseCluster) (err error) {
	c := &cluster{provider: p, spec: spec}
	if p.server == "" {
		if c.program, err = programs.StartPostgreSQL(ctx, p.directory(spec.Key())); err != nil {
			return err
		}
	}
	c.front, err = Start(Options{
		Port: spec.Port, Administrator: c.administrator, Signers: p.signer,
		IAM: func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return c.spec.IAMAuthentication
		},
		ARN:     func(user string) string { return provider.ARN("rds-db", "dbuser:"+resourceID(spec)+"/"+user) },
		Refused: func(user string, why error) { p.warn(spec, fmt.Sprintf("connection of user %s: %v", user, why)) },
	})
	if err != nil {
		if c.program != nil {
			err = errors.Join(err, c.program.Stop(ctx))
		}
		return err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	if c.program != nil {
		c.watch.Go(func() { c.follow(spec) })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clusters[spec.Key()] = c
	var all []byte
	for _, key := range slices.Sorted(maps.Keys(p.clusters)) {
		all = append(all, p.clusters[key].front.Authority()...)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(p.authorities(), all, 0o644) // users of containers read it
}

func (p *Provider) warn(spec *model.DatabaseCluster, message string) {
	p.tell(provider.Event{Kind: "store", Subject: spec.Name, State: provider.Warning, Message: message})
}

func (p *Provider) signer(accessKey string) (Signer, bool) {
	s, ok := p.access.Signer(accessKey)
	if !ok {
		return Signer{}, false
	}
	return Signer{s.Secret, s.Session, func(action, resource string) bool { return s.May(action, resource) }}, true
}

// follow starts the program again if it ends, as Aurora does after a failure.
func (c *cluster) follow(spec *model.DatabaseCluster) {
	for {
		program := c.running()
		select {
		case <-c.ctx.Done():
			return
		case <-program.Done():
		}
		c.front.Cut()
		c.provider.warn(spec, fmt.Sprintf("%v; starting again", program.Err()))
		next, err := programs.StartPostgreSQL(c.ctx, c.provider.directory(spec.Key()))
		if err != nil {
			c.provider.warn(spec, fmt.Sprintf("cannot start again: %v", err))
			return
		}
		c.mu.Lock()
		c.program = next
		c.mu.Unlock()
	}
}

// resourceID is the immutable identifier of a cluster, the same for each deployment.
func resourceID(spec *model.DatabaseCluster) string {
	sum := sha256.Sum256([]byte(spec.Key()))
	return "cluster-" + base32.StdEncoding.EncodeToString(sum[:])[:26]
}

// runs says whether a cluster is one of PostgreSQL, and a task may connect to it with a token of IAM. Others are
// for what does not run on this machine, or for passwords that only AWS has.
func runs(spec *model.DatabaseCluster, m *model.Model) bool {
	names := func(resource any) bool {
		parts, ok := resource.(assembly.Text)
		if !ok {
			parts = assembly.Text{resource}
		}
		return slices.ContainsFunc(parts, func(part any) bool {
			ref, ok := part.(assembly.Ref)
			return ok && ref.Resource == spec.Resource || part == "*"
		})
	}
	return spec.Engine == "aurora-postgresql" && slices.ContainsFunc(m.TaskDefinitions, func(d *model.TaskDefinition) bool {
		return slices.ContainsFunc(connects(d, m), names)
	})
}

// connects are the users of databases that the role of a task may connect as, as the template has them.
func connects(d *model.TaskDefinition, m *model.Model) (resources []any) {
	if d.TaskRole == nil {
		return nil
	}
	statements := slices.Clone(d.TaskRole.Statements)
	for _, policy := range m.Policies {
		if slices.Contains(policy.Roles, d.TaskRole) {
			statements = append(statements, policy.Statements...)
		}
	}
	for _, s := range statements {
		if s.Effect == "Allow" && slices.ContainsFunc(s.Actions, func(action any) bool { return action == "rds-db:connect" || action == "rds-db:*" }) {
			resources = append(resources, s.Resources...)
		}
	}
	return resources
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Provider: p, model: m, text: text, wanted: provider.Resources[*model.DatabaseCluster]{}}
	for _, c := range m.DatabaseClusters {
		if runs(c, m) {
			next.wanted[c.Key()] = c
		}
	}
	return next
}

// plan has the clusters of an assembly.
type plan struct {
	*Provider
	model  *model.Model
	text   provider.Text
	wanted provider.Resources[*model.DatabaseCluster]
}

// Check implements [provider.Plan]. It finds PostgreSQL, or fetches the program.
func (p *plan) Check() error {
	var errs []error
	if p.server != "" && len(p.wanted) > 0 {
		if config, err := pgx.ParseConfig(p.server); err != nil || config.Password == "" {
			errs = append(errs, fmt.Errorf("%s is not the URL of a PostgreSQL server that names a user, a password and a database", ServerVariable))
		}
		if len(p.wanted) > 1 {
			errs = append(errs, fmt.Errorf("%s is one server, and the assembly has %d clusters", ServerVariable, len(p.wanted)))
		}
		return assembly.Join(errs...)
	}
	for _, key := range p.wanted.Keys() {
		if _, err := programs.FindPostgreSQL(context.Background(), p.directory(key)); err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", p.wanted[key].Resource, err))
		}
	}
	return assembly.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	for _, key := range p.wanted.Keys() {
		all = append(all, passedOver(p.wanted[key])...)
	}
	return all
}

// Attribute gives the names, endpoints and ARNs of databases. Clusters of other engines have none.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	if ref.Attribute == "" {
		return cmp.Or(model.RefValue(p.model.Assembly, ref.Resource, provider.Account, provider.Region), strings.ToLower(ref.Resource.LogicalID)), nil
	}
	for _, spec := range p.wanted {
		if spec.Resource != ref.Resource {
			continue
		}
		switch ref.Attribute {
		case "Endpoint.Address", "ReadEndpoint.Address":
			return "localhost", nil
		case "Endpoint.Port":
			p.mu.Lock()
			defer p.mu.Unlock()
			if c := p.clusters[spec.Key()]; c != nil {
				return fmt.Sprint(c.front.Port()), nil
			}
			return nil, provider.ErrNotYet
		case "DBClusterResourceId":
			return resourceID(spec), nil
		case "DBClusterArn":
			return provider.ARN("rds", "cluster:"+spec.Name), nil
		case "MasterUserSecret.SecretArn":
			return provider.ARN("secretsmanager", "secret:rds!"+resourceID(spec)), nil
		}
	}
	return nil, provider.NotGiven(ref)
}

// Update implements [provider.Plan]. A cluster that runs goes on.
func (p *plan) Update(ctx context.Context, stack string) error {
	p.mu.Lock()
	p.users = usersOf(p.model, p.text)
	p.mu.Unlock()
	for _, key := range p.wanted.Of(stack).Keys() {
		p.mu.Lock()
		c := p.clusters[key]
		if c != nil {
			c.spec = p.wanted[key]
		}
		p.mu.Unlock()
		if c == nil {
			if err := p.start(ctx, p.wanted[key]); err != nil {
				return fmt.Errorf("%v: %w", p.wanted[key].Resource, err)
			}
		}
	}
	return nil
}

// Clean implements [provider.Plan]. The data of a cluster go with it only if its template says so.
func (p *plan) Clean(ctx context.Context, stack string) error {
	var data []string
	err := p.remove(ctx, func(key string) bool {
		gone := provider.StackOf(key) == stack && p.wanted[key] == nil
		if gone && p.server == "" && model.Kept(p.clusters[key].spec.Resource) == "Delete" {
			data = append(data, p.directory(key))
		}
		return gone
	})
	for _, dir := range data {
		err = errors.Join(err, programs.Remove(dir))
	}
	return err
}

// usersOf are the users of databases that the roles of a service's tasks may connect as, by the service.
func usersOf(m *model.Model, text provider.Text) map[string][]string {
	all := map[string][]string{}
	for _, service := range m.Services {
		for _, resource := range connects(service.TaskDefinition, m) {
			// There is no text for a cluster of another app.
			if arn, err := text(resource); err == nil {
				all[service.Name] = append(all[service.Name], arn[strings.LastIndex(arn, "/")+1:])
			}
		}
	}
	return all
}

// Faults implements [provider.Faulter].
func (p *Provider) Faults() []provider.FaultKind { return provider.StoreFaults }

// Fault implements [provider.Faulter]. The stores of a service are the databases that the roles of its tasks
// may connect to; for the monolith these are of all services that it stands for. A failover is of a whole
// cluster.
func (p *Provider) Fault(_ context.Context, kind, service string) (func(context.Context) error, error) {
	p.mu.Lock()
	users := p.users[service]
	clusters := slices.Collect(maps.Values(p.clusters))
	p.mu.Unlock()
	if len(users) == 0 || len(clusters) == 0 {
		return nil, nil
	}
	var clears []func(context.Context) error
	all := func(ctx context.Context) error {
		var errs []error
		for _, one := range clears {
			errs = append(errs, one(ctx))
		}
		return errors.Join(errs...)
	}
	for _, c := range clusters {
		if kind == kill {
			clears = append(clears, c.kill())
			continue
		}
		for _, user := range users {
			one, err := c.front.Fault(kind, user)
			if err != nil {
				return nil, errors.Join(err, all(context.Background()))
			}
			clears = append(clears, func(context.Context) error { one(); return nil })
		}
	}
	return all, nil
}

// kill ends the program, which starts again, or the connections to a server of the user's own. The function waits
// until the database answers again.
func (c *cluster) kill() func(context.Context) error {
	program := c.running()
	if program == nil {
		c.front.Cut()
		return func(context.Context) error { return nil }
	}
	program.Kill()
	return func(ctx context.Context) error { return program.Again(ctx, c.running) }
}
