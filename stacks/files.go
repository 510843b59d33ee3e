package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsefs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

// nfsPort is the port of EFS.
const nfsPort = 2049

// Files is the file system of the volumes. It outlives the services that write to it.
type Files struct {
	Stack      awscdk.Stack
	FileSystem awsefs.FileSystem
	// AccessPoints has an access point for each volume, by the volume's name.
	AccessPoints map[string]awsefs.AccessPoint

	group awsec2.SecurityGroup
}

// NewFiles adds the stack of the file system. Instances, and tasks on Fargate with a volume, reach the file system over TLS only, and each
// volume by an access point, whose user and directory nobody can leave. The policy allows nothing, so
// the task roles decide
// (https://docs.aws.amazon.com/efs/latest/ug/efs-access-points.html).
func NewFiles(scope constructs.Construct, s config.Settings, d config.Deployment, network *Network) *Files {
	f := &Files{Stack: newStack(scope, s, filesStack, "File system of the services' volumes", nil), AccessPoints: map[string]awsefs.AccessPoint{}}
	group := awsec2.NewSecurityGroup(f.Stack, jsii.String("FileSystemSecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:              network.VPC,
		Description:      jsii.String("File system: NFS from the instances"),
		AllowAllOutbound: jsii.Bool(false),
	})
	if network.InstanceSecurityGroup != nil {
		group.AddIngressRule(network.InstanceSecurityGroup, awsec2.Port_Tcp(jsii.Number(nfsPort)), jsii.String("Instances"), nil)
	}
	f.group = group
	f.FileSystem = awsefs.NewFileSystem(f.Stack, jsii.String("FileSystem"), &awsefs.FileSystemProps{
		Vpc: network.VPC,
		// A file system has one mount target in a zone, however many subnets an existing VPC has.
		VpcSubnets:             &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS, OnePerAz: jsii.Bool(true)},
		SecurityGroup:          group,
		Encrypted:              jsii.Bool(true),
		EnableAutomaticBackups: jsii.Bool(true),
		// Without it, the construct lets everybody who mounts write.
		AllowAnonymousAccess: jsii.Bool(true),
		ThroughputMode:       awsefs.ThroughputMode_ELASTIC,
		RemovalPolicy:        removalPolicy(s),
		FileSystemPolicy: awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{
			Statements: &[]awsiam.PolicyStatement{awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Sid:        jsii.String("OnlyEncrypted"),
				Effect:     awsiam.Effect_DENY,
				Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
				Actions:    jsii.Strings("*"),
				Conditions: &map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
			})},
		}),
	})
	for _, name := range d.VolumeNames() {
		point := f.FileSystem.AddAccessPoint(jsii.String(config.Pascal(name)+"Volume"), &awsefs.AccessPointOptions{
			Path:      jsii.String("/" + name),
			PosixUser: &awsefs.PosixUser{Uid: jsii.String("65532"), Gid: jsii.String("65532")},
			CreateAcl: &awsefs.Acl{OwnerUid: jsii.String("65532"), OwnerGid: jsii.String("65532"), Permissions: jsii.String("750")},
		})
		// If a volume is no longer configured, its tasks keep it until they are replaced.
		point.ApplyRemovalPolicy(removalPolicy(s))
		f.AccessPoints[name] = point
	}
	return f
}

// admit lets the tasks of a security group reach the file system. The rule is in the service's stack.
func (f *Files) admit(stack awscdk.Stack, id *string, tasks awsec2.SecurityGroup) {
	awsec2.NewCfnSecurityGroupIngress(stack, id, &awsec2.CfnSecurityGroupIngressProps{
		GroupId:               f.group.SecurityGroupId(),
		IpProtocol:            jsii.String("tcp"),
		FromPort:              jsii.Number(nfsPort),
		ToPort:                jsii.Number(nfsPort),
		SourceSecurityGroupId: tasks.SecurityGroupId(),
		Description:           jsii.String("Tasks on Fargate"),
	})
}

// addVolumes adds the volumes of all containers to the task definition. The task role may mount
// exactly these.
func addVolumes(stack awscdk.Stack, p *pair, definition awsecs.TaskDefinition) {
	arn := func(kind string, id *string) *string {
		return stack.FormatArn(&awscdk.ArnComponents{Service: jsii.String("elasticfilesystem"), Resource: jsii.String(kind), ResourceName: id})
	}
	for _, volume := range p.Service.AllVolumes() {
		fileSystem, point := jsii.String(volume.FileSystem), jsii.String(volume.AccessPoint)
		if volume.FileSystem == "" {
			fileSystem, point = p.Files.FileSystem.FileSystemId(), p.Files.AccessPoints[volume.Name].AccessPointId()
		}
		definition.AddVolume(&awsecs.Volume{
			Name: jsii.String(volume.Name),
			EfsVolumeConfiguration: &awsecs.EfsVolumeConfiguration{
				FileSystemId:        fileSystem,
				TransitEncryption:   jsii.String("ENABLED"),
				AuthorizationConfig: &awsecs.AuthorizationConfig{AccessPointId: point, Iam: jsii.String("ENABLED")},
			},
		})
		actions := []string{"elasticfilesystem:ClientMount"}
		if !volume.ReadOnly {
			actions = append(actions, "elasticfilesystem:ClientWrite")
		}
		definition.AddToTaskRolePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Actions:    jsii.Strings(actions...),
			Resources:  &[]*string{arn("file-system", fileSystem)},
			Conditions: &map[string]any{"StringEquals": map[string]any{"elasticfilesystem:AccessPointArn": arn("access-point", point)}},
		}))
	}
}
