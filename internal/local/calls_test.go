package local

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/internal/local/ecs"
	"cutover/internal/local/provider"
)

// serveCalls is a service that calls others. Asked for /ask/VARIABLE/path, it asks the address in the
// variable for the path. The first of all tasks that is asked to POST /once ends the connection without
// an answer. Each notes what it was asked to POST in the file DONE.
func serveCalls() int {
	http.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	http.HandleFunc("/ask/{variable}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), r.Method, os.Getenv(r.PathValue("variable"))+"/"+r.PathValue("path"), r.Body)
		var response *http.Response
		if err == nil {
			response, err = http.DefaultClient.Do(request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
		io.Copy(w, response.Body)
	})
	http.HandleFunc("POST /once", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		file, err := os.OpenFile(os.Getenv("DONE"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		fmt.Fprintln(file, string(body))
		if _, err := os.OpenFile(os.Getenv("DONE")+".first", os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv("NAME"), " ", r.Method, " ", r.RequestURI)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
	return 1
}

// callees are services that are found in all ways: behind a load balancer, which has a domain, by Service
// Connect, by A records and, in bridge mode, by SRV records. The service named calls them all. The service
// stranger tries to: it has no proxy, and no security group lets it in.
func callees(t *testing.T, done string) (dir string) {
	t.Helper()
	group := func(name string) object {
		return object{"Type": "AWS::EC2::SecurityGroup", "Properties": object{"GroupDescription": name, "VpcId": ref("Vpc")}}
	}
	way := func(to, from string) object {
		return object{"Type": "AWS::EC2::SecurityGroupIngress", "Properties": object{"GroupId": getAtt(to, "GroupId"), "SourceSecurityGroupId": getAtt(from, "GroupId"), "IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000}}
	}
	name := func(record string) object {
		return object{"Type": "AWS::ServiceDiscovery::Service", "Properties": object{"Name": strings.ToLower(record), "NamespaceId": ref("Zone"), "HealthCheckCustomConfig": object{"FailureThreshold": 1}, "DnsConfig": object{"DnsRecords": []any{object{"Type": record, "TTL": 10}}}}}
	}
	// Without targets, ECS takes tasks for healthy only after 40 seconds.
	targets := func(kind string) object {
		return object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{"Port": 80, "Protocol": "HTTP", "TargetType": kind, "VpcId": ref("Vpc"), "HealthCheckPath": "/ping", "Matcher": object{"HttpCode": "204"}, "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 4}}
	}
	listener := func(port int, protocol, targets string) object {
		return object{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": object{"LoadBalancerArn": ref("Balancer"), "Port": port, "Protocol": protocol, "Certificates": []any{object{"CertificateArn": "arn"}}, "DefaultActions": []any{object{"Type": "forward", "TargetGroupArn": ref(targets)}}}}
	}
	resources := object{
		"Vpc": object{"Type": "AWS::EC2::VPC"}, "Subnet": object{"Type": "AWS::EC2::Subnet", "Properties": object{"VpcId": ref("Vpc")}}, "Cluster": object{"Type": "AWS::ECS::Cluster"},
		"CallerGroup": group("callers"), "StrangerGroup": group("strangers"), "CalleeGroup": group("callees"), "Way": way("CalleeGroup", "CallerGroup"),
		"Space": object{"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": object{"Name": "dev"}},
		"Zone":  object{"Type": "AWS::ServiceDiscovery::PrivateDnsNamespace", "Properties": object{"Name": "dev.internal", "Vpc": ref("Vpc")}},
		"A":     name("A"), "SRV": name("SRV"),
		"Balancer": object{"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Metadata": object{"cutover:domain": "api.example.com"}, "Properties": object{"Subnets": []any{"a", "b"}}},
		"HTTP":     listener(80, "HTTP", "BalancedTargets"), "HTTPS": listener(443, "HTTPS", "BalancedTargets"), "ToCaller": listener(8001, "HTTP", "CallerTargets"),
		"ToStranger": listener(8002, "HTTP", "StrangerTargets"), "ToConnected": listener(8003, "HTTP", "ConnectedTargets"), "ToMapped": listener(8004, "HTTP", "MappedTargets"),
		"ToRecords": listener(8005, "HTTP", "RecordsTargets"),
	}
	service := func(id, mode, group string, more object) {
		environment := []any{object{"Name": "NAME", "Value": strings.ToLower(id)}, object{"Name": "DONE", "Value": done}}
		for variable, address := range map[string]any{
			"CONNECTED": "http://connected:3000", "MAPPED": "http://a.dev.internal:3000", "RECORDS": "http+srv://srv.dev.internal", "DOMAIN": "https://api.example.com",
			"BALANCED": object{"Fn::Join": []any{"", []any{"http://", getAtt("Balancer", "DNSName")}}},
		} {
			environment = append(environment, object{"Name": variable, "Value": address})
		}
		properties := object{"ServiceName": strings.ToLower(id), "Cluster": ref("Cluster"), "TaskDefinition": ref(id + "Task"), "DesiredCount": 1,
			"LoadBalancers": []any{object{"ContainerName": "c", "ContainerPort": 3000, "TargetGroupArn": ref(id + "Targets")}}}
		resources[id+"Targets"] = targets("instance")
		if mode == "awsvpc" {
			resources[id+"Targets"] = targets("ip")
			properties["NetworkConfiguration"] = object{"AwsvpcConfiguration": object{"Subnets": []any{ref("Subnet")}, "SecurityGroups": []any{getAtt(group, "GroupId")}}}
		}
		maps.Copy(properties, more)
		resources[id] = object{"Type": "AWS::ECS::Service", "Properties": properties}
		resources[id+"Task"] = object{"Type": "AWS::ECS::TaskDefinition", "Properties": object{"NetworkMode": mode, "Cpu": "256", "Memory": "512", "ContainerDefinitions": []any{
			object{"Name": "c", "Image": "i", "PortMappings": []any{object{"ContainerPort": 3000, "Name": "http", "AppProtocol": "http"}}, "Environment": environment},
		}}}
	}
	connect := func(services ...any) object {
		return object{"ServiceConnectConfiguration": object{"Enabled": true, "Namespace": "dev", "Services": services}}
	}
	registries := func(name string, more object) object {
		registry := object{"RegistryArn": getAtt(name, "Arn")}
		maps.Copy(registry, more)
		return object{"ServiceRegistries": []any{registry}}
	}
	service("Balanced", "awsvpc", "CalleeGroup", nil)
	connected := connect(object{"PortName": "http", "ClientAliases": []any{object{"DnsName": "connected", "Port": 3000}}})
	connected["DesiredCount"] = 2
	service("Connected", "awsvpc", "CalleeGroup", connected)
	service("Mapped", "awsvpc", "CalleeGroup", registries("A", nil))
	service("Records", "bridge", "", registries("SRV", object{"ContainerName": "c", "ContainerPort": 3000}))
	service("Caller", "awsvpc", "CallerGroup", connect())
	service("Stranger", "awsvpc", "StrangerGroup", nil)
	dir = t.TempDir()
	writeJSON(t, dir, "manifest.json", object{"artifacts": object{"S": object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": object{"templateFile": "S.json"}}}})
	writeJSON(t, dir, "S.json", object{"Resources": resources})
	return dir
}

type object = map[string]any

// A service finds another in all ways, and one that is not let in is refused. The load balancer answers for
// its domain here: the domain itself is never called. A POST to a task that fails is done twice.
func TestCalls(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	done := filepath.Join(t.TempDir(), "done")
	dir := stateDir(t)
	d := start(t, dir, map[string]string{"c": fmt.Sprintf("%s=calls exec '%s'", roleVariable, program)})
	d.deploy(callees(t, done))
	client := &http.Client{Timeout: limit}
	ask := func(service, method, path, body string) string {
		t.Helper()
		request, err := http.NewRequest(method, d.url(map[string]int{"caller": 8001, "stranger": 8002}[service])+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", string(text))
	}
	for variable, callee := range map[string]string{"BALANCED": "balanced", "DOMAIN": "balanced", "CONNECTED": "connected", "MAPPED": "mapped", "RECORDS": "records"} {
		if got, want := ask("caller", "GET", "/ask/"+variable+"/a", ""), "200 "+callee+" GET /a"; got != want {
			t.Errorf("%s: the answer is %q, want %q", variable, got, want)
		}
	}
	for _, variable := range []string{"CONNECTED", "MAPPED"} {
		if got := ask("stranger", "GET", "/ask/"+variable+"/a", ""); !strings.HasPrefix(got, "502 ") {
			t.Errorf("a stranger asks %s, and the answer is %q", variable, got)
		}
	}
	if got := ask("caller", "POST", "/ask/CONNECTED/once", "order 1"); got != "200 done" {
		t.Errorf("the answer to a POST is %q", got)
	}
	if text, err := os.ReadFile(done); err != nil || string(text) != "order 1\norder 1\n" {
		t.Errorf("the services did %q, %v, want the order twice", text, err)
	}
	for _, want := range []string{
		"connected:3000 repeats a POST of /once",
		"it calls a.dev.internal:3000, and the security group of mapped does not admit it: the connection is refused",
	} {
		told := func() bool {
			return slices.ContainsFunc(d.told(), func(e Event) bool { return e.State == provider.Warning && strings.Contains(e.Message, want) })
		}
		until(t, want, told)
		logged := false
		if err := Logs(t.Context(), dir, "", false, func(line ecs.LogLine) {
			logged = logged || line.Stream == ecs.OwnStream && line.ServiceName != "" && strings.Contains(line.Text, want)
		}); err != nil || !logged {
			t.Errorf("the logs lack %q: %v", want, err)
		}
	}
	text, err := json.Marshal(d.Status())
	if err != nil || !strings.Contains(string(text), `"repeated":1`) {
		t.Errorf("the status says of the POST: %s, %v", text, err)
	}
}
