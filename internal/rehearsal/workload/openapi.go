package workload

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"cutover/internal/rehearsal"
)

// api is an OpenAPI document, version 3 (https://spec.openapis.org/oas/latest.html).
type api struct {
	*document
	notes
	b     *Builder
	doc   *openapi3.T
	files []source // in the order in which they were read
}

// source is the text of a file.
type source struct{ name, text string }

// maxExamples bounds the requests of an operation.
const maxExamples = 20

// openAPI adds the requests of an OpenAPI document: one for each operation, or for each of its examples.
func (b *Builder) openAPI(name string, text []byte) error {
	a := &api{document: &document{file: name}, notes: notes{file: name}, b: b}
	if a.load(text); len(a.errs) > 0 {
		return a.document.err()
	}
	operations := 0
	for _, path := range slices.Sorted(maps.Keys(a.doc.Paths.Map())) {
		item := a.doc.Paths.Value(path)
		if item == nil {
			continue
		}
		all := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(all)) {
			operations++
			a.operation(&operation{Operation: all[method], item: item, method: method, path: path})
		}
	}
	if operations == 0 {
		a.refuse(&yaml.Node{Line: 1, Column: 1}, "the document has no operations in paths")
	}
	a.report(b)
	return a.document.err()
}

// load reads the document, and the files that its references name.
func (a *api) load(text []byte) {
	a.files = []source{{a.document.file, string(text)}}
	loader := openapi3.NewLoader()
	loader.Context = context.Background()
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, location *url.URL) ([]byte, error) {
		if location.Scheme != "" || location.Host != "" {
			return nil, fmt.Errorf("$ref %s: save it as a file beside the document, and name that", location)
		}
		name := filepath.FromSlash(location.Path)
		read, err := readFile(name)
		if err == nil {
			a.files = append(a.files, source{name, string(read)})
		}
		return read, err
	}
	err := guard(func() (err error) {
		a.doc, err = loader.LoadFromDataWithPath(text, &url.URL{Path: filepath.ToSlash(a.document.file)})
		return err
	})
	first := &yaml.Node{Line: 1, Column: 1}
	switch {
	case err != nil:
		a.explainLoad(err)
	case a.doc.OpenAPI != "3" && !strings.HasPrefix(a.doc.OpenAPI, "3."):
		a.refuse(first, fmt.Sprintf("openapi %q: only versions 3 are read", a.doc.OpenAPI))
	case a.doc.Paths == nil:
		a.refuse(first, "the document has no operations in paths")
	}
}

// guard returns an error if a reader of somebody else's file panics.
func guard(read func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the document cannot be read: check it with a validator of OpenAPI")
		}
	}()
	return read()
}

// What the reader of OpenAPI documents says of values of a wrong type, of YAML that is none, and of references.
var (
	wrongType    = regexp.MustCompile("line (\\d+): cannot construct (!!\\w+).*? into \\S+ in (/\\S+)")
	wrongField   = regexp.MustCompile("cannot unmarshal (!!\\w+) into \\w+ field \"(\\w+)\"")
	wrongYAML    = regexp.MustCompile(`(?:^|\s)(?:yaml(?: error)?: )+(?:[a-z]+ errors?: )*(?:go-yaml load error [^:]*: )?(?:line (\d+)(?:, column (\d+))?: )?(.+)`)
	reference    = regexp.MustCompile(`\$ref["']?\s*:\s*["']?([^"'\s,{}]+)`)
	goTypes      = regexp.MustCompile(`(?:of type |Go (?:struct|value) )?\*?\b(?:openapi3\.|map\[string\])\S+`)
	wrongTypesOf = map[string]string{"!!seq": "array", "!!map": "object", "!!str": "string", "!!int": "integer", "!!float": "number", "!!bool": "boolean", "!!null": "null"}
)

