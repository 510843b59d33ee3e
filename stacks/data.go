package stacks

import (
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
)

const (
	// databasePort is not the default port of PostgreSQL, which scanners try first.
	databasePort = 5433
	// backupDays is how far back tables and databases can be restored: the most that AWS keeps.
	backupDays = 35
)

// tableActions are what a service does with its table, in any language: GetItem, UpdateItem and
// ConditionCheckItem can do nothing that BatchGetItem, Query and PutItem cannot. There is no Scan among them: a
// service knows the keys of what it reads.
var tableActions = []string{
	"dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem",
	"dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
}

// recordActions read or write records of a table
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-iam-actions.html).
var recordActions = append(slices.Clone(tableActions), "dynamodb:BatchWriteItem", "dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert",
	"dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate", "dynamodb:Scan")

// Data has the records of the services: a table for each service with DynamoDB, and one cluster for all
// services with Aurora PostgreSQL, in which each has a database. The stack outlives the services.
type Data struct {
	Stack awscdk.Stack

	tables  map[string]awsdynamodb.TableV2 // by service
	cluster awsrds.DatabaseCluster         // nil if no service has a database
	group   awsec2.SecurityGroup
}

// NewData adds the stack of the records. It is nil if no service keeps its records in a database.
func NewData(scope constructs.Construct, s config.Settings, d config.Deployment, network *Network, alarms *Alarms) *Data {
	tables, databases := config.StoresIn[config.DynamoDB](d), config.StoresIn[config.AuroraPostgreSQL](d)
	if len(tables)+len(databases) == 0 {
		return nil
	}
	data := &Data{Stack: newStack(scope, s, dataStack, "Records of the services", nil), tables: map[string]awsdynamodb.TableV2{}}
	data.Stack.SetTerminationProtection(jsii.Bool(s.DeletionProtection || s.DataProtection))
	for _, owner := range tables {
		data.tables[owner.Name] = newTable(data.Stack, s, d, owner)
	}
	if len(databases) > 0 {
		data.newCluster(s, d, network)
		if alarms != nil {
			alarms.watchCluster(data, s)
		}
	}
	return data
}

// newTable makes the table of a service. What is deleted of a table with point-in-time recovery can be
// restored for 35 days, and so can the table itself.
func newTable(stack awscdk.Stack, s config.Settings, d config.Deployment, owner config.Service) awsdynamodb.TableV2 {
	props := &awsdynamodb.TablePropsV2{
		TableName:           jsii.String(owner.Table(s)),
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String("pk"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:             &awsdynamodb.Attribute{Name: jsii.String("sk"), Type: awsdynamodb.AttributeType_STRING},
		TimeToLiveAttribute: jsii.String("ttl"),
		Billing:             awsdynamodb.Billing_OnDemand(nil),
		Encryption:          awsdynamodb.TableEncryptionV2_AwsManagedKey(),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true), RecoveryPeriodInDays: jsii.Number(backupDays),
		},
		DeletionProtection: jsii.Bool(s.DataProtection),
		RemovalPolicy:      keptWithData(s),
		ResourcePolicy:     onlyOwners(s, d, owner),
	}
	if owner.ByStream() {
		props.DynamoStream = awsdynamodb.StreamViewType_NEW_IMAGE
	}
	table := awsdynamodb.NewTableV2(stack, jsii.String(config.Pascal(owner.Name)+"Table"), props)
	tagService(table, owner.Name)
	return table
}

// onlyOwners is the policy of a table. It keeps all from the records but the roles of the services that
// use the table. The policy knows the roles by their tags, so the table needs none of the services' stacks.
// It allows nothing, so the roles' own policies decide what an owner may do. A principal without the tag
// is none of the owners
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html).
func onlyOwners(s config.Settings, d config.Deployment, owner config.Service) awsiam.PolicyDocument {
	var users []string
	for _, service := range d.All() {
		if slices.ContainsFunc(d.StoresOf(service, s.Position), func(o config.Service) bool { return o.Name == owner.Name }) {
			users = append(users, service.Name)
		}
	}
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{
		denied("OnlyServices", recordActions, jsii.String("*"), "StringNotEquals", "aws:PrincipalTag/service", users...),
		denied("OnlyThisEnvironment", recordActions, jsii.String("*"), "StringNotEquals", "aws:PrincipalTag/environment", s.Env),
		denied("OnlyEncrypted", recordActions, jsii.String("*"), "Bool", "aws:SecureTransport", "false"),
	}})
}

// denied keeps everybody from actions on a resource if a condition holds.
func denied(id string, actions []string, resource *string, operator, key string, values ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String(id),
		Effect:     awsiam.Effect_DENY,
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()},
		Actions:    jsii.Strings(actions...),
		Resources:  &[]*string{resource},
		Conditions: &map[string]any{operator: map[string]any{key: values}},
	})
}

