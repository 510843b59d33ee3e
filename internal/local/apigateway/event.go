package apigateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"cutover/internal/local/backing/access"
)

// event is what a function gets. Fields without a value are null.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format
type event struct {
	Resource       string              `json:"resource"`
	Path           string              `json:"path"`
	Method         string              `json:"httpMethod"`
	Headers        map[string]string   `json:"headers"`
	MultiHeaders   map[string][]string `json:"multiValueHeaders"`
	Query          map[string]string   `json:"queryStringParameters"`
	MultiQuery     map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters map[string]string   `json:"pathParameters"`
	StageVariables map[string]string   `json:"stageVariables"`
	Context        eventContext        `json:"requestContext"`
	Body           *string             `json:"body"`
	Base64         bool                `json:"isBase64Encoded"`
}

// eventContext has the context of a request.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html#context-variable-reference
type eventContext struct {
	ResourceID   string        `json:"resourceId"`
	ResourcePath string        `json:"resourcePath"`
	Method       string        `json:"httpMethod"`
	ExtendedID   string        `json:"extendedRequestId"`
	Time         string        `json:"requestTime"`
	Path         string        `json:"path"`
	Account      string        `json:"accountId"`
	Protocol     string        `json:"protocol"`
	Stage        string        `json:"stage"`
	DomainPrefix string        `json:"domainPrefix"`
	Epoch        int64         `json:"requestTimeEpoch"`
	ID           string        `json:"requestId"`
	Identity     eventIdentity `json:"identity"`
	DomainName   string        `json:"domainName"`
	Deployment   string        `json:"deploymentId"`
	API          string        `json:"apiId"`
}

type eventIdentity struct {
	CognitoPool     *string `json:"cognitoIdentityPoolId"`
	Account         *string `json:"accountId"`
	CognitoIdentity *string `json:"cognitoIdentityId"`
	Caller          *string `json:"caller"`
	SourceIP        string  `json:"sourceIp"`
	PrincipalOrg    *string `json:"principalOrgId"`
	AccessKey       *string `json:"accessKey"`
	CognitoType     *string `json:"cognitoAuthenticationType"`
	CognitoProvider *string `json:"cognitoAuthenticationProvider"`
	UserARN         *string `json:"userArn"`
	UserAgent       *string `json:"userAgent"`
	User            *string `json:"user"`
}

// about is what a stage knows of a request besides the request itself.
type about struct {
	stage, api, deployment, resource, account string
	variables                                 map[string]string
	binary                                    []string
	id, extendedID, source, protocol          string
	at                                        time.Time
	signer                                    *access.Signer
}

// encodeEvent makes the event of a request. The path is as it was sent, and the query is decoded.
func encodeEvent(found *route, r *request, header http.Header, a about) ([]byte, error) {
	method := r.method
	e := event{
		Resource: found.method.Of.Path(), Path: r.path, Method: method,
		MultiHeaders: header, Headers: lastOf(header), PathParameters: found.path, StageVariables: a.variables,
		Context: eventContext{
			ResourceID: a.resource, ResourcePath: found.method.Of.Path(), Method: method, ExtendedID: a.extendedID, Time: a.at.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			Path: "/" + a.stage + r.path, Account: a.account, Protocol: a.protocol, Stage: a.stage, Epoch: a.at.UnixMilli(), ID: a.id,
			DomainName: hostName(r.host), Deployment: a.deployment, API: a.api, Identity: eventIdentity{SourceIP: a.source},
		},
	}
	e.Context.DomainPrefix, _, _ = strings.Cut(e.Context.DomainName, ".")
	if agent := header.Get("User-Agent"); agent != "" {
		e.Context.Identity.UserAgent = &agent
	}
	if s := a.signer; s != nil {
		e.Context.Identity.Account, e.Context.Identity.AccessKey, e.Context.Identity.UserARN = &a.account, &s.Key, &s.Principal
		e.Context.Identity.Caller, e.Context.Identity.User = &s.Key, &s.Key
	}
	if query := parameters(r.query); len(query) > 0 {
		e.MultiQuery, e.Query = query, lastOf(query)
	}
	if len(e.PathParameters) == 0 {
		e.PathParameters = nil
	}
	if len(e.StageVariables) == 0 {
		e.StageVariables = nil
	}
	if len(r.body) > 0 {
		text := string(r.body)
		if e.Base64 = binary(a.binary, header.Get("Content-Type")); e.Base64 {
			text = base64.StdEncoding.EncodeToString(r.body)
		}
		e.Body = &text
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(e)
	return b.Bytes(), err
}

// hostName is a host without its port, which AWS's hosts do not have.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func lastOf(multi map[string][]string) map[string]string {
	single := map[string]string{}
	for name, values := range multi {
		if len(values) > 0 {
			single[name] = values[len(values)-1]
		}
	}
	return single
}

// binary says whether a media type is one of an API's binary ones. Without one it is application/json.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
func binary(types []string, contentType string) bool {
	mediaType := "application/json"
	if sent, _, err := mime.ParseMediaType(contentType); err == nil {
		mediaType = sent
	}
	return slices.Contains(types, "*/*") || slices.Contains(types, mediaType)
}

// decodeResult reads what a function returned. Fields that are not documented are refused, and so are values of another
// type: whether AWS takes some of them is not known.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
func decodeResult(result []byte, types []string, accept string) (*answer, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(result, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("the function returned no JSON object, but %.100q", result)
	}
	var (
		status  any
		headers map[string]string
		multi   map[string][]string
		body    *string
		encoded bool
	)
	known := map[string]any{"statusCode": &status, "headers": &headers, "multiValueHeaders": &multi, "body": &body, "isBase64Encoded": &encoded}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		into, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("the function returned the field %q, which is none of a result: statusCode, headers, multiValueHeaders, body and isBase64Encoded are", name)
		}
		if err := json.Unmarshal(fields[name], into); err != nil {
			return nil, fmt.Errorf("the function returned %s: %w", name, err)
		}
	}
	a := &answer{header: http.Header{}}
	switch status := status.(type) {
	case float64:
		a.status = int(status)
	case string:
		a.status, _ = strconv.Atoi(status)
	}
	if a.status < 200 || a.status > 599 {
		return nil, fmt.Errorf("the function returned the statusCode %s, which is none from 200 to 599", fields["statusCode"])
	}
	for name, values := range multi {
		name = textproto.CanonicalMIMEHeaderKey(name)
		a.header[name] = append(a.header[name], values...)
	}
	for name, value := range headers {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !slices.Contains(a.header[name], value) {
			a.header[name] = append(a.header[name], value)
		}
	}
	for name, values := range a.header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return nil, fmt.Errorf("the function returned %q: %q, which is no header", name, values)
		}
	}
	if body == nil {
		return a, nil
	}
	a.body = []byte(*body)
	if first, _, _ := strings.Cut(accept, ","); encoded && binary(types, first) {
		decoded, err := base64.StdEncoding.DecodeString(*body)
		if err != nil {
			return nil, fmt.Errorf("the function returned a body that is no Base64, although isBase64Encoded is true")
		}
		a.body = decoded
	}
	return a, nil
}
