package deployable

import (
	"strings"
	"testing"

	"cutover/internal/model"
)

// API Gateway refuses what no path could tell apart.
func TestAPIs(t *testing.T) {
	const api = `"RestApiId": {"Ref": "Api"}, `
	part := func(id, parent, part string) string {
		above := `{"Fn::GetAtt": ["Api", "RootResourceId"]}`
		if parent != "" {
			above = `{"Ref": "` + parent + `"}`
		}
		return resource(id, model.APIGatewayResource, api+`"PathPart": "`+part+`", "ParentId": `+above)
	}
	method := func(id, of, name string) string {
		return resource(id, model.APIGatewayMethod, api+`"HttpMethod": "`+name+`", "ResourceId": {"Ref": "`+of+`"}, "Integration": {"Type": "MOCK"}`)
	}
	deployment := `"D": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}, "DependsOn": ["M"]}`
	for _, c := range []struct {
		name, refused, warned string
		resources             []string
	}{
		{"as it should be", "", "", []string{part("A", "", "a"), part("B", "A", "{id}"), part("C", "", "{proxy+}"), method("M", "A", "GET"), deployment}},
		{"a path", `S/A/Properties.PathPart: AWS refuses "a/b"`, "", []string{part("A", "", "a/b")}},
		{"a part with a parameter in it", `AWS refuses "a{id}"`, "", []string{part("A", "", "a{id}")}},
		{"a resource twice", "S/B/Properties.PathPart: AWS refuses a second resource /a; the first one is S/A", "", []string{part("A", "", "a"), part("B", "", "a")}},
		{"two parameters", "S/C/Properties.PathPart: AWS refuses a second parameter below /a; the first one is S/B", "", []string{part("A", "", "a"), part("B", "A", "{id}"), part("C", "A", "{proxy+}")}},
		{"below all parts", "S/B/Properties.ParentId: AWS refuses a resource below /{proxy+}", "", []string{part("A", "", "{proxy+}"), part("B", "A", "b")}},
		{"a method twice", "S/N/Properties.HttpMethod: AWS refuses a second method GET /a; the first one is S/M", "", []string{part("A", "", "a"), method("M", "A", "GET"), method("N", "A", "GET"), deployment}},
		{"a stage twice", `S/T/Properties.StageName: AWS refuses a second stage "live"; the first one is S/S`, "", []string{part("A", "", "a"), method("M", "A", "GET"), deployment,
			resource("S", model.APIGatewayStage, api+`"StageName": "live", "DeploymentId": {"Ref": "D"}`), resource("T", model.APIGatewayStage, api+`"StageName": "live", "DeploymentId": {"Ref": "D"}`)}},
		{"nothing to deploy", "S/D/Properties.RestApiId: AWS refuses a deployment of S/Api, which has no methods", "", []string{resource("D", model.APIGatewayDeployment, `"RestApiId": {"Ref": "Api"}`)}},
		{"a deployment too early", "", "S/D: it does not depend on S/N, so AWS may make it before", []string{part("A", "", "a"), method("M", "A", "GET"), method("N", "A", "PUT"), deployment}},
	} {
		m := read(t, append(c.resources, resource("Api", model.APIGatewayRestAPI, `"Name": "api"`))...)
		err := Refused(m)
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.refused)
		}
		if got := strings.Join(Warnings(m), "\n"); c.refused == "" && !strings.Contains(got, c.warned) || c.warned == "" && strings.Contains(got, "does not depend") && c.refused == "" {
			t.Errorf("%s warns %q, want %q", c.name, got, c.warned)
		}
	}
}
