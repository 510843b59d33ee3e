package config

import (
	"encoding/json"
	"fmt"
	"slices"

	"cutover/migration"
)

// ContentSecurityPolicy lets the page use its own files and the API, and nobody show it in a frame.
const ContentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// deployed is what the page asks for at /deployment.json.
type deployed struct {
	Environment string            `json:"environment"`
	Phase       string            `json:"phase"`
	Places      map[string]string `json:"places,omitempty"`
	Monolith    string            `json:"monolith"`
	Services    []deployedService `json:"services"`
}

type deployedService struct {
	Name  string   `json:"name"`
	Paths []string `json:"paths"`
	// Writes says that anybody may write, without a signature.
	Writes bool `json:"writes"`
}

// page is what the page knows of the deployment.
func (d Deployment) page(s Settings) deployed {
	p := deployed{Environment: s.Env, Phase: s.Phase.String(), Monolith: d.Monolith.Name, Places: map[string]string{}}
	for _, service := range d.Services {
		one := deployedService{Name: service.Name, Writes: service.Stored()}
		for _, route := range service.AllRoutes() {
			one.Paths = append(one.Paths, route.Paths...)
			if place := s.Place(service.Name, route.Name); place.String() != s.Phase.String() {
				p.Places[migration.Key(service.Name, route.Name)] = place.String()
			}
		}
		for _, path := range service.apiPaths() {
			one.Writes = one.Writes && !slices.ContainsFunc(d.All(), func(other Service) bool { return other.API.WriteAuthorization == AWSIAM && other.takes(path.own) })
		}
		p.Services = append(p.Services, one)
	}
	return p
}

// maxFunctionCode is how many bytes a function of CloudFront has
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions).
const maxFunctionCode = 10240

// PageFunction is the code of the function that CloudFront runs before each request for the page. It answers
// /deployment.json, and gives the page's own routes the page.
func (d Deployment) PageFunction(s Settings) string {
	text, err := json.Marshal(d.page(s))
	if err != nil {
		panic(err) // text alone
	}
	return fmt.Sprintf(`var deployment = %s;

function handler(event) {
  var request = event.request;
  if (request.uri === '/deployment.json') {
    return {
      statusCode: 200,
      statusDescription: 'OK',
      headers: {
        'content-type': { value: 'application/json' },
        'cache-control': { value: 'no-store' }
      },
      body: { encoding: 'text', data: JSON.stringify(deployment) }
    };
  }
  if (request.uri.substring(request.uri.lastIndexOf('/')).indexOf('.') < 0) {
    request.uri = '/index.html';
  }
  return request;
}
`, text)
}
