package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

type object = map[string]any

// read returns the model of an assembly with a stack of these resources.
func readModel(t *testing.T, resources object) *model.Model {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]any{
		"manifest.json": object{"version": "48.0.0", "artifacts": object{"S": object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": object{"templateFile": "s.json"}}}},
		"s.json":        object{"Resources": resources},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	a.Locate(provider.Account, provider.Region)
	return model.Read(a)
}

// users is a table with the key pk and sk.
func users(more object) object {
	properties := object{
		"TableName": "dev-users", "BillingMode": "PAY_PER_REQUEST",
		"KeySchema":            []any{object{"AttributeName": "pk", "KeyType": "HASH"}, object{"AttributeName": "sk", "KeyType": "RANGE"}},
		"AttributeDefinitions": []any{object{"AttributeName": "pk", "AttributeType": "S"}, object{"AttributeName": "sk", "AttributeType": "S"}},
	}
	for name, value := range more {
		properties[name] = value
	}
	return object{"Type": "AWS::DynamoDB::Table", "Properties": properties}
}

// global is a global table with one replica, whose policy denies a tag.
func global(name string) object {
	table := users(object{"TableName": name})
	table["Type"] = "AWS::DynamoDB::GlobalTable"
	table["Properties"].(object)["Replicas"] = []any{object{"Region": object{"Ref": "AWS::Region"}, "ResourcePolicy": object{"PolicyDocument": object{"Statement": object{
		"Effect": "Deny", "Principal": "*", "Action": []any{"dynamodb:PutItem", "dynamodb:GetItem"}, "Resource": "*",
		"Condition": object{"StringNotEquals": object{"aws:PrincipalTag/service": []any{"posts"}}},
	}}}}}
	return table
}

// service is a service with a role, which may do some actions on some tables.
func service(resources object, name string, actions []any, tables ...any) {
	resources["Role"+name] = object{"Type": "AWS::IAM::Role", "Properties": object{
		"Tags":     []any{object{"Key": "service", "Value": name}},
		"Policies": []any{object{"PolicyDocument": object{"Statement": object{"Effect": "Allow", "Action": actions, "Resource": tables}}}},
	}}
	resources["Task"+name] = object{"Type": "AWS::ECS::TaskDefinition", "Properties": object{
		"TaskRoleArn": object{"Fn::GetAtt": []any{"Role" + name, "Arn"}}, "ContainerDefinitions": []any{object{"Name": "app", "Image": "x"}},
	}}
	resources["Service"+name] = object{"Type": "AWS::ECS::Service", "Properties": object{"ServiceName": name, "TaskDefinition": object{"Ref": "Task" + name}}}
}

// deployment is a provider with an access, as a runner has them.
type deployment struct {
	*Provider
	access *access.Access
	t      *testing.T

	mu     sync.Mutex
	events []provider.Event
}

func newDeployment(t *testing.T, dir string) *deployment {
	d := &deployment{access: access.New(), t: t}
	d.Provider = New(dir, d.access, func(e provider.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.events = append(d.events, e)
	})
	t.Cleanup(func() { _ = d.Stop(context.Background()) })
	return d
}

func (d *deployment) told(text string) bool { return d.times(text) > 0 }

// times counts the events with a text.
func (d *deployment) times(text string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if strings.Contains(e.Subject+" "+e.Message, text) {
			n++
		}
	}
	return n
}

// deploy deploys a stack, and returns the plan.
func (d *deployment) deploy(resources object) (*model.Model, error) {
	d.t.Helper()
	m := readModel(d.t, resources)
	var next provider.Plan
	text := func(value any) (string, error) {
		if ref, ok := value.(assembly.Ref); ok {
			given, err := next.Attribute(ref)
			return fmt.Sprint(given), err
		}
		return fmt.Sprint(value), nil
	}
	next = d.Plan(m, text)
	grants := d.access.Plan(m, text)
	if err := next.Check(); err != nil {
		return m, err
	}
	ctx := d.t.Context()
	return m, errors.Join(next.Update(ctx, "S"), grants.Update(ctx, "S"), next.Clean(ctx, "S"), grants.Clean(ctx, "S"))
}

// client is that of a task of a service. The options change its credentials.
func (d *deployment) client(m *model.Model, service, task string, options ...func(*aws.Credentials)) *dynamodb.Client {
	d.t.Helper()
	for _, s := range m.Services {
		if s.Name != service {
			continue
		}
		given := map[string]string{}
		for _, v := range d.access.Variables(task, s.TaskDefinition, s.TaskDefinition.Containers[0]) {
			given[v.Name] = v.Value
		}
		c := aws.Credentials{AccessKeyID: given["AWS_ACCESS_KEY_ID"], SecretAccessKey: given["AWS_SECRET_ACCESS_KEY"], SessionToken: given["AWS_SESSION_TOKEN"]}
		for _, option := range options {
			option(&c)
		}
		return dynamodb.NewFromConfig(aws.Config{
			Region: given["AWS_REGION"], BaseEndpoint: aws.String(given[EndpointVariable]), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
		})
	}
	d.t.Fatalf("there is no service %s", service)
	return nil
}

func s(text string) types.AttributeValue { return &types.AttributeValueMemberS{Value: text} }

func item(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": s("users"), "sk": s(id)}
}

func put(t *testing.T, c *dynamodb.Client, table, id string) error {
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item(id)})
	return err
}

