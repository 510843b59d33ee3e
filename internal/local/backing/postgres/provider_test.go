package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/jackc/pgx/v5"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

const (
	clusterResource = `"Database": {"Type": "AWS::RDS::DBCluster", "DeletionPolicy": "%s", "Properties": {"DBClusterIdentifier": "dev", "Engine": "%s", "Port": %d, "MasterUsername": "cutover", "EnableIAMDatabaseAuthentication": true}}`
	writer          = `"Writer": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "Database"}, "Engine": "aurora-postgresql", "DBInstanceClass": "db.serverless"}}`
	task            = `"%[1]sRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
		"%[1]sPolicy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "p", "Roles": [{"Ref": "%[1]sRole"}], "PolicyDocument": {"Statement": [
			{"Effect": "Allow", "Action": "rds-db:connect", "Resource": {"Fn::Join": ["", ["arn:aws:rds-db:eu-west-1:1:dbuser:", {"Fn::GetAtt": ["Database", "DBClusterResourceId"]}, "/%[2]s"]]}}]}}},
		"%[1]sTask": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"TaskRoleArn": {"Fn::GetAtt": ["%[1]sRole", "Arn"]}, "ContainerDefinitions": [{"Name": "c", "Image": "x", "Memory": 64}]}},
		"%[1]s": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "%[2]s", "TaskDefinition": {"Ref": "%[1]sTask"}}}`
)

// target is the provider with the tasks' roles, as a runner has both.
type target struct {
	*Provider
	t      *testing.T
	access *access.Access
	model  *model.Model
	mu     sync.Mutex
	events []string
}

func newTarget(t *testing.T, server string) *target {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	target := &target{t: t, access: access.New()}
	target.Provider = New(filepath.Join(dir, "data"), target.access, func(name string) string {
		return map[string]string{"CUTOVER_POSTGRESQL_URL": server}[name]
	}, func(e provider.Event) {
		target.mu.Lock()
		defer target.mu.Unlock()
		target.events = append(target.events, e.Subject+" "+e.State+": "+e.Message)
	})
	t.Cleanup(func() {
		if err := target.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		for _, key := range []string{"S/Database", "S/Database2"} {
			_ = programs.Remove(target.directory(key))
		}
		_ = os.RemoveAll(dir)
	})
	return target
}

