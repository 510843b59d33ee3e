package model

import (
	"strconv"
	"strings"
	"time"

	"cutover/internal/assembly"
)

// DatabaseCluster is a cluster of Amazon Aurora.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbcluster.html
type DatabaseCluster struct {
	Base
	// Name is the logical id if CloudFormation makes up the identifier.
	Name string
	// Engine is like "aurora-postgresql".
	Engine string
	// MasterUser is the administrator. ManagedPassword says that RDS keeps the password in Secrets Manager,
	// and rotates the password.
	MasterUser      string
	ManagedPassword bool
	// Port is 5432 for PostgreSQL and 3306 for MySQL by default.
	Port int
	// IAMAuthentication takes tokens of IAM as passwords. Encrypted encrypts what is stored, with a key of
	// KMS. Both are off by default.
	IAMAuthentication, Encrypted bool
	// DeletionProtection and CopyTags, to snapshots, are off by default.
	DeletionProtection, CopyTags bool
	// MinorUpgrades are made by themselves. Default true, for what a Multi-AZ cluster has, and instances.
	MinorUpgrades bool
	// Logs are the logs that go to CloudWatch Logs, like "postgresql".
	Logs []string
	// BackupDays is how long automatic backups are kept. Default: 1.
	BackupDays int
	// Storage is "aurora", whose reads and writes have a price, or "aurora-iopt1". Default: aurora.
	Storage string
	// MinCapacity and MaxCapacity are in Aurora capacity units (ACU), of each instance of class
	// "db.serverless". Both are 0 if the template has none.
	MinCapacity, MaxCapacity float64
	// Subnets are those of the cluster's subnet group. A subnet is nil if the assembly does not have it.
	Subnets []*Subnet
	// SecurityGroups are those of the assembly.
	SecurityGroups []*assembly.Resource
	// Parameters are those of the parameter group, by name.
	Parameters map[string]string
	// Monitoring is the interval of Enhanced Monitoring. 0: it is off, unless the instances have it.
	Monitoring time.Duration
	// Instances are those of the assembly.
	Instances []*DatabaseInstance
}

// DatabaseInstance is an instance of a cluster, or one that stands for itself.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbinstance.html
type DatabaseInstance struct {
	Base
	// Cluster is nil if the instance stands for itself, or if the assembly does not have the cluster.
	Cluster *DatabaseCluster
	// Alone says that the instance belongs to no cluster.
	Alone bool
	// Class is like "db.serverless", whose capacity is the cluster's.
	Class string
	// Public gives the instance a public address. AWS decides by the subnets if it is nil.
	Public *bool
	// MinorUpgrades are made by themselves. Default true.
	MinorUpgrades bool
	// Monitoring is the interval of Enhanced Monitoring. 0, the default: it is off.
	Monitoring time.Duration
	// DeletionProtection is that of an instance of its own. Default false.
	DeletionProtection bool
}

// parameterGroup is a DB cluster parameter group.
type parameterGroup struct {
	Base
	parameters map[string]string
}

// subnetGroup is a DB subnet group.
type subnetGroup struct {
	Base
	subnets []*Subnet
}

// EventSubscription tells a topic of events of databases.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-eventsubscription.html
type EventSubscription struct {
	Base
	// Source is like "db-cluster". Empty: all sources.
	Source string
	// Categories are like "failure". Empty: all categories.
	Categories []string
	// Enabled is true by default.
	Enabled bool
}

func (m *Model) readDatabases() {
	all(m, RDSSubnetGroup, func(g *subnetGroup, p assembly.Value) {
		for _, subnet := range p.Field("SubnetIds").List() {
			g.subnets = append(g.subnets, elsewhere[Subnet](m, subnet, EC2Subnet, "SubnetId"))
		}
	})
	all(m, RDSClusterParameterGroup, func(g *parameterGroup, p assembly.Value) {
		g.parameters = map[string]string{}
		for _, name := range p.Field("Parameters").Names() {
			g.parameters[name] = p.Field("Parameters").Field(name).Text("")
		}
	})
	all(m, RDSEventSubscription, func(s *EventSubscription, p assembly.Value) {
		s.Source, s.Categories, s.Enabled = p.Field("SourceType").Text(""), p.Field("EventCategories").Texts(), p.Field("Enabled").Bool(true)
	})
	m.DatabaseClusters = all(m, RDSCluster, m.databaseCluster)
	m.DatabaseInstances = all(m, RDSInstance, m.databaseInstance)
}

