package cloudfront

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/rules"
)

// distribution is a distribution as a template says, with all values. It does not change: a deployment makes another.
type distribution struct {
	*model.Distribution
	// id, domain and via are made up of the key.
	id, domain, pop string
	behaviors       []*behavior
	// url is where it answers here; empty if it does not.
	url string
}

// behavior is a behavior with what it refers to.
type behavior struct {
	*model.Behavior
	pattern           rules.Pattern
	distribution      *distribution
	origin            *origin
	request, response *function
	headers           []model.ResponseHeader
}

// keeps says whether answers to a method are kept, errors aside.
func (b *behavior) keeps(method string) bool {
	return b.CachePolicy.Keeps() && b.cacheable(method)
}

// cacheable says whether the cache is asked at all.
func (b *behavior) cacheable(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || slices.Contains(b.CachedMethods, method)
}

func via(d *distribution) string { return "1.1 " + d.pop + ".cloudfront.net (CloudFront)" }

// at is the behavior of a path. Patterns are compared with the normalized path, and the origin gets the path as the viewer
// sent it.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html#DownloadDistValuesPathPattern
func (d *distribution) at(path string) *behavior {
	path = rules.Normalize(path)
	i := slices.IndexFunc(d.behaviors, func(b *behavior) bool { return b.pattern.Match(path) })
	return d.behaviors[i] // the default behavior matches all
}

// place is what a viewer asks for by a path.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DefaultRootObject.html
func (d *distribution) place(path string) string {
	if path == "/" && d.DefaultRootObject != "" {
		return "/" + d.DefaultRootObject
	}
	return path
}

// made is a text that is made up of a key.
func made(key string) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(key))
	return sum.Sum64()
}

// compiler makes distributions of an assembly.
type compiler struct {
	model   *model.Model
	text    provider.Text
	options Options
	bucket  func(key string) *bucket
	// early leaves out values that exist only after an update.
	early bool
}

// compile works out a distribution. The error names every value that is missing.
func (c *compiler) compile(d *model.Distribution) (*distribution, error) {
	n := made(d.Key())
	compiled := &distribution{Distribution: d, id: fmt.Sprintf("E%013X", n>>12), domain: fmt.Sprintf("d%013x.cloudfront.net", n>>12), pop: fmt.Sprintf("%016x%016x", n, ^n)}
	var errs []error
	origins := map[*model.Origin]*origin{}
	for i, o := range d.Origins {
		one, err := c.origin(d, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", d.Errorf(fmt.Sprintf("DistributionConfig.Origins[%d]", i), "the origin %s", o.ID), err))
		}
		origins[o] = one
	}
	functions := map[*model.EdgeFunction]*function{}
	run := func(f *model.EdgeFunction) *function {
		if f == nil || functions[f] != nil {
			return functions[f]
		}
		code, err := c.value(f.Code)
		if err == nil {
			functions[f], err = compile(f.Name, code)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", f.Errorf("FunctionCode", "the function cannot run here"), err))
		}
		return functions[f]
	}
	for _, b := range d.Behaviors {
		if b.CachePolicy == nil || b.Origin == nil {
			continue // refused
		}
		one := &behavior{Behavior: b, pattern: rules.NewPattern(b.Pattern), distribution: compiled, origin: origins[b.Origin], request: run(b.ViewerRequest), response: run(b.ViewerResponse)}
		if policy := b.ResponseHeadersPolicy; policy != nil {
			for _, header := range policy.Headers {
				value, err := c.value(header.Variable)
				if err != nil {
					errs = append(errs, fmt.Errorf("%w: %w", policy.Errorf("ResponseHeadersPolicyConfig", "the header %s", header.Name), err))
				}
				header.Value = value
				one.headers = append(one.headers, header)
			}
		}
		compiled.behaviors = append(compiled.behaviors, one)
	}
	return compiled, errors.Join(errs...)
}

// value fills in a value. Without the values of a deployment it is as in the template.
func (c *compiler) value(v model.Variable) (string, error) {
	if v.Parts == nil {
		return v.Value, nil
	}
	if c.text == nil || model.Dynamic(v.Parts.String()) { // the rules of the load balancer have the same text
		return v.Parts.String(), nil
	}
	text, err := c.text(v.Parts)
	if c.early && errors.Is(err, provider.ErrNotYet) {
		return "", nil
	}
	return text, err
}

func (c *compiler) origin(d *model.Distribution, o *model.Origin) (*origin, error) {
	one := &origin{Origin: o, host: o.Domain, headers: map[string]string{}}
	var errs []error
	value := func(v model.Variable) string {
		text, err := c.value(v)
		errs = append(errs, err)
		return text
	}
	if o.Bucket == nil && o.Parts != nil {
		one.host = value(model.Variable{Parts: o.Parts})
	}
	one.path = strings.TrimSuffix(value(o.Path), "/")
	for _, header := range o.Headers {
		one.headers[header.Name] = value(header)
	}
	switch {
	case o.Bucket != nil:
		key := o.Bucket.Key()
		one.host, one.next = o.Bucket.Name+".s3.amazonaws.com", key
		reads, lists := c.model.Reads(d, o)
		one.transport = s3{func() *bucket { return c.bucket(key) }, reads, lists}
		one.at = func() (string, string, error) { return "https", one.host, nil }
	case o.API != nil:
		if stage := c.stage(o); stage != nil {
			one.next = stage.Key()
		}
		one.transport = newTransport(o)
		key := o.API.Key()
		one.at = func() (string, string, error) { return address("http", c.options.APIs(key), one.host) }
	case o.LoadBalancer != nil:
		one.next = o.LoadBalancer.Key()
		one.transport = newTransport(o)
		scheme, port := "http", port(d, o)
		if https(d, o) {
			scheme = "https"
		}
		one.at = func() (string, string, error) {
			return address(scheme, c.options.Balancers.Address(one.next, port), one.host)
		}
	}
	return one, errors.Join(errs...)
}

// stage is the stage of an API that the path of an origin names; nil if it has none.
func (c *compiler) stage(o *model.Origin) *model.APIStage {
	for _, stage := range c.model.APIStages {
		if stage.API != o.API {
			continue
		}
		if o.Path.Parts == nil && strings.Split(o.Path.Value+"/", "/")[1] == stage.Name ||
			slices.ContainsFunc(o.Path.Parts, func(part any) bool { ref, ok := part.(assembly.Ref); return ok && ref.Resource == stage.Resource }) {
			return stage
		}
	}
	return nil
}

// port is the port of an origin for the requests of its behaviors.
func port(d *model.Distribution, o *model.Origin) int {
	if https(d, o) {
		return o.HTTPSPort
	}
	return o.HTTPPort
}

// https says whether CloudFront asks an origin with TLS. Viewers are taken to use TLS where a behavior asks them to.
func https(d *model.Distribution, o *model.Origin) bool {
	asked := slices.ContainsFunc(d.Behaviors, func(b *model.Behavior) bool { return b.Origin == o && b.ViewerProtocol != "allow-all" })
	return o.Protocol == "https-only" || o.Protocol == "match-viewer" && asked
}

func address(scheme string, port int, host string) (string, string, error) {
	if port == 0 {
		return "", "", fmt.Errorf("nothing answers for %s", host)
	}
	return scheme, fmt.Sprintf("127.0.0.1:%d", port), nil
}
