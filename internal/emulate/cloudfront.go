package emulate

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A cloudFront is CloudFront's API (https://docs.aws.amazon.com/cloudfront/latest/APIReference/). moto knows a part of a
// distribution and little else. Here everything keeps its configuration as it was given.
type cloudFront struct {
	mu   sync.Mutex
	kept []*kept // oldest first
}

// A kind is a kind of things that CloudFront keeps.
type kind struct {
	path    string // of the API
	element string
	config  string // the element with the configuration
	at      string // the path of a changed configuration, after the id
	used    string // the element that names it in the configuration of a distribution
	missing string // codes of errors
	inUse   string
	exists  string
}

var (
	distributions = &kind{path: "distribution", element: "Distribution", config: "DistributionConfig", at: "/config", missing: "NoSuchDistribution"}
	edgeFunctions = &kind{path: "function", element: "FunctionSummary", config: "FunctionConfig", used: "FunctionARN",
		missing: "NoSuchFunctionExists", inUse: "FunctionInUse", exists: "FunctionAlreadyExists"}
)

var kinds = []*kind{
	distributions, edgeFunctions, policy("cache-policy", "CachePolicy"), policy("origin-request-policy", "OriginRequestPolicy"),
	policy("response-headers-policy", "ResponseHeadersPolicy"),
	{path: "origin-access-control", element: "OriginAccessControl", config: "OriginAccessControlConfig", at: "/config", used: "OriginAccessControlId",
		missing: "NoSuchOriginAccessControl", inUse: "OriginAccessControlInUse", exists: "OriginAccessControlAlreadyExists"},
	{path: "vpc-origin", element: "VpcOrigin", config: "VpcOriginEndpointConfig", used: "VpcOriginId",
		missing: "EntityNotFound", inUse: "CannotDeleteEntityWhileInUse", exists: "EntityAlreadyExists"},
}

func policy(path, element string) *kind {
	return &kind{path: path, element: element, config: element + "Config", used: element + "Id",
		missing: "NoSuch" + element, inUse: element + "InUse", exists: element + "AlreadyExists"}
}

// managed are the policies that AWS keeps for everybody, as CDK lists them.
const managed = `08627262-05a9-4f76-9ded-b50ca2e3a84f 2e54312d-136d-493c-8eb9-b001f22f67d2 4135ea2d-6df8-44a3-9df3-4b5a84be39ad
4cc15a8a-d715-48a4-82b8-cc0b614638fe 658327ea-f89d-4fab-a63d-7e88639e58f6 83da9c7e-98b4-4e11-a168-04f0df8e2c65 b2884449-e4de-46a7-ac36-70bc7f1ddd6d
216adef6-5c7f-47e4-b989-5492eafa07d3 33f36d7e-f396-46d9-90e0-52428a34d9dc 59781a5b-3903-41f3-afcb-af62929ccde1 775133bc-15f2-49f9-abea-afb2e0bf67d2
88a5eaf4-2fd4-4709-b370-b4c650ea3fcf acba4595-bd28-49b8-b9fe-13317c0390fa b689b0a8-53d0-40ab-baf2-68738e2966ac bf0718e1-ba1e-49d1-88b1-f726733018ae
5cc3b908-e619-4b99-88e5-2cf7f45965bd 60669652-455b-4ae9-85a4-c4c02393f86c 67f7725c-6f97-4210-82d7-5512b31e9d03 e61eb60c-9c35-4d20-a928-2b84e02af89c
eaab4381-ed33-4a86-88ca-d9558dc6cd63`

// A kept is a distribution, a function, a policy, an origin access control or a VPC origin.
type kept struct {
	kind    *kind
	id      string // of a function, its name
	made    time.Time
	changed time.Time
	config  element
	code    []byte // of a function
	live    *kept  // the published state of a function
	version int
}

func (k *kept) etag() string { return "E" + strconv.Itoa(k.version) }

func (k *kept) arn() string {
	return "arn:aws:cloudfront::" + Account + ":" + strings.ReplaceAll(k.kind.path, "-", "") + "/" + k.id
}

func (k *kept) domain() string { return "d" + strings.ToLower(k.id[1:]) + ".cloudfront.net" }

// reference is how a distribution names it.
func (k *kept) reference() string {
	if k.kind == edgeFunctions {
		return k.arn()
	}
	return k.id
}

// An element is an element of XML.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

func tag(name, text string, children ...element) element {
	return element{XMLName: xml.Name{Local: name}, Text: text, Children: children}
}

// all returns the elements of that name, at any depth.
func (e *element) all(name string) (found []*element) {
	if e.XMLName.Local == name {
		found = append(found, e)
	}
	for i := range e.Children {
		found = append(found, e.Children[i].all(name)...)
	}
	return found
}

