package model

import "cutover/internal/assembly"

// Table is a table of DynamoDB: an AWS::DynamoDB::Table, or an AWS::DynamoDB::GlobalTable.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-globaltable.html
type Table struct {
	Base
	// Name is the logical id if CloudFormation makes up the name.
	Name string
	// Keys are the partition key and the sort key, if any.
	Keys []Key
	// OnDemand pays by request. Default: provisioned capacity.
	OnDemand bool
	// TimeToLive is the attribute with the time in seconds after which an item goes. Empty: items stay.
	TimeToLive string
	// Stream is what a change writes to the stream, as in "NEW_IMAGE". Empty: no stream.
	Stream string
	// Replicas are the regions that have the table; "" for the region of the stack.
	// Empty for an AWS::DynamoDB::Table.
	Replicas []string
	// PointInTimeRecovery and DeletionProtection are on if all replicas have them. Default: off.
	PointInTimeRecovery, DeletionProtection bool
	// Policy has the statements of the table's own policy, if any.
	Policy []Statement
}

// Key is an attribute of a primary key. Type is S, N or B.
type Key struct{ Name, Type string }

func (t *Table) read(p assembly.Value) {
	t.Name = name(&t.Base, p.Field("TableName"))
	types := map[string]string{}
	for _, a := range p.Field("AttributeDefinitions").List() {
		types[a.Field("AttributeName").Text("")] = a.Field("AttributeType").OneOf("S", "N", "B")
	}
	for _, k := range p.Field("KeySchema").List() {
		key := Key{Name: k.Field("AttributeName").Text("")}
		key.Type = types[key.Name]
		if k.Field("KeyType").OneOf("HASH", "RANGE") == "HASH" {
			t.Keys = append([]Key{key}, t.Keys...)
		} else {
			t.Keys = append(t.Keys, key)
		}
	}
	t.OnDemand = p.Field("BillingMode").OneOf("PROVISIONED", "PAY_PER_REQUEST") == "PAY_PER_REQUEST"
	if ttl := p.Field("TimeToLiveSpecification"); ttl.Field("Enabled").Bool(false) {
		t.TimeToLive = ttl.Field("AttributeName").Text("")
	}
	t.Stream = p.Field("StreamSpecification").Field("StreamViewType").Text("")
	if t.Resource.Type == DynamoDBTable {
		t.replica(p, true)
		return
	}
	for i, replica := range p.Field("Replicas").List() {
		t.Replicas = append(t.Replicas, regionOf(replica.Field("Region")))
		t.replica(replica, i == 0)
	}
}

// regionOf reads a region; "" stands for that of the stack, which may not be known yet.
func regionOf(v assembly.Value) string {
	if ref, ok := v.Raw().(map[string]any); ok && ref["Ref"] == "AWS::Region" {
		return ""
	}
	return v.Text("")
}

// replica reads what a replica of a global table has of its own, and an AWS::DynamoDB::Table at its top.
func (t *Table) replica(v assembly.Value, first bool) {
	t.PointInTimeRecovery = (first || t.PointInTimeRecovery) && v.Field("PointInTimeRecoverySpecification").Field("PointInTimeRecoveryEnabled").Bool(false)
	t.DeletionProtection = (first || t.DeletionProtection) && v.Field("DeletionProtectionEnabled").Bool(false)
	t.Policy = append(t.Policy, statements(v.Field("ResourcePolicy").Field("PolicyDocument"))...)
	v.Field("Tags")
}
