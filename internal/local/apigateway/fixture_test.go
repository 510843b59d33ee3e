package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/alb"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

type object = map[string]any

// templates are the resources of the assembly in testdata, by stack and logical id.
type templates map[string]map[string]object

func (a templates) properties(id string) object {
	return a["dev-Front"][id]["Properties"].(object)
}

// write copies the assembly in testdata, changed.
func write(t *testing.T, changes ...func(templates)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/front")); err != nil {
		t.Fatal(err)
	}
	a, whole := templates{}, map[string]object{}
	for _, stack := range []string{"dev-Routing", "dev-Front"} {
		var template struct{ Resources, Outputs map[string]object }
		text, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
		if err == nil {
			err = json.Unmarshal(text, &template)
		}
		if err != nil {
			t.Fatal(err)
		}
		a[stack], whole[stack] = template.Resources, object{"Outputs": template.Outputs}
	}
	for _, change := range changes {
		change(a)
	}
	if a["dev-Routing"]["LinkGroup"] != nil {
		outputs := whole["dev-Routing"]["Outputs"].(map[string]object)
		outputs["LinkGroup"] = object{"Value": object{"Fn::GetAtt": []any{"LinkGroup", "GroupId"}}, "Export": object{"Name": "dev-Routing:LinkGroup"}}
	}
	for stack, resources := range a {
		whole[stack]["Resources"] = resources
		text, err := json.Marshal(whole[stack])
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, stack+".template.json"), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, changes ...func(templates)) *model.Model {
	t.Helper()
	a, err := assembly.Read(write(t, changes...))
	if err != nil {
		t.Fatal(err)
	}
	a.Locate(provider.Account, provider.Region)
	return model.Read(a)
}

// deployment is the assembly as it is deployed: a load balancer with one target, and the API before it.
type deployment struct {
	*testing.T
	*Provider
	balancers *alb.Provider
	access    *access.Access
	plans     []provider.Plan
	told      chan provider.Event
}

type noFunctions struct{ Invoker }

// deploy deploys the assembly before a backend.
func deploy(t *testing.T, backend http.Handler, changes ...func(templates)) *deployment {
	t.Helper()
	healthy := make(chan bool, 1)
	balancer, err := alb.New(alb.Options{Events: func(e alb.Event) {
		if e.To == alb.Healthy {
			healthy <- true
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{T: t, access: access.New(), told: make(chan provider.Event, 100)}
	tell := func(e provider.Event) { d.told <- e }
	d.balancers = alb.NewProvider(balancer, alb.Ports{Free: true}, alb.StandIns{}, tell)
	d.Provider = New(Options{Dir: t.TempDir(), Free: true, Balancers: d.balancers, Functions: noFunctions{}, Access: d.access, Events: tell})
	d.update(changes...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		if err := errors.Join(d.Provider.Stop(context.Background()), d.balancers.Stop(context.Background())); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	if err := balancer.Register("dev-Routing/ApiGroup", "target", strings.TrimPrefix(server.URL, "http://")); err != nil {
		t.Fatal(err)
	}
	<-healthy
	return d
}

// update deploys the assembly anew.
func (d *deployment) update(changes ...func(templates)) {
	d.Helper()
	if err := d.try(changes...); err != nil {
		d.Fatal(err)
	}
}

func (d *deployment) try(changes ...func(templates)) error {
	m := read(d.T, changes...)
	apis := d.Provider.Plan(m, nil)
	of := func(value any) (string, error) { return text(apis, value) }
	plans := []provider.Plan{d.access.Plan(m, of), d.balancers.Plan(m, nil), apis}
	for _, p := range plans {
		if err := p.Check(); err != nil {
			return err
		}
		if held, ok := p.(io.Closer); ok {
			defer held.Close()
		}
	}
	for _, stack := range []string{"dev-Routing", "dev-Front"} {
		for _, p := range plans {
			if err := p.Update(d.Context(), stack); err != nil {
				return err
			}
		}
		for _, p := range plans {
			if err := p.Clean(d.Context(), stack); err != nil {
				return err
			}
		}
	}
	d.plans = plans
	return nil
}

// event is the next that was told; empty if none was.
func (d *deployment) event() (e provider.Event) {
	select {
	case e = <-d.told:
	default:
	}
	return e
}

// base is the URL of the API, without a stage.
func (d *deployment) base() string {
	return fmt.Sprintf("http://localhost:%d", d.Port("dev-Front/Api49610EDF"))
}

// get asks for a path with its stage, as it is.
func (d *deployment) get(uri string) (*http.Response, string) {
	d.Helper()
	return d.do(d.request(http.MethodGet, uri, ""))
}

func (d *deployment) request(method, uri, body string) *http.Request {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), method, d.base(), strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	path, query, _ := strings.Cut(uri, "?")
	r.URL = provider.RawURL("http", r.URL.Host, path, query)
	return r
}

func (d *deployment) do(r *http.Request) (*http.Response, string) {
	d.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		d.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.Fatal(err)
	}
	return response, string(body)
}

// stageStatus is the status of the stage live.
func (d *deployment) stageStatus() StageStatus {
	all, _ := d.Status().([]StageStatus)
	if len(all) != 1 {
		d.Fatalf("the stages are %+v, want one", all)
	}
	return all[0]
}

// text fills in a value from the attributes of a plan.
func text(plan provider.Plan, value any) (string, error) {
	switch value := value.(type) {
	case assembly.Ref:
		given, err := plan.Attribute(value)
		return fmt.Sprint(given), err
	case assembly.Text:
		all := ""
		for _, part := range value {
			one, err := text(plan, part)
			if err != nil {
				return "", err
			}
			all += one
		}
		return all, nil
	}
	return fmt.Sprint(value), nil
}
