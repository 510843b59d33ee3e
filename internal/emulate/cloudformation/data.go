package cloudformation

import "strings"

// The resource types of DynamoDB and RDS.
var data = map[string]*handler{
	"AWS::DynamoDB::GlobalTable": {
		name: "TableName",
		create: func(c *call, p props) string {
			params := with(pick(p, "AttributeDefinitions", "KeySchema", "BillingMode", "SSESpecification"), props{"TableName": c.id, "Tags": replica(c, p)["Tags"]})
			n := c.do("dynamodb", "CreateTable", params)
			c.attrs = props{"Arn": n.first("TableArn"), "TableId": n.first("TableId")}
			return c.id
		},
		configure: func(c *call, old, p props) {
			stream(c, old, p)
			own := replica(c, p)
			c.do("dynamodb", "UpdateTable", props{"TableName": c.id, "DeletionProtectionEnabled": truth(own["DeletionProtectionEnabled"])})
			if v, ok := p["TimeToLiveSpecification"]; ok && differ(old, p, "TimeToLiveSpecification") {
				c.do("dynamodb", "UpdateTimeToLive", props{"TableName": c.id, "TimeToLiveSpecification": v})
			}
			if v, ok := own["PointInTimeRecoverySpecification"]; ok {
				c.do("dynamodb", "UpdateContinuousBackups", props{"TableName": c.id, "PointInTimeRecoverySpecification": v})
			}
			if v, ok := own["ResourcePolicy"].(props); ok {
				c.do("dynamodb", "PutResourcePolicy", props{"ResourceArn": c.arn("dynamodb", "table/"+c.id), "Policy": text(v["PolicyDocument"])})
			}
		},
		delete: deleted("dynamodb", "DeleteTable", "TableName"),
	},
	"AWS::RDS::DBSubnetGroup": {
		name: "DBSubnetGroupName",
		create: func(c *call, p props) string {
			c.do("rds", "CreateDBSubnetGroup", with(pick(p, "DBSubnetGroupDescription", "SubnetIds", "Tags"), props{"DBSubnetGroupName": strings.ToLower(c.id)}))
			return strings.ToLower(c.id)
		},
		update: func(c *call, _, p props) {
			c.do("rds", "ModifyDBSubnetGroup", with(pick(p, "DBSubnetGroupDescription", "SubnetIds"), props{"DBSubnetGroupName": c.id}))
		},
		delete: deleted("rds", "DeleteDBSubnetGroup", "DBSubnetGroupName"),
	},
	"AWS::RDS::DBClusterParameterGroup": {
		name: "DBClusterParameterGroupName",
		create: func(c *call, p props) string {
			name := strings.ToLower(c.id)
			c.do("rds", "CreateDBClusterParameterGroup", with(pick(p, "Description", "Tags"), props{"DBClusterParameterGroupName": name, "DBParameterGroupFamily": p["Family"]}))
			return name
		},
		configure: func(c *call, _, p props) {
			var parameters []any
			values, _ := p["Parameters"].(props)
			for name, value := range values {
				parameters = append(parameters, props{"ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot"})
			}
			c.do("rds", "ModifyDBClusterParameterGroup", props{"DBClusterParameterGroupName": c.id, "Parameters": parameters})
		},
		delete: deleted("rds", "DeleteDBClusterParameterGroup", "DBClusterParameterGroupName"),
	},
	"AWS::RDS::DBCluster": {
		name:  "DBClusterIdentifier",
		limit: 63,
		shape: strings.ToLower,
		create: func(c *call, p props) string {
			n := c.do("rds", "CreateDBCluster", with(pick(p, append([]string{"Engine", "MasterUsername", "DBSubnetGroupName", "StorageEncrypted", "Tags"}, clusterSettings...)...),
				props{"DBClusterIdentifier": c.id}))
			c.attrs = props{
				"DBClusterArn": n.first("DBClusterArn"), "DBClusterResourceId": n.first("DbClusterResourceId"), "Endpoint.Address": n.first("Endpoint"),
				"Endpoint.Port": n.first("Port"), "ReadEndpoint.Address": n.first("ReaderEndpoint"), "MasterUserSecret.SecretArn": n.first("SecretArn"),
			}
			return c.id
		},
		update: func(c *call, old, p props) {
			params := props{"DBClusterIdentifier": c.id, "ApplyImmediately": true}
			for _, name := range clusterSettings {
				if p[name] != nil && differ(old, p, name) {
					params[name] = p[name]
				}
			}
			c.do("rds", "ModifyDBCluster", params)
		},
		delete: func(c *call, _ props) {
			params := props{"DBClusterIdentifier": c.id, "SkipFinalSnapshot": !c.snapshot}
			if c.snapshot {
				params["FinalDBSnapshotIdentifier"] = strings.ToLower(generated(c.id, "snapshot", 255))
			}
			c.do("rds", "DeleteDBCluster", params)
		},
	},
	"AWS::RDS::DBInstance": {
		name:  "DBInstanceIdentifier",
		limit: 63,
		shape: strings.ToLower,
		create: func(c *call, p props) string {
			n := c.do("rds", "CreateDBInstance", with(pick(p, "Engine", "DBClusterIdentifier", "DBInstanceClass", "PubliclyAccessible", "PromotionTier",
				"MonitoringInterval", "MonitoringRoleArn", "AutoMinorVersionUpgrade", "Tags"), props{"DBInstanceIdentifier": c.id}))
			c.attrs["DBInstanceArn"] = n.first("DBInstanceArn")
			return c.id
		},
		update: func(c *call, _, p props) {
			c.do("rds", "ModifyDBInstance", with(pick(p, "PubliclyAccessible", "MonitoringInterval", "MonitoringRoleArn", "AutoMinorVersionUpgrade"), props{"DBInstanceIdentifier": c.id}))
		},
		delete: func(c *call, _ props) {
			c.do("rds", "DeleteDBInstance", props{"DBInstanceIdentifier": c.id, "SkipFinalSnapshot": true})
		},
	},
	"AWS::RDS::EventSubscription": {
		name: "SubscriptionName",
		create: func(c *call, p props) string {
			c.do("rds", "CreateEventSubscription", with(pick(p, "SnsTopicArn", "SourceType", "EventCategories", "Tags"), props{"SubscriptionName": c.id}))
			return c.id
		},
		update: tagsOnly,
		delete: deleted("rds", "DeleteEventSubscription", "SubscriptionName"),
	},
}