func (m *Model) databaseCluster(c *DatabaseCluster, p assembly.Value) {
	c.Name = name(&c.Base, p.Field("DBClusterIdentifier"))
	c.Engine = p.Field("Engine").Text("")
	// CDK writes a reference to a secret here, which only CloudFormation resolves.
	c.MasterUser, _ = p.Field("MasterUsername").Mixed()
	c.ManagedPassword = p.Field("ManageMasterUserPassword").Bool(false)
	usual := 3306
	if strings.HasSuffix(c.Engine, "postgresql") {
		usual = 5432
	}
	c.Port = p.Field("Port").Int(usual, 1, 65535)
	c.IAMAuthentication = p.Field("EnableIAMDatabaseAuthentication").Bool(false)
	c.Encrypted = p.Field("StorageEncrypted").Bool(false)
	c.DeletionProtection = p.Field("DeletionProtection").Bool(false)
	c.CopyTags = p.Field("CopyTagsToSnapshot").Bool(false)
	c.MinorUpgrades = p.Field("AutoMinorVersionUpgrade").Bool(true)
	c.Logs = p.Field("EnableCloudwatchLogsExports").Texts()
	c.BackupDays = p.Field("BackupRetentionPeriod").Int(1, 1, 35)
	c.Monitoring = p.Field("MonitoringInterval").Seconds(0, 0, 60)
	c.Storage = p.Field("StorageType").Text("aurora")
	capacity := p.Field("ServerlessV2ScalingConfiguration")
	c.MinCapacity, c.MaxCapacity = units(capacity.Field("MinCapacity")), units(capacity.Field("MaxCapacity"))
	if group := elsewhere[subnetGroup](m, p.Field("DBSubnetGroupName"), RDSSubnetGroup); group != nil {
		c.Subnets = group.subnets
	}
	if group := elsewhere[parameterGroup](m, p.Field("DBClusterParameterGroupName"), RDSClusterParameterGroup); group != nil {
		c.Parameters = group.parameters
	}
	for _, group := range p.Field("VpcSecurityGroupIds").List() {
		if resource := group.Elsewhere(EC2SecurityGroup, "GroupId"); resource != nil {
			c.SecurityGroups = append(c.SecurityGroups, resource)
		}
	}
}

// units reads Aurora capacity units, which have steps of a half.
func units(v assembly.Value) float64 {
	text := v.Text("0")
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || number < 0 || number > 256 || number*2 != float64(int(number*2)) {
		v.Refuse("%q is no number of Aurora capacity units: 0 to 256 in steps of 0.5", text)
		return 0
	}
	return number
}

func (m *Model) databaseInstance(i *DatabaseInstance, p assembly.Value) {
	i.Alone = !p.Field("DBClusterIdentifier").Present()
	i.Cluster = elsewhere[DatabaseCluster](m, p.Field("DBClusterIdentifier"), RDSCluster)
	i.Class = p.Field("DBInstanceClass").Text("")
	if public := p.Field("PubliclyAccessible"); public.Present() {
		is := public.Bool(false)
		i.Public = &is
	}
	i.MinorUpgrades = p.Field("AutoMinorVersionUpgrade").Bool(true)
	i.Monitoring = p.Field("MonitoringInterval").Seconds(0, 0, 60)
	i.DeletionProtection = p.Field("DeletionProtection").Bool(false)
	if i.Cluster != nil {
		i.Cluster.Instances = append(i.Cluster.Instances, i)
	}
}