// first returns the text of the first element of that name.
func (e *element) first(name string) string {
	if all := e.all(name); len(all) > 0 {
		return strings.TrimSpace(all[0].Text)
	}
	return ""
}

// bare takes the namespaces away, and the space between elements.
func (e *element) bare() {
	e.XMLName.Space = ""
	if len(e.Children) > 0 {
		e.Text = ""
	}
	for i := range e.Children {
		e.Children[i].bare()
	}
}

// An apiError is an error answer.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func refusal(status int, code, format string, args ...any) error {
	return &apiError{status, code, fmt.Sprintf(format, args...)}
}

const version = "/2020-05-31/"

func (cf *cloudFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cf.mu.Lock()
	defer cf.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = cf.answer(w, r, body)
	}
	if err == nil {
		return
	}
	e, ok := err.(*apiError)
	if !ok {
		e = &apiError{http.StatusInternalServerError, "InternalError", err.Error()}
	}
	write(w, e.status, tag("ErrorResponse", "", tag("Error", "", tag("Type", "Sender"), tag("Code", e.code), tag("Message", e.message)), tag("RequestId", "0")))
}

func write(w http.ResponseWriter, status int, root element) {
	body, _ := xml.Marshal(root) // of texts alone
	name := "<" + root.XMLName.Local
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprint(w, name, ` xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"`, strings.TrimPrefix(string(body), name))
}

func (cf *cloudFront) answer(w http.ResponseWriter, r *http.Request, body []byte) error {
	path, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, version), "/")
	id, rest, _ := strings.Cut(id, "/")
	i := slices.IndexFunc(kinds, func(k *kind) bool { return k.path == path })
	if i < 0 {
		return refusal(http.StatusNotFound, "UnknownOperationException", "the emulator does not know CloudFront's %s", r.URL.Path)
	}
	of := kinds[i]
	var in element
	if len(body) > 0 && !(r.Method == http.MethodPost && rest == "publish") {
		if err := xml.Unmarshal(body, &in); err != nil {
			return refusal(http.StatusBadRequest, "MalformedXML", "%v", err)
		}
		in.bare()
	}
	if id == "" {
		switch r.Method {
		case http.MethodGet:
			write(w, http.StatusOK, cf.list(of))
			return nil
		case http.MethodPost:
			return cf.create(w, of, in)
		}
		return refusal(http.StatusMethodNotAllowed, "InvalidAction", "%s", r.Method)
	}
	k := cf.find(of, id)
	if k == nil {
		return refusal(http.StatusNotFound, of.missing, "The specified %s does not exist.", of.path)
	}
	if r.Method == http.MethodGet {
		return k.show(w, rest, r.URL.Query().Get("Stage"))
	}
	switch match := r.Header.Get("If-Match"); {
	case match == "":
		return refusal(http.StatusBadRequest, "InvalidIfMatchVersion", "The If-Match version is missing or not valid for the resource.")
	case match != k.etag():
		return refusal(http.StatusPreconditionFailed, "PreconditionFailed", "The precondition in one or more of the request fields evaluated to false.")
	}
	switch {
	case r.Method == http.MethodPut && "/"+rest == cmp.Or(of.at, "/"):
		return cf.update(w, k, in)
	case r.Method == http.MethodPost && rest == "publish" && of == edgeFunctions:
		published := *k
		k.live, published.live = &published, nil
		return k.show(w, "describe", "LIVE")
	case r.Method == http.MethodDelete && rest == "":
		if err := cf.remove(k); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return refusal(http.StatusNotFound, "UnknownOperationException", "the emulator does not know CloudFront's %s of %s", r.Method, r.URL.Path)
}

func (cf *cloudFront) find(of *kind, id string) *kept {
	for _, k := range cf.kept {
		if k.kind == of && (k.id == id || k.reference() == id) {
			return k
		}
	}
	return nil
}

func (cf *cloudFront) create(w http.ResponseWriter, of *kind, in element) error {
	id := uuid.New()
	k := &kept{kind: of, id: id.String(), made: time.Now()}
	switch of.element {
	case "Distribution", "OriginAccessControl":
		k.id = "E" + strings.ToUpper(id.String()[24:])
	case "VpcOrigin":
		k.id = "vo_" + id.String()[24:]
	case "FunctionSummary":
		k.id = in.first("Name")
	}
	name := k.id
	if of != edgeFunctions && of != distributions {
		name = in.first("Name")
	}
	for _, other := range cf.kept {
		if other.kind == of && of != distributions && (other.id == name || other.config.first("Name") == name) {
			return refusal(http.StatusConflict, of.exists, "%s with the name %s already exists.", of.path, name)
		}
		if of == distributions && other.kind == of && other.config.first("CallerReference") == in.first("CallerReference") {
			return refusal(http.StatusConflict, "DistributionAlreadyExists", "The caller reference that you are using to create a distribution is associated with another distribution. Already exists: %s", other.id)
		}
	}
	if err := cf.set(k, in); err != nil {
		return err
	}
	cf.kept = append(cf.kept, k)
	w.Header().Set("ETag", k.etag())
	write(w, http.StatusCreated, k.described(k))
	return nil
}

