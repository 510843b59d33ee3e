package cloudfront

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// bucket has the objects of a bucket by their keys.
type bucket struct {
	mu      sync.RWMutex
	objects map[string]*stored
}

// stored is an object of S3. It does not change.
type stored struct {
	header http.Header
	body   []byte
}

// kinds are the types that the AWS CLI gives files by their names, which has them of Python's module mimetypes. It does
// not look at what is in a file.
// https://github.com/python/cpython/blob/main/Lib/mimetypes.py
var kinds = map[string]string{
	".avif": "image/avif", ".css": "text/css", ".csv": "text/csv", ".gif": "image/gif", ".htm": "text/html", ".html": "text/html",
	".ico": "image/vnd.microsoft.icon", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript", ".json": "application/json", ".md": "text/markdown",
	".mjs": "text/javascript", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml",
	".txt": "text/plain", ".wasm": "application/wasm", ".webm": "video/webm", ".webmanifest": "application/manifest+json", ".webp": "image/webp",
	".xml": "text/xml", ".zip": "application/zip",
}

// contents are the files of a deployment's assets by their keys in the bucket.
func contents(b *model.BucketFiles, now time.Time) (map[string]*stored, error) {
	files := map[string]*stored{}
	add := func(name string, body []byte) {
		files[path.Join(b.Prefix, name)] = newObject(name, body, b.Headers, now)
	}
	for _, asset := range b.Assets {
		if !b.Extract {
			body, err := os.ReadFile(asset.Path)
			if err != nil {
				return nil, err
			}
			add(path.Base(asset.Destinations[0].Key), body)
			continue
		}
		err := walk(asset, add)
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// walk calls add for each file of an asset: a directory, or an archive that is one already.
func walk(asset *assembly.FileAsset, add func(name string, body []byte)) error {
	files := os.DirFS(asset.Path)
	if asset.Packaging == "file" {
		archive, err := zip.OpenReader(asset.Path)
		if err != nil {
			return err
		}
		defer archive.Close()
		files = archive
	}
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err == nil {
			add(name, body)
		}
		return err
	})
}

func newObject(name string, body []byte, header http.Header, now time.Time) *stored {
	h := http.Header{"Content-Type": {"binary/octet-stream"}, "Accept-Ranges": {"bytes"}, "Server": {"AmazonS3"}, "X-Amz-Server-Side-Encryption": {"AES256"}}
	if kind := kinds[strings.ToLower(path.Ext(name))]; kind != "" {
		h.Set("Content-Type", kind)
	}
	h.Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
	h.Set("Last-Modified", now.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	maps.Copy(h, header)
	return &stored{h, body}
}

// put copies files into the bucket. Prune takes away what else is below the prefix. An object that is there already keeps
// its date.
func (b *bucket) put(files map[string]*stored, prefix string, prune bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := map[string]*stored{}
	for key, object := range b.objects {
		if below := prefix == "" || strings.HasPrefix(key, prefix+"/"); !below || !prune || files[key] != nil {
			next[key] = object
		}
	}
	for key, object := range files {
		if before := next[key]; before == nil || before.header.Get("ETag") != object.header.Get("ETag") || before.header.Get("Content-Type") != object.header.Get("Content-Type") || before.header.Get("Cache-Control") != object.header.Get("Cache-Control") {
			next[key] = object
		}
	}
	b.objects = next
}

func (b *bucket) get(key string) *stored {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.objects[key]
}

// s3 answers the requests of a distribution as S3 does.
type s3 struct {
	bucket func() *bucket
	// reads and lists are as in [model.Model.Reads].
	reads, lists bool
}

// RoundTrip answers from the bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (s s3) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	escaped := r.URL.Opaque
	if escaped == "" {
		escaped = r.URL.EscapedPath()
	}
	key, err := url.PathUnescape(strings.TrimPrefix(escaped, "/"))
	answer := func(status int, header http.Header, body []byte) (*http.Response, error) {
		length := int64(len(body))
		if r.Method == http.MethodHead || status == http.StatusNotModified {
			body = nil
		}
		header = header.Clone()
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		header.Set("Content-Length", strconv.FormatInt(length, 10))
		if status == http.StatusNotModified {
			header.Del("Content-Length")
		}
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: length,
			Body: io.NopCloser(bytes.NewReader(body)), Request: r,
		}, nil
	}
	fail := func(status int, code, message string) (*http.Response, error) {
		text := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
		return answer(status, http.Header{"Content-Type": {"application/xml"}, "Server": {"AmazonS3"}}, []byte(text))
	}
	var found *stored
	if b := s.bucket(); b != nil && err == nil {
		found = b.get(key)
	}
	switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
	case err != nil:
		return fail(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	case !reads, !s.reads, found == nil && !s.lists:
		return fail(http.StatusForbidden, "AccessDenied", "Access Denied")
	case found == nil:
		return fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	case notModified(r.Header, found.header):
		return answer(http.StatusNotModified, found.header, nil)
	}
	from, to, ranged, err := byteRange(r.Header, found.header, int64(len(found.body)))
	switch {
	case err != nil:
		return fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	case ranged:
		header := found.header.Clone()
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(found.body)))
		return answer(http.StatusPartialContent, header, found.body[from:to])
	}
	return answer(http.StatusOK, found.header, found.body)
}

// notModified says whether the viewer has the object already.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
func notModified(request, object http.Header) bool {
	if sent := request.Get("If-None-Match"); sent != "" {
		own := strings.TrimPrefix(object.Get("ETag"), "W/")
		for tag := range strings.SplitSeq(sent, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || own != "" && tag == own {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(request.Get("If-Modified-Since"))
	if err != nil {
		return false
	}
	modified, err := http.ParseTime(object.Get("Last-Modified"))
	return err == nil && !modified.After(since)
}

var errRange = errors.New("the range is not in the object")

// byteRange is the range of an object that a request asks for, if it asks for one. Several ranges are not answered: the
// whole object is sent, as RFC 9110 allows.
func byteRange(request, object http.Header, size int64) (from, to int64, ok bool, err error) {
	spec, found := strings.CutPrefix(request.Get("Range"), "bytes=")
	if condition := request.Get("If-Range"); !found || strings.Contains(spec, ",") || condition != "" && condition != object.Get("ETag") && condition != object.Get("Last-Modified") {
		return 0, size, false, nil
	}
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || first == "" && last == "" {
		return 0, size, false, nil
	}
	number := func(text string) int64 {
		n, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil || n < 0 {
			err = bad
		}
		return n
	}
	switch {
	case first == "": // the last bytes
		from, to = max(0, size-number(last)), size
	case last == "":
		from, to = number(first), size
	default:
		from, to = number(first), min(size, number(last)+1)
	}
	if err != nil || first != "" && last != "" && to < from+1 && from < size {
		return 0, size, false, nil
	}
	if from >= size {
		return 0, 0, false, errRange
	}
	return from, to, true, nil
}
