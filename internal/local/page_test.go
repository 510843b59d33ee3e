package local

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/local/alb"
	"cutover/internal/nightly"
)

// paged puts the page and the distribution of the golden templates before the REST API.
func paged(t *testing.T) func(templates) {
	return func(a templates) {
		fronted(t)(a)
		text, err := os.ReadFile(filepath.Join(root, "stacks/golden/fronts/dev-Ui.json"))
		if err != nil {
			t.Fatal(err)
		}
		var template map[string]any
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		a["dev-Ui"] = template
	}
}

// withPage adds the files of the page to the assembly, under the key that the golden templates have.
func withPage(t *testing.T, dir string) string {
	t.Helper()
	pages, err := filepath.Abs(filepath.Join(root, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "asset.page"), os.DirFS(pages)); err != nil {
		t.Fatal(err)
	}
	writeJSON(t, dir, "dev-Ui.assets.json", map[string]any{"files": map[string]any{"page": map[string]any{
		"source":       map[string]any{"path": "asset.page", "packaging": "zip"},
		"destinations": map[string]any{"current": map[string]any{"bucketName": "assets", "objectKey": "HASH.zip"}},
	}}})
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]map[string]map[string]any
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	manifest["artifacts"]["dev-Ui.assets"] = map[string]any{"type": "cdk:asset-manifest", "properties": map[string]any{"file": "dev-Ui.assets.json"}}
	manifest["artifacts"]["dev-Ui"]["dependencies"] = []string{"dev-Ui.assets", "dev-Front"}
	writeJSON(t, dir, "manifest.json", manifest)
	return dir
}

// The page and the API answer at one address, CloudFront's, while the migration goes on under load.
func TestPage(t *testing.T) {
	nightly.Test(t, "it deploys three phases behind CloudFront, under load")
	t.Parallel()
	d := start(t, stateDir(t), nil)
	d.deploy(withPage(t, forum(t, "parallel", paged(t))))
	status := d.Status()
	if len(status.Distributions) != 1 || len(status.APIs) != 1 {
		t.Fatalf("the distributions are %+v and the APIs %+v, want one of each", status.Distributions, status.APIs)
	}
	base := strings.Replace(status.Distributions[0].URL, "localhost", "127.0.0.1", 1)
	get := func(url string) (*http.Response, string) {
		t.Helper()
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	for _, path := range []string{"/api", "/api/users", "/api/users/3", "/api/users/", "/api/posts/in-thread/3", "/api/threads?limit=1", "/api/users%2F3", "/api/nothing"} {
		response, body := get(base + path)
		direct, want := get(d.url(80) + path)
		if response.StatusCode != direct.StatusCode || body != want {
			t.Errorf("%s: %d %.100s by CloudFront, and %d %.100s by the load balancer", path, response.StatusCode, body, direct.StatusCode, want)
		}
	}
	index, err := os.ReadFile(filepath.Join(root, "web/index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/users/3"} {
		if response, body := get(base + path); response.StatusCode != http.StatusOK || body != string(index) || response.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("the page at %s: %d %.100s", path, response.StatusCode, body)
		}
	}
	if response, body := get(base + "/deployment.json"); response.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body)) {
		t.Errorf("what is deployed: %s %s", response.Header.Get("Content-Type"), body)
	}

	route, err := d.Route(alb.Asked{Request: "/api/users/3"})
	if err != nil || len(route.Hops) != 2 || route.Hops[0].Next != "dev-Front/Stage" || route.Hops[1].Next != "dev-Routing/LoadBalancerBE9EEC3A" || route.Action != "api" {
		t.Errorf("the way of a request is %+v, %v", route, err)
	}

	stop := loadOf(t, base, 50)
	for _, phase := range []string{"switched", "retired"} {
		d.deploy(withPage(t, forum(t, phase, paged(t))))
	}
	if requests, lost := stop(); len(lost) > 0 || requests == 0 {
		t.Errorf("of %d requests by CloudFront %d are lost: %.500q", requests, len(lost), lost)
	}
	if api := d.Status().Distributions[0].Behaviors[0]; api.Hits != 0 || api.Misses == 0 || api.Errors != 2 { // of /api and /api/nothing
		t.Errorf("the API's behavior is %+v", api)
	}
	for _, resourceType := range []string{"AWS::CloudFront::Distribution", "AWS::S3::Bucket", "Custom::CDKBucketDeployment"} {
		if n := d.Status().NotRun[resourceType]; n != 0 {
			t.Errorf("%d of %s do not run", n, resourceType)
		}
	}
}
