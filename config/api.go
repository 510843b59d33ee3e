package config

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/words"
	"cutover/migration"
)

// API is how API Gateway treats the requests of a service. Cache and limits have no effect without the setting
// front=apigateway.
type API struct {
	// WriteAuthorization is AWS_IAM if callers have to sign their requests with Signature Version 4, all but GET, HEAD
	// and OPTIONS. Requests that API Gateway cannot tell from those of the service need a signature, too. Default: nobody signs.
	WriteAuthorization string
	// Cache has the GET requests whose answers API Gateway keeps. Default: none.
	Cache []Cached
	// Validate has the requests whose bodies API Gateway checks before the service gets them. It refuses a body with 400 in
	// words of its own. Default: none.
	Validate []Validated
	// RateLimit is how many requests a second the service gets, and BurstLimit how many at once. Others are answered with
	// 429. Default: the limits of the account.
	RateLimit, BurstLimit int
	// Direct connects a function without the load balancer, once its migration is over. Default: through the load balancer.
	Direct bool
}

// Cached is a GET request whose answers API Gateway keeps.
type Cached struct {
	// Path is as in "/api/threads", or "/api/threads/*" for all that is below.
	Path string
	// Query and Headers are all query parameters and headers that the answer depends on. Others do not tell two requests
	// apart.
	Query, Headers []string
	// TTLSeconds is how long an answer is kept: 1 to 3600.
	TTLSeconds int
}

// Validated is a request whose body API Gateway checks.
type Validated struct {
	// Method is POST, PUT or PATCH, and Path as that of [Cached].
	Method, Path string
	// Schema is a file with the JSON schema (draft 4) of the body, from the root of the repository.
	Schema string
}

// AWSIAM is a value of WriteAuthorization.
const AWSIAM = "AWS_IAM"

// Schemes of load balancers, the values of the setting scheme. SchemeParameter is the name of the SSM parameter of an
// environment whose load balancers are internal.
const (
	InternetFacing  = "internet-facing"
	Internal        = "internal"
	SchemeParameter = "load-balancer-scheme"
)

// Scheme is the scheme of load balancers in words.
func Scheme(internal bool) string {
	if internal {
		return Internal
	}
	return InternetFacing
}

// Fronts are the values of the setting front.
const (
	NoFront    = "none"
	APIGateway = "apigateway"
)

// APIResource is a resource of the REST API, and what is done with its requests.
type APIResource struct {
	// Path is as in "/api/users" or "/api/users/{proxy+}".
	Path    string
	Methods []APIMethod
	// Service is the name of the service whose paths begin here; empty if none do.
	Service string
}

// APIMethod is a method of a resource.
type APIMethod struct {
	// Name is a method of HTTP, or ANY for all others.
	Name   string
	IAM    bool
	Cached *Cached
	// Schema is the file with the JSON schema of the body; empty if the body is not checked.
	Schema                string
	RateLimit, BurstLimit int
	// Direct is the pair of a service on Lambda that answers without the load balancer.
	Direct string
}

// AnyMethod takes the requests for which a resource has no method of their own.
const AnyMethod = "ANY"

// Proxy is the last part of a resource that takes all paths below another.
const Proxy = "/{proxy+}"

// APIResources are the resources of the REST API, each after the one above it. Each path of a service has a resource and
// one for all below it, and so has each path above. API Gateway chooses the resource that names most of a path
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html).
func (d Deployment) APIResources() []APIResource {
	owners := map[string]Service{"": {}}
	for _, service := range d.All() {
		for _, path := range service.apiPaths() {
			for i, c := range path.own {
				if c == '/' && i > 0 {
					owners[path.own[:i]] = owners[path.own[:i]]
				}
			}
			if owners[path.own].Name == "" || service.Name != d.Monolith.Name {
				owners[path.own] = service
			}
		}
	}
	var resources []APIResource
	for _, path := range slices.Sorted(maps.Keys(owners)) {
		owner := owners[path]
		for _, at := range []string{path, path + Proxy} {
			resources = append(resources, APIResource{Path: cmp.Or(at, "/"), Service: owner.Name, Methods: d.apiMethods(at, owner)})
		}
	}
	return resources
}