func (cf *cloudFront) update(w http.ResponseWriter, k *kept, in element) error {
	if err := cf.set(k, in); err != nil {
		return err
	}
	w.Header().Set("ETag", k.etag())
	write(w, http.StatusOK, k.described(k))
	return nil
}

// set gives a kept a new configuration, if CloudFront takes it.
func (cf *cloudFront) set(k *kept, in element) error {
	all := in.all(k.kind.config)
	if len(all) == 0 {
		return refusal(http.StatusBadRequest, "MalformedXML", "no %s", k.kind.config)
	}
	config := *all[0]
	switch k.kind {
	case distributions:
		if err := cf.check(k, config); err != nil {
			return err
		}
	case edgeFunctions:
		code, err := base64.StdEncoding.DecodeString(in.first("FunctionCode"))
		switch runtime := config.first("Runtime"); {
		case err != nil || len(code) == 0:
			return refusal(http.StatusBadRequest, "InvalidArgument", "The function has no code.")
		case len(code) > 10*1024:
			return refusal(http.StatusRequestEntityTooLarge, "FunctionSizeLimitExceeded", "The function is too large: it has %d bytes, and 10,240 are the limit.", len(code))
		case runtime != "cloudfront-js-1.0" && runtime != "cloudfront-js-2.0":
			return refusal(http.StatusBadRequest, "InvalidArgument", "The parameter Runtime has the value %q.", runtime)
		}
		k.code = code
	}
	k.config, k.changed = config, time.Now()
	k.version++
	return nil
}

// check refuses a configuration of a distribution as CloudFront does
// (https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateDistribution.html#API_CreateDistribution_Errors).
func (cf *cloudFront) check(k *kept, config element) error {
	var origins, patterns []string
	for _, origin := range config.all("Origin") {
		origins = append(origins, origin.first("Id"))
		path := origin.first("OriginPath")
		if path != "" && (!strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/")) {
			return refusal(http.StatusBadRequest, "InvalidArgument", "The parameter OriginPath has the value %q: it has to begin with / and cannot end with /.", path)
		}
		if strings.Contains(origin.first("DomainName"), "/") {
			return refusal(http.StatusBadRequest, "InvalidArgument", "The parameter origin name cannot contain a colon or a slash: %s", origin.first("DomainName"))
		}
	}
	for _, target := range config.all("TargetOriginId") {
		if !slices.Contains(origins, target.Text) {
			return refusal(http.StatusNotFound, "NoSuchOrigin", "One or more of your origins or origin groups do not exist: %s", target.Text)
		}
	}
	for _, pattern := range config.all("PathPattern") {
		if slices.Contains(patterns, pattern.Text) {
			return refusal(http.StatusBadRequest, "InvalidArgument", "The parameter PathPattern contains %s twice.", pattern.Text)
		}
		patterns = append(patterns, pattern.Text)
	}
	for _, of := range kinds {
		for _, named := range config.all(of.used) {
			used := cf.find(of, named.Text)
			switch {
			case named.Text == "" || strings.Contains(managed, named.Text):
			case used == nil && of == edgeFunctions:
				return refusal(http.StatusBadRequest, "InvalidFunctionAssociation", "The function ARN %s does not exist.", named.Text)
			case used == nil:
				return refusal(http.StatusNotFound, of.missing, "The specified %s does not exist: %s", of.path, named.Text)
			case of == edgeFunctions && used.live == nil:
				return refusal(http.StatusBadRequest, "InvalidFunctionAssociation", "The function %s is not published.", used.id)
			}
		}
	}
	aliases := config.all("CNAME")
	if len(aliases) > 0 && config.first("ACMCertificateArn") == "" {
		return refusal(http.StatusBadRequest, "InvalidViewerCertificate", "To add an alternate domain name (CNAME) to a CloudFront distribution, you must attach a trusted certificate that validates your authorization to use the domain name.")
	}
	if certificate := config.first("ACMCertificateArn"); certificate != "" && !strings.Contains(certificate, ":acm:us-east-1:") {
		return refusal(http.StatusBadRequest, "InvalidViewerCertificate", "The specified SSL certificate doesn't exist, isn't in us-east-1 region, isn't valid, or doesn't include a valid certificate chain.")
	}
	for _, other := range cf.kept {
		for _, theirs := range other.config.all("CNAME") {
			if other != k && slices.ContainsFunc(aliases, func(ours *element) bool { return ours.Text == theirs.Text }) {
				return refusal(http.StatusConflict, "CNAMEAlreadyExists", "One or more of the CNAMEs you provided are already associated with a different resource: %s", theirs.Text)
			}
		}
	}
	return nil
}

