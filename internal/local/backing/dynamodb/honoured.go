package dynamodb

import (
	"slices"
	"strings"

	"cutover/internal/local/provider"
)

// passed are the settings of tables that are about AWS only, with their only value or "" for any.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
var passed = map[string]string{
	"BillingMode": "", "ContributorInsightsSpecification": "", "DeletionProtectionEnabled": "", "OnDemandThroughput": "", "PointInTimeRecoverySpecification": "",
	"ProvisionedThroughput": "", "ReadOnDemandThroughputSettings": "", "ReadProvisionedThroughputSettings": "", "SSESpecification": "", "TableClass": "", "Tags": "",
	"WarmThroughput": "", "WriteOnDemandThroughputSettings": "", "WriteProvisionedThroughputSettings": "",
}

// listed are the settings of tables that have no effect here, with the reason.
var listed = map[string]string{
	"GlobalTableSourceArn":       "a table of another account is not there on this machine: the table is empty at first",
	"GlobalTableWitnesses":       "this machine has one region",
	"ImportSourceSpecification":  "there is no S3 to import items from here: the table is empty at first",
	"KinesisStreamSpecification": "there is no Kinesis here to write changes to",
	"MultiRegionConsistency":     "this machine has one region",
	"Replicas":                   "this machine has one region: the table has no replica in others",
}

// honoured are those of which something is to be said.
var honoured = []provider.Compatibility{
	{Setting: "AttributeDefinitions", Here: "honoured"},
	{Setting: "DeletionPolicy", Here: "honoured", Why: "`cutover down --data` removes all data"},
	{Setting: "GlobalSecondaryIndexes", Here: "honoured", Why: "with capacity as needed"},
	{Setting: "KeySchema", Here: "honoured", Why: "a table with a name cannot get another key, as on AWS"},
	{Setting: "LocalSecondaryIndexes", Here: "honoured"},
	{Setting: "ResourcePolicy", Here: "honoured", Why: "conditions on the tags, the ARN and the account of the principal, and on TLS"},
	{Setting: "StreamSpecification", Here: "honoured", Why: "tasks, functions and event source mappings read the stream"},
	{Setting: "TableName", Here: "honoured"},
	{Setting: "TimeToLiveSpecification", Here: "honoured", Why: "an item may go later than on AWS, or never: a reader has to look at the time"},
}

// Compatibility is what becomes of the settings of tables on this machine.
func Compatibility() []provider.Compatibility {
	all := slices.Concat(provider.Settings(passed, nil, listed, nil), honoured)
	slices.SortFunc(all, func(a, b provider.Compatibility) int { return strings.Compare(a.Setting, b.Setting) })
	return all
}

// passedOver lists the settings of a table that have no effect here.
func (t *table) passedOver() (all []provider.PassedOver) {
	add := func(setting string) {
		all = append(all, provider.PassedOver{Place: t.of.Key() + "/Properties." + setting, Subject: t.TableName, Setting: setting, Why: listed[setting]})
	}
	for name := range t.of.Resource.Properties {
		if listed[name] != "" && (name != "Replicas" || len(t.of.Replicas) > 1) {
			add(name)
		}
	}
	slices.SortFunc(all, func(a, b provider.PassedOver) int { return strings.Compare(a.Setting, b.Setting) })
	return all
}