// apiMethods are the methods of a resource at a path.
func (d Deployment) apiMethods(at string, owner Service) []APIMethod {
	of := func(name string) APIMethod {
		m := APIMethod{Name: name, RateLimit: owner.API.RateLimit, BurstLimit: owner.API.BurstLimit}
		if owner.API.Direct {
			function, _ := owner.Function()
			m.Direct = function.Name
		}
		return m
	}
	methods := []APIMethod{of(AnyMethod)}
	for _, cached := range owner.API.Cache {
		if apiResource(cached.Path) == at {
			get := of("GET")
			get.Cached = &cached
			methods = append(methods, get)
		}
	}
	for _, validated := range owner.API.Validate {
		if apiResource(validated.Path) == at {
			write := of(validated.Method)
			write.Schema = validated.Schema
			methods = append(methods, write)
		}
	}
	if !slices.ContainsFunc(d.All(), func(s Service) bool { return s.API.WriteAuthorization == AWSIAM && s.takes(at) }) {
		return methods
	}
	for i := range methods {
		methods[i].IAM = methods[i].Name != "GET"
	}
	for _, name := range []string{"GET", "HEAD", "OPTIONS"} {
		if !slices.ContainsFunc(methods, func(m APIMethod) bool { return m.Name == name }) {
			methods = append(methods, of(name))
		}
	}
	return methods
}

// apiResource is the resource that a field names, as in "/api/threads" or "/api/threads/*".
func apiResource(path string) string {
	if below, ok := strings.CutSuffix(path, "/*"); ok {
		return below + Proxy
	}
	return path
}

// hasResource says whether paths of the service begin at a resource.
func (s Service) hasResource(resource string) bool {
	return slices.ContainsFunc(s.apiPaths(), func(p apiPath) bool { return cmp.Or(p.own, "/") == resource || p.own+Proxy == resource })
}

// apiPath is a path pattern of a service, as API Gateway sees it.
type apiPath struct {
	pattern string
	// own is the resource of the paths: what comes before the first wildcard, without the last slash. dir is the part of
	// it whose segments are whole: "/api" of "/api/users*", whose wildcard takes "/api/usersx", too.
	own, dir string
}

func (s Service) apiPaths() (all []apiPath) {
	for _, route := range s.AllRoutes() {
		for _, pattern := range route.Paths {
			before := pattern
			if wild := strings.IndexAny(pattern, "*?"); wild >= 0 {
				before = pattern[:wild]
			}
			own := strings.TrimRight(before, "/")
			path := apiPath{pattern: pattern, own: own, dir: own}
			if before != pattern && !strings.HasSuffix(before, "/") {
				path.dir = before[:max(0, strings.LastIndex(before, "/"))]
			}
			all = append(all, path)
		}
	}
	return all
}

// takes says whether a request of a resource may be one of the service.
func (s Service) takes(at string) bool {
	path, below := strings.CutSuffix(at, Proxy)
	return slices.ContainsFunc(s.apiPaths(), func(p apiPath) bool {
		if !below {
			return migration.Meet(p.pattern, cmp.Or(path, "/"))
		}
		inside := path == p.dir || strings.HasPrefix(path, p.dir+"/") || p.dir == ""
		return inside && migration.Meet(p.pattern, path+"/*")
	})
}

// segmentFormat matches a part of a path that API Gateway takes as a resource
// (https://docs.aws.amazon.com/apigateway/latest/api/API_Resource.html).
var segmentFormat = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

// maxAPIResources is how many resources a REST API has, unless AWS raises it, and maxBehaviors how many cache behaviours a
// distribution has beside the default one
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html,
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html).
const (
	maxAPIResources = 300
	maxBehaviors    = 75
)