// plan is the plan of an assembly with one stack, S.
func (p *target) plan(resources ...string) provider.Plan {
	p.t.Helper()
	dir := p.t.TempDir()
	manifest, _ := json.Marshal(map[string]any{"artifacts": map[string]any{"S": map[string]any{
		"type": "aws:cloudformation:stack", "environment": "aws://1/eu-west-1", "properties": map[string]any{"templateFile": "S.json"},
	}}})
	for name, text := range map[string]string{"manifest.json": string(manifest), "S.json": `{"Resources": {` + strings.Join(resources, ",") + `}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	read, err := assembly.Read(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	p.model = model.Read(read)
	var plan provider.Plan
	var text provider.Text
	text = func(value any) (string, error) {
		switch value := value.(type) {
		case assembly.Text:
			all := ""
			for _, part := range value {
				one, err := text(part)
				if err != nil {
					return "", err
				}
				all += one
			}
			return all, nil
		case assembly.Ref:
			if !slices.Contains(p.Types(), value.Resource.Type) {
				return "", fmt.Errorf("%v is not of this provider", value)
			}
			given, err := plan.Attribute(value)
			return fmt.Sprint(given), err
		}
		return fmt.Sprint(value), nil
	}
	plan = p.Plan(p.model, text)
	if err := p.access.Plan(p.model, text).Update(p.t.Context(), "S"); err != nil {
		p.t.Fatal(err)
	}
	return plan
}

func (p *target) attribute(plan provider.Plan, id, attribute string) string {
	value, err := plan.Attribute(assembly.Ref{Resource: p.model.Assembly.Stack("S").Resource(id), Attribute: attribute})
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprint(value)
}

func (p *target) deploy(plan provider.Plan) {
	p.t.Helper()
	if err := errors.Join(plan.Check(), plan.Update(p.t.Context(), "S"), plan.Clean(p.t.Context(), "S")); err != nil {
		p.t.Fatal(err)
	}
}

// connect connects as a task of a service does, with the variables that the task gets.
func (p *target) connect(service, user string) (*pgx.Conn, error) {
	p.t.Helper()
	i := slices.IndexFunc(p.model.Services, func(s *model.Service) bool { return s.Name == service })
	d := p.model.Services[i].TaskDefinition
	variables := map[string]string{}
	for _, v := range p.access.Variables("task-of-"+service, d, d.Containers[0]) {
		variables[v.Name] = v.Value
	}
	address := p.Status().([]provider.StoreStatus)[0].Endpoint
	token, err := auth.BuildAuthToken(p.t.Context(), address, variables["AWS_REGION"], user,
		credentials.NewStaticCredentialsProvider(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], variables["AWS_SESSION_TOKEN"]))
	if err != nil {
		p.t.Fatal(err)
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("postgresql://%s@%s/%[1]s?sslmode=verify-full&sslrootcert=%[3]s", user, address, variables["PGSSLROOTCERT"]))
	if err != nil {
		p.t.Fatal(err)
	}
	config.Password = token
	conn, err := pgx.ConnectConfig(p.t.Context(), config)
	if err == nil {
		p.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func (p *target) must(service string) *pgx.Conn {
	p.t.Helper()
	conn, err := p.connect(service, service)
	if err != nil {
		p.t.Fatal(err)
	}
	return conn
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A cluster of a template runs: each task reaches the databases that its role names, from its variables alone.
// The data outlive the program, a deployment, and the cluster, unless the template says otherwise.
func TestCluster(t *testing.T) {
	nightly.Test(t, "it starts PostgreSQL several times")
	p := newTarget(t, "")
	if p.Status() != nil || p.variables() != nil {
		t.Error("there is something before the first cluster")
	}
	port := freePort(t)
	cluster := func(policy string) string { return fmt.Sprintf(clusterResource, policy, "aurora-postgresql", port) }
	users, threads := fmt.Sprintf(task, "Users", "users"), fmt.Sprintf(task, "Threads", "threads")
	plan := p.plan(strings.Replace(cluster("Retain"), `"Port"`, `"SnapshotIdentifier": "s", "Port"`, 1), writer, users, threads)
	if got := p.attribute(plan, "Database", "Endpoint.Port"); got != "error: "+provider.ErrNotYet.Error() {
		t.Errorf("the port before the update is %s", got)
	}
	p.deploy(plan)
	if over := plan.(provider.Reporter).PassedOver(); len(over) != 1 || over[0].Place != "S/Database/Properties.SnapshotIdentifier" || over[0].Subject != "dev" || over[0].Why == "" {
		t.Errorf("passed over is %+v", over)
	}
	id := p.attribute(plan, "Database", "DBClusterResourceId")
	for attribute, want := range map[string]string{
		"": "dev", "Endpoint.Address": "localhost", "ReadEndpoint.Address": "localhost", "Endpoint.Port": fmt.Sprint(port), "DBClusterResourceId": id,
		"DBClusterArn": "arn:aws:rds:local:000000000000:cluster:dev", "MasterUserSecret.SecretArn": "arn:aws:secretsmanager:local:000000000000:secret:rds!" + id,
		"Other": "error: S/Database has no attribute Other on this machine",
	} {
		if got := p.attribute(plan, "Database", attribute); got != want {
			t.Errorf("the attribute %q is %s, want %s", attribute, got, want)
		}
	}
	if len(id) != len("cluster-")+26 || p.attribute(plan, "Writer", "") != "writer" {
		t.Errorf("the id is %s, and the writer %s", id, p.attribute(plan, "Writer", ""))
	}

	conn := p.must("users")
	exec(t, conn, `CREATE TABLE items (id int); INSERT INTO items VALUES (7)`)
	if _, err := p.connect("users", "threads"); code(err) != "28000" {
		t.Errorf("users connects as threads: %v", err)
	}
	if got := strings.Join(p.events, "; "); !strings.Contains(got, "dev WARNING: connection of user threads: refused: the task's role does not allow rds-db:connect on arn:aws:rds-db:local:000000000000:dbuser:"+id+"/threads") {
		t.Errorf("the events are %s", got)
	}
	status := p.Status().([]provider.StoreStatus)[0]
	if status.Name != "dev" || !strings.HasPrefix(status.Program, "PostgreSQL ") || status.Source == "" || status.Data != p.directory("S/Database") || status.Connections == 0 {
		t.Errorf("the status is %+v", status)
	}

	kept := func(what, want string, conn *pgx.Conn) {
		t.Helper()
		var got string
		if err := conn.QueryRow(t.Context(), `SELECT string_agg(id::text, ',') FROM items`).Scan(&got); err != nil || got != want {
			t.Errorf("%s the items are %s, %v", what, got, err)
		}
	}
	p.deploy(p.plan(strings.Replace(cluster("Retain"), `Authentication": true`, `Authentication": false`, 1), writer, users, threads))
	kept("after a deployment", "7", conn)
	if _, err := p.connect("users", "users"); code(err) != "28000" {
		t.Errorf("a cluster without IAM takes a token: %v", err)
	}
	p.deploy(p.plan(cluster("Retain"), writer, users, threads))

	if clear, err := p.Fault(t.Context(), "store-slow", "api"); clear != nil || err != nil {
		t.Errorf("a service without a database has a fault: %v", err)
	}
	clear, err := p.Fault(t.Context(), "throttle", "users")
	if clear == nil || err != nil {
		t.Fatalf("throttle: %v", err)
	}
	if _, err := p.connect("users", "users"); code(err) != "53300" {
		t.Errorf("a connection that is throttled: %v", err)
	}
	if err := clear(t.Context()); err != nil {
		t.Error(err)
	}
	kept("after throttle", "7", p.must("users"))
	if clear, err = p.Fault(t.Context(), "store-kill", "users"); clear == nil || err != nil {
		t.Fatalf("store-kill: %v", err)
	}
	if err := clear(t.Context()); err != nil { // waits until the program runs again
		t.Error(err)
	}
	kept("after the crash", "7", p.must("users"))

	p.deploy(p.plan(users, threads))
	if p.Status() != nil || p.variables() != nil {
		t.Error("the cluster runs although it is gone")
	}
	p.deploy(p.plan(cluster("Delete"), writer, users, threads))
	kept("after the cluster is back", "7", p.must("users"))
	p.deploy(p.plan(users, threads))
	if _, err := os.Stat(p.directory("S/Database")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data are there although the template deletes them: %v", err)
	}
}

// A server of the user's own is used in place of a program.
func TestOwnServer(t *testing.T) {
	nightly.Test(t, "it sets up a database on a server")
	program, err := server()
	if err != nil {
		t.Fatal(err)
	}
	p := newTarget(t, program.URL)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	p.deploy(p.plan(fmt.Sprintf(clusterResource, "Retain", "aurora-postgresql", port), fmt.Sprintf(task, "Users", "users")))
	exec(t, p.must("users"), `SELECT 1`)
	if status := p.Status().([]provider.StoreStatus)[0]; status.Source != "CUTOVER_POSTGRESQL_URL" || status.Endpoint == fmt.Sprintf("localhost:%d", port) {
		t.Errorf("the status is %+v", status)
	}
	second := strings.ReplaceAll(fmt.Sprintf(clusterResource, "Retain", "aurora-postgresql", 1), `"Database"`, `"Database2"`)
	any := strings.Replace(fmt.Sprintf(task, "Users", "users"), `"rds-db:connect", "Resource": {"Fn::Join"`, `"rds-db:*", "Resource": ["*", {"Fn::Join"`, 1)
	any = strings.Replace(any, `"/users"]]}}]`, `"/users"]]}]}]`, 1)
	if err := p.plan(second, fmt.Sprintf(clusterResource, "Retain", "aurora-postgresql", 1), any).Check(); err == nil || !strings.Contains(err.Error(), "is one server, and the assembly has 2 clusters") {
		t.Errorf("two clusters: %v", err)
	}
}

// A cluster that no task may connect to, or of another engine, and a server without a password, start nothing.
func TestNothingStarts(t *testing.T) {
	p := newTarget(t, "postgresql://localhost/postgres")
	users := fmt.Sprintf(task, "Users", "users")
	p.deploy(p.plan(fmt.Sprintf(clusterResource, "Retain", "aurora-postgresql", 1)))
	p.deploy(p.plan(fmt.Sprintf(clusterResource, "Retain", "aurora-postgresql", 1), strings.Replace(users, `"Allow"`, `"Deny"`, 1)))
	if p.Status() != nil {
		t.Error("a cluster runs that no task may connect to")
	}
	mysql := p.plan(fmt.Sprintf(clusterResource, "Retain", "aurora-mysql", 3306), users)
	p.deploy(mysql)
	if p.Status() != nil {
		t.Error("a cluster of MySQL runs")
	}
	if got := p.attribute(mysql, "Database", "Endpoint.Address"); got != "error: S/Database has no attribute Endpoint.Address on this machine" {
		t.Errorf("its address is %s", got)
	}
	if got := p.attribute(mysql, "Database", ""); got != "dev" {
		t.Errorf("its name is %s", got)
	}
	if err := p.plan(fmt.Sprintf(clusterResource, "Retain", "aurora-postgresql", 1), users).Check(); err == nil || !strings.Contains(err.Error(), "CUTOVER_POSTGRESQL_URL is not the URL of a PostgreSQL server that names a user") {
		t.Errorf("a URL without a password: %v", err)
	}
}
