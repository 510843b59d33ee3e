package emulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

// newFront returns the handler of all APIs: CloudFormation's and ECR's are answered here, the rest by moto.
func newFront(backend string, cloudformation http.Handler, e *ecr) http.Handler {
	u, _ := url.Parse(backend)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // S3 reads the bucket from it
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case service(r) == "cloudformation":
			cloudformation.ServeHTTP(w, r)
		case strings.HasPrefix(r.Header.Get("X-Amz-Target"), ecrTarget):
			e.api(w, r)
		default:
			proxy.ServeHTTP(w, r)
		}
	})
}

// service returns the name of the service that a request was signed for.
func service(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	if p := strings.Split(scope, "/"); len(p) > 3 {
		return p[3]
	}
	return ""
}

const ecrTarget = "AmazonEC2ContainerRegistry_V20150921."

// An ecr is ECR: moto knows the repositories and their settings, a registry holds the images.
type ecr struct {
	backend  string       // moto
	host     string       // of the registry, as Docker is told
	images   http.Handler // the registry without ECR's rules
	registry http.Handler // the registry with them
	log      io.Writer
}

func newECR(backend, host string, logTo io.Writer) *ecr {
	e := &ecr{backend: backend, host: host, log: logTo, images: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	e.registry = http.HandlerFunc(e.push)
	return e
}

// A memory is a response that is kept.
type memory struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (m *memory) Header() http.Header         { return m.header }
func (m *memory) WriteHeader(s int)           { m.status = s }
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }

// ask sends a request to the registry, without a connection.
func (e *ecr) ask(method, path string) *memory {
	m := &memory{status: http.StatusOK, header: http.Header{}}
	r, err := http.NewRequest(method, "http://"+e.host+path, nil)
	if err != nil {
		m.status = http.StatusBadRequest
		return m
	}
	e.images.ServeHTTP(m, r)
	return m
}

func (e *ecr) tags(repository string) []string {
	var list struct{ Tags []string }
	json.Unmarshal(e.ask(http.MethodGet, "/v2/"+repository+"/tags/list").body.Bytes(), &list)
	return list.Tags
}

