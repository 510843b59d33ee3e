package stacks_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/migration"
)

// The alarms that compare a service with the monolith, by what CloudWatch makes of
// their math.

// series is a metric, or what is computed from some: a value for each minute that has
// one.
type series map[int]float64

// math evaluates an expression of CloudWatch's metric math over a number of minutes,
// as far as the alarms use it, by what is documented of missing values
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html).
type math struct {
	minutes int
	metrics map[string]series
	// fillsNothing has FILL leave a series alone that has no value at all, which the
	// documentation leaves open.
	fillsNothing bool
}

func (m *math) evaluate(t *testing.T, expression string) series {
	t.Helper()
	// What is left is an expression in Go, too.
	e, err := parser.ParseExpr(strings.ReplaceAll(expression, " AND ", " && "))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	result, ok := m.value(t, e).(series)
	if !ok {
		t.Fatalf("%s is no series, and an alarm needs one", expression)
	}
	return result
}

// value is a series or a number.
func (m *math) value(t *testing.T, e ast.Expr) any {
	switch e := e.(type) {
	case *ast.BasicLit:
		n, err := strconv.ParseFloat(e.Value, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case *ast.Ident:
		metric, ok := m.metrics[e.Name]
		if !ok {
			t.Fatalf("there is no metric %s", e.Name)
		}
		return metric
	case *ast.BinaryExpr:
		return m.operate(t, e.Op, m.value(t, e.X), m.value(t, e.Y))
	case *ast.CallExpr:
		var arguments []any
		for _, argument := range e.Args {
			arguments = append(arguments, m.value(t, argument))
		}
		switch name := e.Fun.(*ast.Ident).Name; {
		case name == "FILL" && len(arguments) == 2:
			return m.fill(arguments[0].(series), arguments[1].(float64))
		case name == "IF" && len(arguments) == 3:
			return m.choose(arguments[0].(series), arguments[1], arguments[2])
		}
	}
	t.Fatalf("%T is not known here", e)
	return nil
}

func (m *math) operate(t *testing.T, op token.Token, x, y any) any {
	result := series{}
	for minute := range m.minutes {
		a, inA := at(x, minute)
		b, inB := at(y, minute)
		// Of two series one value is enough, and the other is 0. A number has no minutes.
		if _, number := x.(float64); number && !inB {
			continue
		}
		if _, number := y.(float64); number && !inA {
			continue
		}
		if !inA && !inB {
			continue
		}
		truth := func(is bool) float64 {
			if is {
				return 1
			}
			return 0
		}
		switch op {
		case token.MUL:
			result[minute] = a * b
		case token.SUB:
			result[minute] = a - b
		case token.QUO:
			if b != 0 { // or the value is dropped
				result[minute] = a / b
			}
		case token.GEQ:
			result[minute] = truth(a >= b)
		case token.GTR:
			result[minute] = truth(a > b)
		case token.LAND:
			result[minute] = truth(a != 0 && b != 0)
		default:
			t.Fatalf("%v is not known here", op)
		}
	}
	return result
}

func at(v any, minute int) (float64, bool) {
	if s, ok := v.(series); ok {
		n, ok := s[minute]
		return n, ok
	}
	return v.(float64), true
}

func (m *math) fill(s series, with float64) series {
	if len(s) == 0 && m.fillsNothing {
		return s
	}
	filled := series{}
	for minute := range m.minutes {
		filled[minute] = with
		if n, ok := s[minute]; ok {
			filled[minute] = n
		}
	}
	return filled
}

// choose is IF. Without a value of the condition there is none; without one of what
// the condition chooses there is none either, or 0 where it is true.
func (m *math) choose(condition series, yes, no any) series {
	result := series{}
	for minute, is := range condition {
		if is != 0 {
			result[minute], _ = at(yes, minute)
		} else if n, ok := at(no, minute); ok {
			result[minute] = n
		}
	}
	return result
}

// canaryAlarms returns the alarms that compare microservices in something, by the
// service.
func canaryAlarms(t *testing.T, a *assembly.Assembly, kind string) map[string]*assembly.Resource {
	t.Helper()
	found := map[string]*assembly.Resource{}
	for _, alarm := range a.Resources("AWS::CloudWatch::Alarm") {
		if name, _ := alarm.Properties["AlarmName"].(string); strings.HasSuffix(name, "-canary-"+kind) {
			found[strings.TrimSuffix(strings.TrimPrefix(name, "prod-"), "-canary-"+kind)] = alarm
		}
	}
	return found
}

// has is what a target group has in a minute; nil is no value.
type has struct{ requests, errors, latency, unhealthy any }

func TestCanaryAlarms(t *testing.T) {
	healthy := has{requests: 1000.0, latency: 0.02, unhealthy: 0.0}
	tests := []struct {
		name              string
		service, monolith has
		goesOff           string // the kinds, in order
	}{
		{"both are well", healthy, healthy, ""},
		{"nobody asks anybody", has{}, has{}, ""},
		{"monolith: the service has no task yet", has{}, healthy, ""},
		{"parallel: the service has tasks and no requests", has{unhealthy: 0.0}, healthy, ""},
		{"parallel: the service has sick tasks and no requests", has{unhealthy: 2.0}, healthy, "unhealthy"},
		{"switched: the monolith has no requests", healthy, has{unhealthy: 0.0}, ""},
		{"retired: the monolith has no tasks", healthy, has{}, ""},

		{"failures of both", has{1000.0, 500.0, 0.02, 0.0}, has{1000.0, 500.0, 0.02, 0.0}, ""},
		{"failures of the monolith", healthy, has{1000.0, 500.0, 0.02, 0.0}, ""},
		{"failures of both, in other numbers", has{100.0, 5.0, 0.02, 0.0}, has{1000.0, 50.0, 0.02, 0.0}, ""},
		{"a point more", has{1000.0, 10.0, 0.02, 0.0}, healthy, ""},
		{"more than a point", has{1000.0, 11.0, 0.02, 0.0}, healthy, "errors"},
		{"more than a point, of many", has{1000.0, 311.0, 0.02, 0.0}, has{500.0, 150.0, 0.02, 0.0}, "errors"},
		{"failures of few", has{49.0, 49.0, 0.02, 0.0}, healthy, ""},
		{"failures of enough", has{50.0, 50.0, 0.02, 0.0}, healthy, "errors"},
		{"switched: failures", has{1000.0, 11.0, 0.02, 0.0}, has{unhealthy: 0.0}, "errors"},
		{"retired: failures", has{1000.0, 11.0, 0.02, 0.0}, has{}, "errors"},
		{"failures of few are no excuse", has{1000.0, 500.0, 0.02, 0.0}, has{49.0, 49.0, 0.02, 0.0}, "errors"},
		{"failures of enough are", has{1000.0, 500.0, 0.02, 0.0}, has{50.0, 50.0, 0.02, 0.0}, ""},

		{"as slow", has{1000.0, nil, 3.0, 0.0}, has{1000.0, nil, 3.0, 0.0}, ""},
		{"half as slow again", has{1000.0, nil, 0.375, 0.0}, has{1000.0, nil, 0.25, 0.0}, ""},
		{"slower", has{1000.0, nil, 0.376, 0.0}, has{1000.0, nil, 0.25, 0.0}, "latency"},
		{"slower, and fast", has{1000.0, nil, 0.1, 0.0}, healthy, ""},
		{"slower, and no longer fast", has{1000.0, nil, 0.101, 0.0}, healthy, "latency"},
		{"few are slow", has{49.0, nil, 9.0, 0.0}, healthy, ""},
		{"slower than few", has{1000.0, nil, 9.0, 0.0}, has{49.0, nil, 0.02, 0.0}, ""},
		{"slower than enough", has{50.0, nil, 9.0, 0.0}, has{50.0, nil, 0.02, 0.0}, "latency"},
		{"switched: slow", has{1000.0, nil, 9.0, 0.0}, has{unhealthy: 0.0}, ""},
		{"retired: slow", has{1000.0, nil, 9.0, 0.0}, has{}, ""},

		{"a sick task", has{1000.0, nil, 0.02, 1.0}, healthy, "unhealthy"},
		{"as many sick tasks", has{1000.0, nil, 0.02, 1.0}, has{1000.0, nil, 0.02, 1.0}, ""},
		{"more sick tasks", has{1000.0, nil, 0.02, 3.0}, has{1000.0, nil, 0.02, 2.0}, "unhealthy"},
		{"fewer sick tasks", has{1000.0, nil, 0.02, 1.0}, has{1000.0, nil, 0.02, 2.0}, ""},
		{"a sick task, few requests", has{49.0, nil, 0.02, 1.0}, healthy, "unhealthy"},
		{"switched: a sick task", has{1000.0, nil, 0.02, 1.0}, has{unhealthy: 5.0}, "unhealthy"},
		{"retired: a sick task", has{1000.0, nil, 0.02, 1.0}, has{}, "unhealthy"},

		{"everything", has{1000.0, 900.0, 5.0, 2.0}, healthy, "errors latency unhealthy"},
	}
	a := synth(t, production(migration.Parallel))
	of := targetGroup(t, a, "api").String() + ".TargetGroupFullName"
	for _, kind := range []string{"errors", "latency", "unhealthy"} {
		for service, alarm := range canaryAlarms(t, a, kind) {
			own := targetGroup(t, a, service).String() + ".TargetGroupFullName"
			expression, sources := "", map[string][3]string{} // the id, to the target group, the metric and its statistic
			for _, m := range listOf(property(t, a, alarm, "Metrics")) {
				id := m["Id"].(string)
				if stat, ok := m["MetricStat"].(object); ok {
					metric := stat["Metric"].(object)
					equal(t, alarm.String()+" "+id+" period", any(60.0), stat["Period"])
					equal(t, alarm.String()+" "+id+" namespace", any("AWS/ApplicationELB"), metric["Namespace"])
					equal(t, alarm.String()+" "+id+" is returned", any(false), m["ReturnData"])
					dimensions := map[string]string{}
					for _, d := range listOf(metric["Dimensions"]) {
						dimensions[d["Name"].(string)] = d["Value"].(string)
					}
					equal(t, alarm.String()+" "+id+" load balancer", "prod-Routing/LoadBalancerBE9EEC3A.LoadBalancerFullName", dimensions["LoadBalancer"])
					sources[id] = [3]string{dimensions["TargetGroup"], metric["MetricName"].(string), stat["Stat"].(string)}
				} else if expression != "" {
					t.Errorf("%s has two expressions", alarm)
				} else {
					expression = m["Expression"].(string)
				}
			}
			for _, test := range tests {
				value := func(source [3]string) any {
					group := test.service
					if source[0] == of {
						group = test.monolith
					} else if source[0] != own {
						t.Fatalf("%s looks at %s", alarm, source[0])
					}
					switch [2]string{source[1], source[2]} {
					case [2]string{"RequestCount", "Sum"}:
						return group.requests
					case [2]string{"HTTPCode_Target_5XX_Count", "Sum"}:
						return group.errors
					case [2]string{"TargetResponseTime", "p99"}:
						return group.latency
					case [2]string{"UnHealthyHostCount", "Minimum"}:
						return group.unhealthy
					}
					t.Fatalf("%s looks at %v", alarm, source)
					return nil
				}
				// Alone, a metric without a value has none at all. With another minute in which
				// all have one, it lacks one only.
				for _, m := range []*math{{minutes: 1}, {minutes: 1, fillsNothing: true}, {minutes: 2}, {minutes: 2, fillsNothing: true}} {
					m.metrics = map[string]series{}
					for id, source := range sources {
						m.metrics[id] = series{}
						if v, ok := value(source).(float64); ok {
							m.metrics[id][0] = v
						}
						if m.minutes > 1 {
							m.metrics[id][1] = 1
						}
					}
					result, there := m.evaluate(t, expression)[0]
					off := there && result > alarm.Properties["Threshold"].(float64)
					if want := slices.Contains(strings.Fields(test.goesOff), kind); off != want {
						t.Errorf("%s: %s with %d minutes is %v (%v), and goes off: %v, want %v", test.name, alarm, m.minutes, result, there, off, want)
					}
				}
			}
		}
	}
}

// Each microservice is compared in three things, and a deployment of it is taken
// back at any of them; one of the monolith at its own errors. All that is the same
// in every phase, so that a change of phase touches no alarm but those that say
// whether there has to be a task.
func TestCanaryAlarmsInEveryPhase(t *testing.T) {
	var first []string
	for _, phase := range migration.Phases() {
		a := synth(t, production(phase))
		topic := resource(t, a, "prod-Routing", "AWS::SNS::Topic")
		var got []string
		for _, kind := range []string{"errors", "latency", "unhealthy"} {
			alarms := canaryAlarms(t, a, kind)
			for _, service := range []string{"posts", "threads", "users"} {
				alarm := alarms[service]
				if alarm == nil || len(alarms) != 3 {
					t.Fatalf("%v: compared in %s are %v", phase, kind, alarms)
				}
				value := func(name string) any { return property(t, a, alarm, name) }
				equal(t, alarm.String()+" tells", any([]any{topic.String()}), value("AlarmActions"))
				got = append(got, fmt.Sprint(value("AlarmName"), " ", value("ComparisonOperator"), " ", value("Threshold"), " ", value("EvaluationPeriods"), " times, missing ", value("TreatMissingData"),
					" ", value("Metrics"), " ", value("AlarmDescription")))
			}
		}
		for service, want := range map[string][]any{
			"Api":     {"prod-Api/ErrorsAlarm39B3548B"},
			"Users":   {"prod-Users/CanaryErrorsAlarm000E2535", "prod-Users/CanaryLatencyAlarm211F73C8", "prod-Users/CanaryUnhealthyAlarm7DA6EA8C"},
			"Threads": {"prod-Threads/CanaryErrorsAlarm000E2535", "prod-Threads/CanaryLatencyAlarm211F73C8", "prod-Threads/CanaryUnhealthyAlarm7DA6EA8C"},
			"Posts":   {"prod-Posts/CanaryErrorsAlarm000E2535", "prod-Posts/CanaryLatencyAlarm211F73C8", "prod-Posts/CanaryUnhealthyAlarm7DA6EA8C"},
		} {
			configuration := property(t, a, resource(t, a, "prod-"+service, "AWS::ECS::Service"), "DeploymentConfiguration").(object)
			equal(t, service+" is rolled back by", any(object{"AlarmNames": want, "Enable": true, "Rollback": true}), configuration["Alarms"])
		}
		if first == nil {
			first = got
			for i, want := range []string{
				"prod-posts-canary-errors GreaterThanThreshold 1 2 times, missing notBreaching ",
				"prod-threads-canary-errors GreaterThanThreshold 1 2 times, missing notBreaching ",
				"prod-users-canary-errors GreaterThanThreshold 1 2 times, missing notBreaching ",
				"prod-posts-canary-latency GreaterThanThreshold 1.5 2 times, missing notBreaching ",
				"prod-threads-canary-latency GreaterThanThreshold 1.5 2 times, missing notBreaching ",
				"prod-users-canary-latency GreaterThanThreshold 1.5 2 times, missing notBreaching ",
				"prod-posts-canary-unhealthy GreaterThanThreshold 0 2 times, missing notBreaching ",
				"prod-threads-canary-unhealthy GreaterThanThreshold 0 2 times, missing notBreaching ",
				"prod-users-canary-unhealthy GreaterThanThreshold 0 2 times, missing notBreaching ",
			} {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%s, want %s", got[i], want)
				}
			}
		}
		equal(t, phase.String(), first, got)
	}
	if alarms := synth(t, settings{}).Resources("AWS::CloudWatch::Alarm"); len(alarms) > 0 {
		t.Errorf("by default there are %v", alarms)
	}
	for _, r := range synth(t, settings{}).Resources("AWS::ECS::Service") {
		if alarms := r.Properties["DeploymentConfiguration"].(object)["Alarms"]; alarms != nil {
			t.Errorf("by default %s is rolled back by %v", r, alarms)
		}
	}
}
