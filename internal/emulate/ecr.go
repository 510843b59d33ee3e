package emulate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/registry"
)

// newFront returns the handler of all APIs. CloudFormation, CloudFront and ECR answer here, and moto the rest.
func newFront(backend string, cloudformation http.Handler, e *ecr) http.Handler {
	moto, cdn := newProxy(backend), &cloudFront{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case service(r) == "cloudformation":
			cloudformation.ServeHTTP(w, r)
		case service(r) == "cloudfront":
			cdn.ServeHTTP(w, r)
		case strings.HasPrefix(r.Header.Get("X-Amz-Target"), ecrTarget):
			e.api(w, r)
		default:
			moto.ServeHTTP(w, r)
		}
	})
}

// newProxy returns a handler that passes requests on to moto.
func newProxy(backend string) *httputil.ReverseProxy {
	u, _ := url.Parse(backend)
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // S3 reads the bucket from it
	}}
}

// service returns the name of the service in a request's signature.
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
	moto     *httputil.ReverseProxy
	client   *awsecr.Client // of moto
	host     string         // of the registry, as Docker is told
	images   http.Handler   // the registry without ECR's rules
	registry http.Handler   // the registry with them
	log      *log.Logger
}

func newECR(backend, host string, logTo *log.Logger) *ecr {
	e := &ecr{moto: newProxy(backend), host: host, log: logTo, images: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		client: awsecr.New(awsecr.Options{Region: Region, BaseEndpoint: &backend, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})}
	e.moto.ModifyResponse = e.redirect
	e.registry = http.HandlerFunc(e.push)
	return e
}

// ask sends a request to the registry, without a connection.
func (e *ecr) ask(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.images.ServeHTTP(w, httptest.NewRequest(method, "http://"+e.host+(&url.URL{Path: path}).EscapedPath(), nil))
	return w
}

func (e *ecr) tags(repository string) []string {
	var list struct{ Tags []string }
	json.Unmarshal(e.ask(http.MethodGet, "/v2/"+repository+"/tags/list").Body.Bytes(), &list)
	return list.Tags
}

var upload = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads/|manifests/)(.*)$`)

// push is the registry with ECR's rules. A push needs a repository. In a repository with immutable
// tags, a tag cannot get another image, but the same image may be pushed again.
func (e *ecr) push(w http.ResponseWriter, r *http.Request) {
	m := upload.FindStringSubmatch(r.URL.Path)
	if m == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		e.images.ServeHTTP(w, r)
		return
	}
	name, tag := m[1], m[3]
	repository, err := e.repository(r.Context(), name)
	if err != nil {
		e.refuse(w, http.StatusBadGateway, "UNKNOWN", err.Error())
		return
	}
	if repository == nil {
		e.refuse(w, http.StatusNotFound, "NAME_UNKNOWN", noRepository(name))
		return
	}
	if r.Method == http.MethodPut && m[2] == "manifests/" && repository.ImageTagMutability == types.ImageTagMutabilityImmutable && !strings.Contains(tag, ":") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			e.refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if old := e.ask(http.MethodGet, r.URL.Path); old.Code == http.StatusOK && !bytes.Equal(old.Body.Bytes(), body) {
			e.refuse(w, http.StatusBadRequest, "TAG_INVALID",
				fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, name))
			return
		}
	}
	e.images.ServeHTTP(w, r)
}

func (e *ecr) refuse(w http.ResponseWriter, status int, code, message string) {
	e.log.Printf("ecr: push refused: %s", message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

// repository asks moto for a repository; nil if there is none.
func (e *ecr) repository(ctx context.Context, name string) (*types.Repository, error) {
	out, err := e.client.DescribeRepositories(ctx, &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if errors.As(err, new(*types.RepositoryNotFoundException)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &out.Repositories[0], nil
}

func noRepository(name string) string {
	return fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, Account)
}

// An imageID names an image in ECR's API.
type imageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

// api answers ECR's API: about images from the registry, and about the rest from moto.
func (e *ecr) api(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		e.fail(w, "InvalidParameterException", err.Error())
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		RepositoryName string    `json:"repositoryName"`
		ImageIDs       []imageID `json:"imageIds"`
		Force          bool      `json:"force"`
	}
	json.Unmarshal(body, &in) // moto judges what is wrong
	switch action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), ecrTarget); action {
	case "DescribeImages", "ListImages", "BatchGetImage", "BatchDeleteImage":
		repository, err := e.repository(r.Context(), in.RepositoryName)
		switch {
		case err != nil:
			e.fail(w, "ServerException", err.Error())
		case repository == nil:
			e.fail(w, "RepositoryNotFoundException", noRepository(in.RepositoryName))
		default:
			e.imagesAPI(w, action, in.RepositoryName, in.ImageIDs)
		}
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
	e.moto.ServeHTTP(w, r)
}

var (
	ecrHost = regexp.MustCompile(`\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com`)
	ecrURL  = regexp.MustCompile(`https://` + ecrHost.String())
)

// redirect points the docker command to the registry, in moto's answers for the login and the push.
// Templates keep the name on AWS.
func (e *ecr) redirect(answer *http.Response) error {
	action := strings.TrimPrefix(answer.Request.Header.Get("X-Amz-Target"), ecrTarget)
	if action != "GetAuthorizationToken" && action != "DescribeRepositories" {
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	body = ecrURL.ReplaceAll(body, []byte("http://"+e.host))
	body = ecrHost.ReplaceAll(body, []byte(e.host))
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return err
}

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
	details, images, failures, found := []any{}, []any{}, []any{}, []any{}
	for _, id := range ids {
		path := "/v2/" + repository + "/manifests/" + cmp.Or(id.Tag, id.Digest)
		m := e.ask(http.MethodGet, path)
		if m.Code != http.StatusOK {
			if action == "DescribeImages" {
				e.fail(w, "ImageNotFoundException", fmt.Sprintf(
					"The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
					id.Digest, id.Tag, repository, Account))
				return
			}
			failures = append(failures, map[string]any{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"})
			continue
		}
		id.Digest = m.Header().Get("Docker-Content-Digest")
		detail := map[string]any{"registryId": Account, "repositoryName": repository, "imageDigest": id.Digest,
			"imageManifestMediaType": m.Header().Get("Content-Type")}
		if id.Tag != "" {
			detail["imageTags"] = []string{id.Tag}
		}
		details = append(details, detail)
		images = append(images, map[string]any{"registryId": Account, "repositoryName": repository, "imageId": id, "imageManifest": m.Body.String()})
		found = append(found, id)
		if action == "BatchDeleteImage" {
			e.ask(http.MethodDelete, path)
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
		out["imageIds"], out["failures"] = found, failures
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(out)
}
