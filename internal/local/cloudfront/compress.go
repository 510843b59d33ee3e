package cloudfront

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
)

// What CloudFront compresses: objects of these sizes and types.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html#compressed-content-cloudfront-file-types
const minCompressed, maxCompressed = 1000, 10_000_000

var compressible = strings.Fields(`
	application/dash+xml application/eot application/font application/font-sfnt application/javascript application/json application/opentype
	application/otf application/pdf application/pkcs7-mime application/protobuf application/rss+xml application/truetype application/ttf
	application/vnd.apple.mpegurl application/vnd.mapbox-vector-tile application/vnd.ms-fontobject application/wasm application/xhtml+xml application/xml
	application/x-font-opentype application/x-font-truetype application/x-font-ttf application/x-httpd-cgi application/x-javascript application/x-mpegurl
	application/x-opentype application/x-otf application/x-perl application/x-ttf font/eot font/opentype font/otf font/ttf image/svg+xml
	text/css text/csv text/html text/javascript text/js text/plain text/richtext text/tab-separated-values text/xml text/x-component
	text/x-java-source text/x-script vnd.apple.mpegurl`)

// compress compresses an answer of an origin if CloudFront does, with the best of some encodings.
func compress(header http.Header, body []byte, encodings string) []byte {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if encodings == "" || header.Get("Content-Encoding") != "" || header.Get("Content-Length") == "" ||
		len(body) < minCompressed || len(body) > maxCompressed || !slices.Contains(compressible, kind) {
		return body
	}
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	coding, _, _ := strings.Cut(encodings, ",") // br comes first
	if coding == "br" {
		w = brotli.NewWriterLevel(&b, brotli.DefaultCompression)
	}
	_, _ = w.Write(body) // into memory
	_ = w.Close()
	header.Set("Content-Encoding", coding)
	if !slices.ContainsFunc(header["Vary"], func(line string) bool { return strings.Contains(strings.ToLower(line), "accept-encoding") }) {
		header.Add("Vary", "Accept-Encoding")
	}
	switch etag := header.Get("ETag"); {
	case strings.HasPrefix(etag, `"`):
		header.Set("ETag", "W/"+etag)
	case !strings.HasPrefix(etag, "W/"):
		header.Del("ETag")
	}
	return b.Bytes()
}