// explainLoad adds what is wrong with the file of a document that was read last, or with a reference, in our words.
func (a *api) explainLoad(err error) {
	text := err.Error()
	a.document.file = a.files[len(a.files)-1].name
	if all := wrongType.FindAllStringSubmatch(text, -1); len(all) > 0 {
		for _, parts := range all {
			line, _ := strconv.Atoi(parts[1])
			var at []string
			for step := range strings.SplitSeq(strings.TrimSuffix(parts[3][1:], ";"), "/") {
				at = append(at, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
			}
			a.refuse(&yaml.Node{Line: line, Column: 1}, fmt.Sprintf("%smust not be %s", placeOf(at), withArticles([]string{wrongTypesOf[parts[2]]})))
		}
		return
	}
	if parts := wrongField.FindStringSubmatch(text); parts != nil {
		a.refuse(&yaml.Node{Line: 1, Column: 1}, fmt.Sprintf("%s: must not be %s: put it in quotation marks", parts[2], withArticles([]string{wrongTypesOf[parts[1]]})))
		return
	}
	if parts := wrongYAML.FindStringSubmatch(text); parts != nil {
		line, _ := strconv.Atoi(parts[1])
		column, _ := strconv.Atoi(parts[2])
		a.refuse(&yaml.Node{Line: max(1, line), Column: max(1, column)}, "this is no YAML: "+parts[3])
		return
	}
	text = strings.Join(strings.Fields(goTypes.ReplaceAllString(text, "")), " ")
	for _, file := range a.files {
		for i, line := range strings.Split(file.text, "\n") {
			found := reference.FindStringSubmatchIndex(line)
			if found == nil || !strings.Contains(text, line[found[2]:found[3]]) {
				continue
			}
			if strings.Contains(text, "resolve") || errors.Is(err, fs.ErrNotExist) {
				text = fmt.Sprintf("$ref %s leads nowhere", line[found[2]:found[3]])
			}
			a.document.file = file.name
			a.refuse(&yaml.Node{Line: i + 1, Column: found[0] + 1}, text)
			return
		}
	}
	a.refuse(&yaml.Node{Line: 1, Column: 1}, text)
}

// operation is an operation with where it is.
type operation struct {
	*openapi3.Operation
	item         *openapi3.PathItem
	method, path string

	parameters []*openapi3.Parameter
	mediaType  string // of the body
	media      *openapi3.MediaType
	made       []string // parameters whose values have no example
}

// String is the operation for people.
func (o *operation) String() string { return o.method + " " + o.path }

// operation adds the requests of an operation.
func (a *api) operation(o *operation) {
	o.parameters = parameters(o.item.Parameters, o.Parameters)
	if body := o.RequestBody; body != nil && body.Value != nil {
		o.mediaType, o.media = mediaOf(body.Value.Content)
	}
	base, host := a.server(o)
	for _, example := range o.examples() {
		o.made = nil
		r, err := o.request(example)
		if err != nil {
			a.add(o.String(), fmt.Sprintf("left out (%v)", err))
			continue
		}
		r.Path, r.Host = base+r.Path, host
		wrong := ""
		r.Check(func(_, problem string) { wrong = cmp.Or(wrong, problem) })
		if wrong != "" {
			a.add(o.String(), fmt.Sprintf("left out (%s)", wrong))
			continue
		}
		if len(o.made) > 0 {
			a.add(fmt.Sprintf("%s (%s)", o, strings.Join(o.made, ", ")), "sent with values that were made up, as there is no example")
		}
		a.b.learn(a.notes.file, r, 1)
	}
	if scheme := a.login(o); scheme != "" {
		a.add(o.String(), fmt.Sprintf("sent without what %s asks for (send it with --header)", scheme))
	}
}

// examples are the names of the operation's examples. Examples of one name belong together. Without a name there is one
// request.
func (o *operation) examples() []string {
	names := map[string]bool{}
	for _, p := range o.parameters {
		for name := range p.Examples {
			names[name] = true
		}
	}
	if o.media != nil {
		for name := range o.media.Examples {
			names[name] = true
		}
	}
	if len(names) == 0 {
		return []string{""}
	}
	all := slices.Sorted(maps.Keys(names))
	return all[:min(len(all), maxExamples)]
}

// parameters are those of an operation. Its own replace those of the path.
func parameters(lists ...openapi3.Parameters) (all []*openapi3.Parameter) {
	for _, list := range lists {
		for _, ref := range list {
			if ref == nil || ref.Value == nil {
				continue
			}
			p := ref.Value
			all = slices.DeleteFunc(all, func(other *openapi3.Parameter) bool { return other.Name == p.Name && other.In == p.In })
			all = append(all, p)
		}
	}
	return all
}

// mediaOf chooses the type of a body: JSON, a form, or whatever comes first.
func mediaOf(content openapi3.Content) (string, *openapi3.MediaType) {
	names := slices.Sorted(maps.Keys(content))
	for _, wanted := range []func(string) bool{isJSON, isForm, func(string) bool { return true }} {
		if i := slices.IndexFunc(names, wanted); i >= 0 && content[names[i]] != nil {
			return names[i], content[names[i]]
		}
	}
	return "", nil
}

var jsonType = regexp.MustCompile(`(?i)^(application/json|[\w.-]+/[\w.+-]+\+json)\s*(;|$)`)

func isJSON(mediaType string) bool { return jsonType.MatchString(mediaType) }

func isForm(mediaType string) bool {
	return strings.HasPrefix(strings.ToLower(mediaType), "application/x-www-form-urlencoded")
}

// server is the path and the host of the first server.
func (a *api) server(o *operation) (base, host string) {
	servers := a.doc.Servers
	if len(o.item.Servers) > 0 {
		servers = o.item.Servers
	}
	if o.Servers != nil && len(*o.Servers) > 0 {
		servers = *o.Servers
	}
	if len(servers) == 0 || servers[0] == nil {
		return "", ""
	}
	text := servers[0].URL
	for name, variable := range servers[0].Variables {
		if variable != nil {
			text = strings.ReplaceAll(text, "{"+name+"}", variable.Default)
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", ""
	}
	if base = strings.Trim(u.EscapedPath(), "/"); base != "" {
		base = "/" + base
	}
	if u.Host == "" {
		return base, ""
	}
	return base, hostOf(u)
}

// login is the security scheme that nothing meets, or empty. One of the requirements has to be met.
func (a *api) login(o *operation) string {
	requirements := a.doc.Security
	if o.Security != nil {
		requirements = *o.Security
	}
	missing := ""
	for _, requirement := range requirements {
		unmet := ""
		for _, name := range slices.Sorted(maps.Keys(requirement)) {
			if !a.meets(name) {
				unmet = cmp.Or(unmet, name)
			}
		}
		if unmet == "" {
			return ""
		}
		missing = cmp.Or(missing, unmet)
	}
	return missing
}

// meets says whether the rehearsal's headers have what a security scheme asks for.
func (a *api) meets(scheme string) bool {
	header := "Authorization"
	if a.doc.Components != nil {
		if ref := a.doc.Components.SecuritySchemes[scheme]; ref != nil && ref.Value != nil && ref.Value.Type == "apiKey" {
			switch ref.Value.In {
			case "header":
				header = ref.Value.Name
			case "cookie":
				header = "Cookie"
			default:
				return false
			}
		}
	}
	return len(a.b.Options.Header[http.CanonicalHeaderKey(header)]) > 0
}

var templated = regexp.MustCompile(`\{([^{}]+)\}`)

// request is the request of an operation, with the values of an example.
func (o *operation) request(example string) (rehearsal.Request, error) {
	r := rehearsal.Request{Method: o.method, Path: o.path, Header: http.Header{}}
	if o.method == http.MethodGet {
		r.Method = ""
	}
	var query, cookies []string
	for _, p := range o.parameters {
		text, ok, err := o.parameter(p, example)
		if err != nil {
			return r, fmt.Errorf("parameter %s: %w", p.Name, err)
		}
		switch {
		case !ok:
		case p.In == "path":
			r.Path = strings.ReplaceAll(r.Path, "{"+p.Name+"}", text)
		case p.In == "query" && text != "":
			query = append(query, text)
		case p.In == "cookie":
			cookies = append(cookies, text)
		case p.In == "header" && !slices.Contains([]string{"Accept", "Content-Type", "Authorization"}, http.CanonicalHeaderKey(p.Name)):
			r.Header.Set(p.Name, text)
		}
	}
	r.Path = templated.ReplaceAllStringFunc(r.Path, func(name string) string {
		o.made = append(o.made, strings.Trim(name, "{}"))
		return "1"
	})
	r.Path = strings.ReplaceAll(r.Path, " ", "%20")
	if len(query) > 0 {
		r.Path += "?" + strings.Join(query, "&")
	}
	if len(cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	return r, o.body(&r, example)
}

// parameter is the text of a parameter. It returns false if the parameter is not sent: it may be left out, and has no
// example.
func (o *operation) parameter(p *openapi3.Parameter, example string) (string, bool, error) {
	v := valueOf(p.Example, p.Examples, p.Schema, example)
	if media, content := mediaOf(p.Content); content != nil {
		if v = valueOf(content.Example, content.Examples, content.Schema, example); v.err == nil && isJSON(media) {
			text, err := encode(v.value)
			v.value, v.err = string(text), err
		}
	}
	required := p.Required || p.In == "path"
	if !required && v.from != fromExample {
		return "", false, nil
	}
	if v.err == nil && v.from == madeUp {
		o.made = append(o.made, p.Name)
	}
	if v.err != nil {
		return "", false, v.err
	}
	text, err := serialize(p, v.value)
	return text, true, err
}

// body adds the body.
func (o *operation) body(r *rehearsal.Request, example string) error {
	if o.media == nil {
		return nil
	}
	v := valueOf(o.media.Example, o.media.Examples, o.media.Schema, example)
	text, isText := v.value.(string)
	switch {
	case !o.RequestBody.Value.Required && v.from != fromExample && (v.err != nil || v.from == madeUp):
		return nil // it may be left out
	case v.err != nil:
		return fmt.Errorf("body: %w", v.err)
	case isJSON(o.mediaType) && isText && json.Valid([]byte(text)):
		r.Body = []byte(text)
	case isJSON(o.mediaType):
		var err error
		if r.Body, err = encode(v.value); err != nil {
			return fmt.Errorf("body: %w", err)
		}
	case isForm(o.mediaType) && !isText:
		members, _ := v.value.(map[string]any)
		form := url.Values{}
		for name, value := range members {
			text, err := plain(value)
			if err != nil {
				return fmt.Errorf("body: %s: %w", name, err)
			}
			form.Set(name, text)
		}
		r.Body = []byte(form.Encode())
	case isText && v.from == fromExample:
		r.Body = []byte(text)
	case isText && strings.HasPrefix(o.mediaType, "text/"):
		r.Body = []byte(text)
	default:
		return fmt.Errorf("body: %s has no example as text", o.mediaType)
	}
	if v.from == madeUp {
		o.made = append(o.made, "the body")
	}
	r.Header.Set("Content-Type", o.mediaType)
	return nil
}

// encode is JSON without escapes of HTML.
func encode(value any) ([]byte, error) {
	if err := exact(value); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
