package review_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/review"
	"cutover/internal/rehearsal"
)

func stack(name, text string, in ...string) review.Stack {
	return review.Stack{Name: name, In: in, Difference: review.Difference{Text: text, Changes: strings.Count(text, "[")}}
}

// TestReport has everything that a review may have to say, as it is read.
func TestReport(t *testing.T) {
	move := "parallel → switched"
	all := []string{"monolith", "parallel", "switched", "retired", move}
	broad := stack("dev-Users", "[+] a policy\n", all[:4]...)
	broad.Broadened.IAM = true
	broad.Statements = [][]string{{"+", "${Bucket.Arn}", "Allow", "s3:Get*\ns3:List*", "AWS:${Role}", ""}}
	moved := broad
	moved.In, moved.Text = []string{move}, "[+] a policy\n[~] a count\n"
	ports := stack("dev-Network", "[~] a group with ```\n", all...)
	ports.Broadened.SecurityGroups = true
	ports.SecurityGroups = [][]string{{"+", "${Group.GroupId}", "In", "TCP 22", "a|`b` @somebody"}}
	r := review.Report{
		Head: "fedcba9", Base: "`main` at 0123456", Uncommitted: []string{"main.go"},
		Phases: all[:4], Deployment: move,
		Move:   review.Move{From: "parallel", To: "switched", Changes: []string{"/api/users* goes to users", "api gets nothing any more, and goes on running"}},
		Stacks: []review.Stack{ports, broad, moved},
		Replacements: []review.Replacement{
			{Stack: "dev-Routing", In: all, Resource: review.Resource{ID: "Users0A", Path: "dev-Routing/Users/Resource", Type: "AWS::ElasticLoadBalancingV2::TargetGroup", Impact: "WILL_REPLACE", Properties: []string{"Port"}}},
			{Stack: "dev-Routing", In: []string{move}, Resource: review.Resource{ID: "Rule", Type: "AWS::ElasticLoadBalancingV2::ListenerRule", Impact: "WILL_DESTROY"}},
			{Stack: "dev-Network", In: all, Resource: review.Resource{ID: "Nat", Type: "AWS::EC2::Instance", Impact: "MAY_REPLACE", Properties: []string{"InstanceType", "UserData"}}},
			{Stack: "dev-Old", In: all, Resource: review.Resource{ID: "Logs", Type: "AWS::Logs::LogGroup", Impact: "WILL_ORPHAN"}},
			{Stack: "dev-Users", In: all, Resource: review.Resource{ID: "Task", Type: "AWS::ECS::TaskDefinition", Impact: "WILL_REPLACE"}},
			{Stack: "dev-Gate", In: []string{move}, Resource: review.Resource{ID: "NotNextToMonolith", Type: "AWS::SSM::Parameter", Impact: "WILL_DESTROY"}},
		},
		Clashes: []review.Clash{
			{Stack: "dev-Routing", In: all, Rule: "UsersServiceRule", Of: "users", Was: 20030, Priority: 20010, Holder: "PostsServiceRule", HolderOf: "posts", Swaps: true},
			{Stack: "dev-Routing", In: []string{move}, Rule: "TagsRule", Was: 4, Priority: 5},
		},
		Renewals: []review.Renewal{{Route: "tags", Was: "tags", WasAt: "press"}},
		Settings: []string{"The setting rootService becomes users."},
		Answers: []review.Answer{
			{Requests: "/api/users* with method POST", LoadBalancer: "press", Before: "api", After: "50 % users, 50 % api", In: all[1:3]},
			{Requests: "everything else", Before: "nobody (503)", After: "api", In: []string{move}},
		},
		Images: []string{"users"},
		Costs: []review.Cost{
			{In: []string{"monolith"}, Changes: []cost.Change{{Of: "total", Before: 100, After: 50}}},
			{In: []string{move}, Changes: []cost.Change{{Environment: "dev", Of: "line", Name: "NAT gateway", Before: 3285, After: 6570}, {Environment: "dev", Of: "total", Before: 9540, After: 12825}}},
		},
		Rehearsal: &review.Rehearsal{Verdict: rehearsal.Verdict{Sentence: "Of 10 requests, 1 was lost.", Reasons: []string{"Server error (503)"}}, Summary: "  step  took\n", Picture: "api  ██\n"},
	}
	want := strings.ReplaceAll(`## Review

Of fedcba9, against ''main'' at 0123456. Changes that are not committed are part of what is reviewed: ''main.go''.

- **2 stacks change**: dev-Network, dev-Users.
- The image of users changes.
- **Resources: 1 replaced, 1 deleted, 1 possibly replaced, 1 kept, and let go of.**
- **The deployment will fail: 1 listener rule takes a priority that another rule has.**
- **A deployed priority never changes, and that of 1 listener rule does.**
- **The rules of 1 deployed route are created anew.**
- **Permissions or ports are broadened.**
- **The phase moves from parallel to switched.**
- **Other services answer some requests, now or later.**
- **A month costs US$ 32.85 more.**
- CDK's validation of switched found nothing.
- The rehearsal **FAILED**: Of 10 requests, 1 was lost.

### Replacements and deletions

| what happens            | stack       | resource | type                                      | because of             | where                  |
|-------------------------|-------------|----------|-------------------------------------------|------------------------|------------------------|
| **replaced**            | dev-Routing | ''Users''  | AWS::ElasticLoadBalancingV2::TargetGroup  | Port                   | in all phases          |
| **deleted**             | dev-Routing | ''Rule''   | AWS::ElasticLoadBalancingV2::ListenerRule |                        | in parallel → switched |
| possibly replaced       | dev-Network | ''Nat''    | AWS::EC2::Instance                        | InstanceType, UserData | in all phases          |
| **kept, and let go of** | dev-Old     | ''Logs''   | AWS::Logs::LogGroup                       |                        | in all phases          |

Task definitions get a new revision, to which ECS moves the service task by task: dev-Users.

Parameters that hold the order of the phases change with the phase, in dev-Gate.

### Deployed listener rules

| stack       | rule               | of    | priority before | after | which has                   | where                  |
|-------------|--------------------|-------|-----------------|-------|-----------------------------|------------------------|
| dev-Routing | ''UsersServiceRule'' | users | 20030           | 20010 | ''PostsServiceRule'' of posts | in all phases          |
| dev-Routing | ''TagsRule''         |       | 4               | 5     |                             | in parallel → switched |

- posts and users swap their priorities: keep the ''Order'' of each. If they have to swap, give one of them a free ''Order'' and deploy. Then change both, and deploy again.
- ''TagsRule'' has a deployed priority, which never changes: keep its ''Order''.
- tags moves from the load balancer press to the first load balancer: its rules and its target group are created there, and deleted where they are. Clients reach it by the other host name only. The gate does not compare its place with the one before. Move a service in monolith or parallel, while it has no requests.

CloudFormation updates rule by rule, and deletes last. A listener never has a priority twice, so the deployment fails.

### IAM and security-group broadening

|   | stack     | resource        | effect  | action              | principal     | condition | where         |
|---|-----------|-----------------|---------|---------------------|---------------|-----------|---------------|
| + | dev-Users | ''${Bucket.Arn}'' | ''Allow'' | ''s3:Get*; s3:List*'' | ''AWS:${Role}'' |           | in all phases |

|   | stack       | security group     | direction | protocol | peer               | where         |
|---|-------------|--------------------|-----------|----------|--------------------|---------------|
| + | dev-Network | ''${Group.GroupId}'' | ''In''      | ''TCP 22'' | ''a\|'b' @somebody'' | in all phases |

The library of ''cdk diff'' finds these in what it knows; [it does not know everything](https://github.com/aws/aws-cdk/issues/1299).

### Phase

After this, in switched instead of parallel:

- ''/api/users*'' goes to users
- api gets nothing any more, and goes on running

### Who answers

- The setting rootService becomes users.

| requests                                | answered by, before | after                | where                  |
|-----------------------------------------|---------------------|----------------------|------------------------|
| ''/api/users*'' with method POST at press | api                 | 50 % users, 50 % api | in parallel, switched  |
| everything else                         | nobody (503)        | api                  | in parallel → switched |

### Cost

In `+cost.About()+`.

In parallel → switched:

| ENVIRONMENT | WHAT        | US$ BEFORE | AFTER  | CHANGE |
|-------------|-------------|------------|--------|--------|
| dev         | NAT gateway | 32.85      | 65.70  | +32.85 |
| dev         | total       | 95.40      | 128.25 | +32.85 |

In total:

- in monolith: -0.50 a month

### Rehearsal

**FAILED** Of 10 requests, 1 was lost.

'''
Server error (503)
'''

'''
api  ██
'''

'''
  step  took
'''

The page and the picture are in FILES.

### What differs

As ''cdk diff'' has it, in monolith, parallel, switched, retired and parallel → switched. A deployment of this goes through **parallel → switched**.

<details><summary>dev-Network, in all phases: 1 change</summary>

''''
[~] a group with '''
''''

</details>

<details><summary>dev-Users, in all phases: 1 change</summary>

'''
[+] a policy
'''

</details>

<details><summary>dev-Users, in parallel → switched: 1 change</summary>

'''
[+] a policy
[~] a count
'''

</details>
`, "''''", "````")
	want = strings.NewReplacer("'''", "```", "''", "`").Replace(want)
	got := strings.TrimPrefix(r.Comment(review.Limit, "FILES"), review.Marker+"\n")
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := r.Text("build/review/rehearsal"); strings.Contains(text, "<details>") || !strings.Contains(text, "### dev-Users, in parallel → switched: 1 change\n\n[+] a policy\n[~] a count\n") {
		t.Errorf("for a terminal:\n%s", text)
	}
}

