package deployable

import (
	"fmt"
	"regexp"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// pathPart is a part of a path, or a parameter ("Important notes for REST APIs",
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html).
var pathPart = regexp.MustCompile(`^([A-Za-z0-9_.,:-]+|\{[A-Za-z0-9_.,:-]+\+?\})$`)

// apiErrors says what API Gateway refuses of REST APIs: a name twice, and resources that no path could tell apart
// ("CreateResource", https://docs.aws.amazon.com/apigateway/latest/api/API_CreateResource.html).
func apiErrors(m *model.Model) error {
	var errs []error
	type place struct {
		api  *model.RestAPI
		name string
	}
	parts, parameters := map[place]*model.APIResource{}, map[place]*model.APIResource{}
	for _, r := range m.APIResources {
		if r.Problem() != nil {
			continue
		}
		at, above := place{r.API, r.Path()}, place{r.API, r.Parent.Path()}
		parameter := strings.HasPrefix(r.Part, "{")
		switch {
		case !pathPart.MatchString(r.Part):
			errs = append(errs, r.Errorf("PathPart", "AWS refuses %q: it is one part of a path, of letters, digits and _-.,: or one parameter, as in {id} or {proxy+}", r.Part))
		case parts[at] != nil:
			errs = append(errs, r.Errorf("PathPart", "AWS refuses a second resource %s; the first one is %v", at.name, parts[at].Resource))
		case parameter && parameters[above] != nil:
			errs = append(errs, r.Errorf("PathPart", "AWS refuses a second parameter below %s; the first one is %v", above.name, parameters[above].Resource))
		case r.Parent != nil && strings.HasSuffix(r.Parent.Part, "+}"):
			errs = append(errs, r.Errorf("ParentId", "AWS refuses a resource below %s, which takes all further parts", above.name))
		}
		if parts[at] = r; parameter {
			parameters[above] = r
		}
	}
	methods, stages := map[place]*model.APIMethod{}, map[place]*model.APIStage{}
	for _, one := range m.APIMethods {
		at := place{one.API, one.Name()}
		if first := methods[at]; first != nil && one.Problem() == nil {
			errs = append(errs, one.Errorf("HttpMethod", "AWS refuses a second method %s; the first one is %v", at.name, first.Resource))
		}
		methods[at] = one
	}
	for _, one := range m.APIStages {
		at := place{one.API, one.Name}
		if first := stages[at]; first != nil && one.Problem() == nil {
			errs = append(errs, one.Errorf("StageName", "AWS refuses a second stage %q; the first one is %v", one.Name, first.Resource))
		}
		stages[at] = one
	}
	for _, d := range m.APIDeployments {
		if d.API != nil && len(d.API.Methods) == 0 {
			errs = append(errs, d.Errorf("RestApiId", "AWS refuses a deployment of %s, which has no methods", d.API.Key()))
		}
	}
	return assembly.Join(errs...)
}

// apiWarnings says which methods a deployment may lack: those that CloudFormation may make after it.
func apiWarnings(m *model.Model) (lines []string) {
	for _, d := range m.APIDeployments {
		for _, method := range m.APIMethods {
			if method.API == d.API && !waitsFor(d.Resource, method.Resource) {
				lines = append(lines, fmt.Sprintf("%s: it does not depend on %s, so AWS may make it before, and its stages would lack the method", d.Key(), method.Key()))
			}
		}
	}
	return lines
}
