package cloudfront

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// forAWS are settings without an effect here, each with its one value, or "" for any.
var forAWS = map[string]string{
	"Comment": "", "Tags": "", "Description": "", "HttpVersion": "", "IPV6Enabled": "", "AnycastIpListId": "", "IpAddressType": "", "OriginSSLProtocols": "",
	"SmoothStreaming": "false", "Staging": "false", "ConnectionMode": "direct",
	// Lists that may be empty.
	"LambdaFunctionAssociations": "[]", "TrustedKeyGroups": "[]", "TrustedSigners": "[]", "KeyValueStoreAssociations": "[]", "Locations": "[]",
	// Of functions and access controls.
	"FunctionMetadata": "", "SigningProtocol": "",
	// Of the files of a bucket.
	"ServiceToken": "", "SourceBucketNames": "", "DestinationBucketArn": "", "OutputObjectKeys": "", "OutputObjectVersionIds": "", "SignContent": "",
	"WaitForDistributionInvalidation": "",
}

// listed are settings that are passed over, with the reason.
var listed = map[string]string{
	"Logging":                   "no access log is written here",
	"RealtimeLogConfigArn":      "no access log is written here",
	"WebACLId":                  "no web ACL is evaluated here",
	"PriceClass":                "there is one edge location here",
	"ViewerCertificate":         withoutTLS,
	"ServerTimingHeadersConfig": "no header Server-Timing is sent here",
	"ResponseCompletionTimeout": "an answer may take as long as it likes here, if the origin is not silent",
}

const withoutTLS = "viewers speak HTTP without TLS here"

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"LambdaFunctionAssociations":    "Lambda@Edge does not run here: use a function of CloudFront",
	"TrustedKeyGroups":              "signed URLs and cookies are not checked here, so what is private would be open",
	"TrustedSigners":                "signed URLs and cookies are not checked here, so what is private would be open",
	"FieldLevelEncryptionId":        "no field is encrypted here",
	"OriginGroups":                  "no second origin is asked here",
	"Locations":                     "the country of a viewer is not known here",
	"ContinuousDeploymentPolicyId":  "no part of the requests goes to a second distribution here",
	"Staging":                       "no part of the requests goes to a second distribution here",
	"KeyValueStoreAssociations":     "there is no key value store here: write the values into the function",
	"ForwardedValues":               "give the behavior a cache policy in place of settings of its own",
	"GrpcConfig":                    "gRPC is not spoken here",
	"ViewerMtlsConfig":              "certificates of viewers are not verified here",
	"OriginMtlsConfig":              "no certificate is sent to origins here",
	"ConnectionFunctionAssociation": "there is no TLS of viewers here",
	"TenantConfig":                  "a distribution for several tenants does not run here",
	"CustomOrigin":                  "give the distribution Origins",
	"S3Origin":                      "give the distribution Origins",
	"Exclude":                       "all files of a source are copied here",
	"Include":                       "all files of a source are copied here",
	"UserMetadata":                  "objects have no metadata of their own here",
}

// Settings that are honoured with some values.
var (
	limits = []provider.Limit[*model.Distribution]{
		{Property: "DistributionConfig.Restrictions.GeoRestriction.RestrictionType", Value: func(d *model.Distribution) string { return d.GeoRestriction }, Values: []string{"none"}, Why: notHonoured["Locations"]},
	}
	functionLimits = []provider.Limit[*model.EdgeFunction]{
		{Property: "FunctionConfig.Runtime", Value: func(f *model.EdgeFunction) string { return f.Runtime }, Values: []string{"cloudfront-js-1.0", "cloudfront-js-2.0"}},
		{Property: "AutoPublish", Value: func(f *model.EdgeFunction) string { return fmt.Sprint(f.Publish) }, Values: []string{"true"}, Why: "a distribution runs what is published"},
	}
	accessLimits = []provider.Limit[*model.OriginAccessControl]{
		{Property: "OriginAccessControlConfig.OriginAccessControlOriginType", Value: func(o *model.OriginAccessControl) string { return o.Type }, Values: []string{"s3"}, Why: "only buckets are signed for here"},
	}
)

// Compatibility is what becomes of the settings of distributions, and of what belongs to them.
func Compatibility() []provider.Compatibility {
	return slices.Concat(provider.Limits(limits), provider.Limits(functionLimits), provider.Limits(accessLimits), provider.Settings(forAWS, nil, listed, notHonoured), []provider.Compatibility{
		{Setting: "OriginShield.Enabled", Here: "only `false`", Why: originShield},
		{Setting: "CorsConfig", Here: "refused", Why: withoutCORS},
		{Setting: "ViewerProtocolPolicy", Here: "passed over, and listed", Why: withoutTLS},
		{Setting: "HeaderValue", Here: "honoured", Why: "a dynamic reference, `{{resolve:…}}`, is its own value: nothing is resolved here"},
	})
}

