package records

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cutover/services/internal/server"
	"cutover/services/internal/store"
)

const (
	// The most records, and bytes of their bodies, of a list that is not asked for in pages. A load balancer
	// takes 1 MB from a Lambda function.
	maxList      = 1000
	maxListBytes = 900_000
	// The most records of a page.
	maxPage = 200
	// How many items are read first. Their size decides how many are read next.
	firstRead, maxRead = 25, 100
	// How many lists are read at the same time. The others wait. Each has at most maxRead of the largest
	// records in memory.
	listsAtOnce = 4
)

// one answers with a record.
func (s *stored) one(r *http.Request) (*server.Response, error) {
	id, ok := server.PathID(r, one(s.Name)+"Id")
	if !ok || id < 1 || id > server.MaxID {
		return server.NoContent, nil
	}
	item, err := s.get(r.Context(), id)
	if err != nil || item.Body == nil {
		return server.NoContent, err
	}
	tag := etag(item.Seq)
	return conditional(r, tag, server.Encoded(http.StatusOK, item.Body, "").With("ETag", tag))
}

// all answers with the list of all records.
func (s *stored) all(r *http.Request) (*server.Response, error) {
	return s.list(r, s.Name, func(ctx context.Context, after string, n int) ([]store.Item, int, string, error) {
		items, err := s.store.List(ctx, s.Name, after, n)
		if err != nil || len(items) == 0 {
			return nil, 0, "", err
		}
		return items, len(items), items[len(items)-1].ID, nil
	})
}

// referring returns what answers with the records whose field has the id of the path. There are none for
// a record that does not exist.
func (s *stored) referring(f Field) func(*http.Request) (*server.Response, error) {
	return func(r *http.Request) (*server.Response, error) {
		id, ok := server.PathID(r, one(f.Of)+"Id")
		if !ok || id < 1 {
			id = 0 // no record refers to it
		}
		index := f.index(id)
		return s.list(r, index, func(ctx context.Context, after string, n int) ([]store.Item, int, string, error) {
			found, err := s.store.List(ctx, index, after, n)
			if err != nil || len(found) == 0 {
				return nil, 0, "", err
			}
			keys := make([]store.Key, len(found))
			for i := range found {
				keys[i] = store.Key{List: s.Name, ID: found[i].ID}
			}
			items, err := s.store.Get(ctx, keys...)
			if err != nil {
				return nil, 0, "", err
			}
			// A record may have changed meanwhile, so that it is no longer in the list.
			items = slices.DeleteFunc(items, func(item store.Item) bool {
				if item.Body == nil {
					return true
				}
				lists, wrong := s.references(item.Body)
				if wrong != nil {
					err = wrong
				}
				return !slices.Contains(lists, index)
			})
			return items, len(found), found[len(found)-1].ID, err
		})
	}
}

// list answers with a list, or with a page of it. The function read returns the next records of at most n
// items, how many items it has looked at, and the id of the last.
func (s *stored) list(r *http.Request, name string, read func(ctx context.Context, after string, n int) (items []store.Item, looked int, last string, err error)) (*server.Response, error) {
	p, err := pageOf(r, name)
	if err != nil {
		return nil, err
	}
	select {
	case s.lists <- struct{}{}:
		defer func() { <-s.lists }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	withIDs := s.HidesID && accepts(r, WithIDs)
	body, last, more, n := []byte("["), "", false, firstRead
	records := 0
	for after := p.after; !more; {
		n = min(n, p.limit-records+1)
		items, looked, end, err := read(r.Context(), after, n)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if item.Body == nil {
				continue
			}
			if more = records == p.limit || records > 0 && len(body)+len(item.Body) > maxListBytes; more {
				break
			}
			if records > 0 {
				body = append(body, ',')
			}
			body = s.appendItem(body, item, withIDs)
			records, last = records+1, item.ID
		}
		if looked < n {
			break
		}
		after = end
		n = maxRead
		if records > 0 {
			n = min(maxRead, max(firstRead, (maxListBytes-len(body))*records/len(body)))
		}
	}
	if more && p.all {
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("The list has more than %d records or %d bytes. Ask for it in pages, with ?limit=%d.", maxList, maxListBytes, maxPage))
	}
	body = append(body, ']')
	sum := sha256.Sum256(body)
	tag, mediaType := `"`+hex.EncodeToString(sum[:8])+`"`, ""
	if withIDs {
		mediaType = WithIDs + "; charset=utf-8"
	}
	response := server.Encoded(http.StatusOK, body, mediaType).With("ETag", tag)
	if s.HidesID {
		response.With("Vary", "Accept")
	}
	if more {
		response.With("Link", "<"+r.URL.EscapedPath()+"?"+url.Values{"limit": {strconv.Itoa(p.limit)}, "after": {Cursor(name, last)}}.Encode()+`>; rel="next"`)
	}
	return conditional(r, tag, response)
}

