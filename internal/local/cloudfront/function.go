package cloudfront

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// maxCode is the limit of a function's size.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions
const maxCode = 10 << 10

// maxRun is how long a function may run. AWS gives it less than a millisecond of a processor, and this machine has others to serve.
// Tests are shorter.
var maxRun = 10 * time.Second

// function is a function of CloudFront that can run.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-features.html
type function struct {
	name    string
	program *goja.Program
}

// module finds the modules that a function asks for.
var module = regexp.MustCompile(`\brequire\s*\(\s*['"]([\w-]+)|(?m)^\s*import\s[^'"\n]*['"]([\w-]+)`)

func compile(name, code string) (*function, error) {
	if len(code) > maxCode {
		return nil, fmt.Errorf("AWS refuses %d bytes: a function can have %d", len(code), maxCode)
	}
	if found := module.FindStringSubmatch(code); found != nil {
		return nil, fmt.Errorf("the module %q is not here: only the language itself is", found[1]+found[2])
	}
	program, err := goja.Compile(name, code, false)
	if err != nil {
		return nil, fmt.Errorf("it is not JavaScript that runs here: %w", err)
	}
	return &function{name, program}, nil
}

// Errors of functions.
var (
	// errExecution is the error of a function that throws, that takes too long, or that has no handler: 503.
	errExecution = errors.New("the function has failed")
	// errValidation is the error of a function that returns what CloudFront does not take: 502.
	errValidation = errors.New("the function returns what CloudFront does not take")
)

// object is an object of JavaScript.
type object = map[string]any

// call runs the handler with an event. A new environment for each call: CloudFront keeps no state between them.
func (f *function) call(event object) (object, error) {
	vm := goja.New()
	deadline := time.AfterFunc(maxRun, func() { vm.Interrupt("it takes too long") })
	defer deadline.Stop()
	_ = vm.Set("eval", goja.Undefined()) // "does not support dynamic code evaluation"
	silent := func(goja.FunctionCall) goja.Value { return goja.Undefined() }
	_ = vm.Set("console", object{"log": silent, "error": silent, "warn": silent, "info": silent, "debug": silent})
	if _, err := vm.RunProgram(f.program); err != nil {
		return nil, fmt.Errorf("%w: %v", errExecution, err)
	}
	handler, ok := goja.AssertFunction(vm.Get("handler"))
	if !ok {
		return nil, fmt.Errorf("%w: it has no function handler", errExecution)
	}
	text, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	argument, err := vm.RunString("(" + string(text) + ")")
	if err != nil {
		return nil, err
	}
	value, err := handler(goja.Undefined(), argument)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errExecution, err)
	}
	if promise, ok := value.Export().(*goja.Promise); ok { // an async handler
		if promise.State() != goja.PromiseStateFulfilled {
			return nil, fmt.Errorf("%w: %v", errExecution, promise.Result())
		}
		value = promise.Result()
	}
	result, ok := value.Export().(object)
	if !ok {
		return nil, fmt.Errorf("%w: %v is no request and no response", errValidation, value)
	}
	return result, nil
}

// event is what a function gets.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
func event(d *distribution, kind string, r *request) object {
	headers := object{}
	for name, values := range r.header {
		if name != "Cookie" && !disallowed(name) {
			headers[strings.ToLower(name)] = named(values)
		}
	}
	return object{
		"version": "1.0",
		"context": object{"distributionDomainName": d.domain, "distributionId": d.id, "eventType": kind, "requestId": r.id},
		"viewer":  object{"ip": r.ip},
		"request": object{"method": r.method, "uri": r.path, "querystring": pairs(r.query, "&"), "headers": headers, "cookies": pairs(cookies(r.header), ";")},
	}
}

// named is a value with a name, and all values if there are several.
func named(values []string) object {
	one := object{"value": values[0]}
	if len(values) > 1 {
		all := make([]any, len(values))
		for i, value := range values {
			all[i] = object{"value": value}
		}
		one["multiValue"] = all
	}
	return one
}

func pairs(text, separator string) object {
	all := map[string][]string{}
	for pair := range strings.SplitSeq(text, separator) {
		if pair = strings.TrimSpace(pair); pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			all[name] = append(all[name], value)
		}
	}
	members := object{}
	for name, values := range all {
		members[name] = named(values)
	}
	return members
}

