package model

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// Distribution is a distribution of CloudFront.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-distribution.html
type Distribution struct {
	Base
	// Name is the logical id: a distribution has no name of its own.
	Name string
	// Aliases are the domains that lead to the distribution, besides its own.
	Aliases []string
	// Enabled says that viewers get answers. Default false.
	Enabled bool
	// DefaultRootObject is what the path / stands for, without a slash. Empty: nothing.
	DefaultRootObject string
	Origins           []*Origin
	// Behaviors are in the order in which their patterns are tried. The default behavior is the last one, with
	// the pattern *.
	Behaviors      []*Behavior
	ErrorResponses []ErrorResponse
	// GeoRestriction is none (the default), whitelist or blacklist.
	GeoRestriction string
	// OriginGroups is how many groups of origins there are.
	OriginGroups int
}

// Origin is where a distribution gets what it does not have.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-cloudfront-distribution-origin.html
type Origin struct {
	ID string
	// Domain is the origin's domain. A domain that only a deployment tells is in Parts.
	Domain string
	Parts  assembly.Text
	// At most one of these stands behind the domain. All are nil if the domain leads out of the assembly.
	Bucket       *Bucket
	LoadBalancer *LoadBalancer
	API          *RestAPI
	// VPCOrigin is nil if requests go over the internet.
	VPCOrigin *VPCOrigin
	// AccessControl signs requests to a bucket; nil if they are not signed.
	AccessControl *OriginAccessControl
	// Path goes before the path of each request. Empty: nothing does.
	Path Variable
	// Headers are added to each request, in place of those of the viewer.
	Headers []Variable
	// Protocol is http-only, https-only or match-viewer. Empty for a bucket.
	Protocol            string
	HTTPPort, HTTPSPort int
	// Attempts is how often CloudFront tries to connect, each time for ConnectionTimeout. Default 3 and 10 s.
	Attempts          int
	ConnectionTimeout time.Duration
	// ReadTimeout is how long the origin may be silent. Default 30 s.
	ReadTimeout time.Duration
	// KeepAlive is how long an idle connection stays. Default 5 s.
	KeepAlive time.Duration
	// Shield says that a further cache is before the origin. Default false.
	Shield bool
}

// Behavior says what a distribution does with the requests that match its pattern.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-cloudfront-distribution-cachebehavior.html
type Behavior struct {
	// Property is its place in the distribution, as in DistributionConfig.CacheBehaviors[0].
	Property string
	// Pattern is of the whole path. In it * stands for any text and ? for any character.
	Pattern string
	// Origin is nil if the distribution has none of the id.
	Origin *Origin
	// Methods are those that viewers may use, and CachedMethods those whose answers are kept. Default: GET and HEAD.
	Methods, CachedMethods []string
	// ViewerProtocol is allow-all, https-only or redirect-to-https.
	ViewerProtocol string
	Compress       bool
	// CachePolicy is nil if it is not known, or if the behavior has settings of its own in its place.
	CachePolicy *CachePolicy
	// OriginRequestPolicy and ResponseHeadersPolicy are nil if there is none.
	OriginRequestPolicy   *OriginRequestPolicy
	ResponseHeadersPolicy *ResponseHeadersPolicy
	// ViewerRequest and ViewerResponse run before the cache is asked and before the answer is sent; nil for none.
	ViewerRequest, ViewerResponse *EdgeFunction
}

// ErrorResponse says what becomes of an error of an origin.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-cloudfront-distribution-customerrorresponse.html
type ErrorResponse struct {
	Code int
	// TTL is the least time for which the error is kept. Default 10 s.
	TTL time.Duration
	// Page is the path of what is sent in place of the error, with the status Status. Empty: the error is sent.
	Page   string
	Status int
}

// DefaultErrorTTL is the least time for which CloudFront keeps an error.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages-expiration.html
const DefaultErrorTTL = 10 * time.Second

// Selection is which headers, cookies or parameters of the query count.
type Selection struct {
	// Behavior is none, whitelist, all or allExcept; of headers also allViewer, allViewerAndWhitelistCloudFront.
	Behavior string
	Names    []string
}