// What there is nothing to say of says so.
func TestNothing(t *testing.T) {
	r := review.Report{Base: "x", Phases: []string{"monolith"}, Deployment: "monolith", Move: review.Move{From: "monolith", To: "monolith"}}
	text := r.Markdown()
	for _, want := range []string{
		"- Nothing changes: the templates are the same in monolith.\n", "- Nothing is replaced or deleted.\n", "- No permission is added and no port opened.\n",
		"- The phase stays monolith.\n", "- The cost does not change.\n", "- It was not rehearsed.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
	for _, finding := range review.Findings() {
		if n := r.Found(finding); n != 0 {
			t.Errorf("%d of %s", n, finding)
		}
	}
}

// A change that cannot be rehearsed fails, and is reviewed all the same.
func TestNoRehearsal(t *testing.T) {
	r := review.Report{Rehearsal: review.NoRehearsal(errors.New("users does not start:\nexit status 2"))}
	text := r.Markdown()
	if r.Found("rehearsal") != 1 || !strings.Contains(text, "- The rehearsal **FAILED**: It could not be carried out.\n") ||
		!strings.Contains(text, "\n```\nusers does not start:\nexit status 2\n```\n") || strings.Contains(text, "The page") {
		t.Error(text)
	}
}

func TestOutOfTurn(t *testing.T) {
	r := review.Report{Move: review.Move{From: "monolith", To: "switched", OutOfTurn: true}}
	if text := r.Markdown(); strings.Count(text, "the deployment will be refused before anything changes") != 2 {
		t.Error(text)
	}
	r.Move.Ungated = true
	if text := r.Markdown(); strings.Contains(text, "will be refused") || strings.Count(text, "nothing will refuse it, because phaseGate is off") != 2 {
		t.Error(text)
	}
	if r.Found("turn") != 1 {
		t.Error("it is not found")
	}
}

// However much differs, the comment fits, its findings are whole, and it says
// what it leaves out and where that is.
func TestCut(t *testing.T) {
	big := func(name string, lines int) review.Stack {
		return stack(name, strings.Repeat("[~] äöü a line of what differs\n", lines), "monolith")
	}
	findings := func(n int) []review.Replacement {
		var all []review.Replacement
		for i := range n {
			all = append(all, review.Replacement{Stack: "dev-Users", In: []string{"monolith"}, Resource: review.Resource{ID: fmt.Sprintf("Found%dEnd", i), Type: "AWS::X::Y", Impact: "WILL_DESTROY"}})
		}
		return all
	}
	tests := []struct {
		name     string
		findings int
		stacks   []review.Stack
		whole    []string // stacks that are there to the end
		cut      []string // and those that begin
		left     string
	}{
		{"all fits", 3, []review.Stack{big("one", 10), big("two", 10)}, []string{"one", "two"}, nil, ""},
		{"the second does not", 100, []review.Stack{big("one", 10), big("two", 5000), big("three", 10)}, []string{"one"}, []string{"two"}, "what differs in two ("},
		{"nor many others", 1, slices.Repeat([]review.Stack{big("many", 3000)}, 40), nil, []string{"many"}, " and 28 more stacks. All of it is in FILES.\n"},
		{"findings fill it", 740, []review.Stack{big("one", 1000)}, nil, nil, "what differs in one (1000 lines). All of it is in FILES.\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := review.Report{Phases: []string{"monolith", "parallel"}, Stacks: test.stacks, Replacements: findings(test.findings)}
			text := r.Comment(review.Limit, "FILES")
			if len(text) > review.Limit {
				t.Errorf("%d bytes", len(text))
			}
			if !utf8.ValidString(text) || strings.Count(text, "<details>") != strings.Count(text, "</details>") || strings.Count(text, "\n```")%2 != 0 {
				t.Errorf("it is not in one piece:\n%s", text[max(0, len(text)-1000):])
			}
			for i := range test.findings {
				if !strings.Contains(text, fmt.Sprintf("`Found%dEnd`", i)) {
					t.Fatalf("finding %d is left out", i)
				}
			}
			for _, name := range append(test.whole, test.cut...) {
				if !strings.Contains(text, "<summary>"+name+",") {
					t.Errorf("%s is not there", name)
				}
			}
			if got := strings.Count(text, " more lines\n```"); got != len(test.cut) {
				t.Errorf("%d are cut, want %d", got, len(test.cut))
			}
			if said := strings.Contains(text, "Left out here"); said != (test.left != "") || !strings.Contains(text, test.left) {
				t.Errorf("it does not say %q:\n%s", test.left, text[max(0, len(text)-500):])
			}
			if whole := r.Markdown(); strings.Contains(whole, "Left out") || strings.Contains(whole, "more lines") {
				t.Error("the whole review is cut")
			}
		})
	}
	// More findings than a comment has room for end with where the rest is.
	r := review.Report{Replacements: findings(2000), Stacks: []review.Stack{big("one", 1)}}
	if text := r.Comment(review.Limit, "FILES"); len(text) > review.Limit || !strings.HasSuffix(text, " lines of findings, and all that differs.** It is whole in FILES.\n") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-200:])
	}
}

