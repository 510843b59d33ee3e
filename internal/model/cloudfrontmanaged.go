package model

import "time"

// Policies that AWS manages, by their ids. Those with headers that CloudFront makes up, such as
// CloudFront-Viewer-Country, and those of CORS are not here.

var (
	nothing    = Selection{Behavior: "none"}
	everything = Selection{Behavior: "all"}
)

// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
var cachePolicies = map[string]*CachePolicy{
	"658327ea-f89d-4fab-a63d-7e88639e58f6": {Name: "CachingOptimized", MinTTL: time.Second, TTL: 24 * time.Hour, MaxTTL: year, Query: nothing, Headers: nothing, Cookies: nothing, AcceptGzip: true, AcceptBrotli: true},
	"b2884449-e4de-46a7-ac36-70bc7f1ddd6d": {Name: "CachingOptimizedForUncompressedObjects", MinTTL: time.Second, TTL: 24 * time.Hour, MaxTTL: year, Query: nothing, Headers: nothing, Cookies: nothing},
	"4135ea2d-6df8-44a3-9df3-4b5a84be39ad": {Name: "CachingDisabled", Query: nothing, Headers: nothing, Cookies: nothing},
	"83da9c7e-98b4-4e11-a168-04f0df8e2c65": {Name: "UseOriginCacheControlHeaders", MaxTTL: year, Query: nothing, Headers: originControls, Cookies: everything, AcceptGzip: true, AcceptBrotli: true},
	"4cc15a8a-d715-48a4-82b8-cc0b614638fe": {Name: "UseOriginCacheControlHeaders-QueryStrings", MaxTTL: year, Query: everything, Headers: originControls, Cookies: everything, AcceptGzip: true, AcceptBrotli: true},
}

const year = 365 * 24 * time.Hour

var originControls = Selection{"whitelist", []string{"Host", "Origin", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"}}

// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
var originRequestPolicies = map[string]*OriginRequestPolicy{
	"216adef6-5c7f-47e4-b989-5492eafa07d3": {Name: "AllViewer", Query: everything, Headers: Selection{Behavior: "allViewer"}, Cookies: everything},
	"b689b0a8-53d0-40ab-baf2-68738e2966ac": {Name: "AllViewerExceptHostHeader", Query: everything, Headers: Selection{"allExcept", []string{"Host"}}, Cookies: everything},
	"59781a5b-3903-41f3-afcb-af62929ccde1": {Name: "CORS-CustomOrigin", Query: nothing, Headers: Selection{"whitelist", []string{"Origin"}}, Cookies: nothing},
	"88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": {Name: "CORS-S3Origin", Query: nothing, Headers: Selection{"whitelist", []string{"Origin", "Access-Control-Request-Headers", "Access-Control-Request-Method"}}, Cookies: nothing},
	"bf0718e1-ba1e-49d1-88b1-f726733018ae": {Name: "HostHeaderOnly", Query: nothing, Headers: Selection{"whitelist", []string{"Host"}}, Cookies: nothing},
	"acba4595-bd28-49b8-b9fe-13317c0390fa": {Name: "UserAgentRefererHeaders", Query: nothing, Headers: Selection{"whitelist", []string{"User-Agent", "Referer"}}, Cookies: nothing},
}

// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-response-headers-policies.html
var responseHeadersPolicies = map[string]*ResponseHeadersPolicy{
	"67f7725c-6f97-4210-82d7-5512b31e9d03": {Name: "SecurityHeadersPolicy", Headers: []ResponseHeader{
		{Variable{Name: "Referrer-Policy", Value: "strict-origin-when-cross-origin"}, false},
		{Variable{Name: "Strict-Transport-Security", Value: "max-age=31536000"}, false},
		{Variable{Name: "X-Content-Type-Options", Value: "nosniff"}, true},
		{Variable{Name: "X-Frame-Options", Value: "SAMEORIGIN"}, false},
		{Variable{Name: "X-XSS-Protection", Value: "1; mode=block"}, false},
	}},
}
