package controls

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// dynamoDB are the controls of tables (https://docs.aws.amazon.com/securityhub/latest/userguide/dynamodb-controls.html).
var dynamoDB = []Control{
	optional(aTable, "DynamoDB.1", model.DynamoDBGlobalTable, "scales with demand",
		tables(func(t *model.Table) bool { return t.OnDemand }, "has provisioned capacity", "BillingMode")),
	optional(aTable, "DynamoDB.2", model.DynamoDBGlobalTable, "has point-in-time recovery",
		tables(func(t *model.Table) bool { return t.PointInTimeRecovery }, "has no point-in-time recovery", "PointInTimeRecoverySpecification", "Replicas")),
	argued("DynamoDB.4", model.DynamoDBGlobalTable, "is in a backup plan", "not met: point-in-time recovery goes back to any second of 35 days; a plan of AWS Backup would keep copies for longer, in a vault of their own"),
	optional(aTable, "DynamoDB.5", model.DynamoDBGlobalTable, "has a tag", plain(model.DynamoDBGlobalTable, func(p assembly.Value) string {
		return unless(!slices.ContainsFunc(p.Field("Replicas").List(), func(v assembly.Value) bool { return len(v.Field("Tags").List()) == 0 }), "has no tag")
	})),
	optional(aTable, "DynamoDB.6", model.DynamoDBGlobalTable, "is protected from being deleted",
		tables(func(t *model.Table) bool { return t.DeletionProtection }, "is not protected from being deleted", "DeletionProtectionEnabled", "Replicas")),
}

func tables(condition func(*model.Table) bool, problem string, properties ...string) check {
	return every(model.DynamoDBGlobalTable, needs(condition, problem), properties...)
}

// Reasons of controls of databases.
const (
	ofMySQL     = "does not apply: it is about Aurora MySQL"
	ofRDS       = "does not apply: it is about instances of Amazon RDS, and the engine is Aurora"
	ofTheOne    = "does not apply to an instance of a cluster"
	ownRotation = "RDS makes the secret of the database's administrator"
	ofOrigin    = "that of a page before a public load balancer"
	ofBroker    = "those of a message broker"
)

