package cloudfront

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// Options are what distributions need. All but Port and Free are required.
type Options struct {
	// Port is the local port of the first distribution; further ones have the ports behind it. 0 is the first free one of
	// 8090 to 8099. Free gives all of them any free port.
	Port int
	Free bool
	// Balancers tells where the listener of a load balancer answers, by the load balancer's key and the listener's port; 0
	// if it does not.
	Balancers interface {
		Address(balancer string, port int) int
	}
	// APIs tells where a REST API answers, by its key; 0 if it does not.
	APIs func(key string) int
	// Events is called when a distribution takes no more connections.
	Events func(provider.Event)
}

// Provider is the provider of distributions, of what belongs to them, and of the buckets that they read.
type Provider struct {
	options Options

	mu      sync.Mutex
	fronts  map[string]*front  // by the key of the distribution
	buckets map[string]*bucket // by key
	// copied are what was copied into buckets, by key.
	copied map[string]*model.BucketFiles
}

// New returns a provider without distributions.
func New(options Options) *Provider {
	return &Provider{options: options, fronts: map[string]*front{}, buckets: map[string]*bucket{}, copied: map[string]*model.BucketFiles{}}
}

// Types implements [provider.Provider].
func (p *Provider) Types() []string {
	return []string{
		model.CloudFrontDistribution, model.CloudFrontCachePolicy, model.CloudFrontFunction, model.CloudFrontOriginAccessControl,
		model.CloudFrontOriginRequestPolicy, model.CloudFrontResponseHeadersPolicy, model.CloudFrontVPCOrigin, model.S3Bucket, model.BucketDeployment,
	}
}

// Stop implements [provider.Provider].
func (p *Provider) Stop(ctx context.Context) error {
	p.mu.Lock()
	fronts := p.fronts
	p.fronts = map[string]*front{}
	p.mu.Unlock()
	return shut(ctx, slices.Collect(maps.Values(fronts)))
}

// Plan implements [provider.Provider].
func (p *Provider) Plan(m *model.Model, text provider.Text) provider.Plan {
	next := &plan{Provider: p, model: m, wanted: provider.Resources[*model.Distribution]{}, files: provider.Resources[*model.BucketFiles]{}, read: map[*assembly.Resource]bool{}}
	next.compiler = &compiler{model: m, text: text, options: p.options, bucket: p.bucket}
	for _, d := range m.Distributions {
		next.wanted[d.Key()] = d
		for _, o := range d.Origins {
			if o.Bucket != nil {
				next.read[o.Bucket.Resource] = true
			}
		}
	}
	for _, f := range m.BucketFiles {
		if f.Bucket != nil && next.read[f.Bucket.Resource] {
			next.files[f.Key()] = f
			next.read[f.Resource] = true
		}
	}
	return next
}

// bucket is a bucket by its key; nil if nothing is in it.
func (p *Provider) bucket(key string) *bucket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buckets[key]
}

// plan has the distributions of an assembly.
type plan struct {
	*Provider
	*compiler
	model  *model.Model
	wanted provider.Resources[*model.Distribution]
	files  provider.Resources[*model.BucketFiles]
	// read has the buckets that distributions read, and what is copied into them.
	read map[*assembly.Resource]bool

	provider.Sockets // for distributions without one
}

// Stands implements [provider.Partial]: other buckets are on AWS only.
func (p *plan) Stands(r *assembly.Resource) bool {
	return r.Type != model.S3Bucket && r.Type != model.BucketDeployment || p.read[r]
}

// Check implements [provider.Plan]. It opens the sockets of distributions.
func (p *plan) Check() error {
	errs := []error{p.honoured()}
	if errs[0] == nil {
		early := *p.compiler
		early.early = true
		for _, key := range p.wanted.Keys() {
			_, err := early.compile(p.wanted[key])
			errs = append(errs, err)
		}
		errs = append(errs, p.listen())
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, p.Close())
	}
	return nil
}

// listen opens sockets for the distributions that have none.
func (p *plan) listen() error {
	running, options := p.running(), p.Provider.options
	keys := slices.DeleteFunc(p.wanted.Keys(), func(key string) bool { return running[key] != nil })
	return p.Listen(provider.FrontPorts{Name: "cloudfront", First: 8090, Last: 8099, Port: options.Port, Free: options.Free}, keys)
}

// Update implements [provider.Plan]. It copies files, and then changes the distributions: requests that begin afterwards go
// the new way, and those in flight end as they began.
func (p *plan) Update(_ context.Context, stack string) error {
	now := time.Now()
	for _, key := range p.files.Of(stack).Keys() {
		f := p.files[key]
		files, err := contents(f, now)
		if err != nil {
			return fmt.Errorf("%s: the files cannot be copied: %w", key, err)
		}
		p.mu.Lock()
		b := p.buckets[f.Bucket.Key()]
		if b == nil {
			b = &bucket{}
			p.buckets[f.Bucket.Key()] = b
		}
		before := p.copied[key]
		p.copied[key] = f
		p.mu.Unlock()
		if before != nil && !before.Retain && (before.Prefix != f.Prefix || before.Bucket.Key() != f.Bucket.Key()) {
			p.forget(before)
		}
		b.put(files, f.Prefix, f.Prune)
		if front := p.running()[f.Invalidates]; front != nil {
			front.cache.invalidate(f.Paths)
		}
	}
	for _, key := range p.wanted.Of(stack).Keys() {
		d, err := p.compile(p.wanted[key])
		if err != nil {
			return err
		}
		p.serve(key, d, p.Take(key))
	}
	return nil
}

