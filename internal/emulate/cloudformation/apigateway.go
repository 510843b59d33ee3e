package cloudformation

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The resource types of API Gateway, and of AWS WAF before it.
var gateway = map[string]*handler{
	"AWS::ApiGateway::RestApi": {
		ref:  "RestApiId",
		name: "Name",
		create: func(c *call, p props) string {
			c.only(p, "Name", "Description", "BinaryMediaTypes", "EndpointConfiguration", "ApiKeySourceType", "DisableExecuteApiEndpoint", "Policy", "Tags")
			params := lower(pick(p, "Description", "BinaryMediaTypes", "EndpointConfiguration", "DisableExecuteApiEndpoint"))
			n := apigateway(c, http.MethodPost, "", with(params, props{"name": c.id, "apiKeySource": p["ApiKeySourceType"], "policy": document(p["Policy"]), "tags": tagMap(p)}))
			c.attrs["RootResourceId"] = n.first("rootResourceId")
			return n.first("id")
		},
		update: func(c *call, old, p props) {
			c.only(changed(old, p), "Name", "Description", "BinaryMediaTypes", "Tags")
			var patch []any
			for _, name := range []string{"Name", "Description"} {
				if differ(old, p, name) {
					patch = append(patch, replacing("/"+strings.ToLower(name), p[name]))
				}
			}
			const media = "BinaryMediaTypes"
			for _, one := range without(items(old, media), items(p, media)) {
				patch = append(patch, props{"op": "remove", "path": "/binaryMediaTypes/" + pointer(text(one))})
			}
			for _, one := range without(items(p, media), items(old, media)) {
				patch = append(patch, props{"op": "add", "path": "/binaryMediaTypes/" + pointer(text(one))})
			}
			apigateway(c, http.MethodPatch, "/"+c.id, props{"patchOperations": patch})
		},
		delete: func(c *call, _ props) { apigateway(c, http.MethodDelete, "/"+c.id, nil) },
	},
	"AWS::ApiGateway::Resource": {
		ref: "ResourceId",
		create: func(c *call, p props) string {
			return apigateway(c, http.MethodPost, "/"+str(p, "RestApiId")+"/resources/"+str(p, "ParentId"), props{"pathPart": p["PathPart"]}).first("id")
		},
		delete: func(c *call, p props) {
			apigateway(c, http.MethodDelete, "/"+str(p, "RestApiId")+"/resources/"+c.id, nil)
		},
	},
	"AWS::ApiGateway::Method": {
		create: func(c *call, p props) string {
			putMethod(c, p)
			return c.id
		},
		update: func(c *call, old, p props) {
			apigateway(c, http.MethodDelete, method(old), nil)
			putMethod(c, p)
		},
		delete: func(c *call, p props) { apigateway(c, http.MethodDelete, method(p), nil) },
	},
	"AWS::ApiGateway::Model": {
		name:  "Name",
		shape: func(name string) string { return strings.ReplaceAll(name, "-", "") },
		create: func(c *call, p props) string {
			putModel(c, p)
			return c.id
		},
		update: func(c *call, old, p props) {
			dropModel(c, old)
			putModel(c, p)
		},
		delete: dropModel,
	},
	"AWS::ApiGateway::RequestValidator": {
		ref:  "RequestValidatorId",
		name: "Name",
		create: func(c *call, p props) string {
			c.only(p, "Name", "RestApiId", "ValidateRequestBody", "ValidateRequestParameters")
			return apigateway(c, http.MethodPost, "/"+str(p, "RestApiId")+"/requestvalidators", with(lowerFirst(p, "ValidateRequestBody", "ValidateRequestParameters"), props{"name": c.id})).first("id")
		},
		update: func(c *call, _, p props) {
			apigateway(c, http.MethodPatch, "/"+str(p, "RestApiId")+"/requestvalidators/"+c.id, props{"patchOperations": []any{
				replacing("/validateRequestBody", str(p, "ValidateRequestBody")), replacing("/validateRequestParameters", str(p, "ValidateRequestParameters")),
			}})
		},
		delete: func(c *call, p props) {
			apigateway(c, http.MethodDelete, "/"+str(p, "RestApiId")+"/requestvalidators/"+c.id, nil)
		},
	},
	"AWS::ApiGateway::Deployment": {
		ref: "DeploymentId",
		create: func(c *call, p props) string {
			c.only(p, "RestApiId", "Description")
			return apigateway(c, http.MethodPost, "/"+str(p, "RestApiId")+"/deployments", lower(pick(p, "Description"))).first("id")
		},
		update: func(c *call, old, p props) { c.only(changed(old, p)) },
		delete: func(c *call, p props) {
			apigateway(c, http.MethodDelete, "/"+str(p, "RestApiId")+"/deployments/"+c.id, nil)
		},
	},
	"AWS::ApiGateway::Stage": {
		create: func(c *call, p props) string {
			c.only(p, "AccessLogSetting", "CacheClusterEnabled", "CacheClusterSize", "DeploymentId", "Description", "MethodSettings", "RestApiId", "StageName", "Tags",
				"TracingEnabled", "Variables")
			params := lower(pick(p, "CacheClusterEnabled", "CacheClusterSize", "DeploymentId", "Description", "TracingEnabled"))
			apigateway(c, http.MethodPost, "/"+str(p, "RestApiId")+"/stages", with(params, props{"stageName": p["StageName"], "variables": p["Variables"], "tags": tagMap(p)}))
			return str(p, "StageName")
		},
		configure: func(c *call, old, p props) {
			if patch := stagePatch(c, old, p); len(patch) > 0 {
				apigateway(c, http.MethodPatch, "/"+str(p, "RestApiId")+"/stages/"+c.id, props{"patchOperations": patch})
			}
		},
		delete: func(c *call, p props) {
			apigateway(c, http.MethodDelete, "/"+str(p, "RestApiId")+"/stages/"+c.id, nil)
		},
	},
	// A setting of the region. AWS keeps it when the resource is deleted.
	"AWS::ApiGateway::Account": {
		ref: "Id",
		put: func(c *call, p props) string {
			c.rest("apigateway", http.MethodPatch, "/account", props{"patchOperations": []any{replacing("/cloudwatchRoleArn", str(p, "CloudWatchRoleArn"))}})
			return c.id
		},
		delete: func(*call, props) {},
	},
	"AWS::ApiGatewayV2::VpcLink": {
		ref: "VpcLinkId",
		create: func(c *call, p props) string {
			n := c.rest("apigateway", http.MethodPost, "/v2/vpclinks",
				with(lower(pick(p, "SecurityGroupIds", "SubnetIds")), props{"name": p["Name"], "tags": with(props{}, section(p, "Tags"))}))
			return n.first("vpcLinkId")
		},
		update: func(c *call, _, p props) {
			c.rest("apigateway", http.MethodPatch, "/v2/vpclinks/"+c.id, props{"name": p["Name"]})
		},
		delete: func(c *call, _ props) { c.rest("apigateway", http.MethodDelete, "/v2/vpclinks/"+c.id, nil) },
	},
	"AWS::WAFv2::WebACL": {
		name: "Name",
		create: func(c *call, p props) string {
			n := c.do("wafv2", "CreateWebACL", with(maps.Clone(p), props{"Name": c.id}))
			c.attrs = props{"Arn": n.first("ARN"), "Id": n.first("Id")}
			return c.id + "|" + n.first("Id") + "|" + str(p, "Scope")
		},
		update: func(c *call, _, p props) {
			key, lock := lockedACL(c)
			c.do("wafv2", "UpdateWebACL", with(with(pick(p, "DefaultAction", "Description", "Rules", "VisibilityConfig"), key), lock))
		},
		delete: func(c *call, _ props) {
			key, lock := lockedACL(c)
			c.drop("wafv2", "DeleteWebACL", with(key, lock))
		},
	},
	"AWS::WAFv2::WebACLAssociation": {
		create: func(c *call, p props) string {
			c.do("wafv2", "AssociateWebACL", pick(p, "ResourceArn", "WebACLArn"))
			return str(p, "ResourceArn") + "|" + str(p, "WebACLArn")
		},
		delete: func(c *call, p props) { c.drop("wafv2", "DisassociateWebACL", pick(p, "ResourceArn")) },
	},
}