// changed are the values of a name that a function returns, where it got others: multiValue counts if it is changed, and
// otherwise value takes the place of the first one.
func changed(given []string, returned any) ([]string, error) {
	one, ok := returned.(object)
	if !ok {
		return nil, fmt.Errorf("%w: %v is no object with a value", errValidation, returned)
	}
	seen := make([]string, len(given)) // as JSON has them
	for i, value := range given {
		seen[i] = string([]rune(value))
	}
	var several []string
	list, _ := one["multiValue"].([]any)
	for _, each := range list {
		each, _ := each.(object)
		several = append(several, text(each["value"]))
	}
	if list != nil && !slices.Equal(several, seen) {
		return several, nil
	}
	if one["value"] == nil {
		return nil, fmt.Errorf("%w: a value is missing", errValidation)
	}
	if first := text(one["value"]); len(given) == 0 || first != seen[0] {
		return append([]string{first}, given[min(1, len(given)):]...), nil
	}
	return given, nil
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// joined is a query or a Cookie header that a function returns. What it did not change stays as it was.
func joined(before, separator, with string, returned any) (string, error) {
	members, ok := returned.(object)
	if !ok && returned != nil {
		return "", fmt.Errorf("%w: the cookies or the query are no object", errValidation)
	}
	given := map[string][]string{}
	var order []string
	for pair := range strings.SplitSeq(before, separator) {
		if pair = strings.TrimSpace(pair); pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			if given[name] == nil {
				order = append(order, name)
			}
			given[name] = append(given[name], value)
		}
	}
	unchanged := len(members) == len(given)
	all := map[string][]string{}
	for name, member := range members {
		values, err := changed(given[name], member)
		if err != nil {
			return "", err
		}
		if given[name] == nil {
			order = append(order, name)
		}
		unchanged = unchanged && slices.Equal(values, given[name])
		all[name] = values
	}
	if unchanged {
		return before, nil
	}
	slices.Sort(order[len(given):])
	var pairs []string
	for _, name := range order {
		for _, value := range all[name] {
			if value == "" && separator == "&" {
				pairs = append(pairs, name)
			} else {
				pairs = append(pairs, name+"="+value)
			}
		}
	}
	return strings.Join(pairs, with), nil
}

// Headers that functions neither see nor add, and those that they cannot change, by the kind of event.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html#function-restrictions-headers
var (
	disallowedHeaders = []string{
		"Connection", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Trailer", "Upgrade", "X-Accel-Buffering",
		"X-Accel-Charset", "X-Accel-Limit-Rate", "X-Accel-Redirect", "X-Amzn-Auth", "X-Amzn-Cf-Billing", "X-Amzn-Cf-Id", "X-Amzn-Cf-Xff",
		"X-Amzn-Errortype", "X-Amzn-Fle-Profile", "X-Amzn-Header-Count", "X-Amzn-Header-Order", "X-Amzn-Lambda-Integration-Tag", "X-Amzn-Requestid", "X-Cache",
		"X-Forwarded-Proto", "X-Real-Ip",
	}
	readOnly = map[string][]string{
		viewerRequest:  {"Content-Length", "Host", "Transfer-Encoding", "Via"},
		viewerResponse: {"Warning", "Via"},
	}
)

// Kinds of events.
const viewerRequest, viewerResponse = "viewer-request", "viewer-response"

func disallowed(name string) bool {
	return slices.Contains(disallowedHeaders, name) || strings.HasPrefix(name, "X-Amz-Cf-") || strings.HasPrefix(name, "X-Edge-")
}

// headers are those that a function returns, with those that it does not see.
func headers(kind string, before http.Header, returned any, hidden ...string) (http.Header, error) {
	members, ok := returned.(object)
	if !ok && returned != nil {
		return nil, fmt.Errorf("%w: the headers are no object", errValidation)
	}
	after := http.Header{}
	for name, values := range before {
		if disallowed(name) || slices.Contains(hidden, name) || slices.Contains(readOnly[kind], name) {
			after[name] = values
		}
	}
	for name, member := range members {
		if name != strings.ToLower(name) {
			return nil, fmt.Errorf("%w: the name of the header %s is not in lower case", errValidation, name)
		}
		name = http.CanonicalHeaderKey(name)
		values, err := changed(before[name], member)
		if err != nil {
			return nil, err
		}
		if disallowed(name) || slices.Contains(readOnly[kind], name) && !slices.Equal(values, before[name]) {
			return nil, fmt.Errorf("%w: a function cannot set the header %s", errValidation, name)
		}
		after[name] = values
	}
	return after, nil
}

