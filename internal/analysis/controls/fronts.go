package controls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Reasons of controls of fronts.
const (
	ofVersion2  = "does not apply: it is about APIs of version 2 of API Gateway"
	noDomain    = "a certificate needs a domain name; without one CloudFront answers at a name of its own, with a certificate and a TLS policy of its own"
	noACL       = "what to block depends on the app, and a web ACL is paid by its rules and requests"
	onePage     = "the page and the API are for everybody; who may write is decided behind CloudFront"
	privateLink = "the load balancer admits the security group of the VPC link alone"
)

// yours is a control of what not every deployment has, and that is met with a setting.
func yours(of, id, resourceType, title, setting, reason string, check check) Control {
	return Control{ID: id, Title: title, Type: resourceType, Setting: setting, Yours: true, Reason: reason, Optional: of, check: check}
}

// ofPage is a control that production meets with a setting, if the page is on.
func ofPage(id, title, setting, reason string, check check) Control {
	return Control{ID: id, Title: title, Type: model.CloudFrontDistribution, Setting: setting, Reason: reason, Optional: aPage, check: check}
}

// apiGateway are the controls of REST APIs (https://docs.aws.amazon.com/securityhub/latest/userguide/apigateway-controls.html).
var apiGateway = []Control{
	optional(anAPI, "APIGateway.1", model.APIGatewayStage, "logs errors of requests", every(model.APIGatewayStage, func(s *model.APIStage) string {
		for _, one := range s.Settings {
			if one.LoggingLevel == "OFF" {
				return "has no execution log for " + methodOf(one)
			}
		}
		return unless(slices.ContainsFunc(s.Settings, func(one model.MethodSettings) bool { return one.Path == "*" && one.Method == "*" }), "has no execution log for all methods")
	}, "MethodSettings")),
	argued("APIGateway.2", model.APIGatewayStage, "has a certificate for its backend", "not met: a load balancer could check a client certificate only with a listener of HTTPS and a trust store; instead "+privateLink),
	optional(anAPI, "APIGateway.3", model.APIGatewayStage, "is traced by X-Ray",
		every(model.APIGatewayStage, needs(func(s *model.APIStage) bool { return s.Tracing }, "is not traced"), "TracingEnabled")),
	yours(anAPI, "APIGateway.4", model.APIGatewayStage, "has a web ACL of AWS WAF", "waf", noACL, protectedStages),
	optional(anAPI, "APIGateway.5", model.APIGatewayStage, "encrypts its cache, if any", every(model.APIGatewayStage, func(s *model.APIStage) string {
		for _, one := range s.Settings {
			if one.Cached && !one.Encrypted {
				return "does not encrypt the cache of " + methodOf(one)
			}
		}
		return ""
	}, "MethodSettings")),
	argued("APIGateway.8", model.APIGatewayMethod, "says who is authorized", ofVersion2+"; a method without authorization is open on purpose, and the review shows a method that loses its authorization above everything else"),
	argued("APIGateway.9", model.APIGatewayStage, "logs requests", ofVersion2+"; the stage of a REST API logs requests, too"),
	argued("APIGateway.10", model.APIGatewayMethod, "uses HTTPS behind a VPC link", ofVersion2+"; with certificateArn, the methods of a REST API use HTTPS behind the VPC link"),
	argued("APIGateway.11", model.APIGatewayRestAPI, "has a recommended TLS policy at its domain name", "does not apply: the API has no domain name of its own; a domain name is CloudFront's"),
}

// methodOf is the method and the path of settings of a stage.
func methodOf(s model.MethodSettings) string { return s.Method + " " + s.Path }

// protectedStages finds stages without a web ACL.
func protectedStages(r *report) {
	for _, stage := range some[*model.APIStage](r, model.APIGatewayStage) {
		protected := slices.ContainsFunc(r.WebACLs, func(w *model.WebACL) bool { return slices.Contains(w.Protects, stage.Key()) })
		r.find(stage, unless(protected, "has no web ACL"), "StageName", "RestApiId")
	}
}

// ourOwn are the controls that Security Hub does not have.
var ourOwn = []Control{
	yours(aFront, "Cutover.1", model.ELBLoadBalancer, "admits only the fronts before it", "directAccess",
		"who asks the load balancer itself passes by the front, and so by its IAM, limits, web ACL and logs; closing this door is a step of its own, once all clients use the front", func(r *report) {
			for _, lb := range r.Fronted() {
				for _, door := range r.Doors(lb) {
					r.find(lb, fmt.Sprintf("admits %s past its front: set directAccess to off", door.Who), "SecurityGroups")
				}
			}
		}),
}