const (
	originShield = "there is one cache here"
	withoutCORS  = "no header depends on the Origin of a request here: let the origin set them"
)

func ignored() map[string]string { return provider.Ignored(forAWS, listed) }

// honoured refuses what is not honoured here.
func (p *plan) honoured() error {
	var errs []error
	check := func(b *model.Base) {
		if b.Resource != nil {
			errs = append(errs, b.Unsupported(ignored(), notHonoured))
		}
	}
	for _, key := range p.wanted.Keys() {
		d := p.wanted[key]
		check(&d.Base)
		for _, limit := range limits {
			errs = append(errs, limit.Check(&d.Base, d))
		}
		errs = append(errs, p.distributionErrors(d))
		for _, o := range d.Origins {
			if a := o.AccessControl; a != nil {
				check(&a.Base)
				for _, limit := range accessLimits {
					errs = append(errs, limit.Check(&a.Base, a))
				}
			}
			if o.VPCOrigin != nil {
				check(&o.VPCOrigin.Base)
			}
		}
		for _, b := range d.Behaviors {
			if b.CachePolicy != nil {
				check(&b.CachePolicy.Base)
				errs = append(errs, madeHeaders(&b.CachePolicy.Base, "CachePolicyConfig.ParametersInCacheKeyAndForwardedToOrigin.HeadersConfig", b.CachePolicy.Headers))
			}
			if o := b.OriginRequestPolicy; o != nil {
				check(&o.Base)
				errs = append(errs, madeHeaders(&o.Base, "OriginRequestPolicyConfig.HeadersConfig", o.Headers))
				// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/add-origin-custom-headers.html#add-origin-custom-headers-forward-authorization
				if o.Resource != nil && o.Headers.Behavior == "whitelist" && slices.ContainsFunc(o.Headers.Names, func(name string) bool { return strings.EqualFold(name, "Authorization") }) {
					errs = append(errs, o.Errorf("OriginRequestPolicyConfig.HeadersConfig.Headers", "AWS refuses the header Authorization: name it in the cache policy, or forward all headers of viewers"))
				}
			}
			if r := b.ResponseHeadersPolicy; r != nil {
				check(&r.Base)
				if r.CORS {
					errs = append(errs, r.Errorf("ResponseHeadersPolicyConfig.CorsConfig", "it is not honoured: %s", withoutCORS))
				}
			}
			for _, f := range []*model.EdgeFunction{b.ViewerRequest, b.ViewerResponse} {
				if f == nil {
					continue
				}
				check(&f.Base)
				for _, limit := range functionLimits {
					errs = append(errs, limit.Check(&f.Base, f))
				}
			}
		}
	}
	for _, key := range p.files.Keys() {
		errs = append(errs, filesErrors(p.files[key]))
	}
	return assembly.Join(errs...)
}

// madeHeaders refuses headers that CloudFront makes up.
func madeHeaders(b *model.Base, property string, s model.Selection) error {
	if s.Behavior == "allViewerAndWhitelistCloudFront" {
		return b.Errorf(property+".HeaderBehavior", "%q is not honoured: nothing here adds the headers of CloudFront", s.Behavior)
	}
	for _, name := range s.Names {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "Cloudfront-") {
			return b.Errorf(property+".Headers", "the header %s is not honoured: nothing here adds the headers of CloudFront", name)
		}
	}
	return nil
}

// methods are the lists of methods that AWS takes.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_AllowedMethods.html
var methods = []string{"GET HEAD", "GET HEAD OPTIONS", "DELETE GET HEAD OPTIONS PATCH POST PUT"}

