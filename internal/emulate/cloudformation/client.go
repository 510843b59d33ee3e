package cloudformation

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// An Error is an error answer of an AWS API.
type Error struct {
	Code    string // such as ValidationError
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// validation is the error CloudFormation answers for nearly everything that is wrong with a request.
func validation(format string, args ...any) error {
	return &Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

// A client calls the services that CloudFormation provisions resources with. They all answer at one address and tell
// the service by the scope of the request's credentials.
type client struct {
	endpoint string
	region   string
	http     *http.Client
}

func (c *client) send(ctx context.Context, method, service, path, contentType, target, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	// The signature is not checked; the credential scope names the service and the region.
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+c.region+"/"+service+
		"/aws4_request, SignedHeaders=host, Signature=0")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, apiError(resp, b)
	}
	return b, nil
}

// apiError reads the error answer of either protocol.
func apiError(resp *http.Response, body []byte) error {
	e := &Error{Code: strconv.Itoa(resp.StatusCode), Message: strings.TrimSpace(string(body))}
	var j map[string]any
	if decodeJSON(bytes.NewReader(body), &j) == nil {
		code := text(j["__type"])
		if code == "" {
			code = resp.Header.Get("X-Amzn-ErrorType")
		}
		if i := strings.LastIndexAny(code, "#"); i >= 0 {
			code = code[i+1:]
		}
		message := text(j["message"])
		if message == "" {
			message = text(j["Message"])
		}
		if code != "" {
			e.Code, e.Message = code, message
		}
	} else if doc, err := parseXML(body); err == nil {
		if code := doc.first("Code"); code != "" {
			e.Code, e.Message = code, doc.first("Message")
		}
	}
	if e.Message == "" {
		e.Message = resp.Status
	}
	return e
}

// Versions of the APIs that speak the query protocol.
var queryVersions = map[string]string{
	"autoscaling":          "2011-01-01",
	"ec2":                  "2016-11-15",
	"elasticloadbalancing": "2015-12-01",
	"iam":                  "2010-05-08",
	"monitoring":           "2010-08-01",
}

// query calls an operation of a service that speaks the query protocol. The parameters have the API's names; in EC2's
// variant of the protocol lists have no "member" level.
func (c *client) query(ctx context.Context, service, action string, params map[string]any) (*node, error) {
	form := url.Values{"Action": {action}, "Version": {queryVersions[service]}}
	for k, v := range params {
		flatten(form, k, v, service == "ec2")
	}
	b, err := c.send(ctx, http.MethodPost, service, "/", "application/x-www-form-urlencoded; charset=utf-8", "", form.Encode())
	if err != nil {
		return nil, err
	}
	return parseXML(b)
}

func flatten(form url.Values, key string, v any, flat bool) {
	switch v := v.(type) {
	case nil, absent:
	case map[string]any:
		for k, x := range v {
			flatten(form, key+"."+k, x, flat)
		}
	case []any:
		member := ".member."
		if flat {
			member = "."
		}
		if len(v) == 0 {
			form.Set(key, "")
		}
		for i, x := range v {
			flatten(form, key+member+strconv.Itoa(i+1), x, flat)
		}
	default:
		form.Set(key, text(v))
	}
}

// Targets of the APIs that speak JSON.
var jsonTargets = map[string]string{
	"application-autoscaling": "AnyScaleFrontendService.",

	"ecr":  "AmazonEC2ContainerRegistry_V20150921.",
	"ecs":  "AmazonEC2ContainerServiceV20141113.",
	"logs": "Logs_20140328.",
	"ssm":  "AmazonSSM.",
}

// json calls an operation of a service that speaks JSON.
func (c *client) json(ctx context.Context, service, action string, params map[string]any) (map[string]any, error) {
	b, err := c.send(ctx, http.MethodPost, service, "/", "application/x-amz-json-1.1", jsonTargets[service]+action, encode(params))
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if len(bytes.TrimSpace(b)) == 0 {
		return out, nil
	}
	return out, decodeJSON(bytes.NewReader(b), &out)
}

// A node is an element of an XML answer.
type node struct {
	XMLName  xml.Name
	Text     string `xml:",chardata"`
	Children []node `xml:",any"`
}

func parseXML(b []byte) (*node, error) {
	n := &node{}
	return n, xml.Unmarshal(b, n)
}

// first returns the text of the first element of that name, in document order.
func (n *node) first(name string) string {
	if all := n.all(name); len(all) > 0 {
		return strings.TrimSpace(all[0].Text)
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
