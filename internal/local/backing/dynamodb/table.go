package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cutover/internal/assembly"
	"cutover/internal/local/backing/access"
	"cutover/internal/model"
)

// table is a table of a template as the database takes it. The members have the names of DynamoDB's API, which
// are those of CloudFormation.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
type table struct {
	TableName            string
	KeySchema            any
	AttributeDefinitions any
	// Indexes cost nothing here: all have capacity as they need it.
	GlobalSecondaryIndexes []index `json:",omitempty"`
	LocalSecondaryIndexes  []index `json:",omitempty"`
	BillingMode            string
	StreamSpecification    *stream `json:",omitempty"`

	of  *model.Table
	err error // what cannot be read
}

type index struct {
	IndexName  string
	KeySchema  any
	Projection any
}

type stream struct {
	StreamEnabled  bool
	StreamViewType string `json:",omitempty"`
}

// read returns a table as its template has it.
func read(a *assembly.Assembly, of *model.Table) *table {
	t := &table{TableName: nameOf(of), BillingMode: "PAY_PER_REQUEST", of: of}
	errs := []error{of.Problem("TableName", "KeySchema", "AttributeDefinitions", "StreamSpecification", "TimeToLiveSpecification", "ResourcePolicy", "Replicas", "Condition")}
	resolve := func(property string) any {
		value, err := of.Resource.Resolve(a, property)
		errs = append(errs, err)
		return value
	}
	t.KeySchema, t.AttributeDefinitions = resolve("KeySchema"), resolve("AttributeDefinitions")
	indexes := func(property string) (all []index) {
		list, _ := resolve(property).([]any)
		for _, one := range list {
			member, _ := one.(map[string]any)
			name, _ := member["IndexName"].(string)
			all = append(all, index{name, member["KeySchema"], member["Projection"]})
		}
		return all
	}
	t.GlobalSecondaryIndexes, t.LocalSecondaryIndexes = indexes("GlobalSecondaryIndexes"), indexes("LocalSecondaryIndexes")
	if of.Stream != "" {
		t.StreamSpecification = &stream{true, of.Stream}
	}
	t.err = assembly.Join(errs...)
	return t
}

// nameOf is the name of a table: that of the template, or one that is made up.
func nameOf(t *model.Table) string {
	if t.Resource.Properties["TableName"] == nil {
		return model.MadeUp(t.Resource, "", 255)
	}
	return t.Name
}

// described is what the database says of a table.
type described struct {
	Table struct {
		TableStatus            string
		KeySchema              []key
		AttributeDefinitions   []struct{ AttributeName, AttributeType string }
		GlobalSecondaryIndexes []struct {
			IndexName   string
			KeySchema   []key
			Projection  any
			IndexStatus string
		}
		StreamSpecification stream
		LatestStreamArn     string
	}
}

type key struct{ AttributeName, KeyType string }

// keysOf are the keys with their types, as in "pk HASH S, sk RANGE S".
func (d described) keysOf() string {
	var all []string
	for _, k := range d.Table.KeySchema {
		for _, a := range d.Table.AttributeDefinitions {
			if a.AttributeName == k.AttributeName {
				all = append(all, a.AttributeName+" "+a.AttributeType)
			}
		}
	}
	return strings.Join(all, ", ")
}

func (t *table) keys() string {
	var all []string
	for _, k := range t.of.Keys {
		all = append(all, k.Name+" "+k.Type)
	}
	return strings.Join(all, ", ")
}

// describe asks for a table. It is nil if the table does not exist.
func (p *proxy) describe(ctx context.Context, name string) (*described, error) {
	var d described
	err := p.call(ctx, "DescribeTable", map[string]string{"TableName": name}, &d)
	if access.Is(err, "ResourceNotFoundException") {
		return nil, nil
	}
	return &d, err
}

// attempts are how often a table is made. DynamoDB Local answers InternalFailure now and then while it changes a
// table on a busy machine, with the change done or not; an SDK of AWS repeats such a request as well.
const attempts = 5