func (cf *cloudFront) remove(k *kept) error {
	if k.kind == distributions && k.config.first("Enabled") == "true" {
		return refusal(http.StatusConflict, "DistributionNotDisabled", "The distribution you are trying to delete has not been disabled.")
	}
	for _, other := range cf.kept {
		if k.kind.used == "" || other.kind != distributions {
			continue
		}
		for _, named := range other.config.all(k.kind.used) {
			if named.Text == k.reference() {
				return refusal(http.StatusConflict, k.kind.inUse, "Cannot delete the %s %s: the distribution %s uses it.", k.kind.path, k.id, other.id)
			}
		}
	}
	cf.kept = slices.DeleteFunc(cf.kept, func(other *kept) bool { return other == k })
	return nil
}

// show answers a read.
func (k *kept) show(w http.ResponseWriter, rest, stage string) error {
	state := k
	if stage == "LIVE" {
		if state = k.live; state == nil {
			return refusal(http.StatusNotFound, k.kind.missing, "The function %s is not published.", k.id)
		}
	}
	w.Header().Set("ETag", state.etag())
	switch {
	case k.kind == edgeFunctions && rest == "":
		w.Header().Set("Content-Type", "application/octet-stream")
		_, err := w.Write(state.code)
		return err
	case rest == "config":
		write(w, http.StatusOK, k.config)
	case rest == "" || rest == "describe" && k.kind == edgeFunctions:
		write(w, http.StatusOK, k.described(state))
	default:
		return refusal(http.StatusNotFound, "UnknownOperationException", "the emulator does not know CloudFront's %s of a %s", rest, k.kind.path)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// described is how CloudFront describes a kept. The state of a function may be the published one.
func (k *kept) described(state *kept) element {
	none := []element{tag("Enabled", "false"), tag("Quantity", "0")}
	changed := tag("LastModifiedTime", stamp(state.changed))
	switch k.kind.element {
	case "Distribution":
		return tag("Distribution", "", tag("Id", k.id), tag("ARN", k.arn()), tag("Status", "Deployed"), changed, tag("InProgressInvalidationBatches", "0"),
			tag("DomainName", k.domain()), tag("ActiveTrustedSigners", "", none...), tag("ActiveTrustedKeyGroups", "", none...), k.config)
	case "FunctionSummary":
		stage, status := "DEVELOPMENT", "UNPUBLISHED"
		if state != k {
			stage = "LIVE"
		}
		if k.live != nil {
			status = "UNASSOCIATED"
		}
		return tag("FunctionSummary", "", tag("Name", k.id), tag("Status", status), state.config,
			tag("FunctionMetadata", "", tag("FunctionARN", k.arn()), tag("Stage", stage), tag("CreatedTime", stamp(k.made)), changed))
	case "VpcOrigin":
		return tag("VpcOrigin", "", tag("Id", k.id), tag("Arn", k.arn()), tag("Status", "Deployed"), tag("CreatedTime", stamp(k.made)), changed, k.config)
	case "OriginAccessControl":
		return tag("OriginAccessControl", "", tag("Id", k.id), k.config)
	}
	return tag(k.kind.element, "", tag("Id", k.id), changed, k.config)
}

// list answers a list of all of a kind. The summaries have what the configuration has.
func (cf *cloudFront) list(of *kind) element {
	var summaries []element
	for _, k := range cf.kept {
		if k.kind != of {
			continue
		}
		d := k.described(k)
		switch of.element {
		case "FunctionSummary":
		case "VpcOrigin":
			d = tag("VpcOriginSummary", "", append(d.Children[:len(d.Children)-1], tag("Name", k.config.first("Name")), tag("OriginEndpointArn", k.config.first("Arn")))...)
		case "Distribution", "OriginAccessControl":
			d = tag(of.element+"Summary", "", slices.Concat(d.Children[:len(d.Children)-1], k.config.Children)...)
		default:
			d = tag(of.element+"Summary", "", tag("Type", "custom"), d)
		}
		summaries = append(summaries, d)
	}
	name := strings.TrimSuffix(of.element, "Summary") + "List"
	return tag(name, "", tag("Marker", ""), tag("MaxItems", "100"), tag("IsTruncated", "false"), tag("Quantity", strconv.Itoa(len(summaries))), tag("Items", "", summaries...))
}