// checkFronts refuses what no front can have.
func checkFronts(d Deployment, s Settings, refuse func(string, ...any)) {
	for _, service := range d.All() {
		checkAPI(d, s, service, func(format string, args ...any) {
			refuse("service %q: "+format, append([]any{service.Name}, args...)...)
		})
	}
	if s.Internal {
		for _, service := range d.All() {
			if _, is := service.Function(); is && len(service.Calls) > 0 {
				refuse("scheme: internal: the function of %q calls %q, and a function is outside of the VPC, where it reaches no internal load balancer: choose Fargate{} for it, or set scheme to internet-facing", service.Name, service.Calls[0])
			}
		}
	}
	if s.WAF && s.Front != APIGateway {
		refuse("waf: the web ACL is at the REST API: set front to apigateway, or waf to off")
	}
	front := s.front()
	if front == "" {
		if !s.DirectAccess {
			refuse("directAccess: off leaves no way to the load balancer: set front to apigateway, or ui to on, first")
		}
		return
	}
	for _, service := range d.Services {
		if service.LoadBalancer != "" {
			refuse("%s: service %q is behind load balancer %q, which has a host name of its own, and a front has one load balancer: remove LoadBalancer, or the front", front, service.Name, service.LoadBalancer)
		}
		for _, route := range service.AllRoutes() {
			if len(route.Hosts) > 0 {
				refuse("%s: %s: Hosts %q: a front asks the load balancer by another host name: remove Hosts, or the front", front, title(service, route), route.Hosts)
			}
		}
	}
	if !s.DirectAccess && d.callsThrough("") {
		refuse("directAccess: off: services call others through the load balancer, which would admit the front alone: let the Discovery of those that are called begin with ServiceConnect{} or CloudMap{}, or set directAccess to on")
	}
	if s.Front == APIGateway {
		if s.CertificateARN != "" && s.Domain == "" {
			refuse("front: apigateway asks the load balancer by HTTPS, and the certificate is for a name that nothing says: set domain, or remove certificateArn")
		}
		if n := len(d.APIResources()); n > maxAPIResources {
			refuse("front: %s need %d resources, and a REST API can have %d: let services have fewer paths", words.Count(len(d.Services), "service"), n, maxAPIResources)
		}
	}
	if s.CloudFrontPrefixListID != "" && (s.Front == APIGateway || !s.UI || !s.Internal) {
		refuse("cloudFrontPrefixListId: %q is for an internal load balancer behind CloudFront alone, with directAccess=off: leave it out", s.CloudFrontPrefixListID)
	}
	if s.UI {
		checkUI(d, s, refuse)
	}
}

// front is the setting that puts something before the load balancer; empty if none does.
func (s Settings) front() string {
	switch {
	case s.Front == APIGateway:
		return "front: apigateway"
	case s.UI:
		return "ui: on"
	}
	return ""
}

// OriginHeader is what CloudFront adds to each request to a public load balancer, with a secret value.
const OriginHeader = "X-Origin-Secret"

// SendsOrigin says that CloudFront asks a public load balancer itself, and so with the [OriginHeader].
func (s Settings) SendsOrigin() bool { return s.UI && s.Front != APIGateway && !s.Internal }

// AsksOrigin says that the load balancer refuses requests without the [OriginHeader]: it is public, and its security group
// cannot tell one distribution from another.
func (s Settings) AsksOrigin() bool { return s.SendsOrigin() && !s.DirectAccess }

// checkOriginHeader refuses rules that have no room for the [OriginHeader].
func checkOriginHeader(d Deployment, refuse func(string, ...any)) {
	const asks = "directAccess: off: each rule asks for the header " + OriginHeader + " as well, which leaves %d of the %d values of its conditions"
	for _, service := range d.All() {
		for _, route := range service.AllRoutes() {
			match := route.migration()
			with := match.Match
			if len(match.Testers) > 0 {
				with = match.ForTesters()
			}
			n, _ := size(with)
			if n < maxValues {
				continue
			}
			advice := "give it Routes with fewer each"
			if service.Name == d.Monolith.Name {
				advice = "give it fewer Paths"
			} else if len(match.Testers) > 0 {
				advice += ", or fewer Testers"
			}
			refuse(asks+", and %s has %s: %s, or set front to apigateway, or scheme to internal", maxValues-1, maxValues, title(service, route), valuesOf(with), advice)
		}
	}
	if paths := migration.RootPaths(d.Monolith.Paths); d.RootService != "" && len(paths) >= maxValues {
		refuse(asks+", and the root paths are %s: remove rootService, or set front to apigateway, or scheme to internal", maxValues-1, maxValues, strings.Join(paths, ", "))
	}
}

