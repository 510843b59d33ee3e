package review_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cutover/internal/analysis/review"
)

// way is an API before a load balancer, which admits it alone, and a page.
type way struct {
	methods  map[string]string // the authorization by path and method
	admits   string            // rules beside that of the VPC link
	scheme   string
	stage    string // more properties
	made     string // id of the deployment
	files    string // of the page
	acl      bool
	no       bool // there is no API
	elements string
}

func (w way) resources() string {
	admitted := `{"SourceSecurityGroupId": {"Fn::GetAtt": ["Inner", "GroupId"]}, "IpProtocol": "tcp"}`
	if w.admits != "" {
		admitted += ", " + w.admits
	}
	text := `"Inner": {"Type": "AWS::EC2::SecurityGroup"}, "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [` + admitted + `]}},
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Name": "dev", "Scheme": "` + w.scheme + `", "SecurityGroups": [{"Fn::GetAtt": ["Group", "GroupId"]}]}},
		"Page": {"Type": "AWS::S3::Bucket"}, "Ui": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"DefaultCacheBehavior": {"TargetOriginId": "page"},
			"Origins": [{"Id": "page", "DomainName": {"Fn::GetAtt": ["Page", "RegionalDomainName"]}, "OriginPath": "/` + w.files + `"}]}}}`
	if w.no {
		return text
	}
	text += `, "Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"SecurityGroupIds": [{"Fn::GetAtt": ["Inner", "GroupId"]}]}},
		"Api": {"Type": "AWS::ApiGateway::RestApi"}, "` + w.made + `": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
		"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "` + w.made + `"}, "StageName": "live"` + w.stage + `}}`
	if w.acl {
		text += `, "Acl": {"Type": "AWS::WAFv2::WebACL"}, "Of": {"Type": "AWS::WAFv2::WebACLAssociation", "Properties": {"WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}, "ResourceArn": {"Fn::Join": ["", ["arn:x", {"Ref": "Stage"}]]}}}`
	}
	done := map[string]bool{}
	for of, authorization := range w.methods {
		method, path, _ := strings.Cut(of, " ")
		above, resource := `{"Fn::GetAtt": ["Api", "RootResourceId"]}`, ""
		for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			if part == "" {
				continue
			}
			resource += "R" + strings.NewReplacer("{", "", "+}", "x").Replace(part)
			if !done[resource] {
				text += fmt.Sprintf(`, %q: {"Type": "AWS::ApiGateway::Resource", "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": %s, "PathPart": %q}}`, resource, above, part)
			}
			done[resource] = true
			above = fmt.Sprintf(`{"Ref": %q}`, resource)
		}
		text += fmt.Sprintf(`, "%s%s": {"Type": "AWS::ApiGateway::Method", "Properties": {"RestApiId": {"Ref": "Api"}, "ResourceId": %s, "HttpMethod": %q, "AuthorizationType": %q,
			"Integration": {"Type": "HTTP_PROXY", "ConnectionType": "VPC_LINK", "ConnectionId": {"Ref": "Link"}, "IntegrationTarget": {"Ref": "Lb"}, "Uri": {"Fn::Join": ["", ["http://", {"Fn::GetAtt": ["Lb", "DNSName"]}, "/"]]}}}}`, resource, method, above, method, authorization)
	}
	return text
}

