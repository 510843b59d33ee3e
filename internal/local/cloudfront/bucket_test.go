package cloudfront

import (
	"archive/zip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

func TestByteRange(t *testing.T) {
	object := http.Header{"Etag": {`"e"`}, "Last-Modified": {"then"}}
	for sent, want := range map[string]string{
		"": "false", "bytes=0-0": "0-1", "bytes=2-": "2-10", "bytes=-3": "7-10", "bytes=-30": "0-10", "bytes=5-100": "5-10", "bytes=10-": "416", "bytes=3-2": "false", "bytes=0-1,3-4": "false",
		"bytes=a-b": "false", "bytes=-": "false", "lines=0-1": "false", `bytes=0-1|"e"`: "0-2", `bytes=0-1|"f"`: "false", "bytes=0-1|then": "0-2", "bytes=9223372036854775807-": "416",
	} {
		spec, condition, _ := strings.Cut(sent, "|")
		request := http.Header{}
		request.Set("Range", spec)
		if condition != "" {
			request.Set("If-Range", condition)
		}
		from, to, ok, err := byteRange(request, object, 10)
		got := fmt.Sprint(ok)
		switch {
		case err != nil:
			got = "416"
		case ok:
			got = fmt.Sprintf("%d-%d", from, to)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", sent, got, want)
		}
	}
}

func TestNotModified(t *testing.T) {
	object := http.Header{"Etag": {`W/"e"`}, "Last-Modified": {"Fri, 27 Nov 2026 10:00:00 GMT"}}
	for sent, want := range map[string]bool{
		`If-None-Match: "e"`: true, `If-None-Match: W/"e"`: true, `If-None-Match: "x", "e"`: true, `If-None-Match: "x"`: false, "If-None-Match: *": true,
		"If-Modified-Since: Fri, 27 Nov 2026 10:00:00 GMT": true, "If-Modified-Since: Fri, 27 Nov 2026 09:59:59 GMT": false, "If-Modified-Since: now": false, "A: b": false,
	} {
		name, value, _ := strings.Cut(sent, ": ")
		if got := notModified(http.Header{http.CanonicalHeaderKey(name): {value}}, object); got != want {
			t.Errorf("%s: %t", sent, got)
		}
	}
	if notModified(http.Header{"If-None-Match": {`"x"`}, "If-Modified-Since": {"Fri, 27 Nov 2026 10:00:00 GMT"}}, object) {
		t.Error("If-Modified-Since counts beside If-None-Match")
	}
}

// Files come from a directory, from an archive, or are the archive itself.
func TestContents(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "a.zip")
	file, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	in, err := w.Create("css/a.css")
	if err == nil {
		_, err = in.Write([]byte("a {}"))
	}
	if err := joinClose(err, w, file); err != nil {
		t.Fatal(err)
	}
	packed := &assembly.FileAsset{Path: archive, Packaging: "file", Destinations: []assembly.FileDestination{{Key: "abc.zip"}}}
	for _, c := range []struct {
		files model.BucketFiles
		want  string
	}{
		{model.BucketFiles{Assets: []*assembly.FileAsset{packed}, Extract: true, Prefix: "v1"}, "v1/css/a.css text/css"},
		{model.BucketFiles{Assets: []*assembly.FileAsset{packed}}, "abc.zip application/zip"},
		{model.BucketFiles{Assets: []*assembly.FileAsset{{Path: "testdata/asset.page", Packaging: "zip"}}, Extract: true}, "index.html text/html|nested/a b.bin binary/octet-stream|page.js text/javascript"},
	} {
		files, err := contents(&c.files, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for key, object := range files {
			all = append(all, key+" "+object.header.Get("Content-Type"))
		}
		if slices.Sort(all); strings.Join(all, "|") != c.want {
			t.Errorf("the files are %q, want %s", all, c.want)
		}
	}
}

func joinClose(err error, all ...io.Closer) error {
	for _, one := range all {
		if failed := one.Close(); err == nil {
			err = failed
		}
	}
	return err
}

// Pruning takes away what is below the prefix, and an object that has not changed keeps its date.
func TestPut(t *testing.T) {
	then, now := time.Now().Add(-time.Hour), time.Now()
	b := &bucket{}
	object := func(body string, at time.Time) *stored { return newObject("a.txt", []byte(body), nil, at) }
	b.put(map[string]*stored{"v1/a": object("1", then), "v1/b": object("2", then), "v10/c": object("3", then)}, "", false)
	b.put(map[string]*stored{"v1/a": object("1", now), "v1/d": object("4", now)}, "v1", true)
	var keys []string
	for key := range b.objects {
		keys = append(keys, key)
	}
	if slices.Sort(keys); fmt.Sprint(keys) != "[v1/a v1/d v10/c]" {
		t.Errorf("the bucket has %v", keys)
	}
	if b.get("v1/a").header.Get("Last-Modified") != then.UTC().Format(http.TimeFormat) {
		t.Error("an object that has not changed has another date")
	}
}

// Who may list a bucket is told what is not there.
func TestS3(t *testing.T) {
	b := &bucket{}
	b.put(map[string]*stored{"a": newObject("a", []byte("x"), nil, time.Now())}, "", false)
	for _, c := range []struct {
		reads, lists bool
		ask          string
		status       int
	}{
		{true, false, "GET /a", 200}, {true, false, "GET /b", 403}, {true, true, "GET /b", 404}, {false, false, "GET /a", 403}, {true, true, "PUT /a", 403}, {true, false, "HEAD /a", 200},
	} {
		method, path, _ := strings.Cut(c.ask, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s3{func() *bucket { return b }, c.reads, c.lists}.RoundTrip(r)
		if err != nil || response.StatusCode != c.status {
			t.Errorf("%+v: %v, %v", c, response.StatusCode, err)
		}
		response.Body.Close()
	}
}

// A deployment that names a distribution has it forget what it keeps.
func TestInvalidation(t *testing.T) {
	s := serve(t, echo, change{`"Prune": false`, `"Prune": true, "DistributionId": {"Ref": "Distribution830FAC52"}, "DistributionPaths": ["/nested/*"]`})
	s.is("200 Miss x", s.ask("GET /nested/a%20b.bin"))
	s.ask("GET /index.html")
	s.deploy(change{`"Prune": false`, `"Prune": true, "DistributionId": {"Ref": "Distribution830FAC52"}, "DistributionPaths": ["/nested/*"]`})
	s.is("200 Miss x", s.ask("GET /nested/a%20b.bin"))
	if a := s.ask("GET /index.html"); a.Header.Get("X-Cache") != "Hit from cloudfront" {
		t.Errorf("another path: %s", a.Header.Get("X-Cache"))
	}
}