// CachePolicy says what a cache tells apart, and for how long it keeps an answer.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-cachepolicy.html
type CachePolicy struct {
	// Base of a policy that AWS manages has no resource.
	Base
	Name string
	// TTL is how long an answer is kept that does not say so itself, within MinTTL and MaxTTL.
	MinTTL, TTL, MaxTTL      time.Duration
	Query, Headers, Cookies  Selection
	AcceptGzip, AcceptBrotli bool
}

// Keeps says whether answers are kept at all.
func (c *CachePolicy) Keeps() bool { return c.MaxTTL > 0 }

// OriginRequestPolicy says what an origin gets of the viewer's request, besides what the cache policy tells apart.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-originrequestpolicy.html
type OriginRequestPolicy struct {
	// Base of a policy that AWS manages has no resource.
	Base
	Name                    string
	Query, Headers, Cookies Selection
}

// ResponseHeadersPolicy changes the headers of answers.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-responseheaderspolicy.html
type ResponseHeadersPolicy struct {
	// Base of a policy that AWS manages has no resource.
	Base
	Name string
	// Removed are taken away before Headers are set.
	Removed []string
	Headers []ResponseHeader
	// CORS says that headers depend on the Origin of the request.
	CORS bool
}

// ResponseHeader is a header that a policy adds.
type ResponseHeader struct {
	Variable
	// Override replaces the header of the origin. Otherwise the origin's stays.
	Override bool
}

// EdgeFunction is a function of CloudFront. It runs before the cache, in JavaScript.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-function.html
type EdgeFunction struct {
	Base
	Name string
	// Runtime is cloudfront-js-1.0 or cloudfront-js-2.0.
	Runtime string
	// Code is a Variable: a deployment may tell some of its text.
	Code Variable
	// Publish says that distributions run this code. Default false.
	Publish bool
}

// OriginAccessControl signs the requests of a distribution.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-originaccesscontrol.html
type OriginAccessControl struct {
	Base
	Name string
	// Type is s3, lambda, mediastore or mediapackagev2. Signing is always, never or no-override.
	Type, Signing string
}

// VPCOrigin is a way of CloudFront into a VPC.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudfront-vpcorigin.html
type VPCOrigin struct {
	Base
	Name string
	// LoadBalancer is nil if something else is behind the origin.
	LoadBalancer *LoadBalancer
	// Protocol is http-only, https-only or match-viewer (the default).
	Protocol            string
	HTTPPort, HTTPSPort int
}

// Bucket is a bucket of S3.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
type Bucket struct {
	Base
	Name string
}

// BucketFiles are files of assets that a deployment copies into a bucket. CDK has a function of Lambda for it.
// https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_s3_deployment-readme.html
type BucketFiles struct {
	Base
	// Assets are the sources. One is nil if it is not in the assembly.
	Assets []*assembly.FileAsset
	// Bucket is nil if it is not in the assembly.
	Bucket *Bucket
	// Prefix goes before the paths of the files. Empty: nothing does.
	Prefix string
	// Extract unpacks the sources. Default true.
	Extract bool
	// Prune deletes what is under the prefix and not in the sources. Default true.
	Prune bool
	// Retain keeps the files of a deployment that goes or that moves to another place. Default true.
	Retain bool
	// Headers are those of each object, as in Cache-Control.
	Headers http.Header
	// Invalidates is the key of the distribution that forgets what it has of Paths afterwards; empty for none.
	Invalidates string
	Paths       []string
}

func (m *Model) readCloudFront() {
	m.Buckets = all(m, S3Bucket, func(b *Bucket, p assembly.Value) { b.Name = name(&b.Base, p.Field("BucketName")) })
	distinguish(m.Buckets, "BucketName", func(b *Bucket) *string { return &b.Name })
	m.BucketFiles = all(m, BucketDeployment, m.bucketFiles)
	all(m, CloudFrontCachePolicy, (*CachePolicy).read)
	all(m, CloudFrontOriginRequestPolicy, (*OriginRequestPolicy).read)
	all(m, CloudFrontResponseHeadersPolicy, (*ResponseHeadersPolicy).read)
	all(m, CloudFrontFunction, (*EdgeFunction).read)
	all(m, CloudFrontOriginAccessControl, func(o *OriginAccessControl, p assembly.Value) {
		config := p.Field("OriginAccessControlConfig")
		o.Name, o.Type, o.Signing = config.Field("Name").Keyed(), config.Field("OriginAccessControlOriginType").Text(""), config.Field("SigningBehavior").Text("")
	})
	all(m, CloudFrontVPCOrigin, m.vpcOrigin)
	m.Distributions = all(m, CloudFrontDistribution, m.distribution)
	distinguish(m.Distributions, "Name", func(d *Distribution) *string { return &d.Name })
}

