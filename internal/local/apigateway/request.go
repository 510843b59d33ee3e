package apigateway

import (
	"net/http"
	"net/url"
	"strings"

	"cutover/internal/model"
)

// request is a request of a client.
type request struct {
	// method is that of the client, or the one in X-HTTP-Method-Override.
	method string
	// path is below the stage, and query without its question mark: both as they were sent.
	path, query string
	header      http.Header
	host        string
	body        []byte
}

// overridden is the method that a request has: "API Gateway overrides the method" with X-HTTP-Method-Override.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func overridden(method string, header http.Header) string {
	if other := header.Get(methodOverride); other != "" {
		return strings.ToUpper(other)
	}
	return method
}

const methodOverride = "X-Http-Method-Override"

// parameters are the query's, decoded. A part that cannot be decoded stays as it is.
func parameters(query string) map[string][]string {
	all := map[string][]string{}
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name = unescape(name)
		all[name] = append(all[name], unescape(value))
	}
	return all
}

func unescape(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}

// values are those of a parameter, as in method.request.path.proxy, method.request.querystring.limit or
// method.request.header.Accept. One of the integration is what it is made of.
func (r *request) values(found *route, of map[string]string, name string) []string {
	if made, ok := of[name]; ok {
		if text, ok := quoted(made); ok {
			return []string{text}
		}
		name = made
	}
	kind, key := parameterName(name)
	switch kind {
	case "path":
		if value, ok := found.path[key]; ok {
			return []string{value}
		}
	case "querystring", "multivaluequerystring":
		values := parameters(r.query)[key]
		if kind == "querystring" && len(values) > 1 {
			values = values[len(values)-1:]
		}
		return values
	case "header", "multivalueheader":
		values := r.header.Values(key)
		if kind == "header" && len(values) > 1 {
			values = values[len(values)-1:]
		}
		return values
	}
	return nil
}

// parameterName is the kind and the name in method.request.KIND.NAME; empty for any other text.
func parameterName(name string) (kind, key string) {
	for _, prefix := range []string{"method.request.", "integration.request."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			kind, key, _ = strings.Cut(rest, ".")
			return kind, key
		}
	}
	return "", ""
}

// quoted is the text in single quotes.
func quoted(text string) (string, bool) {
	if len(text) > 1 && strings.HasPrefix(text, "'") && strings.HasSuffix(text, "'") {
		return text[1 : len(text)-1], true
	}
	return "", false
}

// integrationPath is the path that an HTTP integration asks for: each name in braces has the value of
// integration.request.path.NAME.
func integrationPath(found *route, r *request) string {
	i := &found.method.Integration
	var b strings.Builder
	for rest := i.Path; ; {
		before, after, open := strings.Cut(rest, "{")
		b.WriteString(before)
		if !open {
			return b.String()
		}
		name, after, _ := strings.Cut(after, "}")
		b.WriteString(strings.Join(r.values(found, i.Parameters, pathParameter+name), ""))
		rest = after
	}
}

const pathParameter = "integration.request.path."

// names are those in braces in a path.
func names(path string) (all []string) {
	for {
		_, rest, open := strings.Cut(path, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !open || !closed {
			return all
		}
		all, path = append(all, name), after
	}
}

// integrationMethod is the method that the integration gets.
func integrationMethod(i *model.Integration, method string) string {
	if i.Method == "" || i.Method == "ANY" {
		return method
	}
	return i.Method
}
