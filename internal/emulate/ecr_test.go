package emulate

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakeMoto answers ECR's API as far as it concerns repositories.
func fakeMoto(t *testing.T, mutability map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			RepositoryName  string
			RepositoryNames []string
		}
		json.NewDecoder(r.Body).Decode(&in)
		const uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
		switch strings.TrimPrefix(r.Header.Get("X-Amz-Target"), ecrTarget) {
		case "DescribeRepositories":
			m, ok := mutability[in.RepositoryNames[0]]
			if !ok {
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, `{"__type": "RepositoryNotFoundException"}`)
				return
			}
			fmt.Fprintf(w, `{"repositories": [{"repositoryUri": "%s/x", "imageTagMutability": "%s"}]}`, uri, m)
		case "CreateRepository":
			fmt.Fprintf(w, `{"repository": {"repositoryUri": "%s/x"}}`, uri)
		case "GetAuthorizationToken":
			fmt.Fprintf(w, `{"authorizationData": [{"proxyEndpoint": "https://%s"}]}`, uri)
		case "DeleteRepository":
			delete(mutability, in.RepositoryName)
			io.WriteString(w, "{}")
		default:
			t.Errorf("moto was asked for %s", r.Header.Get("X-Amz-Target"))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

type ecrFixture struct {
	t *testing.T
	e *ecr
	h http.Handler // the front
}

func newECRFixture(t *testing.T) *ecrFixture {
	backend := fakeMoto(t, map[string]string{"users": "IMMUTABLE", "scratch": "MUTABLE"})
	e := newECR(backend, "localhost:5000", log.New(io.Discard, "", 0))
	return &ecrFixture{t, e, newFront(backend, http.NotFoundHandler(), e)}
}

func (f *ecrFixture) push(repository, tag, manifest string) (int, string) {
	r := httptest.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, strings.NewReader(manifest))
	r.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	w := httptest.NewRecorder()
	f.e.registry.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (f *ecrFixture) api(action, body string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", ecrTarget+action)
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestPush(t *testing.T) {
	f := newECRFixture(t)
	tests := []struct {
		name, repository, tag, manifest string
		status                          int
		code                            string
	}{
		{"no such repository", "posts", "v1-a", `{"a":1}`, http.StatusNotFound, "NAME_UNKNOWN"},
		{"first push", "users", "v1-a", `{"a":1}`, http.StatusCreated, ""},
		{"the same image again", "users", "v1-a", `{"a":1}`, http.StatusCreated, ""},
		{"another image under an immutable tag", "users", "v1-a", `{"a":2}`, http.StatusBadRequest, "TAG_INVALID"},
		{"another tag", "users", "v1-b", `{"a":2}`, http.StatusCreated, ""},
		{"mutable, first", "scratch", "latest", `{"a":1}`, http.StatusCreated, ""},
		{"mutable, changed", "scratch", "latest", `{"a":2}`, http.StatusCreated, ""},
	}
	for _, test := range tests {
		if status, body := f.push(test.repository, test.tag, test.manifest); status != test.status || !strings.Contains(body, test.code) {
			t.Errorf("%s: %d %s, want %d %s", test.name, status, body, test.status, test.code)
		}
	}
	// An upload is refused before the manifest is.
	w := httptest.NewRecorder()
	f.e.registry.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v2/posts/blobs/uploads/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("upload to a repository that does not exist: %d, want 404", w.Code)
	}
}

func TestImages(t *testing.T) {
	f := newECRFixture(t)
	f.push("users", "v1-a", `{"a":1}`)
	const digest = "sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862" // of {"a":1}
	tests := []struct {
		action, body string
		status       int
		want         []string
	}{
		{"DescribeImages", `{"repositoryName": "users", "imageIds": [{"imageTag": "v1-a"}]}`, 200, []string{digest, `"imageTags":["v1-a"]`}},
		{"DescribeImages", `{"repositoryName": "users"}`, 200, []string{digest}},
		{"DescribeImages", `{"repositoryName": "users", "imageIds": [{"imageTag": "v1-b"}]}`, 400, []string{"ImageNotFoundException"}},
		{"DescribeImages", `{"repositoryName": "posts", "imageIds": [{"imageTag": "v1-a"}]}`, 400, []string{"RepositoryNotFoundException"}},
		{"BatchGetImage", `{"repositoryName": "users", "imageIds": [{"imageTag": "v1-a"}, {"imageTag": "v1-b"}]}`, 200, []string{`"imageManifest":"{\"a\":1}"`, `"failureCode":"ImageNotFound"`}},
		{"ListImages", `{"repositoryName": "users"}`, 200, []string{`{"imageIds":[{"imageDigest":"` + digest + `","imageTag":"v1-a"}]}`}},
		{"DeleteRepository", `{"repositoryName": "users"}`, 400, []string{"RepositoryNotEmptyException"}},
		{"BatchDeleteImage", `{"repositoryName": "users", "imageIds": [{"imageTag": "v1-a"}]}`, 200, []string{digest}},
		{"ListImages", `{"repositoryName": "users"}`, 200, []string{`{"imageIds":[]}`}},
	}
	for _, test := range tests {
		status, body := f.api(test.action, test.body)
		if status != test.status {
			t.Errorf("%s %s: %d, want %d", test.action, test.body, status, test.status)
		}
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s %s: %s, want %s in it", test.action, test.body, body, want)
			}
		}
	}
}

func TestDeleteRepositoryWithItsImages(t *testing.T) {
	f := newECRFixture(t)
	f.push("users", "v1-a", `{"a":1}`)
	if status, body := f.api("DeleteRepository", `{"repositoryName": "users", "force": true}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if tags := f.e.tags("users"); len(tags) > 0 {
		t.Errorf("images left in the registry: %q", tags)
	}
	if status, _ := f.push("users", "v1-b", `{"a":1}`); status != http.StatusNotFound {
		t.Errorf("push to a deleted repository: %d, want 404", status)
	}
}

// The docker command is sent to the registry. Templates keep the names on AWS.
func TestHosts(t *testing.T) {
	f := newECRFixture(t)
	tests := []struct{ action, body, want string }{
		{"GetAuthorizationToken", `{}`, `"http://localhost:5000"`},
		{"DescribeRepositories", `{"repositoryNames": ["users"]}`, `"localhost:5000/x"`},
		{"CreateRepository", `{"repositoryName": "new"}`, `"123456789012.dkr.ecr.us-east-1.amazonaws.com/x"`},
	}
	for _, test := range tests {
		if _, body := f.api(test.action, test.body); !strings.Contains(body, test.want) {
			t.Errorf("%s: %s, want %s in it", test.action, body, test.want)
		}
	}
}

func TestFrontDispatches(t *testing.T) {
	moto := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "moto ", r.Host) }))
	defer moto.Close()
	h := newFront(moto.URL, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "cloudformation") }), nil)
	tests := []struct{ scope, want string }{
		{"cloudformation", "cloudformation"},
		{"s3", "moto bucket.localhost"},
		{"", "moto bucket.localhost"},
	}
	for _, test := range tests {
		r := httptest.NewRequest(http.MethodPost, "http://bucket.localhost/", nil)
		if test.scope != "" {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/"+test.scope+"/aws4_request, SignedHeaders=host, Signature=0")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); got != test.want {
			t.Errorf("signed for %q: answered by %s, want %s", test.scope, got, test.want)
		}
	}
}