// keptWithData says what becomes of a resource that records or messages need.
func keptWithData(s config.Settings) awscdk.RemovalPolicy {
	if s.DataProtection {
		return awscdk.RemovalPolicy_RETAIN
	}
	return awscdk.RemovalPolicy_DESTROY
}

// clusterName is the name of the environment's Aurora cluster. A cluster with a name cannot be replaced
// by an update, only by somebody who means to.
func clusterName(s config.Settings) string { return s.Name(s.Env) }

// newCluster makes the Aurora cluster. A cluster that may pause has one instance. Another one has a second
// instance in another zone, which takes over if the first one fails.
func (data *Data) newCluster(s config.Settings, d config.Deployment, network *Network) {
	policy := awscdk.RemovalPolicy_SNAPSHOT
	data.group = awsec2.NewSecurityGroup(data.Stack, jsii.String("DatabaseSecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:              network.VPC,
		Description:      jsii.String("Database: PostgreSQL from the tasks of services with a database"),
		AllowAllOutbound: jsii.Bool(false),
	})
	if s.DataProtection {
		policy = awscdk.RemovalPolicy_RETAIN
		data.group.ApplyRemovalPolicy(policy) // as long as the cluster has it
	}
	if slices.ContainsFunc(deployed(d, s), func(one config.Service) bool { return one.InBridge() && len(databasesOf(d, s, one)) > 0 }) {
		data.group.AddIngressRule(network.InstanceSecurityGroup, awsec2.Port_Tcp(jsii.Number(databasePort)), jsii.String("Instances"), nil)
	}
	// RDS would make a log group that keeps everything for ever.
	logs := newLogGroup(data.Stack, "DatabaseLogs", s, jsii.String("/aws/rds/cluster/"+clusterName(s)+"/postgresql"))
	instance := &awsrds.ServerlessV2ClusterInstanceProps{
		AutoMinorVersionUpgrade: jsii.Bool(true), PubliclyAccessible: jsii.Bool(false), ScaleWithWriter: jsii.Bool(true),
	}
	props := &awsrds.DatabaseClusterProps{
		ClusterIdentifier:        jsii.String(clusterName(s)),
		Engine:                   awsrds.DatabaseClusterEngine_AuroraPostgres(&awsrds.AuroraPostgresClusterEngineProps{Version: awsrds.AuroraPostgresEngineVersion_VER_17_9()}),
		Parameters:               &map[string]*string{"rds.force_ssl": jsii.String("1")},
		Writer:                   awsrds.ClusterInstance_ServerlessV2(jsii.String("Writer"), instance),
		ServerlessV2MinCapacity:  jsii.Number(s.DatabaseCapacity.Min),
		ServerlessV2MaxCapacity:  jsii.Number(s.DatabaseCapacity.Max),
		Port:                     jsii.Number(databasePort),
		IamAuthentication:        jsii.Bool(true),
		Credentials:              awsrds.Credentials_FromUsername(jsii.String(config.DatabaseAdministrator), nil),
		ManageMasterUserPassword: jsii.Bool(true),
		EnableDataApi:            jsii.Bool(true),
		Vpc:                      network.VPC,
		VpcSubnets:               &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS},
		SecurityGroups:           &[]awsec2.ISecurityGroup{data.group},
		StorageEncrypted:         jsii.Bool(true),
		Backup:                   &awsrds.BackupProps{Retention: awscdk.Duration_Days(jsii.Number(backupDays))},
		CopyTagsToSnapshot:       jsii.Bool(true),
		CloudwatchLogsExports:    jsii.Strings("postgresql"),
		DeletionProtection:       jsii.Bool(s.DataProtection),
		RemovalPolicy:            policy,
	}
	pauses := s.DatabaseCapacity.Min == 0
	if pauses {
		props.ServerlessV2AutoPauseDuration = awscdk.Duration_Minutes(jsii.Number(5))
	} else {
		props.MonitoringInterval = awscdk.Duration_Minutes(jsii.Number(1)) // it takes capacity
		props.Readers = &[]awsrds.IClusterInstance{awsrds.ClusterInstance_ServerlessV2(jsii.String("Reader"), instance)}
	}
	data.cluster = awsrds.NewDatabaseCluster(data.Stack, jsii.String("Database"), props)
	data.cluster.Node().AddDependency(logs)
	if s.DataProtection {
		awscdk.RemovalPolicies_Of(data.cluster).Retain(nil) // with its subnets, parameters and role, which it goes on using
	}
	if !pauses {
		monitoring := data.cluster.Node().FindChild(jsii.String("MonitoringRole")).(awsiam.IRole)
		onlyForThisAccount(monitoring)
		suppress(monitoring, suppression{"AwsSolutions-IAM4", "AWS maintains the policy of enhanced monitoring, which writes metrics to the log group RDSOSMetrics",
			[]string{"Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"}})
	}
	if !s.DataProtection {
		suppress(data.cluster, suppression{rule: "AwsSolutions-RDS10", reason: "The setting dataProtection is off: the database may be deleted. A final snapshot remains"})
	}
	// `cutover database` makes the databases and their users through the Data API.
	var databases []string
	for _, owner := range config.StoresIn[config.AuroraPostgreSQL](d) {
		databases = append(databases, owner.Database())
	}
	output(data.Stack, "DatabaseArn", "The Aurora cluster", data.cluster.ClusterArn())
	output(data.Stack, "DatabaseSecretArn", "Password of the cluster's administrator", data.cluster.Node().DefaultChild().(awsrds.CfnDBCluster).AttrMasterUserSecretSecretArn())
	output(data.Stack, "Databases", "The databases, each with a user of its name", jsii.String(strings.Join(databases, ",")))
}

