package cloudformation

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// The resource types of S3 and Route 53.
var buckets = map[string]*handler{
	"AWS::S3::Bucket": {
		name:  "BucketName",
		limit: 63,
		shape: strings.ToLower,
		create: func(c *call, p props) string {
			c.attrs = props{"Arn": "arn:aws:s3:::" + c.id, "DomainName": c.id + ".s3.amazonaws.com",
				"RegionalDomainName": c.id + ".s3." + c.region + ".amazonaws.com"}
			list := kebab(str(p, "AccessControl"))
			if list != "" && list != "private" && p["OwnershipControls"] == nil {
				c.refuse("InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
			}
			s3(c, http.MethodPut, "", "")
			if list != "" {
				s3(c, http.MethodPut, "?acl", "", "X-Amz-Acl", list)
			}
			return c.id
		},
		// A new bucket takes no access control lists: https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html.
		configure: func(c *call, old, p props) {
			if old != nil && differ(old, p, "AccessControl") {
				c.refuse("NotEmulated", "the emulator does not change the AccessControl of a bucket")
			}
			if old == nil {
				p = with(props{"OwnershipControls": props{"Rules": []any{props{"ObjectOwnership": "BucketOwnerEnforced"}}}}, p)
			}
			for _, setting := range bucketSettings {
				switch v, ok := p[setting.property]; {
				case !differ(old, p, setting.property):
				case ok:
					s3(c, http.MethodPut, "?"+setting.path, written(setting.document(v), s3Space))
				case setting.without.XMLName.Local != "":
					s3(c, http.MethodPut, "?"+setting.path, written(setting.without, s3Space))
				default:
					s3(c, http.MethodDelete, "?"+setting.path, "")
				}
			}
		},
		delete: func(c *call, _ props) { s3(c, http.MethodDelete, "", "") },
	},
	"AWS::S3::BucketPolicy": {
		put: func(c *call, p props) string {
			c.id = str(p, "Bucket")
			s3(c, http.MethodPut, "?policy", text(p["PolicyDocument"]))
			return c.id
		},
		delete: func(c *call, _ props) { s3(c, http.MethodDelete, "?policy", "") },
	},
	"AWS::Route53::RecordSet": {
		create: func(c *call, p props) string {
			changeRecord(c, "CREATE", p)
			return str(p, "Name")
		},
		update: func(c *call, _, p props) { changeRecord(c, "UPSERT", p) },
		delete: func(c *call, p props) { changeRecord(c, "DELETE", p) },
	},
}

// s3 runs an operation on a bucket, unless one has failed before.
func s3(c *call, method, path, body string, header ...string) {
	if c.err != nil {
		return
	}
	headers := map[string]string{"Content-Type": "application/xml"}
	for pair := range slices.Chunk(header, 2) {
		headers[pair[0]] = pair[1]
	}
	if _, c.err = c.send(c.ctx, method, "s3", "/"+c.id+path, body, headers); method == http.MethodDelete {
		c.err = gone(c.err)
	}
}

// kebab writes a name like LogDeliveryWrite as log-delivery-write.
func kebab(name string) string {
	var out strings.Builder
	for i, letter := range name {
		if unicode.IsUpper(letter) && i > 0 {
			out.WriteByte('-')
		}
		out.WriteRune(unicode.ToLower(letter))
	}
	return out.String()
}

const s3Space = "http://s3.amazonaws.com/doc/2006-03-01/"

// bucketSettings are the settings of a bucket with an operation of their own. A setting is deleted, or set to what it is
// without.
var bucketSettings = []struct {
	property, path string
	document       func(v any) node
	without        node
}{
	{"OwnershipControls", "ownershipControls", func(v any) node { return rules("OwnershipControls", v, plain) }, node{}},
	{"PublicAccessBlockConfiguration", "publicAccessBlock", func(v any) node { return plain("PublicAccessBlockConfiguration", v) }, node{}},
	{"BucketEncryption", "encryption", func(v any) node {
		return rules("ServerSideEncryptionConfiguration", props{"Rules": v.(props)["ServerSideEncryptionConfiguration"]}, plain)
	}, node{}},
	{"VersioningConfiguration", "versioning", func(v any) node { return plain("VersioningConfiguration", v) },
		branch("VersioningConfiguration", leaf("Status", "Suspended"))},
	{"LifecycleConfiguration", "lifecycle", func(v any) node { return rules("LifecycleConfiguration", v, lifecycleRule) }, node{}},
	{"LoggingConfiguration", "logging", func(v any) node {
		v = with(props{"LogFilePrefix": ""}, v.(props))
		return branch("BucketLoggingStatus", plain("LoggingEnabled", v))
	}, branch("BucketLoggingStatus")},
	{"Tags", "tagging", func(v any) node {
		set := branch("TagSet")
		for _, tag := range v.([]any) {
			set.Children = append(set.Children, plain("Tag", tag))
		}
		return branch("Tagging", set)
	}, node{}},
}

// s3Names are the properties that S3's API calls otherwise.
var s3Names = map[string]string{
	"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault", "DestinationBucketName": "TargetBucket", "LogFilePrefix": "TargetPrefix", "Id": "ID",
}

// plain writes properties as XML.
func plain(name string, v any) node {
	if other := s3Names[name]; other != "" {
		name = other
	}
	p, ok := v.(props)
	if !ok {
		return leaf(name, text(v))
	}
	n := branch(name)
	for _, key := range slices.Sorted(maps.Keys(p)) {
		n.Children = append(n.Children, plain(key, p[key]))
	}
	return n
}

// rules writes a list of rules.
func rules(name string, v any, rule func(name string, v any) node) node {
	n := branch(name)
	for _, one := range items(v.(props), "Rules") {
		n.Children = append(n.Children, rule("Rule", one))
	}
	return n
}

func lifecycleRule(name string, v any) node {
	rule := maps.Clone(v.(props))
	n := branch(name, branch("Filter", leaf("Prefix", str(rule, "Prefix"))))
	if days, ok := rule["ExpirationInDays"]; ok {
		n.Children = append(n.Children, branch("Expiration", leaf("Days", text(days))))
	}
	delete(rule, "Prefix")
	delete(rule, "ExpirationInDays")
	n.Children = append(n.Children, plain(name, rule).Children...)
	return n
}

// changeRecord changes a record of a hosted zone.
func changeRecord(c *call, action string, p props) {
	c.only(p, "AliasTarget", "HostedZoneId", "Name", "ResourceRecords", "TTL", "Type")
	record := branch("ResourceRecordSet", leaf("Name", str(p, "Name")), leaf("Type", str(p, "Type")))
	if target, ok := p["AliasTarget"].(props); ok {
		record.Children = append(record.Children, plain("AliasTarget", with(props{"EvaluateTargetHealth": false}, target)))
	} else {
		values := branch("ResourceRecords")
		for _, value := range items(p, "ResourceRecords") {
			values.Children = append(values.Children, branch("ResourceRecord", leaf("Value", text(value))))
		}
		record.Children = append(record.Children, leaf("TTL", str(p, "TTL")), values)
	}
	n := branch("ChangeResourceRecordSetsRequest", branch("ChangeBatch", branch("Changes", branch("Change", leaf("Action", action), record))))
	if c.err != nil {
		return
	}
	path := "/2013-04-01/hostedzone/" + str(p, "HostedZoneId") + "/rrset/"
	_, c.err = c.send(c.ctx, http.MethodPost, "route53", path, written(n, "https://route53.amazonaws.com/doc/2013-04-01/"), map[string]string{"Content-Type": "application/xml"})
	if action == "DELETE" {
		c.err = gone(c.err)
	}
}
