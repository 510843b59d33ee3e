package cloudformation

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The resource types of CloudFront.
var contentDelivery = map[string]*handler{
	"AWS::CloudFront::Distribution": {
		ref: "Id",
		create: func(c *call, p props) string {
			config := section(p, "DistributionConfig")
			refuseLogs(c, config)
			n, _ := cloudfront(c, http.MethodPost, "distribution?WithTags", "", tagged("DistributionConfigWithTags", distributionConfig(c, config, c.id), tagList(p)))
			c.attrs["DomainName"] = n.first("DomainName")
			return n.first("Id")
		},
		update: func(c *call, _, p props) {
			config := section(p, "DistributionConfig")
			refuseLogs(c, config)
			was, version := cloudfront(c, http.MethodGet, "distribution/"+c.id+"/config", "", nil)
			cloudfront(c, http.MethodPut, "distribution/"+c.id+"/config", version, distributionConfig(c, config, was.first("CallerReference")))
		},
		// CloudFormation disables a distribution and deletes it.
		delete: func(c *call, p props) {
			was, version := cloudfront(c, http.MethodGet, "distribution/"+c.id+"/config", "", nil)
			if c.err != nil {
				c.err = gone(c.err)
				return
			}
			disabled := with(maps.Clone(section(p, "DistributionConfig")), props{"Enabled": false})
			_, version = cloudfront(c, http.MethodPut, "distribution/"+c.id+"/config", version, distributionConfig(c, disabled, was.first("CallerReference")))
			cloudfront(c, http.MethodDelete, "distribution/"+c.id, version, nil)
		},
	},
	"AWS::CloudFront::Function": {
		ref:   "FunctionARN",
		name:  "Name",
		limit: 64,
		create: func(c *call, p props) string {
			n, version := cloudfront(c, http.MethodPost, "function", "", edgeFunction(c, p, "CreateFunctionRequest", leaf("Name", c.id)))
			publish(c, p, c.id, version)
			arn := n.first("FunctionARN")
			c.attrs = props{"FunctionMetadata.FunctionARN": arn}
			return arn
		},
		update: func(c *call, _, p props) {
			_, name, _ := strings.Cut(c.id, "function/")
			_, version := cloudfront(c, http.MethodGet, "function/"+name+"/describe", "", nil)
			_, version = cloudfront(c, http.MethodPut, "function/"+name, version, edgeFunction(c, p, "UpdateFunctionRequest"))
			publish(c, p, name, version)
		},
		delete: func(c *call, _ props) {
			_, name, _ := strings.Cut(c.id, "function/")
			deleteVersion(c, "function/"+name, "/describe")
		},
	},
	"AWS::CloudFront::CachePolicy":           kept("cache-policy", "CachePolicyConfig", ""),
	"AWS::CloudFront::OriginRequestPolicy":   kept("origin-request-policy", "OriginRequestPolicyConfig", ""),
	"AWS::CloudFront::ResponseHeadersPolicy": kept("response-headers-policy", "ResponseHeadersPolicyConfig", ""),
	"AWS::CloudFront::OriginAccessControl":   kept("origin-access-control", "OriginAccessControlConfig", "/config"),
	"AWS::CloudFront::VpcOrigin":             kept("vpc-origin", "VpcOriginEndpointConfig", ""),
}

// kept is a handler of something that consists of a configuration. A changed one goes to a path behind the id.
func kept(path, config, at string) *handler {
	body := func(c *call, p props) *node {
		n := configuration(c, config, section(p, config))
		if arn := str(section(p, config), "Arn"); arn != "" { // of the load balancer behind a VPC origin
			c.do(elb, "DescribeLoadBalancers", props{"LoadBalancerArns": []any{arn}})
		}
		return &n
	}
	return &handler{
		ref: "Id",
		create: func(c *call, p props) string {
			given := body(c, p)
			if path == "vpc-origin" {
				given = tagged("CreateVpcOriginRequest", given, tagList(p))
			}
			n, _ := cloudfront(c, http.MethodPost, path, "", given)
			c.attrs = props{"LastModifiedTime": n.first("LastModifiedTime"), "Arn": n.first("Arn")}
			return n.first("Id")
		},
		update: func(c *call, _, p props) {
			_, version := cloudfront(c, http.MethodGet, path+"/"+c.id, "", nil)
			cloudfront(c, http.MethodPut, path+"/"+c.id+at, version, body(c, p))
		},
		delete: func(c *call, _ props) { deleteVersion(c, path+"/"+c.id, "") },
	}
}

// deleteVersion deletes what CloudFront keeps, by the version that it has. It is no failure if there is none.
func deleteVersion(c *call, path, describe string) {
	_, version := cloudfront(c, http.MethodGet, path+describe, "", nil)
	if c.err != nil {
		c.err = gone(c.err)
		return
	}
	cloudfront(c, http.MethodDelete, path, version, nil)
}

// cloudfront runs an operation of CloudFront, unless one has failed before, and returns the version that follows.
func cloudfront(c *call, method, path, version string, body *node) (*node, string) {
	if c.err != nil {
		return &node{}, ""
	}
	var given string
	if body != nil {
		given = written(*body, "http://cloudfront.amazonaws.com/doc/2020-05-31/")
	}
	header := map[string]string{"Content-Type": "text/xml"}
	if version != "" {
		header["If-Match"] = version
	}
	answer, headers, err := c.exchange(c.ctx, method, "cloudfront", "/2020-05-31/"+path, given, header)
	if c.err = err; err != nil || len(answer) == 0 {
		return &node{}, headers.Get("ETag")
	}
	n, err := parse(answer)
	c.err = err
	return n, headers.Get("ETag")
}