// rds are the controls of databases (https://docs.aws.amazon.com/securityhub/latest/userguide/rds-controls.html).
// What an instance of Aurora has of its cluster is looked for there.
var rds = []Control{
	optional(aDatabase, "RDS.2", model.RDSInstance, "is not public", instances(func(i *model.DatabaseInstance) string {
		return unless(i.Public != nil && !*i.Public, "may have a public address")
	}, "PubliclyAccessible")),
	optional(aDatabase, "RDS.3", model.RDSInstance, "is encrypted", inCluster(func(c *model.DatabaseCluster) bool { return c.Encrypted }, "is not encrypted", "StorageEncrypted")),
	argued("RDS.5", model.RDSInstance, "is in several zones", ofTheOne+": RDS.15 asks the cluster"),
	ifNeverPaused("RDS.6", model.RDSInstance, "has Enhanced Monitoring", "what measures the machine takes capacity, and a database that pauses has none", instances(func(i *model.DatabaseInstance) string {
		return unless(i.Monitoring > 0 || i.Cluster != nil && i.Cluster.Monitoring > 0, "has no Enhanced Monitoring")
	}, "MonitoringInterval")),
	optional(aDatabase, "RDS.7", model.RDSCluster, "is protected from being deleted", clusters(func(c *model.DatabaseCluster) bool { return c.DeletionProtection }, "is not protected from being deleted", "DeletionProtection")),
	argued("RDS.8", model.RDSInstance, "is protected from being deleted", ofTheOne+": RDS.7 asks the cluster, which has the data"),
	optional(aDatabase, "RDS.9", model.RDSInstance, "sends its logs to CloudWatch Logs", inCluster(func(c *model.DatabaseCluster) bool { return len(c.Logs) > 0 }, "keeps its logs", "EnableCloudwatchLogsExports")),
	optional(aDatabase, "RDS.10", model.RDSInstance, "takes tokens of IAM", inCluster(func(c *model.DatabaseCluster) bool { return c.IAMAuthentication }, "takes no tokens of IAM", "EnableIAMDatabaseAuthentication")),
	optional(aDatabase, "RDS.11", model.RDSInstance, "keeps backups for a week", inCluster(func(c *model.DatabaseCluster) bool { return c.BackupDays >= 7 }, "keeps backups for less than a week", "BackupRetentionPeriod")),
	optional(aDatabase, "RDS.12", model.RDSCluster, "takes tokens of IAM", clusters(func(c *model.DatabaseCluster) bool { return c.IAMAuthentication }, "takes no tokens of IAM", "EnableIAMDatabaseAuthentication")),
	optional(aDatabase, "RDS.13", model.RDSInstance, "upgrades itself to minor versions", instances(func(i *model.DatabaseInstance) string {
		return unless(i.MinorUpgrades, "does not upgrade itself")
	}, "AutoMinorVersionUpgrade")),
	argued("RDS.14", model.RDSCluster, "can go back in time", ofMySQL+"; a cluster is restored to a point in time instead"),
	ifNeverPaused("RDS.15", model.RDSCluster, "is in several zones", "a second instance costs as much as the first one", clusters(func(c *model.DatabaseCluster) bool {
		return len(c.Instances) > 1 && oneZone(c.Subnets) == ""
	}, "has instances in one zone", "DBSubnetGroupName")),
	optional(aDatabase, "RDS.16", model.RDSCluster, "copies its tags to snapshots", clusters(func(c *model.DatabaseCluster) bool { return c.CopyTags }, "does not copy its tags to snapshots", "CopyTagsToSnapshot")),
	argued("RDS.17", model.RDSInstance, "copies its tags to snapshots", ofTheOne+": RDS.16 asks the cluster"),
	optional(aDatabase, "RDS.18", model.RDSInstance, "is in a VPC", inCluster(func(c *model.DatabaseCluster) bool { return len(c.Subnets) > 0 }, "names no subnets", "DBSubnetGroupName")),
	events("RDS.19", "db-cluster", "maintenance", "failure"),
	events("RDS.20", "db-instance", "maintenance", "configuration change", "failure"),
	events("RDS.21", "db-parameter-group", "configuration change"),
	events("RDS.22", "db-security-group", "configuration change", "failure"),
	optional(aDatabase, "RDS.23", model.RDSInstance, "is not at the default port", inCluster(func(c *model.DatabaseCluster) bool {
		return c.Port != 5432 && c.Port != 3306
	}, "is at the default port", "Port")),
	optional(aDatabase, "RDS.24", model.RDSCluster, "has an administrator with another name than usual", clusters(ownAdministrator, "has the usual administrator", "MasterUsername")),
	optional(aDatabase, "RDS.25", model.RDSInstance, "has an administrator with another name than usual", inCluster(ownAdministrator, "has the usual administrator", "MasterUsername")),
	argued("RDS.26", model.RDSInstance, "is in a backup plan", "not met: a cluster goes back to any second of 35 days; a plan of AWS Backup would keep copies for longer, in a vault of their own"),
	optional(aDatabase, "RDS.27", model.RDSCluster, "is encrypted", clusters(func(c *model.DatabaseCluster) bool { return c.Encrypted }, "is not encrypted", "StorageEncrypted")),
	optional(aDatabase, "RDS.28", model.RDSCluster, "has a tag", plain(model.RDSCluster, untagged)),
	optional(aDatabase, "RDS.30", model.RDSInstance, "has a tag", plain(model.RDSInstance, untagged)),
	optional(aDatabase, "RDS.33", model.RDSSubnetGroup, "has a tag", plain(model.RDSSubnetGroup, untagged)),
	argued("RDS.34", model.RDSCluster, "logs for an audit", ofMySQL),
	optional(aDatabase, "RDS.35", model.RDSCluster, "upgrades itself to minor versions", clusters(func(c *model.DatabaseCluster) bool { return c.MinorUpgrades }, "does not upgrade itself", "AutoMinorVersionUpgrade")),
	argued("RDS.36", model.RDSInstance, "sends the logs of PostgreSQL to CloudWatch Logs", ofRDS+": RDS.37"),
	optional(aDatabase, "RDS.37", model.RDSCluster, "sends the logs of PostgreSQL to CloudWatch Logs", clusters(func(c *model.DatabaseCluster) bool { return slices.Contains(c.Logs, "postgresql") }, "keeps its logs", "EnableCloudwatchLogsExports")),
	optional(aDatabase, "RDS.38", model.RDSInstance, "encrypts connections to PostgreSQL", inCluster(func(c *model.DatabaseCluster) bool { return c.Parameters["rds.force_ssl"] == "1" }, "takes connections without encryption", "DBClusterParameterGroupName")),
	argued("RDS.45", model.RDSCluster, "logs for an audit", ofMySQL),
	optional(aDatabase, "RDS.46", model.RDSInstance, "is in no subnet that gives out public addresses", func(r *report) {
		for _, i := range some[*model.DatabaseInstance](r, model.RDSInstance) {
			problem := ""
			if i.Cluster == nil || len(i.Cluster.Subnets) == 0 {
				problem = "is in subnets that are not known"
			} else {
				problem = publicSubnet(r, i.Cluster.Subnets)
			}
			r.find(i, problem, "DBClusterIdentifier")
		}
	}),
	optional(aDatabase, "RDS.50", model.RDSCluster, "keeps backups for a week", clusters(func(c *model.DatabaseCluster) bool { return c.BackupDays >= 7 }, "keeps backups for less than a week", "BackupRetentionPeriod")),
}