// apigateway runs an operation on REST APIs, unless one has failed before.
func apigateway(c *call, verb, path string, params props) *node {
	return c.rest("apigateway", verb, "/restapis"+path, params)
}

// method is the path of a method.
func method(p props) string {
	return "/" + str(p, "RestApiId") + "/resources/" + str(p, "ResourceId") + "/methods/" + str(p, "HttpMethod")
}

// putModel makes a model of bodies.
func putModel(c *call, p props) {
	c.only(p, "ContentType", "Description", "Name", "RestApiId", "Schema")
	apigateway(c, http.MethodPost, "/"+str(p, "RestApiId")+"/models", with(lowerFirst(p, "ContentType", "Description"), props{"name": c.id, "schema": document(p["Schema"])}))
}

func dropModel(c *call, p props) {
	apigateway(c, http.MethodDelete, "/"+str(p, "RestApiId")+"/models/"+c.id, nil)
}

// putMethod makes a method with its integration.
func putMethod(c *call, p props) {
	integration := section(p, "Integration")
	c.only(p, "ApiKeyRequired", "AuthorizationType", "HttpMethod", "Integration", "OperationName", "RequestModels", "RequestParameters", "RequestValidatorId", "ResourceId", "RestApiId")
	c.only(integration, "CacheKeyParameters", "CacheNamespace", "ConnectionId", "ConnectionType", "IntegrationHttpMethod", "IntegrationTarget", "PassthroughBehavior",
		"RequestParameters", "TimeoutInMillis", "Type", "Uri")
	apigateway(c, http.MethodPut, method(p), lowerFirst(p, "ApiKeyRequired", "AuthorizationType", "OperationName", "RequestModels", "RequestParameters", "RequestValidatorId"))
	params := lowerFirst(integration, "CacheKeyParameters", "CacheNamespace", "ConnectionId", "ConnectionType", "IntegrationTarget", "PassthroughBehavior", "RequestParameters",
		"TimeoutInMillis", "Type", "Uri")
	apigateway(c, http.MethodPut, method(p)+"/integration", with(params, props{"httpMethod": integration["IntegrationHttpMethod"]}))
}