// cloudFront are the controls of distributions (https://docs.aws.amazon.com/securityhub/latest/userguide/cloudfront-controls.html).
var cloudFront = []Control{
	optional(aPage, "CloudFront.1", model.CloudFrontDistribution, "has a default root object",
		distributions(needs(func(p assembly.Value) bool { return p.Field("DefaultRootObject").Text("") != "" }, "has no default root object"))),
	optional(aPage, "CloudFront.3", model.CloudFrontDistribution, "asks clients for HTTPS", distributions(func(p assembly.Value) string {
		for _, behavior := range append(p.Field("CacheBehaviors").List(), p.Field("DefaultCacheBehavior")) {
			if policy := behavior.Field("ViewerProtocolPolicy").Text("allow-all"); policy != "https-only" && policy != "redirect-to-https" {
				return "answers over plain HTTP for " + behavior.Field("PathPattern").Text("all other paths")
			}
		}
		return ""
	})),
	argued("CloudFront.4", model.CloudFrontDistribution, "has a second origin", "not met: the page is in one bucket, and S3 keeps it in several zones; a second origin would be a copy in another region"),
	ofPage("CloudFront.5", "logs requests", "accessLogs", "as ELB.5: the services log every request themselves, and CloudFront's own lines need a bucket and its storage",
		distributions(needs(func(p assembly.Value) bool { return p.Field("Logging").Field("Bucket").Present() }, "does not log requests"))),
	argued("CloudFront.6", model.CloudFrontDistribution, "has a web ACL of AWS WAF", "not met: a web ACL for CloudFront is in us-east-1, and the templates name no region; with waf the API has one, and the page has nothing to attack but files"),
	yours(aPage, "CloudFront.7", model.CloudFrontDistribution, "has a certificate of its own", "uiCertificateArn", noDomain, distributions(func(p assembly.Value) string {
		return unless(ownCertificate(p), "has CloudFront's certificate")
	})),
	optional(aPage, "CloudFront.8", model.CloudFrontDistribution, "uses SNI, if it has a certificate of its own", distributions(func(p assembly.Value) string {
		return unless(!ownCertificate(p) || p.Field("ViewerCertificate").Field("SslSupportMethod").Text("") == "sni-only", "has an address of its own")
	})),
	optional(aPage, "CloudFront.9", model.CloudFrontDistribution, "asks the load balancer or API Gateway by HTTPS, if they are in the internet", customOrigins(func(origin assembly.Value) string {
		return unless(origin.Field("OriginProtocolPolicy").Text("") == "https-only", "asks by plain HTTP")
	})),
	optional(aPage, "CloudFront.10", model.CloudFrontDistribution, "uses no SSL 3", customOrigins(func(origin assembly.Value) string {
		protocols := origin.Field("OriginSSLProtocols").Texts()
		return unless(!slices.Contains(protocols, "SSLv3"), "uses SSL 3")
	})),
	optional(aPage, "CloudFront.12", model.CloudFrontDistribution, "has buckets that exist", bucketOrigins(func(r *report, bucket string, _ assembly.Value) string {
		return unless(slices.ContainsFunc(r.Assembly.Resources(model.S3Bucket), func(b *assembly.Resource) bool { return b.String() == bucket }), "is no bucket of the templates")
	})),
	optional(aPage, "CloudFront.13", model.CloudFrontDistribution, "has an origin access control for its buckets", bucketOrigins(func(_ *report, _ string, origin assembly.Value) string {
		return unless(origin.Field("OriginAccessControlId").Present(), "has no origin access control")
	})),
	optional(aPage, "CloudFront.14", model.CloudFrontDistribution, "has a tag", plain(model.CloudFrontDistribution, untagged)),
	optional(aPage, "CloudFront.15", model.CloudFrontDistribution, "has a recommended TLS policy, if it has a certificate of its own", distributions(func(p assembly.Value) string {
		policy := p.Field("ViewerCertificate").Field("MinimumProtocolVersion").Text("")
		return unless(!ownCertificate(p) || slices.Contains([]string{"TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025"}, policy), "has the policy "+cmp.Or(policy, "none"))
	})),
	argued("CloudFront.16", model.CloudFrontDistribution, "has an origin access control for functions of Lambda", "does not apply: no function has a URL of its own"),
	argued("CloudFront.17", model.CloudFrontDistribution, "takes only signed URLs or cookies", "not met: "+onePage),
}

// distributions makes the check of the configuration of every distribution.
func distributions(problem func(p assembly.Value) string) check {
	return plain(model.CloudFrontDistribution, func(p assembly.Value) string {
		return problem(p.Field("DistributionConfig"))
	})
}

// ownCertificate says whether a distribution has a certificate of its own.
func ownCertificate(p assembly.Value) bool {
	certificate := p.Field("ViewerCertificate")
	return certificate.Field("AcmCertificateArn").Present() || certificate.Field("IamCertificateId").Present()
}

// customOrigins makes the check of the origins that are neither buckets nor in a VPC.
func customOrigins(problem func(origin assembly.Value) string) check {
	return distributions(func(p assembly.Value) string {
		for _, origin := range p.Field("Origins").List() {
			custom := origin.Field("CustomOriginConfig")
			if text := problem(custom); custom.Present() && text != "" {
				return fmt.Sprintf("%s (%s)", text, origin.Field("Id").Text(""))
			}
		}
		return ""
	})
}

// bucketOrigins makes the check of the origins that are buckets. bucket is "stack/logical id", or a text that is not in the assembly.
func bucketOrigins(problem func(r *report, bucket string, origin assembly.Value) string) check {
	return func(r *report) {
		distributions(func(p assembly.Value) string {
			for _, origin := range p.Field("Origins").List() {
				if origin.Field("CustomOriginConfig").Present() || origin.Field("VpcOriginConfig").Present() {
					continue
				}
				if text := problem(r, origin.Field("DomainName").Keyed(), origin); text != "" {
					return fmt.Sprintf("%s (%s)", text, origin.Field("Id").Text(""))
				}
			}
			return ""
		})(r)
	}
}

// waf are the controls of web ACLs (https://docs.aws.amazon.com/securityhub/latest/userguide/waf-controls.html). The others are about
// AWS WAF Classic.
var waf = []Control{
	optional(anACL, "WAF.10", model.WAFWebACL, "has a rule",
		every(model.WAFWebACL, needs(func(w *model.WebACL) bool { return w.Rules > 0 }, "has no rule"), "Rules")),
	argued("WAF.11", model.WAFWebACL, "logs requests", "not met: the access log of the stage has each request that is blocked, with its status, and metrics tell which rule blocks"),
	optional(anACL, "WAF.12", model.WAFWebACL, "has metrics for its rules", every(model.WAFWebACL, func(w *model.WebACL) string {
		return unless(len(w.Unmeasured) == 0, "has no metrics for "+strings.Join(w.Unmeasured, ", "))
	}, "Rules")),
}
