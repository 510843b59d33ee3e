package cloudformation

import (
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An Error is an error answer of an AWS API.
type Error struct {
	Code    string // such as ValidationError
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// validation is CloudFormation's error for nearly everything that is wrong with a request.
func validation(format string, args ...any) error {
	return &Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

// A client calls the services that own the resources. All of them answer at one address. The scope of a request's
// credentials names the service.
type client struct {
	endpoint string
	region   string
	http     *http.Client
}

// Versions of the APIs that speak the query protocol.
var queryVersions = map[string]string{
	"autoscaling":          "2011-01-01",
	"ec2":                  "2016-11-15",
	"elasticloadbalancing": "2015-12-01",
	"iam":                  "2010-05-08",
	"monitoring":           "2010-08-01",
	"rds":                  "2014-10-31",
	"sns":                  "2010-03-31",
}

// Targets of the APIs that speak JSON.
var jsonTargets = map[string]string{
	"application-autoscaling": "AnyScaleFrontendService.",
	"dynamodb":                "DynamoDB_20120810.",
	"ecr":                     "AmazonEC2ContainerRegistry_V20150921.",
	"ecs":                     "AmazonEC2ContainerServiceV20141113.",
	"kms":                     "TrentService.",
	"logs":                    "Logs_20140328.",
	"secretsmanager":          "secretsmanager.",
	"servicediscovery":        "Route53AutoNaming_v20170314.",
	"sqs":                     "AmazonSQS.",
	"ssm":                     "AmazonSSM.",
	"wafv2":                   "AWSWAF_20190729.",
}

// call runs an operation of a service. The parameters have the API's names. The answer is never nil.
func (c *client) call(ctx context.Context, service, action string, params map[string]any) (*node, error) {
	body, header := encode(params), map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": jsonTargets[service] + action}
	if version, ok := queryVersions[service]; ok {
		form := url.Values{"Action": {action}, "Version": {version}}
		for k, v := range params {
			flatten(form, k, v, service)
		}
		body, header = form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
	}
	b, err := c.send(ctx, http.MethodPost, service, "/", body, header)
	if err != nil {
		return &node{}, err
	}
	return parse(b)
}

// rdsElements are the names of the elements of RDS's lists.
var rdsElements = map[string]string{
	"EventCategories": "EventCategory", "Parameters": "Parameter", "SubnetIds": "SubnetIdentifier", "Tags": "Tag", "VpcSecurityGroupIds": "VpcSecurityGroupId",
}

// flatten writes a value in the query protocol. A list has a level "member", but not in EC2's variant, and in
// RDS's with a name of its own.
func flatten(form url.Values, key string, v any, service string) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for k, x := range v {
			flatten(form, key+"."+k, x, service)
		}
	case []any:
		member := ".member."
		switch {
		case service == "ec2", strings.HasSuffix(key, ".entry"):
			member = "."
		case service == "rds" && rdsElements[key] != "":
			member = "." + rdsElements[key] + "."
		}
		if len(v) == 0 {
			form.Set(key, "")
		}
		for i, x := range v {
			flatten(form, key+member+strconv.Itoa(i+1), x, service)
		}
	default:
		form.Set(key, text(v))
	}
}

// send sends a request and returns the body of the answer.
func (c *client) send(ctx context.Context, method, service, path, body string, header map[string]string) ([]byte, error) {
	b, _, err := c.exchange(ctx, method, service, path, body, header)
	return b, err
}

// exchange sends a request and returns the answer. Nobody checks its signature.
func (c *client) exchange(ctx context.Context, method, service, path, body string, header map[string]string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+c.region+"/"+service+
		"/aws4_request, SignedHeaders=host, Signature=0")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = apiError(resp, b)
	}
	return b, resp.Header, err
}

// apiError reads the error answer of either protocol.
func apiError(resp *http.Response, body []byte) error {
	if doc, err := parse(body); err == nil {
		code := cmp.Or(doc.first("__type"), resp.Header.Get("X-Amzn-ErrorType"), doc.first("Code"))
		if code = code[strings.LastIndex(code, "#")+1:]; code != "" {
			return &Error{Code: code, Message: cmp.Or(doc.first("message"), doc.first("Message"), resp.Status)}
		}
	}
	return &Error{Code: strconv.Itoa(resp.StatusCode), Message: cmp.Or(strings.TrimSpace(string(body)), resp.Status)}
}

// A node is an element of an answer: of XML, or of JSON in the same form.
type node struct {
	XMLName  xml.Name
	Text     string `xml:",chardata"`
	Children []node `xml:",any"`
}

// parse reads an answer in XML or JSON.
func parse(b []byte) (*node, error) {
	var n node
	switch body := strings.TrimSpace(string(b)); {
	case body == "", body == "null": // so moto answers for KMS
		return &n, nil
	case body[0] == '{':
		var v tree
		err := decodeJSON(body, &v)
		n = jsonNode("", v)
		return &n, err
	}
	return &n, xml.Unmarshal(b, &n)
}

// jsonNode gives a JSON value the form of an XML element. The elements of a list are called "member".
func jsonNode(name string, v tree) node {
	n := node{XMLName: xml.Name{Local: name}}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n.Children = append(n.Children, jsonNode(k, v[k]))
		}
	case []any:
		for _, x := range v {
			n.Children = append(n.Children, jsonNode("member", x))
		}
	default:
		n.Text = text(v)
	}
	return n
}

// first returns the text of the outermost element of that name, the first in document order.
func (n *node) first(name string) string {
	for level := n.Children; len(level) > 0; {
		var next []node
		for _, c := range level {
			if c.XMLName.Local == name {
				return strings.TrimSpace(c.Text)
			}
			next = append(next, c.Children...)
		}
		level = next
	}
	return ""
}

// all returns the elements of that name.
func (n *node) all(name string) []*node {
	var out []*node
	for i := range n.Children {
		c := &n.Children[i]
		if c.XMLName.Local == name {
			out = append(out, c)
		}
		out = append(out, c.all(name)...)
	}
	return out
}