// forget deletes what was copied.
func (p *Provider) forget(f *model.BucketFiles) {
	if b := p.bucket(f.Bucket.Key()); b != nil {
		b.put(nil, f.Prefix, true)
	}
}

// serve gives a distribution to the socket that it has, or to another.
func (p *Provider) serve(key string, d *distribution, ln net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.fronts[key]
	if f == nil && ln == nil { // a rollback has taken it away
		return
	}
	if f != nil {
		d.url = fmt.Sprintf("http://localhost:%d", f.port)
		f.distribution.Store(d)
		p.warnOfOld(key, f, d)
		if ln != nil {
			_ = ln.Close()
		}
		return
	}
	f = newFront(d, ln)
	d.url = fmt.Sprintf("http://localhost:%d", f.port)
	p.fronts[key] = f
	go func() {
		if err := f.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			p.options.Events(provider.Event{Kind: "stack", Subject: provider.StackOf(key), State: "FAILED", Message: fmt.Sprintf("%s takes no more connections: %v", key, err)})
		}
	}()
}

// warnOfOld tells of answers of an API in the cache from before a deployment: they may be those of a service that does not
// answer any more.
func (p *Provider) warnOfOld(key string, f *front, d *distribution) {
	now := time.Now()
	answers, until := f.cache.fresh(now, func(path string) bool {
		b := d.at(path)
		return b.origin.Bucket == nil && b.CachePolicy.Keeps()
	})
	if answers > 0 {
		p.options.Events(provider.OldAnswers(provider.StackOf(key), "CloudFront "+d.Name, answers, now, until))
	}
}

// Clean implements [provider.Plan]. A distribution that goes answers the requests in flight, and its cache is gone.
func (p *plan) Clean(ctx context.Context, stack string) error {
	p.mu.Lock()
	var gone []*front
	for key, f := range p.fronts {
		if provider.StackOf(key) == stack && p.wanted[key] == nil {
			gone = append(gone, f)
			delete(p.fronts, key)
		}
	}
	var files []*model.BucketFiles
	for key, f := range p.copied {
		if provider.StackOf(key) == stack && p.files[key] == nil {
			delete(p.copied, key)
			if !f.Retain {
				files = append(files, f)
			}
		}
	}
	for key := range p.buckets {
		if provider.StackOf(key) == stack && !slices.ContainsFunc(p.model.Buckets, func(b *model.Bucket) bool { return b.Key() == key }) {
			delete(p.buckets, key)
		}
	}
	p.mu.Unlock()
	for _, f := range files {
		p.forget(f)
	}
	go func() { _ = shut(context.WithoutCancel(ctx), gone) }() // as long as requests take
	return ctx.Err()
}

// Attribute gives the ids and domains of distributions, and the names of what belongs to them. The domain of a distribution
// is where it answers here.
func (p *plan) Attribute(ref assembly.Ref) (any, error) {
	key := ref.Resource.String()
	id := fmt.Sprintf("E%013X", made(key)>>12)
	var given map[string]string
	switch value := p.model.Value(ref.Resource).(type) {
	case *model.Distribution:
		if ref.Attribute == "DomainName" {
			return p.address(key)
		}
		given = map[string]string{"": id, "Id": id}
	case *model.EdgeFunction:
		arn := "arn:aws:cloudfront::" + provider.Account + ":function/" + value.Name
		given = map[string]string{"": arn, "FunctionARN": arn, "FunctionMetadata.FunctionARN": arn, "Stage": "LIVE"}
	case *model.VPCOrigin:
		given = map[string]string{"": id, "Id": id, "Arn": "arn:aws:cloudfront::" + provider.Account + ":vpcorigin/" + id}
	case *model.CachePolicy, *model.OriginRequestPolicy, *model.ResponseHeadersPolicy, *model.OriginAccessControl:
		given = map[string]string{"": id, "Id": id}
	case *model.Bucket:
		domain := value.Name + ".s3." + provider.Region + ".amazonaws.com"
		given = map[string]string{"": value.Name, "Arn": "arn:aws:s3:::" + value.Name, "DomainName": value.Name + ".s3.amazonaws.com", "RegionalDomainName": domain}
	case *model.BucketFiles:
		given = map[string]string{"": id, "DestinationBucketArn": "arn:aws:s3:::" + value.Bucket.Name}
	}
	value, ok := given[ref.Attribute]
	if !ok {
		return nil, provider.NotGiven(ref)
	}
	return value, nil
}

func (p *plan) address(key string) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.fronts[key]; f != nil {
		return fmt.Sprintf("localhost:%d", f.port), nil
	}
	return nil, provider.ErrNotYet
}
