package emulate

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cutover/internal/nightly"
)

// A file system with a volume, and a task that uses the volume and a sidecar.
const withVolume = `{
	"Resources": {
		"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
		"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
		"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": {"Ref": "Vpc"}, "GroupDescription": "NFS"}},
		"Files": {"Type": "AWS::EFS::FileSystem", "Properties": {"Encrypted": true, "ThroughputMode": "elastic", "BackupPolicy": {"Status": "ENABLED"},
			"FileSystemPolicy": {"Version": "2012-10-17", "Statement": []}, "FileSystemTags": [{"Key": "Name", "Value": "files"}]}},
		"Target": {"Type": "AWS::EFS::MountTarget", "Properties": {"FileSystemId": {"Ref": "Files"}, "SubnetId": {"Ref": "Subnet"}, "SecurityGroups": [{"Ref": "Group"}]}},
		"Point": {"Type": "AWS::EFS::AccessPoint", "Properties": {"FileSystemId": {"Ref": "Files"}, "PosixUser": {"Uid": "65532", "Gid": "65532"},
			"RootDirectory": {"Path": "/data", "CreationInfo": {"OwnerUid": "65532", "OwnerGid": "65532", "Permissions": "750"}}}},
		"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": "orders", "NetworkMode": "bridge",
			"Volumes": [{"Name": "data", "EFSVolumeConfiguration": {"FilesystemId": {"Ref": "Files"}, "TransitEncryption": "ENABLED",
				"AuthorizationConfig": {"AccessPointId": {"Ref": "Point"}, "IAM": "ENABLED"}}}],
			"ContainerDefinitions": [
				{"Name": "orders", "Image": "orders:1", "Memory": 64, "MountPoints": [{"SourceVolume": "data", "ContainerPath": "/data", "ReadOnly": true}],
					"Secrets": [{"Name": "KEY", "ValueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/key"}],
					"Links": ["cache"], "DependsOn": [{"ContainerName": "cache", "Condition": "HEALTHY"}], "Ulimits": [{"Name": "nofile", "SoftLimit": 1, "HardLimit": 2}],
					"LinuxParameters": {"Tmpfs": [{"ContainerPath": "/tmp", "Size": 64, "MountOptions": ["noexec"]}]}},
				{"Name": "cache", "Image": "cache:1", "Memory": 64, "Essential": false, "RepositoryCredentials": {"CredentialsParameter": "arn:aws:secretsmanager:us-east-1:123456789012:secret:login"}}
			]}}
	},
	"Outputs": {"FileSystemArn": {"Value": {"Fn::GetAtt": ["Files", "Arn"]}}, "FileSystem": {"Value": {"Ref": "Files"}}, "Point": {"Value": {"Ref": "Point"}}}
}`

