package review_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/review"
	"cutover/internal/assembly"
)

// stores is an assembly with a stack of stores, which is protected or not, and another one. Without stores
// it has the other one alone.
func stores(t *testing.T, protected bool, data string) *assembly.Assembly {
	t.Helper()
	dir := t.TempDir()
	stack := func(name string, protected bool) string {
		text := `"` + name + `": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "` + name + `.json"`
		if protected {
			text += `, "terminationProtection": true`
		}
		return text + "}}"
	}
	files := map[string]string{"dev-Users.json": `{"Resources": {}}`}
	stacks := []string{stack("dev-Users", false)}
	if data != "" {
		files["dev-Data.json"] = `{"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Resources": {` + data + `}}`
		stacks = append(stacks, stack("dev-Data", protected))
	}
	files["manifest.json"] = `{"artifacts": {` + strings.Join(stacks, ", ") + `}}`
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func losses(pairs ...review.Pair) (lines []string) {
	for _, l := range review.Losses(pairs) {
		mark := ""
		if l.Deletes {
			mark = "DELETES "
		}
		lines = append(lines, mark+l.Of+" "+l.Does+" ["+strings.Join(l.In, " ")+"]")
	}
	return lines
}

const (
	keep     = `, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"`
	shield   = `"DeletionProtectionEnabled": true`
	theTable = "dev-Data/T "
)

func tableOf(kind, attributes, properties string) string {
	return `"T": {"Type": "AWS::DynamoDB::` + kind + `"` + attributes + `, "Properties": {` + properties + `}}`
}

func clusterOf(attributes, properties string) string {
	return `"C": {"Type": "AWS::RDS::DBCluster"` + attributes + `, "Properties": {` + properties + `}}`
}

func TestLosses(t *testing.T) {
	const other = `"P": {"Type": "AWS::SSM::Parameter"}`
	const gone, let, snapshot, shielded = "is deleted with its data", "stays with its data, and belongs to no stack",
		"is deleted with its data, and a snapshot stays", "is deleted with its data, unless its deletion protection stops that"
	table := func(attributes, properties string) string { return tableOf("Table", attributes, properties) }
	const recovery = `"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}`
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", table("", `"TableName": "a"`), table("", `"TableName": "a"`), nil},
		{"a new one", other, table("", `"TableName": "a"`), nil},
		{"what keeps nothing", other, `"Q": {"Type": "AWS::SSM::Parameter"}`, nil},
		{"an update in place", table("", `"BillingMode": "PROVISIONED"`), table("", `"BillingMode": "PAY_PER_REQUEST"`), nil},

		{"a table leaves", table("", ""), other, []string{"DELETES " + theTable + gone}},
		{"a kept table leaves", table(keep, ""), other, []string{theTable + let}},
		{"a table that is kept unless it is new", table(`, "DeletionPolicy": "RetainExceptOnCreate"`, ""), other, []string{theTable + let}},
		{"a protected table leaves", table("", shield), other, []string{"DELETES " + theTable + shielded}},
		{"its condition holds no more", table("", ""), table(`, "Condition": "Never"`, ""), []string{"DELETES " + theTable + gone}},
		{"it was not there", table(`, "Condition": "Never"`, ""), other, nil},
		{"a cluster leaves", clusterOf("", ""), other, []string{"DELETES dev-Data/C " + snapshot}},
		{"a cluster leaves without a snapshot", clusterOf(`, "DeletionPolicy": "Delete"`, ""), other, []string{"DELETES dev-Data/C " + gone}},
		{"a protected cluster leaves", clusterOf("", `"DeletionProtection": true`), other, []string{"DELETES dev-Data/C " + shielded}},
		{"an instance of a cluster leaves", clusterOf("", "") + `, "I": {"Type": "AWS::RDS::DBInstance", "Properties": {"DBClusterIdentifier": {"Ref": "C"}}}`, clusterOf("", ""), nil},
		{"an instance of its own leaves", `"I": {"Type": "AWS::RDS::DBInstance", "Properties": {"DeletionProtection": true}}`, other, []string{"DELETES dev-Data/I " + shielded}},
		{"a file system leaves", `"F": {"Type": "AWS::EFS::FileSystem"}`, other, []string{"DELETES dev-Data/F " + gone}},
		{"a message broker leaves", `"B": {"Type": "AWS::AmazonMQ::Broker"}`, other, []string{"DELETES dev-Data/B " + gone}},
		{"a kept message broker becomes a cluster", `"B": {"Type": "AWS::AmazonMQ::Broker"` + keep + `, "Properties": {"BrokerName": "a"}}`, `"B": {"Type": "AWS::AmazonMQ::Broker"` + keep + `, "Properties": {"BrokerName": "a", "DeploymentMode": "CLUSTER_MULTI_AZ"}}`,
			[]string{"dev-Data/B is replaced by an empty one, because DeploymentMode changes: the old one " + let + ": none can be created that is called a, too; the deployment fails if the new one is called a, too"}},
		{"the stack leaves", table("", ""), "", []string{theTable + "stays, and nothing deploys its stack any more; if you delete the stack, it " + gone}},

		{"another key", table("", `"KeySchema": [1]`), table("", `"KeySchema": [2]`), []string{"DELETES " + theTable + "is replaced by an empty one, because KeySchema changes: the old one " + gone}},
		{"another key and the same name", table(keep, `"KeySchema": [1], "TableName": "a"`), table(keep, `"KeySchema": [2], "TableName": "a"`),
			[]string{theTable + "is replaced by an empty one, because KeySchema changes: the old one " + let + ": none can be created that is called a, too; the deployment fails if the new one is called a, too"}},
		{"another name", table(keep, `"TableName": "a"`), table(keep, `"TableName": "b"`), []string{theTable + "is replaced by an empty one, because TableName changes: the old one " + let + ": none can be created that is called a, too"}},
		{"a name that is new", table("", ""), table("", `"TableName": "b"`), []string{"DELETES " + theTable + "is replaced by an empty one, because TableName changes: the old one " + gone}},
		{"a policy of the deployed template alone", table(keep, `"TableName": "a"`), table("", `"TableName": "b"`), []string{"DELETES " + theTable + "is replaced by an empty one, because TableName changes: the old one " + gone}},
		{"a policy of the new template alone", table("", `"TableName": "a"`), table(keep, `"TableName": "b"`), []string{"DELETES " + theTable + "is replaced by an empty one, because TableName changes: the old one " + gone}},
		{"a cluster has no snapshot by default if it is replaced", clusterOf("", ""), clusterOf("", `"StorageEncrypted": true`), []string{"DELETES dev-Data/C is replaced by an empty one, because StorageEncrypted changes: the old one " + gone}},
		{"but if it says so", clusterOf(`, "UpdateReplacePolicy": "Snapshot"`, `"DBClusterIdentifier": "a"`), clusterOf(`, "UpdateReplacePolicy": "Snapshot"`, `"DBClusterIdentifier": "a", "KmsKeyId": "k"`),
			[]string{"DELETES dev-Data/C is replaced by an empty one, because KmsKeyId changes: the old one " + snapshot + "; the deployment fails if the new one is called a, too"}},
		{"another type", table("", ""), tableOf("GlobalTable", "", ""), []string{"DELETES " + theTable + "becomes an AWS::DynamoDB::GlobalTable, without the data: the old one " + gone}},

		{"deletion protection", table("", shield), table("", ""), []string{theTable + "loses its deletion protection: AWS would delete it from now on"}},
		{"more protection", table("", ""), table("", shield), nil},
		{"of a replica", tableOf("GlobalTable", "", `"Replicas": [{"Region": "a", `+shield+`}]`), tableOf("GlobalTable", "", `"Replicas": [{"Region": "a"}]`), []string{theTable + "loses its deletion protection: AWS would delete it from now on"}},
		{"of a cluster", clusterOf("", `"DeletionProtection": true`), clusterOf("", `"DeletionProtection": false`), []string{"dev-Data/C loses its deletion protection: AWS would delete it from now on"}},
		{"both policies", table(keep, ""), table("", ""), []string{
			theTable + "has the DeletionPolicy Delete instead of Retain: if it leaves the template, its data are deleted",
			theTable + "has the UpdateReplacePolicy Delete instead of Retain: if it is replaced, its data are deleted"}},
		{"a snapshot instead", clusterOf(keep, ""), clusterOf(`, "UpdateReplacePolicy": "Retain"`, ""), []string{"dev-Data/C has the DeletionPolicy Snapshot instead of Retain: if it leaves the template, its data are deleted"}},
		{"no snapshot", clusterOf("", ""), clusterOf(`, "DeletionPolicy": "Delete"`, ""), []string{"dev-Data/C has the DeletionPolicy Delete instead of Snapshot: if it leaves the template, its data are deleted"}},
		{"a better policy", table("", ""), table(keep, ""), nil},
		{"point-in-time recovery", table("", recovery), table("", ""), []string{theTable + "loses its point-in-time recovery: what was deleted cannot be restored, and the backups that it has are gone"}},
		{"older backups", clusterOf("", `"BackupRetentionPeriod": 7`), clusterOf("", `"BackupRetentionPeriod": 6`), []string{"dev-Data/C keeps backups for 6 days instead of 7: the older ones are gone"}},
		{"younger backups", clusterOf("", `"BackupRetentionPeriod": 6`), clusterOf("", `"BackupRetentionPeriod": 7`), nil},
		{"backups of files", `"F": {"Type": "AWS::EFS::FileSystem", "Properties": {"BackupPolicy": {"Status": "ENABLED"}}}`, `"F": {"Type": "AWS::EFS::FileSystem"}`, []string{"dev-Data/F gets no more backups"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for _, line := range test.want {
				want = append(want, line+" [parallel]")
			}
			if diff := cmp.Diff(want, losses(review.Pair{Name: "parallel", Before: stores(t, false, test.before), After: stores(t, false, test.after)})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A stack that keeps data is told of if one command can delete it. Others are not.
func TestProtectionOfTheStack(t *testing.T) {
	table := tableOf("Table", "", "")
	pair := func(before, after bool, data string) review.Pair {
		return review.Pair{Name: "prod", Before: stores(t, before, data), After: stores(t, after, data)}
	}
	if got, want := losses(pair(true, false, table)), []string{"dev-Data loses its termination protection: one command can delete the stack, and what it keeps [prod]"}; !cmp.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, none := range []review.Pair{pair(true, true, table), pair(false, true, table), pair(true, false, `"P": {"Type": "AWS::SSM::Parameter"}`)} {
		if got := losses(none); got != nil {
			t.Errorf("got %q", got)
		}
	}
}

// A service that has another store begins without its records.
func TestChangedStores(t *testing.T) {
	definition := func(id, service, variables string) string {
		return `"` + id + `": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "` + service + `-fargate", "Tags": [{"Key": "service", "Value": "` + service + `"}], "ContainerDefinitions": [{"Name": "c", "Image": "i", "Environment": [` + variables + `]}]}}`
	}
	table := func(id, name, service string) string {
		return `"` + id + `": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "` + name + `", "Tags": [{"Key": "service", "Value": "` + service + `"}]}}`
	}
	const (
		onTable    = `{"Name": "TABLE", "Value": "dev-order-items"}`
		onAnother  = `{"Name": "TABLE", "Value": "dev-orders"}`
		onForeign  = `{"Name": "TABLE", "Value": "dev-users"}`
		onDatabase = `{"Name": "URL", "Value": {"Fn::Join": ["", ["postgresql://order_items@", {"Ref": "C"}, "/order_items"]]}}`
		what       = ": what is in the old store is not moved, and no longer read or written [monolith]"
	)
	all := strings.Join([]string{table("T", "dev-order-items", "order-items"), table("A", "dev-orders", "order-items"), table("U", "dev-users", "users"), clusterOf("", "")}, ", ")
	mine := func(variables string) string { return definition("D", "order-items", variables) }
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"the same", mine(onTable), mine(onTable), nil},
		{"from a file", mine(""), mine(onTable), nil},
		{"to a file", mine(onTable), mine(""), []string{"order-items has its records in a file of its image instead of the table dev-order-items" + what}},
		{"to a database", mine(onTable), mine(onDatabase), []string{"order-items has its records in the database order_items instead of the table dev-order-items" + what}},
		{"back", mine(onDatabase), mine(onTable), []string{"order-items has its records in the table dev-order-items instead of the database order_items" + what}},
		{"another table", mine(onTable), mine(onAnother), []string{"order-items has its records in the table dev-orders instead of the table dev-order-items" + what}},
		{"the service goes", mine(onTable), definition("B", "users", ""), nil}, // its table may go: that is told of
		{"a monolith is retired", definition("D", "api", onTable+", "+onDatabase), definition("D", "api", ""), nil},
		{"a table of another service", mine(onForeign), mine(""), nil},
	} {
		pair := review.Pair{Name: "monolith", Before: stores(t, false, all+", "+test.before), After: stores(t, false, all+", "+test.after)}
		if diff := cmp.Diff(test.want, losses(pair)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// What deletes data comes before everything else, and what several pairs do comes once.
func TestReportOfData(t *testing.T) {
	before, after := tableOf("Table", "", shield)+", "+clusterOf(keep, ""), clusterOf(keep, "")
	protected := tableOf("Table", "", "") + ", " + clusterOf(keep, "")
	pairs := []review.Pair{
		{Name: "monolith", Before: stores(t, false, before), After: stores(t, false, protected)},
		{Name: "parallel", Before: stores(t, false, before), After: stores(t, false, after)},
		{Name: "switched", Before: stores(t, false, before), After: stores(t, false, after)},
	}
	r := review.Report{Head: "`a`", Base: "`b`", Phases: []string{"monolith", "parallel", "switched"}, Deployment: "monolith", Move: review.NoMove("monolith"), Data: review.Losses(pairs)}
	text := r.Markdown()
	want := "## Review\n\nOf `a`, against `b`.\n\n### This deletes data\n\n" +
		"- `dev-Data/T` **is deleted with its data, unless its deletion protection stops that** (in parallel, switched)\n" +
		"- `dev-Data/T` loses its deletion protection: AWS would delete it from now on (in monolith)\n\n- Nothing changes"
	if !strings.HasPrefix(text, want) {
		t.Errorf("the review begins:\n%.600s\nwant:\n%s", text, want)
	}
	if r.Found("data") != 2 {
		t.Errorf("%d findings", r.Found("data"))
	}
	r.Data = r.Data[1:]
	if text := r.Markdown(); !strings.Contains(text, "### Data lose protection\n\n- `dev-Data/T` loses") || strings.Contains(text, "deletes data") {
		t.Errorf("without a deletion:\n%.600s", text)
	}
	r.Data = nil
	if text := r.Markdown(); !strings.HasPrefix(text, "## Review\n\nOf `a`, against `b`.\n\n- Nothing changes") {
		t.Errorf("without data:\n%.600s", text)
	}
}
