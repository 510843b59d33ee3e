package cloudformation

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"cutover/internal/model"
)

// invoker is the principal of load balancers in the policy of a function.
const invoker = "elasticloadbalancing.amazonaws.com"

// functionName is what Lambda takes as a name (https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html).
var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

// functionSettings are the properties that the API has with the same name in a change of a function.
var functionSettings = []string{"Description", "Handler", "Layers", "Role", "Runtime", "VpcConfig", "TracingConfig", "LoggingConfig", "DeadLetterConfig", "KmsKeyArn"}

// The resource types of Lambda. The functions are kept as they are deployed, with their code.
var functionTypes = map[string]*handler{
	"AWS::Lambda::Function": {
		name:  "FunctionName",
		limit: 64,
		create: func(c *call, p props) string {
			checkFunction(c, p)
			if exists(c, "functions/"+c.id) {
				c.refuse("AlreadyExists", "Function already exist: %s", c.id)
			}
			params := with(configured(p), pick(p, "Architectures", "PackageType", "ImageConfig"))
			n := lambda(c, http.MethodPost, "functions", with(params, props{"FunctionName": c.id, "Code": codeOf(c, p), "Tags": tagMap(p)}))
			c.attrs["Arn"] = n.first("FunctionArn")
			return c.id
		},
		update: func(c *call, old, p props) {
			checkFunction(c, p)
			if differ(old, p, "Code") || differ(old, p, "Architectures") {
				lambda(c, http.MethodPut, "functions/"+c.id+"/code", with(codeOf(c, p), pick(p, "Architectures")))
			}
			if encode(configured(old)) != encode(configured(p)) {
				lambda(c, http.MethodPut, "functions/"+c.id+"/configuration", configured(p))
			}
		},
		configure: reserve,
		delete:    func(c *call, _ props) { lambda(c, http.MethodDelete, "functions/"+c.id, nil) },
	},
	"AWS::Lambda::Version": {
		ref: "FunctionArn",
		create: func(c *call, p props) string {
			function, _ := qualified(str(p, "FunctionName"))
			path := "functions/" + function + "/versions"
			before := lambda(c, http.MethodGet, path, nil).all("Version")
			n := lambda(c, http.MethodPost, path, pick(p, "Description"))
			number := n.first("Version")
			// The API gives the version that there is if nothing has changed. CloudFormation makes that a failure.
			if slices.ContainsFunc(before, func(v *node) bool { return v.Text == number }) {
				c.refuse("AlreadyExists", "A version for this Lambda function exists ( %s ). Modify the function to create a new version.", number)
			}
			c.attrs["Version"] = number
			return n.first("FunctionArn")
		},
		delete: func(c *call, _ props) {
			function, number := qualified(c.id)
			for _, alias := range lambda(c, http.MethodGet, "functions/"+function+"/aliases", nil).all("Aliases") {
				for _, one := range alias.Children {
					if one.first("FunctionVersion") == number {
						c.refuse("ResourceConflict", "Unable to delete version because the following aliases reference it: [%s]", one.first("Name"))
					}
				}
			}
			lambda(c, http.MethodDelete, "functions/"+function+"?Qualifier="+number, nil)
		},
	},
	"AWS::Lambda::Alias": {
		ref: "AliasArn",
		create: func(c *call, p props) string {
			function, _ := qualified(str(p, "FunctionName"))
			return lambda(c, http.MethodPost, "functions/"+function+"/aliases", pick(p, "Name", "FunctionVersion", "Description", "RoutingConfig")).first("AliasArn")
		},
		update: func(c *call, _, p props) {
			function, alias := qualified(c.id)
			lambda(c, http.MethodPut, "functions/"+function+"/aliases/"+alias, pick(p, "FunctionVersion", "Description", "RoutingConfig"))
		},
		delete: func(c *call, _ props) {
			function, alias := qualified(c.id)
			lambda(c, http.MethodDelete, "functions/"+function+"/aliases/"+alias, nil)
		},
	},
	"AWS::Lambda::LayerVersion": {
		ref:   "LayerVersionArn",
		limit: 140,
		create: func(c *call, p props) string {
			params := with(pick(p, "CompatibleArchitectures", "CompatibleRuntimes", "Description", "LicenseInfo"), props{"Content": pick(section(p, "Content"), "S3Bucket", "S3Key", "S3ObjectVersion")})
			return c.rest("lambda", http.MethodPost, "/2018-10-31/layers/"+cmp.Or(str(p, "LayerName"), c.id)+"/versions", params).first("LayerVersionArn")
		},
		delete: func(c *call, _ props) { c.rest("lambda", http.MethodDelete, layerVersion(c.id), nil) },
	},
	"AWS::Lambda::Permission": {
		ref:   "Id",
		limit: 100,
		create: func(c *call, p props) string {
			lambda(c, http.MethodPost, policyOf(p, ""), with(pick(p, "Action", "Principal", "SourceArn", "SourceAccount", "PrincipalOrgID", "EventSourceToken",
				"FunctionUrlAuthType", "InvokedViaFunctionUrl"), props{"StatementId": c.id}))
			return c.id
		},
		delete: func(c *call, p props) { lambda(c, http.MethodDelete, policyOf(p, "/"+c.id), nil) },
	},
}

// lambda runs an operation of Lambda, unless one has failed before.
func lambda(c *call, method, path string, params props) *node {
	return c.rest("lambda", method, "/2015-03-31/"+path, params)
}