func (p *plan) distributionErrors(d *model.Distribution) error {
	var errs []error
	if strings.HasPrefix(d.DefaultRootObject, "/") {
		errs = append(errs, d.Errorf("DistributionConfig.DefaultRootObject", "%q begins with a slash: AWS would not find the object", d.DefaultRootObject))
	}
	if d.OriginGroups > 0 {
		errs = append(errs, d.Errorf("DistributionConfig.OriginGroups", "it is not honoured: %s", notHonoured["OriginGroups"]))
	}
	for i, o := range d.Origins {
		at := fmt.Sprintf("DistributionConfig.Origins[%d]", i)
		if o.Shield {
			errs = append(errs, d.Errorf(at+".OriginShield.Enabled", "true is not honoured: %s", originShield))
		}
		switch {
		case o.Bucket != nil && o.Protocol != "":
			errs = append(errs, d.Errorf(at+".DomainName", "the website endpoint of a bucket is not here: give the origin the bucket's RegionalDomainName and an origin access control"))
		case o.Bucket != nil:
		case o.API != nil:
			if p.stage(o) == nil {
				errs = append(errs, d.Errorf(at+".OriginPath", "%q does not begin with the name of a stage of %v", o.Path.Value+o.Path.Parts.String(), o.API.Resource))
			}
		case o.LoadBalancer != nil:
			port, protocol := port(d, o), "HTTP"
			if https(d, o) {
				protocol = "HTTPS"
			}
			if !slices.ContainsFunc(p.model.Listeners, func(l *model.Listener) bool {
				return l.LoadBalancer == o.LoadBalancer && l.Port == port && l.Protocol == protocol
			}) {
				errs = append(errs, d.Errorf(at, "CloudFront asks %v by %s at port %d, and the load balancer has no such listener", o.LoadBalancer.Resource, protocol, port))
			}
		default:
			errs = append(errs, d.Errorf(at+".DomainName", "%s does not answer here: only buckets, load balancers and stages of REST APIs of the assembly are origins", o.Domain+o.Parts.String()))
		}
	}
	patterns := map[string]bool{}
	for _, b := range d.Behaviors {
		if b.CachePolicy == nil && d.Problem(b.Property+".CachePolicyId") == nil {
			errs = append(errs, d.Errorf(b.Property+".CachePolicyId", "it is missing: %s", notHonoured["ForwardedValues"]))
		}
		if all := strings.Join(slices.Sorted(slices.Values(b.Methods)), " "); !slices.Contains(methods, all) {
			errs = append(errs, d.Errorf(b.Property+".AllowedMethods", "AWS refuses %s: it takes %s", all, strings.Join(methods, ", or ")))
		}
		if o := b.Origin; o != nil && (o.API != nil || o.Bucket != nil) && forwardsHost(b) {
			errs = append(errs, d.Errorf(b.Property, "the origin %s gets the Host of the viewer, and AWS would answer 403: buckets and REST APIs take their own names alone; use AllViewerExceptHostHeader", o.ID))
		}
		if patterns[b.Pattern] {
			errs = append(errs, d.Errorf(b.Property+".PathPattern", "AWS refuses a second behavior with the pattern %s", b.Pattern))
		}
		patterns[b.Pattern] = b.Pattern != "*" // the default behavior comes last
	}
	for i, e := range d.ErrorResponses {
		if e.Page != "" && !strings.HasPrefix(e.Page, "/") {
			errs = append(errs, d.Errorf(fmt.Sprintf("DistributionConfig.CustomErrorResponses[%d].ResponsePagePath", i), "AWS refuses %q: a path begins with a slash", e.Page))
		}
	}
	return assembly.Join(errs...)
}

// forwardsHost says whether an origin gets the Host that the viewer sent.
func forwardsHost(b *model.Behavior) bool {
	forwards := func(s model.Selection) bool { return chosen(s, "Host", strings.EqualFold) }
	return b.CachePolicy != nil && forwards(b.CachePolicy.Headers) || b.OriginRequestPolicy != nil && forwards(b.OriginRequestPolicy.Headers)
}

func filesErrors(f *model.BucketFiles) error {
	errs := []error{f.Unsupported(ignored(), notHonoured)}
	for i, asset := range f.Assets {
		at := fmt.Sprintf("SourceObjectKeys[%d]", i)
		if asset == nil {
			errs = append(errs, f.Errorf(at, "the object is no asset of the assembly: only files that the app has are here"))
		} else if _, err := os.Stat(asset.Path); err != nil {
			errs = append(errs, f.Errorf(at, "the asset cannot be read: %v", err))
		}
	}
	return assembly.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	add := func(b *model.Base, subject, property, setting, why string) {
		if one := (provider.PassedOver{Place: b.Key() + "/Properties." + property, Subject: subject, Setting: setting, Why: why}); !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	list := func(b *model.Base, subject string) {
		for _, setting := range b.Settings {
			parts := strings.Split(strings.TrimPrefix(setting.Property, "Properties."), ".")
			for i, part := range parts {
				if why, ok := listed[part]; ok {
					add(b, subject, strings.Join(parts[:i+1], "."), part, why)
				}
			}
		}
	}
	for _, key := range p.wanted.Keys() {
		d := p.wanted[key]
		list(&d.Base, d.Name)
		for _, b := range d.Behaviors {
			if b.ViewerProtocol != "allow-all" {
				add(&d.Base, d.Name, b.Property+".ViewerProtocolPolicy", "ViewerProtocolPolicy", withoutTLS)
			}
			if r := b.ResponseHeadersPolicy; r != nil {
				list(&r.Base, r.Name)
			}
		}
	}
	return all
}