// valuesOf counts the values of conditions in words, and names the paths.
func valuesOf(match migration.Match) string {
	n, _ := size(match)
	if n == len(match.Paths) {
		return words.Count(n, "path") + " (" + strings.Join(match.Paths, ", ") + ")"
	}
	return fmt.Sprintf("%d values (%v)", n, match)
}

func checkUI(d Deployment, s Settings, refuse func(string, ...any)) {
	if s.Front == NoFront && !s.Internal {
		if s.CertificateARN == "" || s.Domain == "" {
			refuse("ui: CloudFront would ask the public load balancer in plain text: set front to apigateway, or scheme to internal, or certificateArn and domain")
		}
	}
	if s.AsksOrigin() {
		checkOriginHeader(d, refuse)
	}
	if n := len(d.PageFunction(s)); n > maxFunctionCode {
		refuse("ui: the function that tells the page what is deployed has %d bytes, and CloudFront takes %d: let services have fewer paths", n, maxFunctionCode)
	}
	if s.Front == NoFront && s.Internal && (s.CloudFrontPrefixListID == "") != s.DirectAccess {
		refuse("cloudFrontPrefixListId %q with directAccess: with directAccess=off the load balancer admits the addresses of CloudFront alone, and their list has another id in each region: give it, as `aws ec2 describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.global.cloudfront.origin-facing` shows it; with directAccess=on leave it out", s.CloudFrontPrefixListID)
	}
	patterns := d.UIPatterns()
	if len(patterns) > maxBehaviors {
		refuse("ui: the services have %d path patterns, and a distribution can have %d: let services have fewer paths", len(patterns), maxBehaviors)
	}
	for _, pattern := range patterns {
		if migration.Covers(pattern, "/index.html") {
			refuse("ui: %q takes all paths, and none is left for the page: let the services have narrower paths", pattern)
		}
	}
}

// answeredByVariable is the variable of a [GoPackage] that makes it name itself in each answer, in the header
// X-Answered-By. The page shows it.
const answeredByVariable = "ANSWERED_BY"

// answering lets each Go package say in its answers which service it is.
func (d Deployment) answering() Deployment {
	d.Services = slices.Clone(d.Services)
	name := func(s *Service) {
		if _, isGo := s.Image.(GoPackage); isGo {
			s.Environment = with(map[string]string{answeredByVariable: s.Name}, s.Environment)
		}
	}
	name(&d.Monolith)
	for i := range d.Services {
		name(&d.Services[i])
	}
	return d
}

// UIPatterns are the path patterns that a distribution sends to the API, without those that another one covers.
func (d Deployment) UIPatterns() (patterns []string) {
	for _, service := range d.All() {
		for _, route := range service.AllRoutes() {
			paths := route.Paths
			if len(paths) == 0 {
				paths = []string{"/*"}
			}
			for _, path := range paths {
				if !slices.ContainsFunc(patterns, func(wide string) bool { return migration.Covers(wide, path) }) {
					patterns = append(slices.DeleteFunc(patterns, func(narrow string) bool { return migration.Covers(path, narrow) }), path)
				}
			}
		}
	}
	return patterns
}