// edgeFunction is the body of a request with the code of a function.
func edgeFunction(c *call, p props, request string, more ...node) *node {
	config := configuration(c, "FunctionConfig", section(p, "FunctionConfig"))
	code := leaf("FunctionCode", base64.StdEncoding.EncodeToString([]byte(str(p, "FunctionCode"))))
	n := branch(request, append(more, config, code)...)
	return &n
}

// publish makes a function live, if the template says so.
func publish(c *call, p props, name, version string) {
	if truth(p["AutoPublish"]) {
		cloudfront(c, http.MethodPost, "function/"+name+"/publish", version, nil)
	}
}

// refuseLogs fails if the bucket of the access logs takes no access control lists
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html).
func refuseLogs(c *call, config props) {
	name, _, _ := strings.Cut(str(section(config, "Logging"), "Bucket"), ".")
	if name == "" || c.err != nil {
		return
	}
	answer, err := c.send(c.ctx, http.MethodGet, "s3", "/"+name+"?ownershipControls", "", nil)
	if err != nil || strings.Contains(string(answer), "BucketOwnerEnforced") {
		c.refuse("InvalidRequest", "The S3 bucket that you specified for CloudFront logs does not enable ACL access: %s", name)
	}
}

// distributionConfig is a distribution's configuration as the API takes it.
func distributionConfig(c *call, config props, reference string) *node {
	config = with(props{"Comment": "", "CallerReference": reference}, config)
	if log, ok := config["Logging"].(props); ok {
		config["Logging"] = with(props{"Enabled": true, "IncludeCookies": false, "Prefix": ""}, log)
	}
	n := configuration(c, "DistributionConfig", config)
	return &n
}

// Lists of CloudFront's configurations, with the names that the API has for the list and for its elements.
var lists = map[string]struct{ list, element string }{
	"Aliases": {"Aliases", "CNAME"}, "Origins": {"Origins", "Origin"}, "CacheBehaviors": {"CacheBehaviors", "CacheBehavior"},
	"CustomErrorResponses": {"CustomErrorResponses", "CustomErrorResponse"}, "FunctionAssociations": {"FunctionAssociations", "FunctionAssociation"},
	"OriginCustomHeaders": {"CustomHeaders", "OriginCustomHeader"}, "OriginSSLProtocols": {"OriginSslProtocols", "SslProtocol"},
	"AllowedMethods": {"AllowedMethods", "Method"}, "CachedMethods": {"CachedMethods", "Method"},
	"Headers": {"Headers", "Name"}, "Cookies": {"Cookies", "Name"}, "QueryStrings": {"QueryStrings", "Name"},
	"CustomHeadersConfig": {"CustomHeadersConfig", "ResponseHeadersPolicyCustomHeader"}, "RemoveHeadersConfig": {"RemoveHeadersConfig", "ResponseHeadersPolicyRemoveHeader"},
}

// Names that the API spells differently.
var spelt = map[string]string{
	"AcmCertificateArn": "ACMCertificateArn", "IamCertificateId": "IAMCertificateId", "SslSupportMethod": "SSLSupportMethod", "IPV6Enabled": "IsIPV6Enabled",
}

// configuration writes properties as the API takes them. A list has its length, and its elements have names.
func configuration(c *call, name string, v tree) node {
	if wrapped, ok := v.(props); ok && len(wrapped) == 1 && wrapped["Items"] != nil {
		v = wrapped["Items"]
	}
	switch v := v.(type) {
	case []any:
		known, ok := lists[name]
		if !ok {
			c.refuse("NotEmulated", "the emulator does not keep the list %s", name)
		}
		var elements []node
		for _, one := range v {
			elements = append(elements, configuration(c, known.element, one))
		}
		return branch(known.list, leaf("Quantity", strconv.Itoa(len(v))), branch("Items", elements...))
	case props:
		v = maps.Clone(v)
		cached := v["CachedMethods"]
		delete(v, "CachedMethods")
		n := branch(name)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			child := configuration(c, key, v[key])
			if key == "AllowedMethods" && cached != nil {
				child.Children = append(child.Children, configuration(c, "CachedMethods", cached))
			}
			n.Children = append(n.Children, child)
		}
		return n
	}
	if other := spelt[name]; other != "" {
		name = other
	}
	return leaf(name, text(v))
}

func leaf(name, text string) node { return node{XMLName: xml.Name{Local: name}, Text: text} }

func branch(name string, children ...node) node {
	return node{XMLName: xml.Name{Local: name}, Children: children}
}

// written is a document in a namespace.
func written(n node, space string) string {
	body, _ := xml.Marshal(n) // of texts alone
	name := "<" + n.XMLName.Local
	return name + ` xmlns="` + space + `"` + strings.TrimPrefix(string(body), name)
}

// tagged is the body of a request with a configuration and tags.
func tagged(request string, config, tags *node) *node {
	n := branch(request, *config, *tags)
	return &n
}

// tagList are the tags of a resource as XML.
func tagList(p props) *node {
	list := branch("Items")
	for _, tag := range items(p, "Tags") {
		tag, _ := tag.(props)
		list.Children = append(list.Children, branch("Tag", leaf("Key", str(tag, "Key")), leaf("Value", str(tag, "Value"))))
	}
	n := branch("Tags", list)
	return &n
}