func has(t *testing.T, c *dynamodb.Client, table, id string) bool {
	t.Helper()
	out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: item(id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item != nil
}

// failing puts something between the provider and its database that answers the first request for each of some
// operations with InternalFailure, after the database did it. The function ends that, and sees that it happened.
func (d *deployment) failing(t *testing.T, operations ...string) (end func()) {
	to := d.upstream()
	target, err := url.Parse(to.URL)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, operation := range operations {
		left["DynamoDB_20120810."+operation] = true
	}
	between := httputil.NewSingleHostReverseProxy(target)
	between.ModifyResponse = func(r *http.Response) error {
		if left[r.Request.Header.Get("X-Amz-Target")] {
			delete(left, r.Request.Header.Get("X-Amz-Target"))
			_ = r.Body.Close()
			r.StatusCode, r.Body, r.ContentLength = http.StatusInternalServerError, io.NopCloser(strings.NewReader(`{"__type": "com.amazonaws.dynamodb.v20120810#InternalFailure"}`)), -1
			r.Header.Del("Content-Length")
		}
		return nil
	}
	server := httptest.NewServer(between)
	to.URL = server.URL
	d.proxy.upstream = func() access.Endpoint { return to }
	return func() {
		d.proxy.upstream = d.upstream
		server.Close()
		if len(left) > 0 {
			t.Errorf("nothing asked for %v", left)
		}
	}
}

// code is the code of an error of DynamoDB.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// TestProvider: tables are made, changed, kept and deleted as the templates say, and each task does with them
// what its role allows.
func TestProvider(t *testing.T) {
	nightly.Test(t, "it starts DynamoDB Local twice")
	t.Setenv(EndpointVariable, "")
	_, err := programs.FindDynamoDB(t.Context())
	programstest.Need(t, err)
	d := newDeployment(t, t.TempDir())
	if m, err := d.deploy(object{}); err != nil || d.Status() != nil || d.kept.Running() != nil || len(m.Tables) > 0 {
		t.Fatalf("without tables there is %v, %v", d.Status(), err)
	}
	all := []any{"dynamodb:*Item", "dynamodb:Query"}
	resources := object{"Users": users(object{"TimeToLiveSpecification": object{"AttributeName": "ttl", "Enabled": true}}), "Posts": global("dev-posts")}
	service(resources, "users", all, object{"Fn::GetAtt": []any{"Users", "Arn"}})
	service(resources, "posts", all, "arn:aws:dynamodb:local:000000000000:table/dev-posts")
	service(resources, "api", all, "*")
	service(resources, "none", all, "arn:aws:dynamodb:local:000000000000:table/other")
	m, err := d.deploy(resources)
	if err != nil {
		t.Fatal(err)
	}
	usersTask, postsTask, api := d.client(m, "users", "1"), d.client(m, "posts", "2"), d.client(m, "api", "3")
	t.Run("access", func(t *testing.T) { testAccess(t, d, m, usersTask, postsTask, api) })
	t.Run("faults", func(t *testing.T) { testFaults(t, d, usersTask, postsTask) })
	t.Run("kill", func(t *testing.T) {
		clear, err := d.Fault(t.Context(), "store-kill", "users")
		if err != nil {
			t.Fatal(err)
		}
		if err := clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !has(t, usersTask, "dev-users", "1") || !d.told("has started again") {
			t.Error("the database has lost an item")
		}
	})
	t.Run("changes", func(t *testing.T) { testChanges(t, d, resources) })
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.variables() != nil {
		t.Error("a task would get an address that does not answer any more")
	}
}

func testAccess(t *testing.T, d *deployment, m *model.Model, users, posts, api *dynamodb.Client) {
	if err := put(t, users, "dev-users", "1"); err != nil || !has(t, users, "dev-users", "1") {
		t.Fatal("a task cannot use the table of its service", err)
	}
	if err := put(t, posts, "dev-posts", "1"); err != nil {
		t.Fatal("a task cannot use the table of its service", err)
	}
	err := put(t, users, "dev-posts", "2")
	if code(err) != "AccessDeniedException" || !strings.Contains(err.Error(), "dynamodb:PutItem on resource: arn:aws:dynamodb:local:000000000000:table/dev-posts") || !strings.Contains(err.Error(), "assumed-role/Roleusers/1 ") {
		t.Errorf("another service's table: %v", err)
	}
	_ = put(t, users, "dev-posts", "2")
	if got := d.times("users User: arn:aws:sts::000000000000:assumed-role/Roleusers/1 is not authorized to perform: dynamodb:PutItem"); got != 1 {
		t.Errorf("%d events say what was refused", got)
	}
	if err := put(t, api, "dev-posts", "2"); code(err) != "AccessDeniedException" {
		t.Errorf("the table's policy: %v", err)
	}
	if err := put(t, api, "dev-users", "2"); err != nil {
		t.Errorf("a role with all tables: %v", err)
	}
	_, err = users.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: aws.String("dev-users"), Item: item("3")}}, {Put: &types.Put{TableName: aws.String("dev-posts"), Item: item("3")}},
	}})
	if code(err) != "AccessDeniedException" || has(t, users, "dev-users", "3") {
		t.Errorf("a transaction with another service's table: %v", err)
	}
	_, err = users.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("dev-users")})
	if code(err) != "AccessDeniedException" {
		t.Errorf("an action that the role has not: %v", err)
	}
	for want, change := range map[string]func(*aws.Credentials){
		"UnrecognizedClientException": func(c *aws.Credentials) { c.AccessKeyID = "ASIA" },
		"InvalidSignatureException":   func(c *aws.Credentials) { c.SecretAccessKey += "x" },
	} {
		if err := put(t, d.client(m, "users", "1", change), "dev-users", "4"); code(err) != want {
			t.Errorf("with other credentials: %v, not %s", err, want)
		}
	}
	if err := put(t, d.client(m, "users", "1", func(c *aws.Credentials) { c.SessionToken = "x" }), "dev-users", "4"); code(err) != "UnrecognizedClientException" {
		t.Errorf("with another session: %v", err)
	}
	if got := d.tablesOf("none"); len(got) > 0 {
		t.Errorf("the service none has the tables %v", got)
	}
	gone := d.client(m, "users", "5")
	d.access.Forget("5")
	if err := put(t, gone, "dev-users", "5"); code(err) != "UnrecognizedClientException" {
		t.Errorf("a task that has ended: %v", err)
	}
	status := d.Status().([]provider.StoreStatus)
	if len(status) != 2 || status[0].Name != "dev-posts" || status[0].Requests == 0 || status[0].Endpoint == "" || status[0].Data == "" || status[0].Program != "DynamoDB Local" {
		t.Errorf("the status is %+v", status)
	}
}