// TestVolumesAndSidecars: what a task definition says of volumes, secrets and sidecars arrives at ECS,
// and the file system at EFS. The file system goes after its mount targets.
func TestVolumesAndSidecars(t *testing.T) {
	nightly.Test(t, "it deploys file systems and tasks on an emulated AWS")
	a := services(t)
	endpoint, ctx := a.Endpoint(), t.Context()
	config := aws.Config{Region: Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfn, tasks := cloudformation.NewFromConfig(config), ecs.NewFromConfig(config)
	name := aws.String("volumes")
	set, err := cfn.CreateChangeSet(ctx, &cloudformation.CreateChangeSetInput{StackName: name, ChangeSetName: name, ChangeSetType: cfntypes.ChangeSetTypeCreate, TemplateBody: aws.String(withVolume)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfn.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: set.Id}); err != nil {
		t.Fatal(err)
	}
	stacks, err := cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: name})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, output := range stacks.Stacks[0].Outputs {
		out[*output.OutputKey] = *output.OutputValue
	}

	described, err := tasks.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("orders")})
	if err != nil {
		t.Fatal(err)
	}
	want := &ecstypes.TaskDefinition{
		Volumes: []ecstypes.Volume{{Name: aws.String("data"), EfsVolumeConfiguration: &ecstypes.EFSVolumeConfiguration{
			FileSystemId: aws.String(out["FileSystem"]), RootDirectory: aws.String("/"), TransitEncryption: ecstypes.EFSTransitEncryptionEnabled,
			AuthorizationConfig: &ecstypes.EFSAuthorizationConfig{AccessPointId: aws.String(out["Point"]), Iam: ecstypes.EFSAuthorizationConfigIAMEnabled},
		}}},
		ContainerDefinitions: []ecstypes.ContainerDefinition{
			{
				Name: aws.String("orders"), Image: aws.String("orders:1"), Memory: aws.Int32(64), Essential: aws.Bool(true),
				MountPoints: []ecstypes.MountPoint{{SourceVolume: aws.String("data"), ContainerPath: aws.String("/data"), ReadOnly: aws.Bool(true)}},
				Secrets:     []ecstypes.Secret{{Name: aws.String("KEY"), ValueFrom: aws.String("arn:aws:ssm:us-east-1:123456789012:parameter/key")}},
				Links:       []string{"cache"}, DependsOn: []ecstypes.ContainerDependency{{ContainerName: aws.String("cache"), Condition: ecstypes.ContainerConditionHealthy}},
				Ulimits:         []ecstypes.Ulimit{{Name: ecstypes.UlimitNameNofile, SoftLimit: 1, HardLimit: 2}},
				LinuxParameters: &ecstypes.LinuxParameters{Tmpfs: []ecstypes.Tmpfs{{ContainerPath: aws.String("/tmp"), Size: 64, MountOptions: []string{"noexec"}}}},
			},
			{
				Name: aws.String("cache"), Image: aws.String("cache:1"), Memory: aws.Int32(64), Essential: aws.Bool(false),
				RepositoryCredentials: &ecstypes.RepositoryCredentials{CredentialsParameter: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:login")},
			},
		},
	}
	got := &ecstypes.TaskDefinition{Volumes: described.TaskDefinition.Volumes, ContainerDefinitions: described.TaskDefinition.ContainerDefinitions}
	unexported := cmp.FilterPath(func(p cmp.Path) bool {
		field, ok := p.Last().(cmp.StructField)
		return ok && strings.ToLower(field.Name()[:1]) == field.Name()[:1]
	}, cmp.Ignore())
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), unexported); diff != "" {
		t.Errorf("task definition (-want +got):\n%s", diff)
	}

	list := func(path string) []any {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/2015-02-01/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20200101/"+Region+"/elasticfilesystem/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var lists map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&lists); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %v, %v", path, answer.Status, lists, err)
		}
		for _, value := range lists {
			if list, ok := value.([]any); ok {
				return list
			}
		}
		return []any{lists}
	}
	only := func(path string, want map[string]any) {
		t.Helper()
		found := list(path)
		if len(found) != 1 {
			t.Fatalf("%s: %v", path, found)
		}
		for key, value := range want {
			if diff := cmp.Diff(value, found[0].(map[string]any)[key]); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", path, key, diff)
			}
		}
	}
	only("file-systems", map[string]any{"FileSystemId": out["FileSystem"], "FileSystemArn": out["FileSystemArn"], "Encrypted": true, "ThroughputMode": "elastic", "Name": "files"})
	only("file-systems/"+out["FileSystem"]+"/backup-policy", map[string]any{"BackupPolicy": map[string]any{"Status": "ENABLED"}})
	only("file-systems/"+out["FileSystem"]+"/policy", map[string]any{"Policy": `{"Statement":[],"Version":"2012-10-17"}`})
	only("mount-targets?FileSystemId="+out["FileSystem"], map[string]any{"FileSystemId": out["FileSystem"]})
	only("access-points", map[string]any{
		"AccessPointId": out["Point"], "FileSystemId": out["FileSystem"], "PosixUser": map[string]any{"Uid": 65532.0, "Gid": 65532.0},
		"RootDirectory": map[string]any{"Path": "/data", "CreationInfo": map[string]any{"OwnerUid": 65532.0, "OwnerGid": 65532.0, "Permissions": "750"}},
	})

	if _, err := cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: name}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"file-systems", "access-points"} {
		if left := list(path); len(left) > 0 {
			t.Errorf("%s are left after the deletion: %v", path, left)
		}
	}
}