func TestSparklines(t *testing.T) {
	slice := func(at float64, lost int, by map[string]int) rehearsal.Slice {
		return rehearsal.Slice{Begin: rehearsal.Seconds(at), Totals: rehearsal.Totals{Lost: lost, ByService: by}}
	}
	r := &rehearsal.Report{
		Duration: 2.25, SliceWidth: 0.5, Services: []string{"api", "users"},
		Phases: []rehearsal.Phase{{Name: "monolith"}, {Name: "switched", Begin: 1.1}, {Name: "retired", Begin: 1.2}},
		Slices: []rehearsal.Slice{
			slice(0, 0, map[string]int{"api": 80}), slice(0.5, 0, map[string]int{"api": 80}),
			slice(1, 2, map[string]int{"api": 40, "users": 10, "nobody": 2}), slice(1.5, 0, map[string]int{"users": 80}), slice(2, 0, map[string]int{"users": 20}),
		},
	}
	const want = `        1 23
api     ██▄
users     ▁█▄
nobody    ▁
lost    ··✗··

1 monolith   2 switched   3 retired
A column is 0.5 s, a full one 160 requests a second; ✗ is where requests were lost or answered differently.
`
	if diff := cmp.Diff(want, review.Sparklines(r, 5)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, columns := range []int{1, 2, 3} {
		for line := range strings.Lines(review.Sparklines(r, columns)) {
			if cells := len([]rune(line)); cells > len("nobody  ")+columns+len(r.Phases) && !strings.Contains(line, "monolith") && !strings.Contains(line, "column") {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
	}
	if got := review.Sparklines(&rehearsal.Report{}, 10); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

// hostile puts a text into every string of a value, and one element into every empty list.
func hostile(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		hostile(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		hostile(v.Index(0), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				hostile(v.Field(i), text)
			}
		}
	}
}

var (
	inCode    = regexp.MustCompile(`(?s)<code>.*?</code>`)
	link      = regexp.MustCompile(`<a href="https://github.com/aws/aws-cdk/issues/1299">it does not know everything</a>`)
	elements  = regexp.MustCompile(`</?(\w+)`)
	notifying = regexp.MustCompile(`@\w|#\d|://|<!--`)
)

// Whatever an assembly calls its stacks, resources, properties and services, the review is the same
// review: with the same elements, links and messages to people.
func TestHostileNames(t *testing.T) {
	// Of one stack, of two, and of two that do not fit.
	render := func(name string, stacks, limit int) string {
		var r review.Report
		hostile(reflect.ValueOf(&r).Elem(), name)
		r.Head, r.Base = "0123456", "main at 0123456" // Markdown already
		row := []string{name, name, name, name, name, name}
		stack := &r.Stacks[0]
		stack.Broadened.IAM, stack.Broadened.SecurityGroups = true, true
		stack.Statements, stack.ManagedPolicies, stack.SecurityGroups = [][]string{row}, [][]string{row[:3]}, [][]string{row[:5]}
		other := *stack
		other.Name += "2"
		r.Stacks = append(r.Stacks, other)[:stacks]
		if limit < review.Limit {
			r.Stacks[0].Text, r.Stacks[1].Text = strings.Repeat("x\n", limit), strings.Repeat("x\n", limit)
		}
		r.Move.To += "2"
		for _, impact := range []string{"WILL_REPLACE", "WILL_DESTROY", "MAY_REPLACE", "WILL_ORPHAN", review.Stays} {
			one := r.Replacements[0]
			one.Impact = impact
			r.Replacements = append(r.Replacements, one, review.Replacement{Stack: name, In: []string{name}, Resource: review.Resource{ID: name, Impact: impact, Type: "AWS::ECS::TaskDefinition"}})
		}
		r.Rehearsal.Summary, r.Rehearsal.Picture = name, name
		return r.Comment(limit, "FILES")
	}
	of := func(text string) string {
		var b bytes.Buffer
		// The folded parts are HTML already.
		if err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe())).Convert([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		return link.ReplaceAllString(b.String(), "")
	}
	seen := func(text string) (all []string) {
		for _, match := range elements.FindAllStringSubmatch(text, -1) {
			if match[1] != "code" { // which a path in a sentence is
				all = append(all, match[1])
			}
		}
		return all
	}
	names := []string{
		"@org/team", "a@example.com", "x #1", "https://example.com", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
		"[a](javascript:alert(1))", "![a](//example.com/x.png)", "**b** _i_", "`code`", "a\n\n# Title\n\n- item", "a | b", "a \\| b\\", "```\n@org\n```", "</summary></details>",
		"<!-- cutover review -->", "/path`@org/team`*", "x\r\n@org",
	}
	for _, kind := range []struct{ stacks, limit int }{{1, review.Limit}, {2, review.Limit}, {2, 14000}} {
		want := seen(of(render("name", kind.stacks, kind.limit)))
		for _, name := range names {
			text := of(render(name, kind.stacks, kind.limit))
			if diff := cmp.Diff(want, seen(text)); diff != "" {
				t.Errorf("%q changes the elements of the review (-want +got):\n%s\n%s", name, diff, text)
			}
			outside := strings.TrimPrefix(inCode.ReplaceAllString(text, ""), review.Marker)
			if found := notifying.FindString(outside); found != "" {
				t.Errorf("%q leaves %q outside of code:\n%s", name, found, outside)
			}
		}
	}
}