func testFaults(t *testing.T, d *deployment, users, posts *dynamodb.Client) {
	begin := func(kind string) func() {
		clear, err := d.Fault(t.Context(), kind, "users")
		if err != nil || clear == nil {
			t.Fatal(kind, err)
		}
		if got := d.Status().([]provider.StoreStatus)[1].Faults; !slices.Equal(got, []string{kind}) {
			t.Errorf("the status has the faults %v", got)
		}
		return func() {
			if err := clear(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if clear, err := d.Fault(t.Context(), "throttle", "none"); clear != nil || err != nil {
		t.Error("a service without a table has a store", err)
	}
	end := begin("throttle")
	if err := put(t, users, "dev-users", "throttled"); code(err) != "ProvisionedThroughputExceededException" {
		t.Errorf("throttle: %v", err)
	}
	if err := put(t, posts, "dev-posts", "free"); err != nil {
		t.Errorf("throttle, another store: %v", err)
	}
	end()
	if has(t, users, "dev-users", "throttled") {
		t.Error("a throttled write was done")
	}
	end = begin("store-slow")
	before := time.Now()
	if err := put(t, users, "dev-users", "slow"); err != nil || time.Since(before) < delay {
		t.Errorf("store-slow: %v after %v", err, time.Since(before))
	}
	end()
	end = begin("partition")
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := users.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("dev-users"), Key: item("1")})
		asked <- err
	}()
	if err := put(t, posts, "dev-posts", "free"); err != nil {
		t.Errorf("partition, another store: %v", err)
	}
	select {
	case err := <-asked:
		t.Errorf("partition: an answer has come: %v", err)
	default:
	}
	cancel()
	<-asked
	end()
	end = begin("commit-error")
	var got []string
	for i := range 4 {
		err := put(t, users, "dev-users", fmt.Sprint("commit", i))
		var api smithy.APIError
		switch {
		case err == nil:
			got = append(got, "ok")
		case errors.As(err, &api):
			got = append(got, api.ErrorCode())
		default:
			got = append(got, "cut")
		}
	}
	if want := []string{"InternalServerError", "ok", "cut", "ok"}; !slices.Equal(got, want) {
		t.Errorf("commit-error: %v, not %v", got, want)
	}
	for i := range 4 {
		if !has(t, users, "dev-users", fmt.Sprint("commit", i)) {
			t.Errorf("commit-error: write %d was not done", i)
		}
	}
	end()
}