// secretsManager are the controls of secrets (https://docs.aws.amazon.com/securityhub/latest/userguide/secretsmanager-controls.html). RDS
// rotates a secret that it makes every seven days
// (https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html).
var secretsManager = []Control{
	argued("SecretsManager.1", model.SecretsManagerSecret, "is rotated", "not met for "+ofOrigin+", since CloudFront and the load balancer would need a new value at once, and for "+ofBroker+", whose user CloudFormation does not change; met for the other: "+ownRotation+", and rotates it"),
	argued("SecretsManager.2", model.SecretsManagerSecret, "was rotated without an error", "met as far as RDS tells: "+ownRotation+", and rotates it; it does not apply to "+ofOrigin+" and "+ofBroker+", which are not rotated"),
	argued("SecretsManager.3", model.SecretsManagerSecret, "is used", "not met: "+ownRotation+", and people read it only to set databases up; a deployment reads "+ofOrigin+", and a deployment and tasks "+ofBroker),
	argued("SecretsManager.4", model.SecretsManagerSecret, "is rotated in time", "met: "+ownRotation+", and rotates it every seven days; not met for "+ofOrigin+" and "+ofBroker+" (SecretsManager.1)"),
	argued("SecretsManager.5", model.SecretsManagerSecret, "has a tag", "not met: "+ownRotation+", and no template gives it tags; "+ofOrigin+" and "+ofBroker+" have tags"),
}

// ifNeverPaused is a control that a cluster meets if it has capacity all the time, as in production.
func ifNeverPaused(id, resourceType, title, reason string, check check) Control {
	return Control{ID: id, Title: title, Type: resourceType, Setting: "databaseCapacity", Reason: reason, Optional: aDatabase, check: check}
}

func clusters(condition func(*model.DatabaseCluster) bool, problem string, properties ...string) check {
	return every(model.RDSCluster, needs(condition, problem), properties...)
}

func instances(problem func(*model.DatabaseInstance) string, properties ...string) check {
	return every(model.RDSInstance, problem, properties...)
}

// inCluster makes the check of what each instance has of its cluster.
func inCluster(condition func(*model.DatabaseCluster) bool, problem string, properties ...string) check {
	return func(r *report) {
		for _, i := range some[*model.DatabaseInstance](r, model.RDSInstance) {
			if i.Cluster == nil {
				r.find(i, "belongs to no cluster that is known", "DBClusterIdentifier")
				continue
			}
			r.find(i, unless(condition(i.Cluster), problem), "DBClusterIdentifier")
			r.unknown = append(r.unknown, i.Cluster.Problem(properties...))
		}
	}
}

// ownAdministrator says whether a cluster's administrator has a name that nobody guesses.
func ownAdministrator(c *model.DatabaseCluster) bool {
	return !slices.Contains([]string{"", "admin", "administrator", "postgres", "root"}, c.MasterUser)
}

// events is a control of subscriptions to events of RDS. One that exists has to tell of these categories;
// Security Hub accepts none at all.
func events(id, source string, categories ...string) Control {
	return optional(aDatabase, id, model.RDSEventSubscription, fmt.Sprintf("tells of %s, if it is about a %s", strings.Join(categories, ", "), source), func(r *report) {
		for _, s := range some[*model.EventSubscription](r, model.RDSEventSubscription) {
			problem := ""
			for _, category := range categories {
				if s.Source == source && (!s.Enabled || len(s.Categories) > 0 && !slices.Contains(s.Categories, category)) {
					problem = "does not tell of " + category
				}
			}
			r.find(s, problem, "SourceType", "EventCategories", "Enabled")
		}
	})
}