// generated is an answer that a function makes.
type generated struct {
	status int
	header http.Header
	body   []byte
	// hasBody says that the function gives a body, perhaps an empty one.
	hasBody bool
}

// request runs the function before the cache is asked. It changes the request, or returns an answer in place of the
// origin's.
func (f *function) request(d *distribution, r *request) (*generated, error) {
	result, err := f.call(event(d, viewerRequest, r))
	if err != nil {
		return nil, err
	}
	if result["statusCode"] != nil {
		return response(viewerRequest, http.Header{}, result)
	}
	path := text(result["uri"])
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%w: the URI %q does not begin with a slash", errValidation, path)
	}
	if method := text(result["method"]); method != "" && method != r.method {
		return nil, fmt.Errorf("%w: a function cannot change the method to %q", errValidation, method)
	}
	query, err := joined(r.query, "&", "&", result["querystring"])
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(query, " #\t\r\n") || len(path)+len(query) >= maxURL {
		return nil, fmt.Errorf("%w: the URI %q", errValidation, path+"?"+query)
	}
	header, err := headers(viewerRequest, r.header, result["headers"])
	if err != nil {
		return nil, err
	}
	cookie, err := joined(cookies(r.header), ";", "; ", result["cookies"])
	if err != nil {
		return nil, err
	}
	if cookie != "" {
		header.Set("Cookie", cookie)
	}
	r.path, r.query, r.header = path, query, header
	return nil, nil
}

// response reads an answer that a function returns.
func response(kind string, before http.Header, result object) (*generated, error) {
	status, ok := result["statusCode"].(int64)
	if !ok || status < 200 || status > 599 {
		return nil, fmt.Errorf("%w: statusCode is %v", errValidation, result["statusCode"])
	}
	header, err := headers(kind, before, result["headers"])
	if err != nil {
		return nil, err
	}
	header.Del("Set-Cookie")
	set, _ := result["cookies"].(object)
	for name, cookie := range set {
		cookie, _ := cookie.(object)
		all := []any{cookie}
		if several, ok := cookie["multiValue"].([]any); ok {
			all = several
		}
		for _, one := range all {
			one, _ := one.(object)
			line := name + "=" + text(one["value"])
			if attributes := text(one["attributes"]); attributes != "" {
				line += "; " + attributes
			}
			header.Add("Set-Cookie", line)
		}
	}
	slices.Sort(header["Set-Cookie"])
	g := &generated{status: int(status), header: header}
	switch body := result["body"].(type) {
	case nil:
	case string:
		g.body, g.hasBody = []byte(body), true
	case object:
		g.body, g.hasBody = []byte(text(body["data"])), true
		switch encoding := text(body["encoding"]); encoding {
		case "text":
		case "base64":
			if g.body, err = base64.StdEncoding.DecodeString(string(g.body)); err != nil {
				return nil, fmt.Errorf("%w: the body is not Base64", errValidation)
			}
		default:
			return nil, fmt.Errorf("%w: the encoding %q of the body is neither text nor base64", errValidation, encoding)
		}
	default:
		return nil, fmt.Errorf("%w: the body is %v", errValidation, body)
	}
	return g, nil
}

// answer runs the function before an answer is sent to the viewer.
func (f *function) answer(d *distribution, r *request, status int, header http.Header) (*generated, error) {
	given := object{}
	for name, values := range header {
		if name != "Set-Cookie" && !disallowed(name) {
			given[strings.ToLower(name)] = named(values)
		}
	}
	set := object{}
	for _, line := range header["Set-Cookie"] {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		one := object{"value": value, "attributes": strings.TrimSpace(attributes)}
		if first, ok := set[name].(object); ok {
			several, ok := first["multiValue"].([]any)
			if !ok {
				several = []any{object{"value": first["value"], "attributes": first["attributes"]}}
			}
			first["multiValue"] = append(several, one)
			continue
		}
		set[name] = one
	}
	e := event(d, viewerResponse, r)
	e["response"] = object{"statusCode": status, "statusDescription": http.StatusText(status), "headers": given, "cookies": set}
	result, err := f.call(e)
	if err != nil {
		return nil, err
	}
	return response(viewerResponse, header, result)
}