// layerVersion is the path of a layer's version.
func layerVersion(arn string) string {
	_, name, _ := strings.Cut(arn, ":layer:")
	name, number, _ := strings.Cut(name, ":")
	return "/2018-10-31/layers/" + name + "/versions/" + number
}

// exists tells whether Lambda has something at a path.
func exists(c *call, path string) bool {
	if c.err != nil {
		return false
	}
	_, err := c.send(c.ctx, http.MethodGet, "lambda", "/2015-03-31/"+path, "", nil)
	if gone(err) != nil {
		c.err = err
	}
	return err == nil
}

// checkFunction refuses what Lambda does: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html.
func checkFunction(c *call, p props) {
	if !functionName.MatchString(c.id) {
		c.refuse("InvalidRequest", "Value '%s' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", c.id, functionName)
	}
	for _, setting := range []struct {
		name        string
		least, most int64
	}{{"MemorySize", 128, 10240}, {"Timeout", 1, 900}} {
		v, ok := p[setting.name]
		if !ok {
			continue
		}
		if n, err := json.Number(text(v)).Int64(); err != nil || n < setting.least || n > setting.most {
			c.refuse("InvalidRequest", "Value '%s' at '%s' failed to satisfy constraint: Member must have value from %d to %d", text(v), setting.name, setting.least, setting.most)
		}
	}
	// Of the 1,000 that an account has, 100 stay for functions that reserve none
	// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
	if n, err := json.Number(str(p, "ReservedConcurrentExecutions")).Int64(); err == nil && n > 900 {
		c.refuse("InvalidRequest", "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].")
	}
	code, _ := p["Code"].(props)
	if bucket := str(code, "S3Bucket"); bucket != "" && c.err == nil {
		if _, err := c.send(c.ctx, http.MethodHead, "s3", "/"+bucket+"/"+str(code, "S3Key"), "", nil); err != nil {
			c.refuse("InvalidRequest", "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist: s3://%s/%s",
				bucket, str(code, "S3Key"))
		}
	}
}

// configured are the settings of a function as the API takes them, with the defaults of those that a change takes away.
func configured(p props) props {
	params := with(props{"Description": "", "MemorySize": 128, "Timeout": 3, "Environment": props{"Variables": props{}}}, pick(p, append(functionSettings, "Environment")...))
	for _, name := range []string{"MemorySize", "Timeout"} {
		if v, ok := p[name]; ok {
			params[name] = json.Number(text(v))
		}
	}
	return params
}

// codeOf is a function's code as the API takes it. Code in the template is a file of the zip that CloudFormation makes
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html).
func codeOf(c *call, p props) props {
	code, _ := p["Code"].(props)
	inline, ok := code["ZipFile"]
	if !ok {
		return pick(code, "S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri")
	}
	name := "index.js"
	if strings.HasPrefix(str(p, "Runtime"), "python") {
		name = "index.py"
	}
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text(inline)))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		c.refuse("InvalidRequest", "Code.ZipFile: %v", err)
	}
	return props{"ZipFile": zipped.Bytes()}
}

// reserve changes the concurrency that a function has for itself.
func reserve(c *call, old, p props) {
	const property = "ReservedConcurrentExecutions"
	path := "functions/" + c.id + "/concurrency"
	switch n, ok := p[property]; {
	case !differ(old, p, property):
	case ok:
		c.rest("lambda", http.MethodPut, "/2017-10-31/"+path, props{property: json.Number(text(n))})
	default:
		c.rest("lambda", http.MethodDelete, "/2017-10-31/"+path, nil)
	}
}

// qualified splits the name or ARN of a function, version or alias into the function's name and the qualifier, which may
// be missing.
func qualified(name string) (function, qualifier string) {
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		name = after
	}
	function, qualifier, _ = strings.Cut(name, ":")
	return function, qualifier
}

// policyOf is the path of the policy that a permission is in.
func policyOf(p props, rest string) string {
	function, qualifier := qualified(str(p, "FunctionName"))
	path := "functions/" + function + "/policy" + rest
	if qualifier != "" {
		path += "?Qualifier=" + url.QueryEscape(qualifier)
	}
	return path
}

// mayInvoke refuses a function as the target of a group unless its policy lets the load balancer invoke it for the group
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html#register-lambda-function).
func mayInvoke(c *call, target, group string) {
	function, qualifier := qualified(target)
	path := policyOf(props{"FunctionName": target}, "")
	name := "functions/" + function
	if qualifier != "" {
		name += "?Qualifier=" + url.QueryEscape(qualifier)
	}
	if !exists(c, name) {
		c.refuse("InvalidRequest", "The target '%s' is not a valid Lambda function", target)
	}
	var policy struct {
		Statement []struct {
			Effect, Action, Resource string
			Principal                map[string]string
			Condition                map[string]map[string]string
		}
	}
	if exists(c, path) {
		if err := json.Unmarshal([]byte(lambda(c, http.MethodGet, path, nil).first("Policy")), &policy); err != nil {
			c.refuse("InternalFailure", "the policy of %s cannot be read: %v", target, err)
		}
	}
	for _, s := range policy.Statement {
		source := ""
		for _, keys := range s.Condition {
			for key, value := range keys {
				if strings.EqualFold(key, "AWS:SourceArn") {
					source = value
				}
			}
		}
		if s.Effect == "Allow" && s.Action == "lambda:InvokeFunction" && s.Principal["Service"] == invoker && s.Resource == target && (source == "" || model.Matches(source, group)) {
			return
		}
	}
	c.refuse("AccessDenied", "elasticloadbalancing principal does not have permission to invoke %s from target group %s", target, group)
}