func (m *Model) distribution(d *Distribution, p assembly.Value) {
	d.Name = readable(d.Resource)
	config := p.Field("DistributionConfig")
	for _, alias := range config.Field("Aliases").List() {
		d.Aliases = append(d.Aliases, alias.Keyed())
	}
	d.Enabled = config.Field("Enabled").Bool(false)
	d.DefaultRootObject = config.Field("DefaultRootObject").Text("")
	d.GeoRestriction = config.Field("Restrictions").Field("GeoRestriction").Field("RestrictionType").Text("none")
	d.OriginGroups = config.Field("OriginGroups").Field("Quantity").Int(0, 0, 1000)
	for _, v := range config.Field("Origins").List() {
		d.Origins = append(d.Origins, m.origin(d, v))
	}
	for i, v := range config.Field("CacheBehaviors").List() {
		b := m.behavior(d, v)
		b.Property = fmt.Sprintf("DistributionConfig.CacheBehaviors[%d]", i)
		// "CloudFront behavior is the same with or without the leading /", on the page of the property.
		if b.Pattern = v.Field("PathPattern").Need("a path pattern").Text(""); !strings.HasPrefix(b.Pattern, "*") {
			b.Pattern = "/" + strings.TrimPrefix(b.Pattern, "/")
		}
		d.Behaviors = append(d.Behaviors, b)
	}
	last := m.behavior(d, config.Field("DefaultCacheBehavior").Need("a default behavior"))
	last.Property, last.Pattern = "DistributionConfig.DefaultCacheBehavior", "*"
	d.Behaviors = append(d.Behaviors, last)
	for _, v := range config.Field("CustomErrorResponses").List() {
		e := ErrorResponse{Code: v.Field("ErrorCode").Need("a status").Int(0, 400, 599), TTL: v.Field("ErrorCachingMinTTL").Seconds(int(DefaultErrorTTL/time.Second), 0, maxTTL)}
		e.Page, e.Status = v.Field("ResponsePagePath").Text(""), v.Field("ResponseCode").Int(0, 200, 599)
		if (e.Page == "") != (e.Status == 0) {
			v.Refuse("AWS refuses one of ResponsePagePath and ResponseCode without the other")
		}
		d.ErrorResponses = append(d.ErrorResponses, e)
	}
}

// maxTTL is the longest time to live, in seconds: 100 years.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
const maxTTL = 100 * 365 * 24 * 60 * 60