var upload = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads/|manifests/)(.*)$`)

// push is the registry as ECR has it: a push needs a repository that exists, and the tags of one that says so cannot be
// changed. Pushing the very same image again is not an error.
func (e *ecr) push(w http.ResponseWriter, r *http.Request) {
	m := upload.FindStringSubmatch(r.URL.Path)
	if m == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		e.images.ServeHTTP(w, r)
		return
	}
	name, tag := m[1], m[3]
	settings, found, err := e.repository(name)
	if err != nil {
		e.refuse(w, http.StatusBadGateway, "UNKNOWN", err.Error())
		return
	}
	if !found {
		e.refuse(w, http.StatusNotFound, "NAME_UNKNOWN",
			fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, Account))
		return
	}
	if r.Method == http.MethodPut && m[2] == "manifests/" && settings.Mutability == "IMMUTABLE" && !strings.Contains(tag, ":") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			e.refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if old := e.ask(http.MethodGet, r.URL.Path); old.status == http.StatusOK && !bytes.Equal(old.body.Bytes(), body) {
			e.refuse(w, http.StatusBadRequest, "TAG_INVALID",
				fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, name))
			return
		}
	}
	e.images.ServeHTTP(w, r)
}

func (e *ecr) refuse(w http.ResponseWriter, status int, code, message string) {
	fmt.Fprintf(e.log, "ecr: push refused: %s\n", message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

type repositorySettings struct {
	Mutability string `json:"imageTagMutability"`
}

// repository asks moto for a repository.
func (e *ecr) repository(name string) (repositorySettings, bool, error) {
	in, _ := json.Marshal(map[string]any{"repositoryNames": []string{name}})
	r, err := http.NewRequest(http.MethodPost, e.backend+"/", bytes.NewReader(in))
	if err != nil {
		return repositorySettings{}, false, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", ecrTarget+"DescribeRepositories")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/ecr/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return repositorySettings{}, false, err
	}
	defer resp.Body.Close()
	var out struct{ Repositories []repositorySettings }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return repositorySettings{}, false, err
	}
	if resp.StatusCode != http.StatusOK || len(out.Repositories) == 0 {
		return repositorySettings{}, false, nil
	}
	return out.Repositories[0], true, nil
}

// An imageID is how ECR's API names an image.
type imageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

// api answers ECR's API: what concerns images from the registry, the rest from moto.
func (e *ecr) api(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		e.fail(w, "InvalidParameterException", err.Error())
		return
	}
	var in struct {
		RepositoryName string    `json:"repositoryName"`
		ImageIDs       []imageID `json:"imageIds"`
		Force          bool      `json:"force"`
	}
	json.Unmarshal(body, &in) // what is not for us goes on as it is
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), ecrTarget)
	switch action {
	case "DescribeImages", "ListImages", "BatchGetImage", "BatchDeleteImage":
		_, found, err := e.repository(in.RepositoryName)
		if err != nil {
			e.fail(w, "ServerException", err.Error())
			return
		}
		if !found {
			e.fail(w, "RepositoryNotFoundException",
				fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", in.RepositoryName, Account))
			return
		}
		e.imagesAPI(w, action, in.RepositoryName, in.ImageIDs)
		return
	case "DeleteRepository":
		tags := e.tags(in.RepositoryName)
		if len(tags) > 0 && !in.Force {
			e.fail(w, "RepositoryNotEmptyException", fmt.Sprintf(
				"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", in.RepositoryName, Account))
			return
		}
		for _, t := range tags {
			e.ask(http.MethodDelete, "/v2/"+in.RepositoryName+"/manifests/"+t)
		}
	}
	e.forward(w, r, action, body)
}

// forward passes a request on to moto, and points the docker command to the registry.
func (e *ecr) forward(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, e.backend+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		e.fail(w, "ServerException", err.Error())
		return
	}
	out.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(out)
	if err != nil {
		e.fail(w, "ServerException", err.Error())
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		e.fail(w, "ServerException", err.Error())
		return
	}
	// These are what the CLI logs in and pushes by. CloudFormation keeps giving templates the name on AWS.
	if action == "GetAuthorizationToken" || action == "DescribeRepositories" {
		answer = ecrURL.ReplaceAll(answer, []byte("http://"+e.host))
		answer = ecrHost.ReplaceAll(answer, []byte(e.host))
	}
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(resp.StatusCode)
	w.Write(answer)
}

var (
	ecrHost = regexp.MustCompile(`\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com`)
	ecrURL  = regexp.MustCompile(`https://` + ecrHost.String())
)

func (e *ecr) fail(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-ErrorType", code)
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

func (e *ecr) imagesAPI(w http.ResponseWriter, action, repository string, ids []imageID) {
	if len(ids) == 0 {
		for _, t := range e.tags(repository) {
			ids = append(ids, imageID{Tag: t})
		}
	}
	details, images, failures, deleted := []any{}, []any{}, []any{}, []any{}
	found := []imageID{}
	for _, id := range ids {
		reference := id.Tag
		if reference == "" {
			reference = id.Digest
		}
		path := "/v2/" + repository + "/manifests/" + reference
		m := e.ask(http.MethodGet, path)
		if m.status != http.StatusOK {
			if action == "DescribeImages" {
				e.fail(w, "ImageNotFoundException", fmt.Sprintf(
					"The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
					id.Digest, id.Tag, repository, Account))
				return
			}
			failures = append(failures, map[string]any{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"})
			continue
		}
		id.Digest = m.header.Get("Docker-Content-Digest")
		detail := map[string]any{"registryId": Account, "repositoryName": repository, "imageDigest": id.Digest,
			"imageManifestMediaType": m.header.Get("Content-Type")}
		if id.Tag != "" {
			detail["imageTags"] = []string{id.Tag}
		}
		details = append(details, detail)
		images = append(images, map[string]any{"registryId": Account, "repositoryName": repository, "imageId": id, "imageManifest": m.body.String()})
		found = append(found, id)
		if action == "BatchDeleteImage" {
			e.ask(http.MethodDelete, path)
			deleted = append(deleted, id)
		}
	}
	out := map[string]any{}
	switch action {
	case "DescribeImages":
		out["imageDetails"] = details
	case "ListImages":
		out["imageIds"] = found
	case "BatchGetImage":
		out["images"], out["failures"] = images, failures
	case "BatchDeleteImage":
		out["imageIds"], out["failures"] = deleted, failures
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(out)
}
