package apigateway

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// forAWS are settings without an effect here, each with its one value, or "" for any.
var forAWS = map[string]string{
	"Tags": "", "Description": "", "Version": "", "FailOnWarnings": "", "ApiKeySourceType": "", "SecurityPolicy": "", "EndpointAccessMode": "", "IpAddressType": "",
	"OperationName": "", "DocumentationVersion": "", "DataTraceEnabled": "", "Name": "",
	// Of a VPC link.
	"SubnetIds": "", "SecurityGroupIds": "",
	// A proxy has no use for them.
	"MethodResponses": "", "IntegrationResponses": "", "PassthroughBehavior": "",
	"ResponseTransferMode": "BUFFERED",
}

// listed are settings that are passed over, with the reason.
var listed = map[string]string{
	"ClientCertificateId": "no load balancer asks API Gateway for its certificate here",
}

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"Body":                      "definitions in OpenAPI are not read: write resources and methods",
	"BodyS3Location":            "definitions in OpenAPI are not read: write resources and methods",
	"CloneFrom":                 "other APIs are not here",
	"Parameters":                "definitions in OpenAPI are not read",
	"Mode":                      "definitions in OpenAPI are not read",
	"Policy":                    "the policy of an API is not evaluated here",
	"MinimumCompressionSize":    "bodies are not compressed here",
	"DisableExecuteApiEndpoint": "domain names of an API are not served here",
	"VpcEndpointIds":            "private APIs are not served here",
	"AuthorizerId":              "authorizers are not evaluated here: only NONE and AWS_IAM are",
	"AuthorizationScopes":       "authorizers are not evaluated here: only NONE and AWS_IAM are",
	"ApiKeyRequired":            "usage plans and API keys are not evaluated here",
	"RequestTemplates":          "mapping templates are not evaluated here",
	"ContentHandling":           "bodies are not converted here",
	"Credentials":               "API Gateway invokes a function by the function's permission here, and by no role",
	"ResponseTransferMode":      "an answer is sent when it is whole",
	"StageName":                 "only stages with a resource of their own are known here",
	"StageDescription":          "only stages with a resource of their own are known here",
	"DeploymentCanarySettings":  "canaries of a stage are not evaluated here",
	"CanarySetting":             "canaries of a stage are not evaluated here",
}

// Settings that are honoured with some values.
var (
	apiLimits = []provider.Limit[*model.RestAPI]{
		{Property: "EndpointConfiguration.Types", Value: func(a *model.RestAPI) string { return a.Endpoint }, Values: []string{"REGIONAL"}, Why: "only regional APIs are served here"},
	}
	methodLimits = []provider.Limit[*model.APIMethod]{
		{Property: "AuthorizationType", Value: func(m *model.APIMethod) string { return m.Authorization }, Values: []string{"NONE", "AWS_IAM"}, Why: "authorizers are not evaluated here: only NONE and AWS_IAM are"},
		{Property: "ApiKeyRequired", Value: func(m *model.APIMethod) string { return fmt.Sprint(m.RequiresKey) }, Values: []string{"false"}, Why: "usage plans and API keys are not evaluated here"},
		{Property: "Integration.Type", Value: func(m *model.APIMethod) string { return m.Integration.Type }, Values: []string{"HTTP_PROXY", "AWS_PROXY"},
			Why: "only HTTP_PROXY to a load balancer and AWS_PROXY to a function are known here"},
	}
)

// Compatibility is what becomes of the settings of REST APIs and of what belongs to them.
func Compatibility() []provider.Compatibility {
	refused := map[string]string{}
	for name, why := range notHonoured {
		if name != "ApiKeyRequired" {
			refused[name] = why
		}
	}
	return slices.Concat(provider.Limits(apiLimits), provider.Limits(methodLimits), []provider.Compatibility{
		{Setting: "ConnectionType", Here: "only `VPC_LINK`", Why: "for HTTP_PROXY: to a load balancer of the assembly, by a VPC link V2"},
	}, provider.Settings(forAWS, nil, listed, refused))
}

// ignored are settings that are refused nowhere.
func ignored() map[string]string { return provider.Ignored(forAWS, listed) }

// Check implements [provider.Plan]. It opens the sockets of APIs.
func (p *plan) Check() error {
	var errs []error
	for _, stack := range p.model.Assembly.Stacks {
		for _, r := range stack.Resources {
			if why := model.RefusedAPI(r.Type); why != "" {
				errs = append(errs, fmt.Errorf("%v: %s is refused: %s", r, r.Type, why))
			}
		}
	}
	passed := ignored()
	for _, a := range p.model.RestAPIs {
		errs = append(errs, a.Unsupported(passed, notHonoured))
		for _, limit := range apiLimits {
			errs = append(errs, limit.Check(&a.Base, a))
		}
	}
	for _, r := range p.model.APIResources {
		errs = append(errs, r.Unsupported(passed, notHonoured))
	}
	for _, m := range p.model.APIMethods {
		errs = append(errs, p.checkMethod(m))
	}
	for _, v := range p.model.APIValidators {
		errs = append(errs, v.Unsupported(passed, notHonoured))
	}
	for _, m := range p.model.APIModels {
		errs = append(errs, m.Unsupported(passed, notHonoured))
	}
	for _, d := range p.model.APIDeployments {
		errs = append(errs, d.Unsupported(passed, notHonoured))
	}
	for _, s := range p.model.APIStages {
		errs = append(errs, s.Unsupported(passed, notHonoured))
		for _, one := range s.Settings {
			if !slices.ContainsFunc(apiMethods(s), func(m *model.APIMethod) bool { return one.Path == "*" || m.Of.Path() == one.Path }) {
				errs = append(errs, s.Errorf("MethodSettings", "AWS refuses settings for %s %s: the API has no such resource", one.Method, one.Path))
			}
		}
	}
	for _, l := range p.model.VPCLinks {
		errs = append(errs, l.Unsupported(passed, notHonoured))
	}
	if err := assembly.Join(errs...); err != nil {
		return err
	}
	if err := p.listen(); err != nil {
		return errors.Join(err, p.Close())
	}
	return nil
}