func (m *Model) origin(d *Distribution, v assembly.Value) *Origin {
	o := &Origin{ID: v.Field("Id").Keyed()}
	o.Domain, o.Parts = v.Field("DomainName").Need("a domain").Mixed()
	o.Path = mixed("OriginPath", v.Field("OriginPath"))
	o.Attempts, o.ConnectionTimeout = v.Field("ConnectionAttempts").Int(3, 1, 3), v.Field("ConnectionTimeout").Seconds(10, 1, 10)
	o.ReadTimeout, o.KeepAlive = 30*time.Second, 5*time.Second
	o.Shield = v.Field("OriginShield").Field("Enabled").Bool(false)
	if o.Shield {
		v.Field("OriginShield").Field("OriginShieldRegion") // Shield is refused already
	}
	for _, h := range v.Field("OriginCustomHeaders").List() {
		o.Headers = append(o.Headers, mixed(h.Field("HeaderName").Text(""), h.Field("HeaderValue")))
	}
	o.AccessControl = elsewhere[OriginAccessControl](m, v.Field("OriginAccessControlId"), CloudFrontOriginAccessControl, "Id")
	timeouts := func(of assembly.Value) {
		o.ReadTimeout, o.KeepAlive = of.Field("OriginReadTimeout").Seconds(30, 1, 180), of.Field("OriginKeepaliveTimeout").Seconds(5, 1, 180)
	}
	if custom := v.Field("CustomOriginConfig"); custom.Present() {
		timeouts(custom)
		o.Protocol = custom.Field("OriginProtocolPolicy").OneOf("match-viewer", "http-only", "https-only")
		o.HTTPPort, o.HTTPSPort = custom.Field("HTTPPort").Int(80, 1, 65535), custom.Field("HTTPSPort").Int(443, 1, 65535)
	}
	if vpc := v.Field("VpcOriginConfig"); vpc.Present() {
		timeouts(vpc)
		if o.VPCOrigin = refer[VPCOrigin](m, vpc.Field("VpcOriginId"), CloudFrontVPCOrigin, "Id"); o.VPCOrigin != nil {
			o.Protocol, o.HTTPPort, o.HTTPSPort = o.VPCOrigin.Protocol, o.VPCOrigin.HTTPPort, o.VPCOrigin.HTTPSPort
			o.LoadBalancer = o.VPCOrigin.LoadBalancer
		}
	}
	if identity := v.Field("S3OriginConfig").Field("OriginAccessIdentity"); identity.Keyed() != "" {
		identity.Refuse("an origin access identity is not known here: give the origin an origin access control")
	}
	for i, part := range o.Parts {
		ref, ok := part.(assembly.Ref)
		if !ok {
			continue
		}
		switch ref.Resource.Type {
		case S3Bucket:
			o.Bucket, _ = m.values[ref.Resource].(*Bucket)
		case APIGatewayRestAPI:
			if behind, _ := o.Parts[min(i+1, len(o.Parts)-1)].(string); strings.HasPrefix(behind, ".execute-api.") {
				o.API, _ = m.values[ref.Resource].(*RestAPI)
			}
		}
	}
	if o.Domain == "" && o.Parts == nil { // with a region that only a deployment tells
		for _, r := range m.named(d.Resource, v.Field("DomainName").Raw()) {
			if api, ok := m.values[r].(*RestAPI); ok {
				o.API = api
			}
		}
	}
	if o.LoadBalancer == nil {
		o.LoadBalancer = m.BalancerIn(o.Parts)
	}
	for _, lb := range m.LoadBalancers {
		if o.LoadBalancer == nil && o.Domain != "" && slices.Contains(lb.Domains, o.Domain) {
			o.LoadBalancer = lb
		}
	}
	return o
}

// mixed reads a text, some of which a deployment may tell.
func mixed(name string, v assembly.Value) Variable {
	value := Variable{Name: name}
	value.Value, value.Parts = v.Mixed()
	return value
}

func (m *Model) behavior(d *Distribution, v assembly.Value) *Behavior {
	b := &Behavior{ViewerProtocol: v.Field("ViewerProtocolPolicy").OneOf("allow-all", "https-only", "redirect-to-https"), Compress: v.Field("Compress").Bool(false)}
	id := v.Field("TargetOriginId").Need("an origin").Keyed()
	if i := slices.IndexFunc(d.Origins, func(o *Origin) bool { return o.ID == id }); i >= 0 {
		b.Origin = d.Origins[i]
	} else {
		v.Field("TargetOriginId").Refuse("the distribution has no origin %q", id)
	}
	methods := func(of assembly.Value) []string {
		if !of.Present() {
			return []string{"GET", "HEAD"}
		}
		return of.Texts()
	}
	b.Methods, b.CachedMethods = methods(v.Field("AllowedMethods")), methods(v.Field("CachedMethods"))
	b.CachePolicy = policy(m, v.Field("CachePolicyId"), CloudFrontCachePolicy, cachePolicies)
	b.OriginRequestPolicy = policy(m, v.Field("OriginRequestPolicyId"), CloudFrontOriginRequestPolicy, originRequestPolicies)
	b.ResponseHeadersPolicy = policy(m, v.Field("ResponseHeadersPolicyId"), CloudFrontResponseHeadersPolicy, responseHeadersPolicies)
	for _, f := range v.Field("FunctionAssociations").List() {
		function := refer[EdgeFunction](m, f.Field("FunctionARN"), CloudFrontFunction, "FunctionARN", "FunctionMetadata.FunctionARN")
		switch f.Field("EventType").OneOf("viewer-request", "viewer-response") {
		case "viewer-request":
			b.ViewerRequest = function
		default:
			b.ViewerResponse = function
		}
	}
	return b
}