// testChanges changes the tables of a deployment.
func testChanges(t *testing.T, d *deployment, resources object) {
	change := func(name string, table object, want string) {
		t.Helper()
		before := resources[name]
		if resources[name] = table; table == nil {
			delete(resources, name)
		}
		_, err := d.deploy(resources)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, not %q", name, err, want)
		}
		if err != nil {
			resources[name] = before
		}
	}
	tables := func(want ...string) {
		t.Helper()
		var out struct{ TableNames []string }
		if err := d.proxy.call(t.Context(), "ListTables", object{}, &out); err != nil || !slices.Equal(out.TableNames, want) {
			t.Errorf("the tables are %v, %v, not %v", out.TableNames, err, want)
		}
	}
	tables("dev-posts", "dev-users")
	change("Users", users(object{"AttributeDefinitions": []any{object{"AttributeName": "pk", "AttributeType": "S"}, object{"AttributeName": "sk", "AttributeType": "N"}}}), `the table dev-users has data with the key "pk S, sk S", and the template says "pk S, sk N"`)
	change("Users", users(object{"TableName": "a b"}), "DynamoDB takes no table with the name")
	change("Users", users(object{"TableName": "dev-posts"}), "the table dev-posts is also that of S/Posts")
	byName := object{"IndexName": "by-name", "KeySchema": []any{object{"AttributeName": "name", "KeyType": "HASH"}}, "Projection": object{"ProjectionType": "ALL"}, "ProvisionedThroughput": object{"ReadCapacityUnits": 1, "WriteCapacityUnits": "1"}}
	attributes := []any{object{"AttributeName": "pk", "AttributeType": "S"}, object{"AttributeName": "sk", "AttributeType": "S"}, object{"AttributeName": "name", "AttributeType": "S"}}
	whole := d.failing(t, "UpdateTable", "DescribeTable")
	change("Users", users(object{"GlobalSecondaryIndexes": []any{byName}, "AttributeDefinitions": attributes, "StreamSpecification": object{"StreamViewType": "NEW_IMAGE"}}), "")
	whole()
	described, err := d.proxy.describe(t.Context(), "dev-users")
	if err != nil || len(described.Table.GlobalSecondaryIndexes) != 1 || described.Table.LatestStreamArn == "" {
		t.Errorf("the changed table is %+v, %v", described, err)
	}
	change("Users", users(nil), "")
	described, err = d.proxy.describe(t.Context(), "dev-users")
	if err != nil || len(described.Table.GlobalSecondaryIndexes) != 0 || described.Table.StreamSpecification.StreamEnabled {
		t.Errorf("the table is %+v, %v", described, err)
	}
	change("More", users(object{"TableName": nil}), "")
	tables("S-More", "dev-posts", "dev-users")
	change("More", nil, "")
	tables("dev-posts", "dev-users")
	kept := users(object{"TableName": "kept"})
	kept["DeletionPolicy"] = "Retain"
	change("More", kept, "")
	change("More", nil, "")
	tables("dev-posts", "dev-users", "kept")
	if !d.told("kept the table stays") {
		t.Error("no event says that a table stays")
	}
	change("More", users(object{"TableName": "protected", "DeletionProtectionEnabled": true}), "")
	change("More", nil, "")
	tables("dev-posts", "dev-users", "kept", "protected")
	renamed := users(object{"TableName": "one"})
	renamed["UpdateReplacePolicy"], renamed["DeletionPolicy"] = "Retain", "Delete"
	change("More", renamed, "")
	change("More", users(object{"TableName": "two"}), "")
	tables("dev-posts", "dev-users", "kept", "one", "protected", "two")
	change("More", users(object{"TableName": "three"}), "")
	tables("dev-posts", "dev-users", "kept", "one", "protected", "three")
	change("More", nil, "")
	tables("dev-posts", "dev-users", "kept", "one", "protected")
	if got := d.Status().([]provider.StoreStatus); len(got) != 2 {
		t.Errorf("the status has %v", got)
	}
}