// clusterSettings are properties of a cluster that change in place.
var clusterSettings = []string{"BackupRetentionPeriod", "CopyTagsToSnapshot", "DBClusterParameterGroupName", "DeletionProtection", "EnableCloudwatchLogsExports",
	"EnableHttpEndpoint", "EnableIAMDatabaseAuthentication", "EngineVersion", "ManageMasterUserPassword", "Port", "ServerlessV2ScalingConfiguration", "VpcSecurityGroupIds"}

// stream switches the stream of a table on or off. A stream that is switched on again, or shows something else, is a new one
// with another ARN.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html#Streams.Enabling
func stream(c *call, old, p props) {
	const property = "StreamSpecification"
	if !differ(old, p, property) {
		return
	}
	if old[property] != nil {
		c.do("dynamodb", "UpdateTable", props{"TableName": c.id, property: props{"StreamEnabled": false}})
		c.attrs["StreamArn"] = nil
	}
	if view := section(p, property); view != nil {
		n := c.do("dynamodb", "UpdateTable", props{"TableName": c.id, property: with(pick(view, "StreamViewType"), props{"StreamEnabled": true})})
		c.attrs["StreamArn"] = n.first("LatestStreamArn")
	}
}

// replica is the replica of a global table in the engine's region.
func replica(c *call, p props) props {
	replicas, _ := p["Replicas"].([]any)
	for _, one := range replicas {
		if own, _ := one.(props); str(own, "Region") == c.region {
			return own
		}
	}
	return props{}
}
