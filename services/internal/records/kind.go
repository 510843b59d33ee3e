package records

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

// Kind says what the records of a module are, if they are in a store.
type Kind struct {
	// Name is the plural, as in "users": the table of the document, the list in the store, and the path
	// below /api.
	Name string
	// Fields are those of a record, in the order of the answers. Each record has an id before them.
	Fields []Field
	// HidesID says that the answers leave the id out. Lists have it in the media type [WithIDs].
	HidesID bool
	// Guarded says that a PUT needs If-Match.
	Guarded bool
	// Version is that of the schema of events. Default: 1. A consumer of an older version must be able to read the events of a newer
	// one, unless the number grows.
	Version int
	// Referring are the lists of records that may refer to a record. While they do, it cannot be deleted.
	Referring []Referring
}

// Field is a text, or the id of a record of another kind.
type Field struct {
	Name string
	// MaxText is the length of the longest text, in bytes.
	MaxText int
	// Optional says that the text may be empty or missing.
	Optional bool
	// Of is the kind that an id is of. List is the path of the records by that id, as in "by-user".
	Of, List string
}

// Referring is the list of the records of a kind that refer to another record: "by-user" of "posts".
type Referring struct{ Kind, List string }

const (
	// MaxText is the length of the longest text of all, in bytes. More is status 413.
	MaxText = 300 << 10
	// maxRecord is the length of the longest record, in bytes. Its line in a history needs 2 KiB more.
	maxRecord = store.MaxBody - 2<<10
	// maxBody is that of a request's body.
	maxBody = 320 << 10
	// maxMistakes is how many mistakes an answer names.
	maxMistakes = 20
	// WithIDs is the media type of lists with the ids of records that hide them.
	WithIDs = "application/vnd.cutover.v2+json"
)

// record has the values of a kind's fields: a string or an int64 each.
type record []any

// one is the singular of a kind's name.
func one(kind string) string { return strings.TrimSuffix(kind, "s") }

// refusal is the answer to a request that is not done.
type refusal struct{ *server.Response }

func (r refusal) Error() string { return fmt.Sprintf("refused with status %d", r.Status()) }

func refuse(status int, detail string, mistakes ...server.Mistake) error {
	return refusal{server.Problem(status, detail, mistakes...)}
}

// decode reads a record from a body. The id is what the body must have as its id, and 0 if the body may
// have none.
func (k Kind) decode(raw []byte, id int64) (record, error) {
	members, names, err := object(raw)
	if err != nil {
		return nil, err
	}
	var mistakes []server.Mistake
	mistake := func(name, detail string) {
		if len(mistakes) < maxMistakes {
			mistakes = append(mistakes, server.Mistake{Pointer: pointer(name), Detail: detail})
		}
	}
	var values record
	known := map[string]bool{"id": true}
	for _, f := range k.Fields {
		known[f.Name] = true
		value, wrong := f.value(members[f.Name])
		if text, ok := value.(string); ok && len(text) > MaxText {
			return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("The text has more than %d bytes.", MaxText),
				server.Mistake{Pointer: pointer(f.Name), Detail: "is too long"})
		}
		if wrong != "" {
			mistake(f.Name, wrong)
		}
		values = append(values, value)
	}
	if given, ok := members["id"]; ok && id == 0 {
		mistake("id", "is given by the service: leave it out")
	} else if ok && string(given) != strconv.FormatInt(id, 10) {
		mistake("id", "must be the id in the path")
	}
	for _, name := range names {
		if !known[name] {
			mistake(name, "is no field of a "+one(k.Name))
		}
	}
	if len(mistakes) > 0 {
		return nil, refuse(http.StatusUnprocessableEntity, "The body is not a "+one(k.Name)+".", mistakes...)
	}
	if len(k.encode(server.MaxID, values)) > maxRecord {
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("The record has more than %d bytes.", maxRecord))
	}
	return values, nil
}

// value reads a field. It says what is wrong with the value.
func (f Field) value(raw json.RawMessage) (value any, wrong string) {
	switch {
	case raw == nil && f.Optional:
		return "", ""
	case raw == nil:
		return nil, "is missing"
	case f.Of != "":
		id, ok := server.StrictID(string(raw))
		if !ok {
			return nil, fmt.Sprintf("must be the id of a %s: a whole number from 1 to %d", one(f.Of), server.MaxID)
		}
		return id, ""
	}
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return nil, "must be a text"
	}
	switch {
	case text == "" && !f.Optional:
		return nil, "must not be empty"
	case strings.ContainsRune(text, utf8.RuneError) && !bytes.ContainsRune(raw, utf8.RuneError) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)):
		return nil, "has half of a surrogate pair"
	case len(text) > f.MaxText:
		return text, fmt.Sprintf("must have at most %d bytes", f.MaxText)
	}
	return text, ""
}

// encode renders a record as the answers have it, and with its id in any case if the kind hides no id.
func (k Kind) encode(id int64, values record) []byte {
	body := []byte("{")
	if !k.HidesID {
		body = append(strconv.AppendInt(append(body, `"id":`...), id, 10), ',')
	}
	for i, f := range k.Fields {
		value, err := server.Encode(values[i])
		if err != nil {
			panic(err) // a text and a number can always be rendered
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(body, `"`+f.Name+`":`...), value...)
	}
	return append(body, '}')
}

// references returns the lists of the store that have a record, by what the record refers to. The body is
// one of encode.
func (k Kind) references(body []byte) ([]string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, fmt.Errorf("a record of %s cannot be read: %w", k.Name, err)
	}
	var lists []string
	for _, f := range k.Fields {
		if f.Of != "" {
			id, ok := server.StrictID(string(members[f.Name]))
			if !ok {
				return nil, fmt.Errorf("a record of %s has the %s %s", k.Name, f.Name, members[f.Name])
			}
			lists = append(lists, f.index(id))
		}
	}
	return lists, nil
}

// index is the store's list of the records that refer to an id.
func (f Field) index(id int64) string { return f.List + "#" + ItemID(id) }

// ItemID is the id of an item in the store. The order of items is that of their records' ids.
func ItemID(id int64) string { return fmt.Sprintf("%016d", id) }

// object returns the members of a JSON object, and their names in their order.
func object(raw []byte) (map[string]json.RawMessage, []string, error) {
	switch {
	case len(raw) == 0:
		return nil, nil, refuse(http.StatusBadRequest, "The body is empty.")
	case !utf8.Valid(raw):
		return nil, nil, refuse(http.StatusBadRequest, "The body is not UTF-8.")
	}
	var any json.RawMessage
	if err := json.Unmarshal(raw, &any); err != nil {
		return nil, nil, refuse(http.StatusBadRequest, "The body is not JSON: "+err.Error()+".")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, nil, refuse(http.StatusUnprocessableEntity, "The body is not a JSON object.", server.Mistake{Pointer: "", Detail: "must be an object"})
	}
	members := map[string]json.RawMessage{}
	var names []string
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, nil, err // cannot be: it is JSON
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, nil, err
		}
		if members[name] != nil {
			return nil, nil, refuse(http.StatusBadRequest, "The body has a member twice.", server.Mistake{Pointer: pointer(name), Detail: "is there twice"})
		}
		members[name] = value
		names = append(names, name)
	}
	return members, names, nil
}

// pointer is the JSON pointer of a member (RFC 6901), and of the beginning of a long name.
func pointer(name string) string {
	name = strings.ToValidUTF8(name[:min(len(name), 100)], "")
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
