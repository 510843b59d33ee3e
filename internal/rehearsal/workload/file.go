package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"cutover/internal/rehearsal"
	"cutover/internal/words"
)

// maxFile bounds the memory that a file takes. A browser's recording has the answers, too, and may be large.
const maxFile = 512 << 20

// File adds the requests of a file: a routes file, a recording in the HAR format, or an OpenAPI document. The content
// decides which of them it is. The error has all that is wrong with the file, with the lines and columns.
func (b *Builder) File(name string) error {
	text, err := readFile(name)
	if err != nil {
		return err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	has := keysOf(text)
	switch {
	case has["log"]:
		return b.recording(name, text)
	case has["openapi"]:
		return b.openAPI(name, text)
	case has["swagger"]:
		return fmt.Errorf("%s is of Swagger 2: convert it to OpenAPI 3, for example with https://converter.swagger.io", name)
	case has["info"] && has["item"]:
		return fmt.Errorf("%s is a collection of Postman: export a recording (HAR) or an OpenAPI document, or write a routes file", name)
	}
	return b.routes(name, text)
}

// readFile reads a file, or what a pipe gives.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d MiB: leave out what is not needed, such as the answers", name, maxFile>>20)
	}
	return text, err
}

// keysOf are the keys of a file's outermost mapping, up to the first that says what the file is. There are none if the
// file cannot be read.
func keysOf(text []byte) map[string]bool {
	keys := map[string]bool{}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		var outermost map[string]yaml.Node
		_ = yaml.Unmarshal(text, &outermost) // the reader of routes files says what is wrong
		for key := range outermost {
			keys[key] = true
		}
		return keys
	}
	j := json.NewDecoder(bytes.NewReader(text))
	_, _ = j.Token()
	for j.More() && !keys["log"] && !keys["openapi"] {
		key, err := j.Token()
		if err != nil {
			break
		}
		keys[fmt.Sprint(key)] = true
		var skipped json.RawMessage
		if fmt.Sprint(key) != "log" && j.Decode(&skipped) != nil {
			break
		}
	}
	return keys
}

// known is a request that a recording or an OpenAPI document has.
type known struct {
	rehearsal.Request
	file   string
	weight int
}

// learn adds a request, unless it is one of another file or flag. Those have their own weights and checks. The file is
// empty if the request is of the list of services.
func (b *Builder) learn(file string, r rehearsal.Request, weight int) {
	b.known = append(b.known, known{r, file, weight})
}

// addKnown adds what recordings and OpenAPI documents have.
func (b *Builder) addKnown() {
	once := map[string]bool{}
	for _, r := range append(b.workload.Routes(), b.workload.Unsent...) {
		once[r.Key()] = true
	}
	unsent := map[string]*notes{} // by file
	for _, k := range b.known {
		k.Header = b.header(k.Header)
		if once[k.Key()] {
			continue
		}
		once[k.Key()] = true
		reason := ""
		switch {
		case k.Method == http.MethodDelete:
			reason = "left out (what was deleted cannot be deleted again: write a collection in a routes file)"
		case k.Writes() && !b.Writes:
			reason = "left out (--writes sends what may change something)"
		default:
			b.Add(k.Request, rehearsal.Expect{}, min(k.weight, rehearsal.MaxWeight))
			continue
		}
		b.workload.Unsent = append(b.workload.Unsent, &k.Request)
		if unsent[k.file] == nil {
			unsent[k.file] = &notes{file: k.file}
		}
		unsent[k.file].add(k.String(), reason)
	}
	for _, file := range slices.Sorted(maps.Keys(unsent)) {
		unsent[file].report(b)
	}
	b.known = nil
}

// hostOf is the Host header for a host of a recording or of a document. It is empty for a machine that only the
// recording knows, as localhost or an address: then the request goes to the host of the deployment.
func hostOf(u *url.URL) string {
	name := strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".elb.amazonaws.com") {
		return ""
	}
	return strings.ToLower(u.Host)
}

// notes count what a file has and a rehearsal leaves out.
type notes struct {
	file  string
	order []string
	by    map[string][]string // what was left out, by the reason
}

// add adds something that was left out.
func (n *notes) add(what, reason string) {
	if n.by == nil {
		n.by = map[string][]string{}
	}
	if n.by[reason] == nil {
		n.order = append(n.order, reason)
	}
	n.by[reason] = append(n.by[reason], what)
}

// report adds a gap for each reason.
func (n *notes) report(b *Builder) {
	for _, reason := range n.order {
		all := n.by[reason]
		such := ": "
		if len(all) > 1 {
			such = ", such as "
		}
		file := ""
		if n.file != "" {
			file = n.file + ": "
		}
		b.Gap("%s%s %s%s%s", file, words.Count(len(all), "request"), reason, such, all[0])
	}
}