// databasesOf lists the services whose databases a service uses.
func databasesOf(d config.Deployment, s config.Settings, user config.Service) []config.Service {
	return storesOf[config.AuroraPostgreSQL](d, s, user)
}

// storesOf lists the services whose stores of a type a service uses.
func storesOf[S config.Store](d config.Deployment, s config.Settings, user config.Service) []config.Service {
	return slices.DeleteFunc(d.StoresOf(user, s.Position), func(owner config.Service) bool { _, ok := owner.Store.(S); return !ok })
}

// grantStores lets a role use the stores of their service, and no other.
func (p *pair) grantStores(stack awscdk.Stack, s config.Settings, role awsiam.IRole) {
	allow := func(actions []string, owners []config.Service, arn func(config.Service) *awscdk.ArnComponents) {
		var resources []*string
		for _, owner := range owners {
			resources = append(resources, stack.FormatArn(arn(owner)))
		}
		if len(resources) > 0 {
			role.AddToPrincipalPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: jsii.Strings(actions...), Resources: &resources}))
		}
	}
	allow(tableActions, storesOf[config.DynamoDB](p.Deployment, s, p.Service), func(owner config.Service) *awscdk.ArnComponents {
		return &awscdk.ArnComponents{Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: jsii.String(owner.Table(s))}
	})
	allow([]string{"rds-db:connect"}, databasesOf(p.Deployment, s, p.Service), func(owner config.Service) *awscdk.ArnComponents {
		return &awscdk.ArnComponents{
			Service: jsii.String("rds-db"), Resource: jsii.String("dbuser"), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
			ResourceName: awscdk.Fn_Join(jsii.String("/"), &[]*string{p.Data.cluster.ClusterResourceIdentifier(), jsii.String(owner.Database())}),
		}
	})
}

// addStores adds the variables with the addresses of the stores. A database's address has no password: the
// program signs a token with the credentials of the task role.
func (p *pair) addStores(s config.Settings, environment map[string]*string) {
	for _, owner := range p.Deployment.StoresOf(p.Service, s.Position) {
		environment["AWS_REGION"] = awscdk.Aws_REGION()
		address := jsii.String(owner.Table(s))
		if _, database := owner.Store.(config.AuroraPostgreSQL); database {
			address = awscdk.Fn_Join(jsii.String(""), &[]*string{
				jsii.String("postgresql://" + owner.Database() + "@"), p.Data.cluster.ClusterEndpoint().SocketAddress(),
				jsii.String("/" + owner.Database() + "?sslmode=verify-full"),
			})
		}
		environment[owner.StoreVariable()] = address
	}
}

// admitToDatabase lets tasks with a security group of their own reach the database.
func (p *pair) admitToDatabase(stack awscdk.Stack, s config.Settings, tasks awsec2.SecurityGroup) {
	if len(databasesOf(p.Deployment, s, p.Service)) > 0 {
		p.admit(stack, "ToDatabase", p.Data.group, databasePort, tasks)
	}
}

// admit lets the tasks reach a port of a security group in another stack. The rule is in the service's stack.
func (p *pair) admit(stack awscdk.Stack, id string, to awsec2.SecurityGroup, port int, tasks awsec2.SecurityGroup) {
	awsec2.NewCfnSecurityGroupIngress(stack, p.construct(id), &awsec2.CfnSecurityGroupIngressProps{
		GroupId:               to.SecurityGroupId(),
		IpProtocol:            jsii.String("tcp"),
		FromPort:              jsii.Number(port),
		ToPort:                jsii.Number(port),
		SourceSecurityGroupId: tasks.SecurityGroupId(),
		Description:           jsii.String("Tasks of " + p.Service.Name),
	})
}