// policy is a policy by its id: one of the assembly, or one that AWS manages.
func policy[T any](m *Model, v assembly.Value, resourceType string, managed map[string]*T) *T {
	if !v.Present() {
		return nil
	}
	if r := v.Elsewhere(resourceType, "Id"); r != nil {
		value, _ := m.values[r].(*T)
		return value
	}
	id := v.Text("")
	if managed[id] == nil {
		v.Refuse("%q is no policy of the assembly, and none of the policies of AWS that are known here", id)
	}
	return managed[id]
}

func (c *CachePolicy) read(p assembly.Value) {
	config := p.Field("CachePolicyConfig")
	c.Name = config.Field("Name").Keyed()
	c.MinTTL, c.TTL, c.MaxTTL = config.Field("MinTTL").Seconds(0, 0, maxTTL), config.Field("DefaultTTL").Seconds(86400, 0, maxTTL), config.Field("MaxTTL").Seconds(31536000, 0, maxTTL)
	key := config.Field("ParametersInCacheKeyAndForwardedToOrigin")
	c.AcceptGzip, c.AcceptBrotli = key.Field("EnableAcceptEncodingGzip").Bool(false), key.Field("EnableAcceptEncodingBrotli").Bool(false)
	c.Query, c.Headers, c.Cookies = selections(key)
}

func (o *OriginRequestPolicy) read(p assembly.Value) {
	config := p.Field("OriginRequestPolicyConfig")
	o.Name = config.Field("Name").Keyed()
	o.Query, o.Headers, o.Cookies = selections(config)
}

func selections(v assembly.Value) (query, headers, cookies Selection) {
	one := func(object, behavior, names string, known ...string) Selection {
		of := v.Field(object)
		return Selection{of.Field(behavior).OneOf(known...), of.Field(names).Texts()}
	}
	return one("QueryStringsConfig", "QueryStringBehavior", "QueryStrings", "none", "whitelist", "all", "allExcept"),
		one("HeadersConfig", "HeaderBehavior", "Headers", "none", "whitelist", "allViewer", "allViewerAndWhitelistCloudFront", "allExcept"),
		one("CookiesConfig", "CookieBehavior", "Cookies", "none", "whitelist", "all", "allExcept")
}

func (r *ResponseHeadersPolicy) read(p assembly.Value) {
	config := p.Field("ResponseHeadersPolicyConfig")
	r.Name = config.Field("Name").Keyed()
	for _, v := range config.Field("RemoveHeadersConfig").Field("Items").List() {
		r.Removed = append(r.Removed, v.Field("Header").Text(""))
	}
	add := func(of assembly.Value, value Variable) {
		if of.Present() {
			r.Headers = append(r.Headers, ResponseHeader{value, of.Field("Override").Bool(false)})
		}
	}
	security := config.Field("SecurityHeadersConfig")
	csp := security.Field("ContentSecurityPolicy")
	add(csp, mixed("Content-Security-Policy", csp.Field("ContentSecurityPolicy")))
	add(security.Field("ContentTypeOptions"), Variable{Name: "X-Content-Type-Options", Value: "nosniff"})
	frame := security.Field("FrameOptions")
	add(frame, mixed("X-Frame-Options", frame.Field("FrameOption")))
	referrer := security.Field("ReferrerPolicy")
	add(referrer, mixed("Referrer-Policy", referrer.Field("ReferrerPolicy")))
	hsts := security.Field("StrictTransportSecurity")
	value := "max-age=" + hsts.Field("AccessControlMaxAgeSec").Text("0")
	if hsts.Field("IncludeSubdomains").Bool(false) {
		value += "; includeSubDomains"
	}
	if hsts.Field("Preload").Bool(false) {
		value += "; preload"
	}
	add(hsts, Variable{Name: "Strict-Transport-Security", Value: value})
	xss := security.Field("XSSProtection")
	value = "0"
	if xss.Field("Protection").Bool(false) {
		value = "1"
		if xss.Field("ModeBlock").Bool(false) {
			value += "; mode=block"
		}
		if uri := xss.Field("ReportUri").Text(""); uri != "" {
			value += "; report=" + uri
		}
	}
	add(xss, Variable{Name: "X-XSS-Protection", Value: value})
	for _, v := range config.Field("CustomHeadersConfig").Field("Items").List() {
		add(v, mixed(v.Field("Header").Need("a name").Text(""), v.Field("Value")))
	}
	if cors := config.Field("CorsConfig"); cors.Present() {
		r.CORS = true
		for _, member := range cors.Names() { // CORS is refused as a whole
			cors.Field(member)
		}
	}
}

