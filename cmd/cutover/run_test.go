package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cutover/internal/local"
	"cutover/internal/local/lambda"
)

// commandsOnAWS answers for ECS, CloudWatch Logs, CloudFormation and the Data API, and says whether a request
// was for one of them. A task writes its cluster, container and command; the command fail ends with 7. In dev
// one database is missing, and in prod none.
func commandsOnAWS(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var request struct {
		Cluster, SQL, ResourceArn, NextToken string
		Overrides                            struct {
			ContainerOverrides []struct {
				Name    string
				Command []string
			}
		}
	}
	_ = json.Unmarshal(body, &request)
	switch {
	case operation == "DescribeServices":
		fmt.Fprint(w, `{"services": [{"serviceName": "users", "status": "ACTIVE", "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/dev-users:3"}]}`)
	case operation == "RunTask":
		one := request.Overrides.ContainerOverrides[0]
		written = request.Cluster + " " + one.Name + ": " + strings.Join(one.Command, " ")
		fmt.Fprint(w, `{"tasks": [{"taskArn": "arn:aws:ecs:eu-west-1:1:task/dev/abc123"}]}`)
	case operation == "DescribeTaskDefinition":
		fmt.Fprint(w, `{"taskDefinition": {"containerDefinitions": [{"name": "users", "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}}}]}}`)
	case operation == "DescribeTasks":
		code := 0
		if strings.HasSuffix(written, "fail") {
			code = 7
		}
		fmt.Fprintf(w, `{"tasks": [{"lastStatus": "STOPPED", "containers": [{"name": "users", "exitCode": %d}]}]}`, code)
	case operation == "GetLogEvents" && request.NextToken == "":
		fmt.Fprintf(w, `{"events": [{"message": %q}], "nextForwardToken": "f/1"}`, written)
	case operation == "GetLogEvents":
		fmt.Fprint(w, `{"events": [], "nextForwardToken": "f/1"}`)
	case strings.Contains(string(body), "Action=DescribeStacks"):
		env := "dev"
		if strings.Contains(string(body), "StackName=prod-Data") {
			env = "prod"
		}
		fmt.Fprint(w, "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><Outputs>")
		for key, value := range map[string]string{"DatabaseArn": env, "DatabaseSecretArn": "secret", "Databases": "users"} {
			fmt.Fprintf(w, "<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue></member>", key, value)
		}
		fmt.Fprint(w, "</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>")
	case r.URL.Path == "/Execute" && request.ResourceArn == "dev" && strings.Contains(request.SQL, "pg_database WHERE"):
		fmt.Fprint(w, `{"records": []}`)
	case r.URL.Path == "/Execute":
		fmt.Fprint(w, `{"records": [[{"longValue": 1}]]}`)
	default:
		return false
	}
	return true
}

// written is what the last task wrote.
var written string

// A function runs no commands: that is said before anything is asked for.
func TestRunOfAFunction(t *testing.T) {
	const want = "users-lambda is a function of Lambda, which runs no commands: run it in a task of another service that has the same records, or before the service moves to Lambda"
	err := (&run{}).here(nil, nil, nil, local.Status{Functions: []lambda.FunctionStatus{{Name: "users-lambda"}}}, "users-lambda", []string{"seed"})
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