func TestFronts(t *testing.T) {
	type methods = map[string]string
	const anybody, vpc = `{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp"}`, `{"CidrIp": "10.0.0.0/16", "IpProtocol": "tcp"}`
	const cached = `, "CacheClusterEnabled": true, "MethodSettings": [{"ResourcePath": "/~1users", "HttpMethod": "GET", "CachingEnabled": true, "CacheTtlInSeconds": %d}]`
	open := methods{"ANY /users": "NONE", "ANY /users/{proxy+}": "NONE"}
	signed := methods{"ANY /users": "AWS_IAM", "GET /users": "NONE", "HEAD /users": "NONE", "OPTIONS /users": "NONE"}
	for _, test := range []struct {
		name    string
		was, is way
		want    []string
	}{
		{"nothing", way{methods: signed}, way{methods: signed}, nil},
		{"a method without authorization", way{methods: methods{"POST /users": "AWS_IAM"}}, way{methods: methods{"POST /users": "NONE"}}, []string{
			"OPENS Api lets anybody call what had to have the authorization AWS_IAM: POST /users",
			"Stage goes on serving the methods of before, because it keeps its deployment of the API (Made). What changes of methods reaches no client: POST /users"}},
		{"ANY takes over", way{methods: methods{"ANY /users": "NONE", "POST /users": "AWS_IAM", "PUT /users": "AWS_IAM"}}, way{made: "Next", methods: methods{"ANY /users": "NONE"}}, []string{
			"OPENS Api lets anybody call what had to have the authorization AWS_IAM: POST, PUT /users",
			"Stage gets a new deployment of the API (Next), because its methods change: POST /users goes, PUT /users goes. Until then the stage serves the methods of before. A rollback brings both back",
			"Stage goes on serving POST /users, PUT /users until the deployment after this one, because CloudFormation deletes methods after it has made a deployment. So the authorization of before is asked for: POST, PUT /users. To make one at once, use aws apigateway create-deployment --stage-name live"}},
		{"the resource above takes over", way{methods: methods{"ANY /{proxy+}": "NONE", "ANY /users": "AWS_IAM"}}, way{methods: methods{"ANY /{proxy+}": "NONE"}, made: "Next"}, []string{
			"OPENS Api lets anybody call what had to have the authorization AWS_IAM: all methods /users",
			"Stage gets a new deployment of the API (Next), because its methods change: ANY /users goes. Until then the stage serves the methods of before. A rollback brings both back",
			"Stage goes on serving ANY /users until the deployment after this one, because CloudFormation deletes methods after it has made a deployment. So the authorization of before is asked for: all methods /users. To make one at once, use aws apigateway create-deployment --stage-name live"}},
		{"a narrower method without authorization", way{methods: methods{"ANY /users": "AWS_IAM"}}, way{methods: methods{"ANY /users": "AWS_IAM", "DELETE /users": "NONE"}, made: "Next"}, []string{
			"OPENS Api lets anybody call what had to have the authorization AWS_IAM: DELETE /users",
			"Stage gets a new deployment of the API (Next), because its methods change: DELETE /users is new. Until then the stage serves the methods of before. A rollback brings both back"}},
		{"a method that goes, and nothing takes over", way{methods: methods{"POST /users": "AWS_IAM", "GET /users": "NONE"}}, way{methods: methods{"GET /users": "NONE"}, made: "Next"}, []string{
			"Stage gets a new deployment of the API (Next), because its methods change: POST /users goes. Until then the stage serves the methods of before. A rollback brings both back",
			"Stage goes on serving POST /users until the deployment after this one, because CloudFormation deletes methods after it has made a deployment. To make one at once, use aws apigateway create-deployment --stage-name live"}},
		{"authorization", way{methods: open}, way{methods: methods{"ANY /users": "NONE", "ANY /users/{proxy+}": "AWS_IAM"}, made: "Next"}, []string{
			"Api asks for the authorization AWS_IAM, and answers requests without it with 403: all methods /users/{proxy+}",
			"Stage gets a new deployment of the API (Next), because its methods change: ANY /users/{proxy+}. Until then the stage serves the methods of before. A rollback brings both back"}},
		{"authorization, and a method that goes", way{methods: methods{"ANY /users": "NONE", "POST /users": "NONE"}}, way{methods: signed, made: "Next"}, []string{
			"OPENS Stage goes on serving POST /users until the deployment after this one, because CloudFormation deletes methods after it has made a deployment. So anybody may call what has to have an authorization: POST /users. To make one at once, use aws apigateway create-deployment --stage-name live",
			"Api asks for the authorization AWS_IAM, and answers requests without it with 403: PUT, PATCH, DELETE /users",
			"Stage gets a new deployment of the API (Next), because its methods change: ANY /users, GET /users is new, HEAD /users is new, OPTIONS /users is new, POST /users goes. Until then the stage serves the methods of before. A rollback brings both back"}},
		{"authorization, and a resource that goes", way{methods: methods{"ANY /{proxy+}": "NONE", "ANY /users": "NONE"}}, way{methods: methods{"ANY /{proxy+}": "AWS_IAM"}, made: "Next"}, []string{
			"OPENS Stage goes on serving ANY /users until the deployment after this one, because CloudFormation deletes methods after it has made a deployment. So anybody may call what has to have an authorization: all methods /users. To make one at once, use aws apigateway create-deployment --stage-name live",
			"Api asks for the authorization AWS_IAM, and answers requests without it with 403: all methods /{proxy+}",
			"Stage gets a new deployment of the API (Next), because its methods change: ANY /{proxy+}, ANY /users goes. Until then the stage serves the methods of before. A rollback brings both back"}},
		{"another deployment of the same", way{methods: open}, way{methods: open, made: "Next"}, []string{"Stage gets a new deployment of the API (Next), although no method changes"}},
		{"a front", way{no: true, admits: anybody}, way{methods: open, admits: anybody}, []string{
			"Lb gets a front, and still admits anybody past it. Close this door by directAccess=off once all clients use the front"}},
		{"a front for signed requests", way{no: true, admits: anybody}, way{methods: signed, admits: anybody}, []string{
			"Lb gets a front, and still admits anybody past it. The authorization of the API means nothing to them. Close this door by directAccess=off once all clients use the front"}},
		{"a front, and the door closes at once", way{no: true, admits: anybody}, way{methods: open}, []string{
			"Lb gets a front, and admits nobody past it: a client that asks the load balancer itself gets no answer from this deployment on"}},
		{"no front any more", way{methods: open}, way{no: true, admits: anybody}, []string{"Lb has no front any more. It admits Data/Inner, anybody"}},
		{"the door closes", way{methods: open, admits: anybody}, way{methods: open}, []string{
			"Lb closes the old door: it no longer admits anybody, and a client that asks the load balancer itself gets no answer from this deployment on"}},
		{"the door opens", way{methods: open}, way{methods: open, admits: vpc}, []string{"Lb opens the old door: it admits 10.0.0.0/16 past its front"}},
		{"the door opens beside signed requests", way{methods: signed}, way{methods: signed, admits: anybody}, []string{
			"OPENS Lb opens the old door: it admits anybody past its front. The authorization of the API means nothing to them"}},
		{"the door opens wider", way{methods: signed, admits: vpc}, way{methods: signed, admits: anybody}, []string{
			"OPENS Lb admits anybody past its front instead of 10.0.0.0/16. The authorization of the API means nothing to them"}},
		{"another scheme", way{methods: open, scheme: "internet-facing"}, way{methods: open, scheme: "internal"}, []string{
			"Lb has to be replaced, because the setting scheme changes from internet-facing to internal: a new load balancer has another address, and clients of the old one get no answer, and CloudFormation replaces nothing that keeps its name. Unless phaseGate is off, the gate refuses the deployment before anything changes. Make a new environment with the other scheme, and move the clients"}},
		{"a cache", way{methods: open}, way{methods: open, stage: fmt.Sprintf(cached, 60)}, []string{
			"Stage keeps answers to GET /users for 60 s: after a switch the old side's answers stay that long, and a client may not see a write of its own"}},
		{"for longer", way{methods: open, stage: fmt.Sprintf(cached, 60)}, way{methods: open, stage: fmt.Sprintf(cached, 90)}, []string{"Stage keeps answers to GET /users for 90 s instead of 60 s"}},
		{"no cache any more", way{methods: open, stage: fmt.Sprintf(cached, 60)}, way{methods: open}, []string{"Stage no longer keeps answers to GET /users: each request reaches the service"}},
		{"a web ACL", way{methods: open}, way{methods: open, acl: true}, []string{"Stage gets a web ACL, whose rules may block requests with 403 that came through before"}},
		{"without it", way{methods: open, acl: true}, way{methods: open}, []string{"Stage is no longer behind a web ACL: what its rules blocked comes through"}},
		{"a version of the page", way{methods: open, files: "a"}, way{methods: open, files: "b"}, []string{
			"Ui shows a new version of the page, as a whole: the files in /b instead of /a. The files of before stay for the way back"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, w := range []*way{&test.was, &test.is} {
				if w.made == "" {
					w.made = "Made"
				}
				if w.scheme == "" {
					w.scheme = "internet-facing"
				}
			}
			pair := review.Pair{Name: "parallel", Before: stores(t, false, test.was.resources()), After: stores(t, false, test.is.resources())}
			again := pair
			again.Name = "switched"
			var got []string
			for _, c := range review.Fronts([]review.Pair{pair, again}) {
				mark := ""
				if c.Opens {
					mark = "OPENS "
				}
				if strings.Join(c.In, " ") != "parallel switched" {
					t.Errorf("%s: in %q", c.Does, c.In)
				}
				got = append(got, strings.ReplaceAll(mark+strings.TrimPrefix(c.Of, "dev-Data/")+" "+c.Does, "dev-", ""))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A lost authorization stands above everything else.
func TestLostAuthorization(t *testing.T) {
	r := &review.Report{Phases: []string{"parallel"}, Deployment: "parallel", Fronts: []review.FrontChange{
		{In: []string{"parallel"}, Of: "dev-Front/Api", Does: "lets anybody call POST /api/users, PUT /api/users/{proxy+}", Opens: true},
		{In: []string{"parallel"}, Of: "dev-Front/Stage", Does: "keeps answers to GET /api/users for 60 s"},
	}, Data: []review.Loss{{In: []string{"parallel"}, Of: "dev-Data/T", Does: "is deleted", Deletes: true}}}
	text := r.Markdown()
	var at []int
	for _, part := range []string{
		"### Anybody may call what had to be signed\n\n- `dev-Front/Api` **lets anybody call POST `/api/users`, PUT `/api/users/{proxy+}`** (in all phases)\n",
		"### This deletes data", "- **Authorization is lost: anybody may call what had to be signed.**\n", "### Fronts\n\n- `dev-Front/Stage` keeps answers to GET `/api/users` for 60 s (in all phases)\n",
	} {
		i := strings.Index(text, part)
		if i < 0 {
			t.Fatalf("it does not say %q:\n%s", part, text)
		}
		at = append(at, i)
	}
	if at[0] > at[1] || r.Found("authorization") != 1 || review.Findings()[0] != "authorization" {
		t.Errorf("something stands above it:\n%s", text)
	}
	if r.Fronts = r.Fronts[1:]; strings.Contains(r.Markdown(), "Anybody") || r.Found("authorization") != 0 {
		t.Error("nothing is lost, and it says so")
	}
}