// lowerFirst picks properties by the names of the API. Their values stay as they are.
func lowerFirst(p props, names ...string) props {
	out := props{}
	for name, value := range pick(p, names...) {
		out[strings.ToLower(name[:1])+name[1:]] = value
	}
	return out
}

// stageSettings are the settings of a stage that a change sets, by their path.
var stageSettings = map[string]string{
	"CacheClusterEnabled": "/cacheClusterEnabled", "CacheClusterSize": "/cacheClusterSize", "DeploymentId": "/deploymentId", "Description": "/description",
	"TracingEnabled": "/tracingEnabled",
}

// methodSettings are the settings of a stage's methods
// (https://docs.aws.amazon.com/apigateway/latest/api/API_UpdateStage.html).
var methodSettings = map[string]string{
	"CacheDataEncrypted": "caching/dataEncrypted", "CacheTtlInSeconds": "caching/ttlInSeconds", "CachingEnabled": "caching/enabled", "DataTraceEnabled": "logging/dataTrace",
	"LoggingLevel": "logging/loglevel", "MetricsEnabled": "metrics/enabled", "ThrottlingBurstLimit": "throttling/burstLimit", "ThrottlingRateLimit": "throttling/rateLimit",
}

// stagePatch lists what changes the settings of a stage. After the creation there are no old properties.
func stagePatch(c *call, old, p props) (patch []any) {
	if old != nil {
		for _, name := range slices.Sorted(maps.Keys(stageSettings)) {
			if differ(old, p, name) {
				patch = append(patch, replacing(stageSettings[name], str(p, name)))
			}
		}
	}
	if differ(old, p, "AccessLogSetting") {
		if log := section(p, "AccessLogSetting"); len(log) > 0 {
			patch = append(patch, replacing("/accessLogSettings/destinationArn", str(log, "DestinationArn")), replacing("/accessLogSettings/format", str(log, "Format")))
		} else {
			patch = append(patch, props{"op": "remove", "path": "/accessLogSettings"})
		}
	}
	if differ(old, p, "MethodSettings") {
		for _, m := range items(old, "MethodSettings") {
			m, _ := m.(props)
			patch = append(patch, props{"op": "remove", "path": settingsOf(m)})
		}
		for _, m := range items(p, "MethodSettings") {
			m, _ := m.(props)
			c.only(m, append(slices.Collect(maps.Keys(methodSettings)), "HttpMethod", "ResourcePath")...)
			for _, name := range slices.Sorted(maps.Keys(methodSettings)) {
				if v, ok := m[name]; ok {
					patch = append(patch, replacing(settingsOf(m)+"/"+methodSettings[name], text(v)))
				}
			}
		}
	}
	return patch
}

// settingsOf is the path of the settings of a stage's method.
func settingsOf(m props) string { return str(m, "ResourcePath") + "/" + str(m, "HttpMethod") }

func replacing(path string, value any) props {
	return props{"op": "replace", "path": path, "value": value}
}

// pointer writes a part of a JSON pointer.
func pointer(part string) string { return strings.ReplaceAll(part, "/", "~1") }

// lockedACL returns what names a web ACL, and the token of its last change.
func lockedACL(c *call) (key, lock props) {
	id := strings.Split(c.id, "|")
	key = props{"Name": id[0], "Id": id[1], "Scope": id[2]}
	return key, props{"LockToken": c.do("wafv2", "GetWebACL", key).first("LockToken")}
}

// tagMap is a list of tags as a map.
func tagMap(p props) props {
	tags := props{}
	for _, tag := range items(p, "Tags") {
		tag, _ := tag.(props)
		tags[str(tag, "Key")] = tag["Value"]
	}
	return tags
}

// document is a policy as text, or nothing.
func document(policy any) any {
	if policy == nil {
		return nil
	}
	return text(policy)
}