// appendItem appends a record to a list.
func (s *stored) appendItem(body []byte, item store.Item, withID bool) []byte {
	if !withID {
		return append(body, item.Body...)
	}
	body = append(body, `{"id":`...)
	body = append(body, strings.TrimLeft(item.ID, "0")...)
	return append(append(body, ','), item.Body[1:]...)
}

// page is what a request asks of a list.
type page struct {
	limit int
	after string // the id of an item
	all   bool   // the list is not asked for in pages
}

func pageOf(r *http.Request, list string) (page, error) {
	query := r.URL.Query()
	if !query.Has("limit") && !query.Has("after") {
		return page{limit: maxList, all: true}, nil
	}
	p := page{limit: maxPage}
	if query.Has("limit") {
		limit, ok := server.StrictID(query.Get("limit"))
		if !ok || limit > maxPage {
			return p, refuse(http.StatusBadRequest, fmt.Sprintf("limit must be a number from 1 to %d.", maxPage))
		}
		p.limit = int(limit)
	}
	if query.Has("after") {
		id, ok := After(list, query.Get("after"))
		if !ok {
			return p, refuse(http.StatusBadRequest, "after must be that of a link to the next page of this list.")
		}
		p.after = id
	}
	return p, nil
}

// Cursor is the parameter after for what is behind the id of an item in a list, and After the id in such a parameter.
func Cursor(list, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "/" + id))
}

// After is explained at Cursor. It is false for a parameter that is none of the list.
func After(list, cursor string) (id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	id, ours := strings.CutPrefix(string(raw), list+"/")
	n, isID := server.StrictID(strings.TrimLeft(id, "0"))
	return id, err == nil && ours && isID && ItemID(n) == id
}

// etag is that of a record with a sequence number.
func etag(seq int64) string { return fmt.Sprintf(`"%d"`, seq) }

// conditional returns the answer to a GET request by the request's conditions (RFC 9110, 13).
func conditional(r *http.Request, tag string, response *server.Response) (*server.Response, error) {
	if met, none := conditions(r, tag); !met && none {
		return response.NotModified(), nil
	} else if !met {
		return nil, preconditionFailed
	}
	return response, nil
}

var preconditionFailed = refuse(http.StatusPreconditionFailed, "The record or list is not as the condition of the request says.")

// conditions says whether the conditions of a request are met. If not, none says that If-None-Match is not.
func conditions(r *http.Request, tag string) (met, none bool) {
	if tags := r.Header.Values("If-Match"); tags != nil && !names(tags, tag, "") {
		return false, false
	}
	if tags := r.Header.Values("If-None-Match"); tags != nil {
		return !names(tags, tag, "W/"), true
	}
	return true, false
}

// names says whether lists of ETags have one, also with the prefix weak. "*" stands for each.
func names(lists []string, tag, weak string) bool {
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), weak); one == tag || one == "*" {
				return true
			}
		}
	}
	return false
}

// accepts says whether a request names a media type in Accept, and not with q=0.
func accepts(r *http.Request, mediaType string) bool {
	for _, list := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(list, ",") {
			name, parameters, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(name), mediaType) {
				q, found := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=0")
				return !found || strings.Trim(q, ".0") != ""
			}
		}
	}
	return false
}