// TestRefused: what is no request of DynamoDB is answered as DynamoDB answers it.
func TestRefused(t *testing.T) {
	t.Parallel()
	p := newProxy()
	p.signers = func(string) (*access.Signer, bool) { return nil, false }
	l, err := access.Serve(p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, test := range map[string]struct{ method, target, authorization, want string }{
		"no target":        {"POST", "", "", "UnknownOperationException"},
		"another target":   {"POST", "S3.Get", "", "UnknownOperationException"},
		"GET":              {"GET", "DynamoDB_20120810.GetItem", "", "UnknownOperationException"},
		"no signature":     {"POST", "DynamoDB_20120810.GetItem", "", "MissingAuthenticationTokenException"},
		"half a signature": {"POST", "DynamoDB_20120810.GetItem", "AWS4-HMAC-SHA256 Credential=a/b", "IncompleteSignatureException"},
		"an unknown key":   {"POST", "DynamoDB_20120810.GetItem", "AWS4-HMAC-SHA256 Credential=a/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=x", "UnrecognizedClientException"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+l.Addr().String(), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Target", test.target)
		if test.authorization != "" {
			request.Header.Set("Authorization", test.authorization)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Type string `json:"__type"`
		}
		err = json.NewDecoder(response.Body).Decode(&body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != 400 || !strings.HasSuffix(body.Type, "#"+test.want) {
			t.Errorf("%s: %d %s, %v", name, response.StatusCode, body.Type, err)
		}
	}
}

// TestUses: a request needs an action for each of its tables.
func TestUses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ operation, body, want string }{
		{"GetItem", `{"TableName":"a"}`, "[{dynamodb:GetItem a }]"},
		{"Query", `{"TableName":"arn:aws:dynamodb:local:1:table/a","IndexName":"i"}`, "[{dynamodb:Query a /index/i}]"},
		{"BatchGetItem", `{"RequestItems":{"a":{"Keys":[]}}}`, "[{dynamodb:BatchGetItem a }]"},
		{"BatchWriteItem", `{"RequestItems":{"a":[]}}`, "[{dynamodb:BatchWriteItem a }]"},
		{"TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"a"}},{"Put":{"TableName":"a"}},{"ConditionCheck":{"TableName":"b"}},{"Delete":{"TableName":"a"}},{"Update":{"TableName":"a"}}]}`, "[{dynamodb:PutItem a } {dynamodb:ConditionCheckItem b } {dynamodb:DeleteItem a } {dynamodb:UpdateItem a }]"},
		{"TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"a"}}]}`, "[{dynamodb:GetItem a }]"},
		{"TransactWriteItems", `{"TransactItems":[]}`, "the request names no table"},
		{"ExecuteStatement", `{"Statement":"SELECT * FROM \"a-b\".\"i\" WHERE pk='x'"}`, "[{dynamodb:PartiQLSelect a-b /index/i}]"},
		{"ExecuteStatement", `{"Statement":"insert into \"a\" value {'pk':'x'}"}`, "[{dynamodb:PartiQLInsert a }]"},
		{"ExecuteStatement", `{"Statement":"UPDATE \"a\" SET x=1 WHERE pk='x'"}`, "[{dynamodb:PartiQLUpdate a }]"},
		{"BatchExecuteStatement", `{"Statements":[{"Statement":"DELETE FROM a WHERE pk='x'"}]}`, "[{dynamodb:PartiQLDelete a }]"},
		{"ExecuteTransaction", `{"TransactStatements":[{"Statement":"nonsense"}]}`, "[{dynamodb:PartiQLSelect  }]"},
		{"ListTables", `{}`, "[{dynamodb:ListTables  }]"},
		{"ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:local:1:table/a"}`, "[{dynamodb:ListTagsOfResource a }]"},
		{"DescribeStream", `{"StreamArn":"arn:aws:dynamodb:local:1:table/a/stream/2"}`, "[{dynamodb:DescribeStream a /stream/2}]"},
		{"GetRecords", `{"ShardIterator":"arn:aws:dynamodb:local:1:table/a/stream/2|001|x"}`, "[{dynamodb:GetRecords a /stream/2}]"},
		{"GetRecords", `{"ShardIterator":"0|arn:aws:dynamodb:local:1:table/a/stream/2|x"}`, "[{dynamodb:GetRecords a /stream/2}]"},
		{"GetItem", `[]`, "the body is not a request"},
	} {
		got, refused := uses(test.operation, []byte(test.body))
		text := fmt.Sprint(got)
		if refused != nil {
			text = refused.Message
		}
		if !strings.HasPrefix(text, test.want) {
			t.Errorf("%s %s: %s, not %s", test.operation, test.body, text, test.want)
		}
	}
}

// TestUnused: a table that no task may use, and no function that is invoked here, is neither made nor in the way, and the
// settings without an effect are listed.
func TestUnused(t *testing.T) {
	t.Setenv(EndpointVariable, "")
	d := newDeployment(t, t.TempDir())
	resources := object{"Users": users(object{"TableName": "x"}), "Posts": users(object{"TableName": "x"})}
	service(resources, "users", []any{"dynamodb:*"}, "arn:aws:dynamodb:local:000000000000:table/y")
	m, err := d.deploy(resources)
	if err != nil || d.found != nil || d.Status() != nil {
		t.Fatalf("unused tables: %v, %v", err, d.Status())
	}
	over := func(m *model.Model) (all []string) {
		text := func(value any) (string, error) { return fmt.Sprint(value), nil }
		for _, one := range d.Plan(m, text).(provider.Reporter).PassedOver() {
			all = append(all, one.Place+" "+one.Setting)
		}
		return all
	}
	if got := over(m); !slices.Equal(got, []string{"S/Posts the table", "S/Users the table"}) {
		t.Errorf("passed over: %v", got)
	}
	table := global("y")
	properties := table["Properties"].(object)
	properties["TimeToLiveSpecification"] = object{"AttributeName": "ttl", "Enabled": true}
	properties["Replicas"] = append(properties["Replicas"].([]any), object{"Region": "eu-west-1"})
	delete(resources, "Posts")
	resources["Users"] = table
	if got := over(readModel(t, resources)); !slices.Equal(got, []string{"S/Users/Properties.Replicas Replicas"}) {
		t.Errorf("passed over: %v", got)
	}

	delete(resources, "Taskusers")
	delete(resources, "Serviceusers")
	resources["Function"] = object{"Type": "AWS::Lambda::Function", "Properties": object{"Role": object{"Fn::GetAtt": []any{"Roleusers", "Arn"}}, "Runtime": "provided.al2023"}}
	if got := over(readModel(t, resources)); !slices.Equal(got, []string{"S/Users the table"}) {
		t.Errorf("passed over with a function that nobody invokes: %v", got)
	}
	resources["Group"] = object{"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": object{"TargetType": "lambda", "Targets": []any{object{"Id": object{"Ref": "Function"}}}}}
	if got := over(readModel(t, resources)); !slices.Equal(got, []string{"S/Users/Properties.Replicas Replicas"}) {
		t.Errorf("passed over with a function: %v", got)
	}
}

// TestOwnEndpoint: with an endpoint of the user no program starts, and the user's credentials sign.
func TestOwnEndpoint(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		credential, _, _ := strings.Cut(r.Header.Get("Authorization"), ",")
		mu.Lock()
		asked = append(asked, operation+" "+strings.TrimPrefix(credential, "AWS4-HMAC-SHA256 Credential=")[:4])
		first := len(asked) == 1
		mu.Unlock()
		switch {
		case operation == "DescribeTable" && first:
			answer(w, refuse("ResourceNotFoundException", "no such table"))
		case operation == "DescribeTable":
			fmt.Fprint(w, `{"Table":{"TableStatus":"ACTIVE"}}`)
		case operation == "GetItem":
			fmt.Fprint(w, `{"Item":{"pk":{"S":"users"}}}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	defer database.Close()
	t.Setenv(EndpointVariable, database.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "MINE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	d := newDeployment(t, t.TempDir())
	resources := object{"Users": users(nil)}
	service(resources, "users", []any{"dynamodb:*"}, "*")
	m, err := d.deploy(resources)
	if err != nil || d.kept.Running() != nil {
		t.Fatal(err, d.kept.Running())
	}
	if !has(t, d.client(m, "users", "1"), "dev-users", "1") {
		t.Error("the task does not reach the user's database")
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"DescribeTable MINE", "CreateTable MINE", "DescribeTable MINE", "DescribeTimeToLive MINE", "GetItem MINE"}; !slices.Equal(asked, want) {
		t.Errorf("the database was asked %v, not %v", asked, want)
	}
	status := d.Status().([]provider.StoreStatus)
	if len(status) != 1 || status[0].Program != "DynamoDB at "+database.URL || status[0].Source != EndpointVariable || status[0].Data != "" || status[0].Requests != 1 {
		t.Errorf("the status is %+v", status)
	}
	if _, err := d.Fault(t.Context(), "store-kill", "users"); err == nil || !strings.Contains(err.Error(), "it is yours") {
		t.Errorf("the user's database was killed: %v", err)
	}
}
