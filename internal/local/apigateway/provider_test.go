package apigateway

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// rename gives the deployment of the API another logical id.
func rename(a templates, id string) {
	a["dev-Front"][id] = a["dev-Front"]["ApiDeployment0123456789"]
	delete(a["dev-Front"], "ApiDeployment0123456789")
	a.properties("ApiStagelive")["DeploymentId"] = object{"Ref": id}
}

// A new deployment of a stage takes over at once. Requests in flight end as they began, and a rollback restores.
func TestDeployments(t *testing.T) {
	began, end := make(chan bool), make(chan bool)
	d := deploy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/slow" {
			began <- true
			<-end
		}
		fmt.Fprint(w, r.Method)
	}))
	locked := func(a templates) { a.properties("ApiapiproxyANY")["AuthorizationType"] = "AWS_IAM" }
	status := func() int {
		response, _ := d.get("/live/api/other")
		return response.StatusCode
	}
	want := func(what string, want int) {
		t.Helper()
		if got := status(); got != want {
			t.Fatalf("%s: %d, want %d", what, got, want)
		}
	}
	want("at first", 200)
	d.update(locked)
	want("with the same deployment", 200)
	if e := d.event(); !strings.Contains(e.Message, "dev-Front/ApiDeployment0123456789 is an earlier deployment, and keeps the methods") {
		t.Errorf("told %v", e)
	}

	flight := make(chan string)
	go func() {
		response, body := d.get("/live/api/slow")
		flight <- fmt.Sprint(response.StatusCode, " ", body)
	}()
	<-began
	d.update(locked, func(a templates) { rename(a, "ApiDeployment2") })
	want("with another deployment", 403)
	end <- true
	if got := <-flight; got != "200 GET" {
		t.Errorf("the request in flight is answered with %s", got)
	}
	if got := d.stageStatus().Deployment; got != "ApiDeployment2" {
		t.Errorf("the deployment is %s", got)
	}

	// The runner rolls a stack back by Update and Clean of the plans before.
	before := d.plans
	next := d.Provider.Plan(read(t, func(a templates) { rename(a, "ApiDeployment3") }), nil)
	if err := next.Check(); err != nil {
		t.Fatal(err)
	}
	if err := next.Update(t.Context(), "dev-Front"); err != nil {
		t.Fatal(err)
	}
	want("before the rollback", 200)
	for _, p := range before {
		if err := p.Update(t.Context(), "dev-Front"); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range before {
		if err := p.Clean(t.Context(), "dev-Front"); err != nil {
			t.Fatal(err)
		}
	}
	want("after the rollback", 403)

	port := d.Port("dev-Front/Api49610EDF")
	d.update(func(a templates) { clear(a["dev-Front"]) })
	if d.Port("dev-Front/Api49610EDF") != 0 || d.Status() != nil {
		t.Errorf("the API still listens at %d: %+v", port, d.Status())
	}
	if response, err := http.Get(fmt.Sprintf("http://localhost:%d/live/", port)); err == nil {
		t.Errorf("the API still answers: %v", response)
	}
}

// As on AWS, a method that leaves is deleted after the new deployment is made, so only the next one is without it.
func TestMethodsThatLeave(t *testing.T) {
	post := func(a templates) {
		properties := maps.Clone(a.properties("ApiapiproxyANY"))
		properties["HttpMethod"] = http.MethodPost
		a["dev-Front"]["ApiapiproxyPOST"] = object{"Type": "AWS::ApiGateway::Method", "Properties": properties}
	}
	locked := func(a templates) { a.properties("ApiapiproxyANY")["AuthorizationType"] = "AWS_IAM" }
	d := deploy(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), post)
	for _, step := range []struct {
		deployment, told string
		post, put        int
	}{
		{"ApiDeployment2", "dev-Front/ApiDeployment2 still has POST /api/{proxy+}, which leaves", 200, 403},
		{"ApiDeployment2", "", 200, 403},
		{"ApiDeployment3", "", 403, 403},
	} {
		d.update(locked, func(a templates) { rename(a, step.deployment) })
		if told := d.event().Message; !strings.Contains(told, step.told) || step.told == "" && told != "" {
			t.Errorf("%+v: told %q", step, told)
		}
		for method, want := range map[string]int{http.MethodPost: step.post, http.MethodPut: step.put} {
			if response, _ := d.do(d.request(method, "/live/api/other", "")); response.StatusCode != want {
				t.Errorf("%+v: %s is answered with %s", step, method, response.Status)
			}
		}
	}
}

// An integration has its time, and a load balancer that does not answer is a network error.
func TestTimeout(t *testing.T) {
	end := make(chan bool)
	d := deploy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/slow" {
			<-end
		}
		if r.URL.Path == "/api/broken" {
			panic(http.ErrAbortHandler)
		}
	}), func(a templates) {
		a.properties("ApiapiproxyANY")["Integration"].(object)["TimeoutInMillis"] = 50
	})
	defer close(end)
	response, body := d.get("/live/api/slow")
	if response.StatusCode != 504 || body != `{"message":"Endpoint request timed out"}` {
		t.Errorf("late: %d %s", response.StatusCode, body)
	}
	if response, body = d.get("/live/api/broken"); response.StatusCode != 502 || !strings.Contains(body, "<html>") {
		t.Errorf("the answer of the load balancer is %d %s", response.StatusCode, body)
	}
	if err := d.balancers.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if response, body = d.get("/live/api/x"); response.StatusCode != 504 || body != `{"message":"Network error communicating with endpoint"}` {
		t.Errorf("without a load balancer: %d %s", response.StatusCode, body)
	}
	if counts := d.stageStatus().Counts; counts.Errors5XX != 3 || d.stageStatus().P99 <= 0 {
		t.Errorf("the counts are %+v", counts)
	}
}

// A VPC link comes to a load balancer whose security group admits it, also after a change of rules.
func TestSecurityGroups(t *testing.T) {
	groups := func(admits bool) func(templates) {
		return func(a templates) {
			ref := func(id string) object { return object{"Fn::GetAtt": []any{id, "GroupId"}} }
			for _, id := range []string{"LinkGroup", "BalancerGroup"} {
				a["dev-Routing"][id] = object{"Type": "AWS::EC2::SecurityGroup", "Properties": object{"GroupDescription": id}}
			}
			if admits {
				a["dev-Routing"]["BalancerGroup"]["Properties"].(object)["SecurityGroupIngress"] = []any{object{"SourceSecurityGroupId": ref("LinkGroup"), "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}}
			}
			a["dev-Routing"]["LoadBalancerBE9EEC3A"]["Properties"].(object)["SecurityGroups"] = []any{ref("BalancerGroup")}
			a["dev-Front"]["VpcLink"]["Properties"].(object)["SecurityGroupIds"] = []any{object{"Fn::ImportValue": "dev-Routing:LinkGroup"}}
		}
	}
	d := deploy(t, echo, groups(true))
	for _, c := range []struct {
		admits bool
		want   int
	}{{true, 200}, {false, 504}, {true, 200}} {
		d.update(groups(c.admits))
		if response, body := d.get("/live/api"); response.StatusCode != c.want {
			t.Errorf("admitted %v: %d %s, want %d", c.admits, response.StatusCode, body, c.want)
		}
	}
	if e := <-d.told; !strings.Contains(e.Message, "its requests do not get from the VPC link dev-Front/VpcLink to the load balancer dev-Routing/LoadBalancerBE9EEC3A: a security group does not admit it") {
		t.Errorf("told %v", e)
	}
}
