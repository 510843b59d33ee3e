package cloudformation

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cutover/internal/model"
)

// The resource type by which Lambda reads queues and streams. Nothing is read.
var eventSources = map[string]*handler{
	"AWS::Lambda::EventSourceMapping": {
		ref: "Id",
		create: func(c *call, p props) string {
			checkSource(c, p)
			n := lambda(c, http.MethodPost, "event-source-mappings", with(sourceSettings(p, nil), props{"EventSourceArn": p["EventSourceArn"],
				"StartingPosition": p["StartingPosition"], "Tags": tagMap(p)}))
			c.attrs["EventSourceMappingArn"] = n.first("EventSourceMappingArn")
			return n.first("UUID")
		},
		update: func(c *call, old, p props) {
			checkSource(c, p)
			arn := lambda(c, http.MethodPut, "event-source-mappings/"+c.id, sourceSettings(p, old)).first("EventSourceMappingArn")
			gone, now := tagChanges(old, p)
			for _, key := range gone {
				c.rest("lambda", http.MethodDelete, "/2017-03-31/tags/"+arn+"?tagKeys="+url.QueryEscape(text(key)), nil)
			}
			if len(now) > 0 {
				c.rest("lambda", http.MethodPost, "/2017-03-31/tags/"+arn, props{"Tags": tagMap(p)})
			}
		},
		delete: func(c *call, _ props) { lambda(c, http.MethodDelete, "event-source-mappings/"+c.id, nil) },
	},
}

// sourceDefaults are the settings of a mapping that change in place, with what takes them away.
// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
var sourceDefaults = props{"BatchSize": nil, "BisectBatchOnFunctionError": false, "DestinationConfig": props{"OnFailure": props{}}, "Enabled": true, "FilterCriteria": props{},
	"FunctionName": nil, "FunctionResponseTypes": []any{}, "MaximumBatchingWindowInSeconds": 0, "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1,
	"ParallelizationFactor": 1, "ScalingConfig": props{}}

// sourceSettings are the settings of a mapping as the API takes them, with the defaults of those that a change takes away.
func sourceSettings(p, old props) props {
	params := props{}
	for name, value := range sourceDefaults {
		if _, ok := p[name]; ok || old[name] != nil {
			params[name] = withFallback(p, name, value)
		}
	}
	if old["BatchSize"] != nil && p["BatchSize"] == nil {
		params["BatchSize"] = 100
		if fromQueue(p) {
			params["BatchSize"] = 10
		}
	}
	return params
}

func fromQueue(p props) bool { return strings.Contains(str(p, "EventSourceArn"), ":sqs:") }

// sourceActions are what the role of a function must allow on its source.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
var sourceActions = map[bool][]string{
	true:  {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
	false: {"dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"},
}

// checkSource refuses what Lambda does.
func checkSource(c *call, p props) {
	c.only(p, slices.Collect(maps.Keys(with(maps.Clone(sourceDefaults), props{"EventSourceArn": nil, "StartingPosition": nil, "Tags": nil})))...)
	source, queue := str(p, "EventSourceArn"), fromQueue(p)
	size := func(name string) int { n, _ := strconv.Atoi(str(p, name)); return n }
	batch, window := size("BatchSize"), size("MaximumBatchingWindowInSeconds")
	fifo := queue && strings.HasSuffix(source, ".fifo")
	switch {
	case fifo && batch > 10:
		c.refuse("InvalidRequest", "BatchSize %d exceeds the max of 10 for a FIFO queue", batch)
	case fifo && window > 0:
		c.refuse("InvalidRequest", "Batching window is not supported for FIFO queues")
	case queue && batch > 10 && window == 0:
		c.refuse("InvalidRequest", "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	case queue && p["StartingPosition"] != nil:
		c.refuse("InvalidRequest", "StartingPosition is not valid for SQS event sources.")
	case !queue && p["StartingPosition"] == nil:
		c.refuse("InvalidRequest", "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.")
	}
	function, _ := qualified(str(p, "FunctionName"))
	config := lambda(c, http.MethodGet, "functions/"+function+"/configuration", nil)
	if queue {
		n := c.do("sqs", "GetQueueAttributes", props{"QueueUrl": source[strings.LastIndex(source, ":")+1:], "AttributeNames": []any{"VisibilityTimeout"}})
		visible, _ := strconv.Atoi(n.first("VisibilityTimeout"))
		if timeout, _ := strconv.Atoi(config.first("Timeout")); c.err == nil && visible < timeout {
			c.refuse("InvalidRequest", "Queue visibility timeout: %d seconds is less than Function timeout: %d seconds", visible, timeout)
		}
	}
	allowed := allowedBy(c, config.first("Role"))
	for _, action := range sourceActions[queue] {
		if c.err == nil && !slices.ContainsFunc(allowed, func(s props) bool {
			return slices.ContainsFunc(list(s["Action"]), func(a any) bool { return model.Matches(strings.ToLower(text(a)), strings.ToLower(action)) }) &&
				slices.ContainsFunc(list(s["Resource"]), func(r any) bool { return model.Matches(text(r), source) })
		}) {
			c.refuse("InvalidRequest", "The function's execution role does not have permissions to call %s on %s", action, source)
		}
	}
}

// allowedBy are the statements of a role's policies that allow something.
func allowedBy(c *call, role string) (found []props) {
	name := role[strings.LastIndex(role, "/")+1:]
	read := func(n *node) {
		document, _ := url.QueryUnescape(n.first("PolicyDocument") + n.first("Document"))
		var policy props
		if c.err == nil {
			c.err = decodeJSON(document, &policy)
		}
		for _, s := range statementsOf(policy) {
			if str(s, "Effect") == "Allow" {
				found = append(found, s)
			}
		}
	}
	for _, names := range c.do("iam", "ListRolePolicies", props{"RoleName": name}).all("PolicyNames") {
		for _, policy := range names.Children {
			read(c.do("iam", "GetRolePolicy", props{"RoleName": name, "PolicyName": policy.Text}))
		}
	}
	for _, policy := range c.do("iam", "ListAttachedRolePolicies", props{"RoleName": name}).all("PolicyArn") {
		version := c.do("iam", "GetPolicy", props{"PolicyArn": policy.Text}).first("DefaultVersionId")
		read(c.do("iam", "GetPolicyVersion", props{"PolicyArn": policy.Text, "VersionId": version}))
	}
	return found
}