// make creates a table, or changes the one that is there. It returns the ARN of the table's stream; empty if it has none.
func (p *proxy) make(ctx context.Context, t *table) (stream string, err error) {
	for attempt := range attempts {
		if err = p.converge(ctx, t); !access.Is(err, "InternalFailure") {
			break
		}
		select { // whatever keeps the database busy may take a moment
		case <-ctx.Done():
			return "", err
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
	}
	if err != nil || t.StreamSpecification == nil {
		return "", err
	}
	d, err := p.describe(ctx, t.TableName)
	if err != nil || d == nil {
		return "", cmp.Or(err, fmt.Errorf("the table %s is gone", t.TableName))
	}
	return d.Table.LatestStreamArn, nil
}

// converge does to a table what is still to be done.
func (p *proxy) converge(ctx context.Context, t *table) error {
	d, err := p.describe(ctx, t.TableName)
	if err != nil {
		return err
	}
	if d == nil {
		if err := p.change(ctx, t, "CreateTable", t); err != nil {
			return err
		}
		return p.expire(ctx, t)
	}
	if d, err = p.settle(ctx, t); err != nil {
		return err
	}
	if was, is := d.keysOf(), t.keys(); was != is {
		return fmt.Errorf("the table %s has data with the key %q, and the template says %q: give the table another name, or throw all data away with: cutover down --data", t.TableName, was, is)
	}
	if err := p.index(ctx, t, d); err != nil {
		return err
	}
	if want := cmp.Or(t.StreamSpecification, &stream{}); d.Table.StreamSpecification != *want {
		if d.Table.StreamSpecification.StreamEnabled { // a stream of another kind is another stream
			if err := p.update(ctx, t, "StreamSpecification", stream{}); err != nil {
				return err
			}
		}
		if want.StreamEnabled {
			if err := p.update(ctx, t, "StreamSpecification", want); err != nil {
				return err
			}
		}
	}
	return p.expire(ctx, t)
}

// update changes one thing of a table, as DynamoDB wants it.
func (p *proxy) update(ctx context.Context, t *table, what string, value any) error {
	return p.change(ctx, t, "UpdateTable", map[string]any{"TableName": t.TableName, "AttributeDefinitions": t.AttributeDefinitions, what: value})
}

// change changes a table, and waits until the database has done so.
func (p *proxy) change(ctx context.Context, t *table, operation string, in any) error {
	if err := p.call(ctx, operation, in, nil); err != nil {
		return err
	}
	_, err := p.settle(ctx, t)
	return err
}

// settle waits until a table is as it was last asked to be.
func (p *proxy) settle(ctx context.Context, t *table) (*described, error) {
	for {
		d, err := p.describe(ctx, t.TableName)
		if err != nil {
			return nil, err
		}
		if d != nil && d.active() {
			return d, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the table %s is not ready: %w", t.TableName, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// active says whether a table and its indexes are as they were asked to be.
func (d described) active() bool {
	for _, i := range d.Table.GlobalSecondaryIndexes {
		if i.IndexStatus != "ACTIVE" {
			return false
		}
	}
	return d.Table.TableStatus == "ACTIVE"
}

// index makes the global indexes those of the template.
func (p *proxy) index(ctx context.Context, t *table, d *described) error {
	for _, old := range d.Table.GlobalSecondaryIndexes {
		if !slices.ContainsFunc(t.GlobalSecondaryIndexes, func(i index) bool { return i.IndexName == old.IndexName }) {
			if err := p.update(ctx, t, "GlobalSecondaryIndexUpdates", []any{map[string]any{"Delete": map[string]string{"IndexName": old.IndexName}}}); err != nil {
				return err
			}
		}
	}
	for _, i := range t.GlobalSecondaryIndexes {
		has := false
		for _, old := range d.Table.GlobalSecondaryIndexes {
			has = has || old.IndexName == i.IndexName
		}
		if !has {
			if err := p.update(ctx, t, "GlobalSecondaryIndexUpdates", []any{map[string]any{"Create": i}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// expire sets the attribute with the time after which an item goes.
func (p *proxy) expire(ctx context.Context, t *table) error {
	var d struct {
		TimeToLiveDescription struct{ AttributeName, TimeToLiveStatus string }
	}
	if err := p.call(ctx, "DescribeTimeToLive", map[string]string{"TableName": t.TableName}, &d); err != nil {
		return err
	}
	was := d.TimeToLiveDescription.AttributeName
	if d.TimeToLiveDescription.TimeToLiveStatus == "DISABLED" {
		was = ""
	}
	set := func(attribute string, enabled bool) error {
		return p.call(ctx, "UpdateTimeToLive", map[string]any{"TableName": t.TableName,
			"TimeToLiveSpecification": map[string]any{"AttributeName": attribute, "Enabled": enabled}}, nil)
	}
	var errs []error
	if was != "" && was != t.of.TimeToLive {
		errs = append(errs, set(was, false))
	}
	if t.of.TimeToLive != "" && was != t.of.TimeToLive {
		errs = append(errs, set(t.of.TimeToLive, true))
	}
	return errors.Join(errs...)
}

// remove deletes a table with its items.
func (p *proxy) remove(ctx context.Context, name string) error {
	err := p.call(ctx, "DeleteTable", map[string]string{"TableName": name}, nil)
	if access.Is(err, "ResourceNotFoundException") {
		return nil
	}
	return err
}