func (p *plan) checkMethod(m *model.APIMethod) error {
	errs := []error{m.Unsupported(ignored(), notHonoured)}
	for _, limit := range methodLimits {
		errs = append(errs, limit.Check(&m.Base, m))
	}
	i := &m.Integration
	refuse := func(property, format string, args ...any) {
		if m.Problem("Integration."+property) == nil { // which says why
			errs = append(errs, m.Errorf("Integration."+property, format, args...))
		}
	}
	switch i.Type {
	case "AWS_PROXY":
		if i.Function != "" && p.model.FunctionTarget(i.Function).Function == nil {
			refuse("Uri", "%s does not answer here: only functions of the assembly are invoked", i.Function)
		}
	case "HTTP_PROXY":
		switch listener := p.listener(i); {
		case i.Connection != "VPC_LINK":
			refuse("ConnectionType", "%q is not honoured: only VPC_LINK to a load balancer of the assembly is known here", i.Connection)
		case i.Link == nil:
			refuse("ConnectionId", "it is no VPC link V2 of the assembly")
		case i.Target == nil:
			refuse("IntegrationTarget", "it is no load balancer of the assembly, which alone answers here")
		case listener == nil:
			refuse("Uri", "the load balancer %s has no listener of port %d", i.Target.Key(), i.Port)
		case !strings.EqualFold(listener.Protocol, i.Scheme) && i.Target.Application():
			refuse("Uri", "it begins with %s, and the listener is %v", i.Scheme, listener)
		}
		for _, name := range names(i.Path) {
			if i.Parameters[pathParameter+name] == "" {
				refuse("Uri", "{%s} has no value: give %s%[1]s in RequestParameters", name, pathParameter)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Parameters)) {
		errs = append(errs, checkParameter(m, name))
	}
	for _, name := range i.CacheKey {
		if _, declared := m.Parameters[name]; !declared && i.Parameters[name] == "" {
			refuse("CacheKeyParameters", "AWS refuses %s: it is none of the method's RequestParameters", name)
		}
	}
	if m.Validator != nil && m.Validator.Body {
		for _, contentType := range slices.Sorted(maps.Keys(m.Models)) {
			if m.Models[contentType] != nil {
				_, err := schema(m.Models[contentType])
				errs = append(errs, err)
			}
		}
	}
	return assembly.Join(errs...)
}

// checkParameter refuses a parameter of an integration that is made of something else than the request or a text.
func checkParameter(m *model.APIMethod, name string) error {
	kind, key := parameterName(name)
	if key == "" || !strings.HasPrefix(name, "integration.request.") || !slices.Contains([]string{"path", "querystring", "header"}, kind) {
		return m.Errorf("Integration.RequestParameters."+name, "not honoured: only integration.request.path, querystring and header are known here")
	}
	from := m.Integration.Parameters[name]
	if _, ok := quoted(from); ok {
		return nil
	}
	switch kind, _ := parameterName(from); {
	case !strings.HasPrefix(from, "method.request.") || kind == "body" || kind == "":
		return m.Errorf("Integration.RequestParameters."+name, "%q is not honoured: only a path parameter, a parameter of the query, a header or a text in single quotes is known here", from)
	case kind != "path":
		if _, declared := m.Parameters[from]; !declared {
			return m.Errorf("Integration.RequestParameters."+name, "AWS refuses %s: it is none of the method's RequestParameters", from)
		}
	}
	return nil
}

// listener is the one that an integration asks; nil if there is none.
func (p *plan) listener(i *model.Integration) *model.Listener {
	for _, l := range p.model.Listeners {
		if i.Target != nil && l.LoadBalancer == i.Target && l.Port == i.Port {
			return l
		}
	}
	return nil
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	for _, s := range p.model.APIStages {
		for _, setting := range s.Base.Settings {
			if why, ok := listed[setting.Name]; ok {
				all = append(all, provider.PassedOver{Place: s.Key() + "/Properties." + setting.Name, Subject: s.Name, Setting: setting.Name, Why: why})
			}
		}
	}
	return all
}

func apiMethods(s *model.APIStage) []*model.APIMethod {
	if s.API == nil {
		return nil
	}
	return s.API.Methods
}