func checkAPI(d Deployment, s Settings, service Service, refuse func(string, ...any)) {
	api := service.API
	on := s.Front == APIGateway
	switch {
	case api.WriteAuthorization != "" && api.WriteAuthorization != AWSIAM:
		refuse("API.WriteAuthorization %q is unknown: choose %q, or leave it out", api.WriteAuthorization, AWSIAM)
	case api.WriteAuthorization != "" && !on:
		refuse("API.WriteAuthorization: only API Gateway checks signatures: set front to apigateway, or leave it out")
	}
	if (api.RateLimit != 0) != (api.BurstLimit != 0) || api.RateLimit < 0 || api.BurstLimit < 0 {
		refuse("API.RateLimit %d and API.BurstLimit %d: give both, each 1 or more, or none", api.RateLimit, api.BurstLimit)
	}
	listed := map[string]bool{}
	for _, cached := range api.Cache {
		at := fmt.Sprintf("API.Cache %q", cached.Path)
		resource := apiResource(cached.Path)
		switch {
		case !service.hasResource(resource):
			refuse("%s: it is no path of the service, as \"/api/threads\" or \"/api/threads/*\": choose one of %s", at, strings.Join(service.resources(), ", "))
		case listed[resource]:
			refuse("%s: it is listed twice: remove one", at)
		case service.Stored():
			refuse("%s: the service takes writes, and a kept answer would hide them: remove it", at)
		case cached.TTLSeconds < 1 || cached.TTLSeconds > 3600:
			refuse("%s: TTLSeconds %d: it must be from 1 to 3600", at, cached.TTLSeconds)
		}
		listed[resource] = true
	}
	for _, validated := range api.Validate {
		at := fmt.Sprintf("API.Validate %q", strings.TrimSpace(validated.Method+" "+validated.Path))
		key := validated.Method + apiResource(validated.Path)
		switch {
		case !slices.Contains([]string{"POST", "PUT", "PATCH"}, validated.Method):
			refuse("%s: a body is checked of POST, PUT or PATCH: choose one", at)
		case !service.hasResource(apiResource(validated.Path)):
			refuse("%s: it is no path of the service, as \"/api/threads\" or \"/api/threads/*\": choose one of %s", at, strings.Join(service.resources(), ", "))
		case listed[key]:
			refuse("%s: it is listed twice: remove one", at)
		case !filepath.IsLocal(filepath.FromSlash(validated.Schema)):
			refuse("%s: Schema %q is no file below the root of the repository", at, validated.Schema)
		}
		listed[key] = true
	}
	if api.Direct {
		checkDirect(d, s, service, refuse)
	}
	if !on {
		return
	}
	for _, path := range service.apiPaths() {
		for segment := range strings.SplitSeq(strings.TrimPrefix(path.own, "/"), "/") {
			if path.own != "" && !segmentFormat.MatchString(segment) {
				refuse("path %q: API Gateway takes no resource %q: it has letters, digits and . _ : - alone", path.pattern, segment)
			}
		}
		for _, other := range d.All() {
			if other.Name <= service.Name || other.Name == d.Monolith.Name || service.Name == d.Monolith.Name || !slices.ContainsFunc(other.apiPaths(), func(p apiPath) bool { return p.own == path.own }) {
				continue
			}
			if api.RateLimit != other.API.RateLimit || api.BurstLimit != other.API.BurstLimit || len(api.Cache)+len(other.API.Cache)+len(api.Validate)+len(other.API.Validate) > 0 || api.Direct || other.API.Direct {
				refuse("API: API Gateway cannot tell its requests for %s from those of %q: give both the same limits, no Cache, no Validate, and not Direct", cmp.Or(path.own, "/"), other.Name)
			}
		}
	}
}

// resources are the paths that a field may name.
func (s Service) resources() (all []string) {
	for _, path := range s.apiPaths() {
		all = append(all, fmt.Sprintf("%q", cmp.Or(path.own, "/")), fmt.Sprintf("%q", path.own+"/*"))
	}
	return all
}

// checkDirect refuses a function that the load balancer still decides about.
func checkDirect(d Deployment, s Settings, service Service, refuse func(string, ...any)) {
	function, is := service.Function()
	switch {
	case s.Front != APIGateway:
		refuse("API.Direct: only API Gateway calls a function without the load balancer: set front to apigateway, or leave it out")
	case !is:
		refuse("API.Direct: it runs on %s: choose Lambda{}, or leave it out", Kind(service.Compute))
	case service.Next != nil:
		refuse("API.Direct: the service is on its way to %s, and the load balancer decides how far: leave it out until Next is gone", Kind(service.Next))
	case service.Name == d.Monolith.Name:
		refuse("API.Direct: the monolith answers for others: leave it out")
	case slices.ContainsFunc(service.AllRoutes(), func(r Route) bool { return s.Place(service.Name, r.Name).Phase < migration.Switched }):
		refuse("API.Direct: the load balancer still sends requests for %s to the monolith: leave it out until the service is switched", function.Name)
	}
	for _, route := range service.AllRoutes() {
		if len(route.Methods)+len(route.Headers)+len(route.Query) > 0 {
			refuse("API.Direct: %s has other conditions than paths, which API Gateway does not know: leave it out", title(service, route))
		}
	}
}
