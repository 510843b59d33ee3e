package cloudformation

import (
	"maps"
	"strings"
)

// The resource types of all other services.
var others = map[string]*handler{
	"AWS::SSM::Parameter": {
		same:  []string{"Type", "Value"},
		name:  "Name",
		limit: 1000,
		shape: func(name string) string { return "CFN-" + name },
		create: func(c *call, p props) string {
			c.do("ssm", "PutParameter", parameterInput(c, p, false))
			return c.id
		},
		update: func(c *call, _, p props) { c.do("ssm", "PutParameter", parameterInput(c, p, true)) },
		find:   func(c *call) { c.do("ssm", "GetParameter", props{"Name": c.id}) },
		delete: deleted("ssm", "DeleteParameter", "Name"),
	},
	"AWS::ECR::Repository": {
		name:  "RepositoryName",
		limit: 256,
		shape: strings.ToLower,
		create: func(c *call, p props) string {
			params := lower(with(pick(p, "ImageTagMutability", "ImageScanningConfiguration", "EncryptionConfiguration"), props{"RepositoryName": c.id}))
			if tags, ok := p["Tags"]; ok { // the only list in the API whose names have capitals
				params["tags"] = tags
			}
			n := c.do("ecr", "CreateRepository", params)
			c.attrs = props{"Arn": n.first("repositoryArn"), "RepositoryUri": n.first("repositoryUri")}
			return c.id
		},
		update: func(c *call, old, p props) {
			if p["ImageTagMutability"] != nil && differ(old, p, "ImageTagMutability") {
				c.do("ecr", "PutImageTagMutability", props{"repositoryName": c.id, "imageTagMutability": p["ImageTagMutability"]})
			}
			if p["ImageScanningConfiguration"] != nil {
				c.do("ecr", "PutImageScanningConfiguration", lower(with(pick(p, "ImageScanningConfiguration"), props{"RepositoryName": c.id})))
			}
		},
		configure: func(c *call, _, p props) {
			if v, ok := p["RepositoryPolicyText"]; ok {
				c.do("ecr", "SetRepositoryPolicy", props{"repositoryName": c.id, "policyText": text(v)})
			}
			if v, ok := p["LifecyclePolicy"].(props); ok {
				c.do("ecr", "PutLifecyclePolicy", props{"repositoryName": c.id, "lifecyclePolicyText": v["LifecyclePolicyText"]})
			}
		},
		delete: func(c *call, p props) {
			c.do("ecr", "DeleteRepository", props{"repositoryName": c.id, "force": truth(p["EmptyOnDelete"])})
		},
	},
	"AWS::Logs::LogGroup": {
		name:  "LogGroupName",
		limit: 512,
		create: func(c *call, p props) string {
			c.attrs["Arn"] = c.arn("logs", "log-group:"+c.id+":*")
			c.do("logs", "CreateLogGroup", props{"logGroupName": c.id})
			return c.id
		},
		configure: func(c *call, _, p props) {
			if days, ok := p["RetentionInDays"]; ok {
				c.do("logs", "PutRetentionPolicy", props{"logGroupName": c.id, "retentionInDays": days})
			}
		},
		delete: deleted("logs", "DeleteLogGroup", "logGroupName"),
	},
	"AWS::Logs::MetricFilter": {
		name: "FilterName",
		put: func(c *call, p props) string {
			params := lower(pick(p, "FilterPattern", "LogGroupName", "MetricTransformations"))
			c.do("logs", "PutMetricFilter", with(params, props{"filterName": c.id}))
			return c.id
		},
		delete: func(c *call, p props) {
			c.drop("logs", "DeleteMetricFilter", props{"filterName": c.id, "logGroupName": p["LogGroupName"]})
		},
	},
	"AWS::CloudWatch::Alarm": {
		name: "AlarmName",
		put: func(c *call, p props) string {
			c.attrs["Arn"] = c.arn("cloudwatch", "alarm:"+c.id)
			c.do("monitoring", "PutMetricAlarm", with(maps.Clone(p), props{"AlarmName": c.id}))
			return c.id
		},
		delete: deleted("monitoring", "DeleteAlarms", "AlarmNames.member.1"),
	},
	"AWS::SecretsManager::Secret": {
		name: "Name",
		ref:  "Id",
		create: func(c *call, p props) string {
			c.only(p, "Description", "GenerateSecretString", "KmsKeyId", "Name", "SecretString", "Tags")
			value := p["SecretString"]
			if generated, ok := p["GenerateSecretString"].(props); ok {
				password := c.do("secretsmanager", "GetRandomPassword", pick(generated, "ExcludeCharacters", "ExcludeLowercase", "ExcludeNumbers", "ExcludePunctuation",
					"ExcludeUppercase", "IncludeSpace", "PasswordLength", "RequireEachIncludedType")).first("RandomPassword")
				value = password
				if key := str(generated, "GenerateStringKey"); key != "" {
					var template props
					if err := decodeJSON(str(generated, "SecretStringTemplate"), &template); err != nil {
						c.refuse("InvalidRequest", "SecretStringTemplate: %v", err)
					}
					value = encode(with(template, props{key: password}))
				}
			}
			return c.do("secretsmanager", "CreateSecret", with(pick(p, "Description", "KmsKeyId", "Tags"), props{"Name": c.id, "SecretString": value})).first("ARN")
		},
		update: func(c *call, old, p props) {
			c.only(changed(old, p), "Description", "Tags")
			c.do("secretsmanager", "UpdateSecret", props{"SecretId": c.id, "Description": p["Description"]})
		},
		delete: func(c *call, _ props) {
			c.drop("secretsmanager", "DeleteSecret", props{"SecretId": c.id, "ForceDeleteWithoutRecovery": true})
		},
	},
	"AWS::CloudWatch::Dashboard": {
		name: "DashboardName",
		put: func(c *call, p props) string {
			c.do("monitoring", "PutDashboard", props{"DashboardName": c.id, "DashboardBody": p["DashboardBody"]})
			return c.id
		},
		delete: deleted("monitoring", "DeleteDashboards", "DashboardNames.member.1"),
	},
}

// parameterInput returns the parameters of PutParameter. Both the API and CloudFormation refuse a
// new parameter with a name that exists.
func parameterInput(c *call, p props, overwrite bool) props {
	return with(pick(p, "Type", "Value", "Description", "Tier", "AllowedPattern", "DataType"), props{"Name": c.id, "Overwrite": overwrite})
}
