package cost

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A file system costs by what is stored, read, written and backed up. A secret costs a month and its
// reads; a secret that is made elsewhere costs nothing here but its reads.
func TestFilesAndSecrets(t *testing.T) {
	fileSystem := func(properties string) string {
		return `"Files": {"Type": "AWS::EFS::FileSystem", "Properties": {` + properties + `}}, "Point": {"Type": "AWS::EFS::AccessPoint"}, "Target": {"Type": "AWS::EFS::MountTarget"}`
	}
	task := func(container string) string {
		return `"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "web"}, {"Name": "agent", ` + container + `}]}}`
	}
	const stored, read, written, backups, secrets = "0.30 per GB in a file system and month", "0.03 per GB read from a file system",
		"0.06 per GB written to a file system", "0.05 per GB of backups of a file system and month", "0.05 per 10,000 reads of secrets"
	none := "\n= 0.00\nshared: 0 tasks, 1.0000, 0.00\n"
	for _, test := range []struct {
		name, resources, want string
		traffic               []string
	}{
		{"elastic with backups", fileSystem(`"ThroughputMode": "elastic", "BackupPolicy": {"Status": "ENABLED"}`), none, []string{backups, read, stored, written}},
		{"elastic without", fileSystem(`"ThroughputMode": "elastic", "BackupPolicy": {"Status": "DISABLED"}`), none, []string{read, stored, written}},
		{"bursting", fileSystem(``), none, []string{stored}},
		{"provisioned", fileSystem(`"ThroughputMode": "provisioned", "ProvisionedThroughputInMibps": 10`), none + "not 1 file system with provisioned throughput\n", []string{stored}},
		{"one zone", fileSystem(`"ThroughputMode": "elastic", "AvailabilityZoneName": "us-east-1a"`), none + "not 1 file system in one zone\n", []string{read, written}},
		{"of a later mode", fileSystem(`"ThroughputMode": "fast"`), none + "? Stack/Files/Properties.ThroughputMode: \"fast\" is none of bursting, elastic, provisioned\n", []string{stored}},
		{"a secret", `"A": {"Type": "AWS::SecretsManager::Secret"}, "B": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Tags": [{"Key": "service", "Value": "users"}]}}`,
			"\n2 secrets: 2 × 0.40: 0.80\n= 0.80\nusers: 0 tasks, 0.0000, 0.40\nshared: 0 tasks, 1.0000, 0.40\n", nil},
		{"a secret of others", task(`"Secrets": [{"Name": "A", "ValueFrom": {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:1:secret:x"}}]`), none, []string{secrets}},
		{"a secret of the stack", `"A": {"Type": "AWS::SecretsManager::Secret"}, ` + task(`"Secrets": [{"Name": "A", "ValueFrom": {"Fn::Join": ["", [{"Ref": "A"}, ":key::"]]}}]`),
			"\n1 secret: 0.40: 0.40\n= 0.40\nshared: 0 tasks, 1.0000, 0.40\n", []string{secrets}},
		{"a login", task(`"RepositoryCredentials": {"CredentialsParameter": "arn:aws:secretsmanager:us-east-1:1:secret:x"}`), none, []string{secrets}},
		{"a parameter", task(`"Secrets": [{"Name": "A", "ValueFrom": "/shop/a"}], "Environment": [{"Name": "B", "Value": "b"}]`), none, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, "\n"+show(estimates[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.traffic, estimates[0].Traffic); diff != "" {
				t.Errorf("by traffic (-want +got):\n%s", diff)
			}
		})
	}
}

// A file system belongs to the environment of its tag, which has a name of its own.
func TestTagsOfFiles(t *testing.T) {
	estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {
		"A": {"Type": "AWS::EFS::FileSystem", "Properties": {"FileSystemTags": [{"Key": "environment", "Value": "dev"}]}},
		"B": {"Type": "AWS::EFS::AccessPoint", "Properties": {"AccessPointTags": [{"Key": "environment", "Value": "prod"}]}}}}`}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range estimates {
		got = append(got, fmt.Sprint(e.Environment, len(e.Traffic)))
	}
	if text := strings.Join(got, " "); text != "dev1 prod0" {
		t.Errorf("environments with prices by traffic: %s, want dev1 prod0", text)
	}
}

// Sidecars take room on the instances: 256 + 2 × 128 of 4096 units are an eighth.
func TestSidecars(t *testing.T) {
	estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + fmt.Sprintf(instances, ofTemplate) + `,
		"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [
			{"Name": "web", "Cpu": 256, "MemoryReservation": 64}, {"Name": "cache", "Cpu": 128, "MemoryReservation": 64}, {"Name": "agent", "Cpu": 128, "Memory": 64}]}},
		"Service": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "shop", "DesiredCount": 1, "TaskDefinition": {"Ref": "Task"}}}}}`}))
	if err != nil {
		t.Fatal(err)
	}
	if shop := estimates[0].Services[0]; shop.Name != "shop" || shop.Share != 0.125 {
		t.Errorf("%s has a share of %v, want shop and 0.125", shop.Name, shop.Share)
	}
}

// A daemon has a task on each instance, whatever its count says, and takes room there: 6 × 512 MiB need 2
// instances with 1,894 MiB, and 3 with 512 MiB less.
func TestDaemons(t *testing.T) {
	const tasks = `, "Agent": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "agent", "Cpu": 2, "MemoryReservation": 512}]}},
		"Daemon": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "agent", "SchedulingStrategy": "DAEMON", "DesiredCount": 1, "TaskDefinition": {"Ref": "Agent"}%s}}`
	for _, test := range []struct{ name, resources, want string }{
		{"beside tasks", fmt.Sprintf(instances, ofTemplate) + ", " + service("many", 6, 2, 512) + fmt.Sprintf(tasks, ""), "agent 3 tasks, many 6 tasks, shared 0 tasks, 3 instances t3.small"},
		{"alone", fmt.Sprintf(instances, ofTemplate) + fmt.Sprintf(tasks, ""), "agent 2 tasks, shared 0 tasks, 2 instances t3.small"},
		{"too large", fmt.Sprintf(instances, ofTemplate) + ", " + service("many", 5, 2, 512) + strings.Replace(fmt.Sprintf(tasks, ""), "512", "4096", 1), "agent 2 tasks, many 5 tasks, shared 0 tasks, 2 instances t3.small"},
		{"outside", fmt.Sprintf(instances, ofTemplate) + fmt.Sprintf(tasks, `, "LaunchType": "EXTERNAL"`), "agent 1 tasks, shared 0 tasks, 2 instances t3.small"},
	} {
		estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range estimates[0].Services {
			got = append(got, fmt.Sprintf("%s %d tasks", s.Name, s.Tasks))
		}
		if text := strings.Join(append(got, estimates[0].Lines[0].Item), ", "); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}
