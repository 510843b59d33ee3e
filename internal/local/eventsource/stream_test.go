//go:build unix

package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/local/backing/dynamodb"
	"cutover/internal/local/backing/programs"
	"cutover/internal/local/backing/programs/programstest"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/nightly"
)

// functions has one function, which does what the test says, and keeps what it was asked.
type functions struct {
	mu    sync.Mutex
	do    func(records []object) ([]byte, error)
	asked chan []object
}

func (f *functions) InvokeMapped(_ string, payload []byte) ([]byte, string, error) {
	var event struct{ Records []object }
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, "", err
	}
	f.mu.Lock()
	do := f.do
	f.mu.Unlock()
	result, err := do(event.Records)
	f.asked <- event.Records
	return result, "1", err
}

func (f *functions) does(do func(records []object) ([]byte, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.do = do
}

func succeed([]object) ([]byte, error) { return nil, nil }

// deployment has the providers that mappings need, as a runner has them.
type deployment struct {
	t         *testing.T
	dir       string
	access    *access.Access
	providers []provider.Provider
	functions *functions
	sources   *Provider
	model     *model.Model
	events    chan provider.Event
}

func newDeployment(t *testing.T, dir string) *deployment {
	t.Setenv(dynamodb.EndpointVariable, "")
	d := &deployment{t: t, dir: dir, functions: &functions{do: succeed, asked: make(chan []object, 1000)}, events: make(chan provider.Event, 1000)}
	d.start(nil)
	return d
}

// start makes the providers. The variables are for tasks and functions, too.
func (d *deployment) start(variables func() []model.Variable) {
	tell := func(e provider.Event) { d.events <- e }
	d.access = access.New()
	if variables != nil {
		d.access.Offer(variables)
	}
	d.sources = New(Options{Dir: filepath.Join(d.dir, "positions"), Access: d.access, Functions: d.functions, Events: tell})
	d.providers = []provider.Provider{d.access, dynamodb.New(d.dir, d.access, tell), d.sources}
	d.t.Cleanup(d.stop)
}

func (d *deployment) stop() {
	for _, p := range slices.Backward(d.providers) {
		if err := p.Stop(context.Background()); err != nil {
			d.t.Error(err)
		}
	}
	d.providers = nil
}

// deploy deploys a stack, and returns what its check says, or its update.
func (d *deployment) deploy(resources object) error {
	d.t.Helper()
	m := read(d.t, resources)
	d.model = m
	var plans []provider.Plan
	var text provider.Text
	text = func(value any) (string, error) {
		switch v := value.(type) {
		case assembly.Ref:
			for i, p := range d.providers {
				if slices.Contains(p.Types(), v.Resource.Type) {
					given, err := plans[i].Attribute(v)
					return fmt.Sprint(given), err
				}
			}
			return "", provider.NotGiven(v)
		case assembly.Text:
			all := ""
			for _, part := range v {
				one, err := text(part)
				if err != nil {
					return "", err
				}
				all += one
			}
			return all, nil
		}
		return fmt.Sprint(value), nil
	}
	for _, p := range d.providers {
		plans = append(plans, p.Plan(m, text))
	}
	var errs []error
	for _, p := range plans {
		errs = append(errs, p.Check())
	}
	for _, p := range plans {
		if errors.Join(errs...) == nil {
			errs = append(errs, p.Update(d.t.Context(), "S"))
		}
	}
	for _, p := range slices.Backward(plans) {
		if errors.Join(errs...) == nil {
			errs = append(errs, p.Clean(d.t.Context(), "S"))
		}
	}
	return errors.Join(errs...)
}

func read(t *testing.T, resources object) *model.Model {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]any{
		"manifest.json": object{"version": "48.0.0", "artifacts": object{"S": object{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": object{"templateFile": "s.json"}}}},
		"s.json":        object{"Resources": resources},
	} {
		text, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
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

// app has a table with a stream, and a function that is invoked with what the filter lets through.
func app(mapping object, statements ...any) object {
	get := func(id, attribute string) object { return object{"Fn::GetAtt": []any{id, attribute}} }
	properties := object{
		"FunctionName": get("F", "Arn"), "EventSourceArn": get("T", "StreamArn"), "StartingPosition": "TRIM_HORIZON",
		"FilterCriteria": object{"Filters": []any{object{"Pattern": `{"dynamodb": {"NewImage": {"event": {"B": [{"exists": true}]}}}}`}}},
	}
	maps.Copy(properties, mapping)
	if statements == nil {
		statements = []any{object{"Effect": "Allow", "Action": []any{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}, "Resource": get("T", "StreamArn")}}
	}
	return object{
		"T": object{"Type": "AWS::DynamoDB::Table", "Properties": object{
			"TableName": "users", "BillingMode": "PAY_PER_REQUEST", "StreamSpecification": object{"StreamViewType": "NEW_IMAGE"},
			"KeySchema": []any{object{"AttributeName": "pk", "KeyType": "HASH"}}, "AttributeDefinitions": []any{object{"AttributeName": "pk", "AttributeType": "S"}},
		}},
		"R": object{"Type": "AWS::IAM::Role", "Properties": object{"Policies": []any{object{"PolicyDocument": object{"Statement": statements}}}}},
		"F": object{"Type": "AWS::Lambda::Function", "Properties": object{"FunctionName": "relay", "Role": get("R", "Arn"), "Runtime": "provided.al2023", "Handler": "relay"}},
		"M": object{"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties},
		// A task keeps the table, whatever becomes of the mapping.
		"Writer": object{"Type": "AWS::IAM::Role", "Properties": object{"Policies": []any{object{"PolicyDocument": object{"Statement": object{"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": get("T", "Arn")}}}}}},
		"Task": object{"Type": "AWS::ECS::TaskDefinition", "Properties": object{
			"TaskRoleArn": get("Writer", "Arn"), "ContainerDefinitions": []any{object{"Name": "app", "Image": "x", "Memory": 64}},
		}},
	}
}

// put writes an item, with an event or without.
func (d *deployment) put(id string, event bool) {
	d.t.Helper()
	given := map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": ""}
	for _, v := range d.access.FunctionVariables("test", &model.Function{Base: d.model.Functions[0].Base}) {
		given[v.Name] = v.Value
	}
	user := d.access.User()
	c := sdk.NewFromConfig(aws.Config{
		Region: provider.Region, BaseEndpoint: aws.String(given["AWS_ENDPOINT_URL_DYNAMODB"]), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(user.Key, user.Secret, user.Session),
	})
	item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id}}
	if event {
		item["event"] = &types.AttributeValueMemberB{Value: []byte("{}")}
	}
	if _, err := c.PutItem(context.Background(), &sdk.PutItemInput{TableName: aws.String("users"), Item: item}); err != nil {
		d.t.Fatal(err)
	}
}

// keys are those of records of a table.
func keys(records []object) (all []string) {
	for _, one := range records {
		all = append(all, one["dynamodb"].(object)["Keys"].(object)["pk"].(object)["S"].(string))
	}
	return all
}

// gets waits until the function was asked for records of these keys, in one batch or in several.
func (d *deployment) gets(want ...string) {
	d.t.Helper()
	var got []string
	limit := time.After(time.Minute)
	for len(got) < len(want) {
		select {
		case records := <-d.functions.asked:
			got = append(got, keys(records)...)
		case <-limit:
			d.t.Fatalf("after a minute the function was asked for %v, want %v; %+v", got, want, d.sources.Status())
		}
	}
	if !slices.Equal(got, want) {
		d.t.Errorf("the function was asked for %v, want %v", got, want)
	}
}

// settles waits until so many records are done.
func (d *deployment) settles(records int) Status {
	d.t.Helper()
	limit := time.After(time.Minute)
	for {
		s := d.sources.Status().([]Status)[0]
		if s.Records >= records && s.Running == 0 && s.Lag == 0 {
			return s
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			d.t.Fatalf("after a minute the status is %+v, want %d records", s, records)
		}
	}
}

func TestStream(t *testing.T) {
	nightly.Test(t, "it starts DynamoDB Local twice")
	_, err := programs.FindDynamoDB(t.Context())
	programstest.Need(t, err)
	dir := t.TempDir()
	d := newDeployment(t, dir)
	if err := d.deploy(app(nil, object{"Effect": "Allow", "Action": "dynamodb:GetRecords", "Resource": "*"})); err == nil || !strings.Contains(err.Error(), "the role of the function relay may not do dynamodb:DescribeStream on arn:aws:dynamodb:") {
		t.Errorf("without the permission: %v", err)
	}
	partial := object{"BatchSize": 2, "FunctionResponseTypes": []any{"ReportBatchItemFailures"}, "BisectBatchOnFunctionError": true}
	if err := d.deploy(app(partial)); err != nil {
		t.Fatal(err)
	}
	d.put("a", true)
	d.gets("a")
	d.put("no event", false)
	d.put("b", true)
	d.gets("b")
	if s := d.settles(3); s.Filtered != 1 || s.GaveUp != 0 || s.Failures != 0 || s.Function != "relay" || s.Source != "users" || s.Kind != "stream" || s.State != "Enabled" {
		t.Errorf("the status is %+v", s)
	}
	t.Run("failures", func(t *testing.T) {
		again := false
		d.functions.does(func(records []object) ([]byte, error) {
			if again {
				return nil, nil
			}
			again = true
			return nil, &lambda.Error{Type: "Own.Error"}
		})
		d.put("c", true)
		d.gets("c", "c")
		d.functions.does(func([]object) ([]byte, error) {
			return nil, &lambda.Error{Type: "TooManyRequestsException"}
		})
		d.put("d", true)
		d.gets("d", "d")
		d.functions.does(succeed)
		d.gets("d")
		if s := d.settles(5); s.Failures != 1 {
			t.Errorf("the status is %+v, want one failure: an invocation that was throttled is none", s)
		}
	})
	t.Run("shape", func(t *testing.T) {
		d.put("e", true)
		records := <-d.functions.asked
		event := records[0]
		data := event["dynamodb"].(object)
		if event["eventName"] != "INSERT" || event["eventSource"] != "aws:dynamodb" || event["eventVersion"] == nil || event["eventID"] == nil || event["awsRegion"] != "local" ||
			!strings.Contains(fmt.Sprint(event["eventSourceARN"]), ":table/users/stream/") || data["StreamViewType"] != "NEW_IMAGE" || data["SequenceNumber"] == "" ||
			fmt.Sprint(data["NewImage"]) != "map[event:map[B:e30=] pk:map[S:e]]" || data["ApproximateCreationDateTime"].(float64) < 1e9 || data["SizeBytes"] == nil {
			t.Errorf("the record is %v", event)
		}
		d.settles(6)
	})
	// What was written while nothing ran comes later, and nothing comes twice.
	d.functions.does(func([]object) ([]byte, error) {
		return nil, &lambda.Error{Type: "Own.Error"}
	})
	d.put("f", true)
	d.gets("f")
	d.stop()
	for len(d.functions.asked) > 0 {
		d.gets("f")
	}
	d = newDeployment(t, dir)
	if err := d.deploy(app(partial)); err != nil {
		t.Fatal(err)
	}
	d.gets("f")
	d.put("g", true)
	d.gets("g")
	d.settles(2)
	t.Run("changes", func(t *testing.T) { testChanges(t, d) })
}

// A mapping that changes goes on where it was, and one with another position does not.
func testChanges(t *testing.T, d *deployment) {
	if err := d.deploy(app(object{"BatchSize": 10, "Enabled": false})); err != nil {
		t.Fatal(err)
	}
	d.put("h", true)
	if s := d.sources.Status().([]Status)[0]; s.State != "Disabled" || s.Records != 0 {
		t.Errorf("the status is %+v", s)
	}
	if err := d.deploy(app(object{"BatchSize": 10})); err != nil {
		t.Fatal(err)
	}
	d.gets("h")
	d.settles(1)
	if err := d.deploy(app(object{"StartingPosition": "LATEST", "Enabled": false})); err != nil {
		t.Fatal(err)
	}
	d.put("i", true)
	if err := d.deploy(app(object{"StartingPosition": "LATEST"})); err != nil {
		t.Fatal(err)
	}
	d.gets("i")
	d.settles(1)
	without := app(nil)
	delete(without, "M")
	if err := d.deploy(without); err != nil || d.sources.Status() != nil {
		t.Errorf("%v, %v", err, d.sources.Status())
	}
	if left, _ := os.ReadDir(filepath.Join(d.dir, "positions")); len(left) > 0 {
		t.Errorf("of a mapping that is gone %v is left", left)
	}
	if err := d.deploy(app(nil)); err != nil {
		t.Fatal(err)
	}
	d.gets("a", "b", "c", "d", "e", "f", "g", "h", "i")
	old := object{"MaximumRecordAgeInSeconds": 60, "MaximumRetryAttempts": 1}
	d.functions.does(func([]object) ([]byte, error) {
		return nil, &lambda.Error{Type: "Own.Error"}
	})
	if err := d.deploy(app(old)); err != nil {
		t.Fatal(err)
	}
	d.put("j", true)
	d.gets("j", "j")
	if s := d.settles(1); s.GaveUp != 1 || s.Failures != 2 {
		t.Errorf("the status is %+v", s)
	}
}