func (f *EdgeFunction) read(p assembly.Value) {
	f.Name = p.Field("Name").Keyed()
	f.Code, f.Publish = mixed("FunctionCode", p.Field("FunctionCode").Need("JavaScript")), p.Field("AutoPublish").Bool(false)
	f.Runtime = p.Field("FunctionConfig").Field("Runtime").Text("")
}

func (m *Model) vpcOrigin(o *VPCOrigin, p assembly.Value) {
	config := p.Field("VpcOriginEndpointConfig")
	o.Name = config.Field("Name").Keyed()
	o.LoadBalancer = elsewhere[LoadBalancer](m, config.Field("Arn"), ELBLoadBalancer, "LoadBalancerArn")
	o.Protocol = config.Field("OriginProtocolPolicy").OneOf("match-viewer", "http-only", "https-only")
	o.HTTPPort, o.HTTPSPort = config.Field("HTTPPort").Int(80, 1, 65535), config.Field("HTTPSPort").Int(443, 1, 65535)
}

func (m *Model) bucketFiles(b *BucketFiles, p assembly.Value) {
	for _, key := range p.Field("SourceObjectKeys").List() {
		b.Assets = append(b.Assets, m.file(b.Resource.Stack, key.Text("")))
	}
	b.Bucket = elsewhere[Bucket](m, p.Field("DestinationBucketName"), S3Bucket)
	b.Prefix = strings.Trim(p.Field("DestinationBucketKeyPrefix").Text(""), "/")
	b.Extract, b.Prune, b.Retain = p.Field("Extract").Bool(true), p.Field("Prune").Bool(true), p.Field("RetainOnDelete").Bool(true)
	for _, property := range []string{"SourceMarkers", "SourceMarkersConfig"} {
		for _, v := range p.Field(property).List() {
			if len(v.Names()) > 0 {
				v.Refuse("values that a deployment tells are not written into files here")
			}
		}
	}
	if d := p.Field("DistributionId").Elsewhere(CloudFrontDistribution, "Id"); d != nil {
		b.Invalidates = d.String()
	}
	if b.Paths = p.Field("DistributionPaths").Texts(); b.Paths == nil {
		b.Paths = []string{strings.TrimSuffix("/"+b.Prefix, "/") + "/*"}
	}
	b.Headers = http.Header{}
	metadata := p.Field("SystemMetadata")
	for _, name := range metadata.Names() {
		b.Headers.Set(name, metadata.Field(name).Text(""))
	}
}

// Reads says whether a distribution may read the objects of a bucket, and whether it may list them. A missing object is
// answered with 404 to those who may list, and with 403 to others.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (m *Model) Reads(d *Distribution, o *Origin) (reads, lists bool) {
	for _, p := range m.ResourcePolicies {
		if of, err := p.Resource.Resolve(m.Assembly, "Bucket"); p.Resource.Type != S3BucketPolicy || err != nil || of != (assembly.Ref{Resource: o.Bucket.Resource}) {
			continue
		}
		for _, s := range p.Statements {
			service := slices.Contains(s.Principals["Service"], any("cloudfront.amazonaws.com")) && o.AccessControl != nil && o.AccessControl.Signing != "never"
			if s.Effect != "Allow" || !service && !slices.Contains(s.Principals["AWS"], any("*")) || !admits(s, d) {
				continue
			}
			for _, action := range s.Actions {
				text, _ := action.(string)
				reads = reads || Matches(text, "s3:GetObject")
				lists = lists || Matches(text, "s3:ListBucket")
			}
		}
	}
	return reads, lists
}

// admits says whether the conditions of a statement are about a distribution, or whether there are none.
func admits(s Statement, d *Distribution) bool {
	for _, keys := range s.Condition {
		for key, values := range keys {
			if !strings.EqualFold(key, "aws:sourcearn") {
				return false
			}
			if !slices.ContainsFunc(values, func(value any) bool {
				text, ok := value.(assembly.Text)
				return ok && slices.ContainsFunc(text, func(part any) bool { ref, ok := part.(assembly.Ref); return ok && ref.Resource == d.Resource })
			}) {
				return false
			}
		}
	}
	return true
}
