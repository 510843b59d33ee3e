package onaws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cutover/internal/database"
)

func stack(outputs string) string {
	all := ""
	for output := range strings.FieldsSeq(outputs) {
		key, value, _ := strings.Cut(output, "=")
		all += fmt.Sprintf("<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue></member>", key, value)
	}
	return "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>dev-Data</StackName><Outputs>" + all + "</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
}

const (
	outputs = "DatabaseArn=cluster DatabaseSecretArn=secret Databases=users,posts"
	isDone  = `{"records": [[{"longValue": 1}]]}`
	notDone = `{"records": []}`
)

// What is missing is made, and what is there is not made again.
func TestSetup(t *testing.T) {
	var steps []database.Step
	steps = append(steps, database.Closed()...)
	for _, name := range []string{"users", "posts"} {
		own, err := database.Setup(name)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, own...)
	}
	aws := &fake{answers: map[string][]string{"DescribeStacks": {stack(outputs)}, "Execute": {}}}
	var wantAsked, wantTold []string
	for i, step := range steps {
		wantAsked = append(wantAsked, "cluster secret "+step.Database+": "+step.Done)
		wantTold = append(wantTold, fmt.Sprint(step.Does, " ", i%2 == 0))
		if i%2 == 0 {
			aws.answers["Execute"] = append(aws.answers["Execute"], notDone, "{}")
			wantAsked = append(wantAsked, "cluster secret "+step.Database+": "+step.SQL)
		} else {
			aws.answers["Execute"] = append(aws.answers["Execute"], isDone)
		}
	}
	var told []string
	setup := Setup{Stack: "dev-Data", Did: func(step string, changed bool) { told = append(told, fmt.Sprint(step, " ", changed)) }}
	if err := setup.Run(t.Context(), aws.serve(t)); err != nil {
		t.Fatal(err)
	}
	if got := aws.requests("Execute"); fmt.Sprint(got) != fmt.Sprint(wantAsked) {
		t.Errorf("asked is %q, want %q", got, wantAsked)
	}
	if fmt.Sprint(told) != fmt.Sprint(wantTold) {
		t.Errorf("told is %q, want %q", told, wantTold)
	}
	if !strings.Contains(aws.requests("DescribeStacks")[0], "StackName=dev-Data") {
		t.Errorf("the stack is asked with %s", aws.requests("DescribeStacks"))
	}
}

// A cluster that has paused is waited for, and that is said once.
func TestSetupResumes(t *testing.T) {
	const resuming = "!DatabaseResumingException The cluster is resuming after being auto-paused."
	aws := &fake{answers: map[string][]string{"DescribeStacks": {stack(outputs)}, "Execute": {resuming, resuming, isDone}}}
	waits := 0
	setup := Setup{Stack: "dev-Data", Did: func(string, bool) {}, Waiting: func() { waits++ }, poll: time.Millisecond}
	if err := setup.Run(t.Context(), aws.serve(t)); err != nil || waits != 1 {
		t.Errorf("the setup waits %d times, %v", waits, err)
	}
}

// What stops a setup is said with the step or the stack.
func TestSetupAmiss(t *testing.T) {
	for _, test := range []struct {
		stack, want string
		execute     []string
	}{
		{"!ValidationError Stack with id dev-Data does not exist", "there is no stack dev-Data in eu-west-1: no service has a database there, or the environment is not deployed", nil},
		{"!AccessDenied not you", "AWS did not answer for the stack dev-Data in eu-west-1: ", nil},
		{stack("DatabaseArn=cluster DatabaseSecretArn=secret"), "the stack dev-Data in eu-west-1 has no output Databases: no service keeps its records in PostgreSQL there", nil},
		{stack("DatabaseArn=cluster Databases=users"), "the stack dev-Data in eu-west-1 has no output DatabaseSecretArn", nil},
		{stack("DatabaseSecretArn=secret Databases=users"), "the stack dev-Data in eu-west-1 has no output DatabaseArn", nil},
		{stack("DatabaseArn=c DatabaseSecretArn=s Databases=users,postgres"), `"postgres" cannot be the name of a database and its user`, nil},
		{stack(outputs), "cannot find out whether to close the database postgres to others: ", []string{"!ForbiddenException not you"}},
		{stack(outputs), "cannot close the database postgres to others: ", []string{notDone, "!DatabaseErrorException no"}},
	} {
		aws := &fake{answers: map[string][]string{"DescribeStacks": {test.stack}, "Execute": test.execute}}
		if err := (Setup{Stack: "dev-Data", Did: func(string, bool) {}}).Run(t.Context(), aws.serve(t)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.stack, err, test.want)
		}
	}
}
