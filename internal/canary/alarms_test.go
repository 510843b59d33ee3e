package canary_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cutover/internal/canary"
)

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
	case *ast.ParenExpr:
		return m.value(t, e.X)
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
		case token.ADD:
			result[minute] = a + b
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

// has is what a target group has in a minute; nil is no value.
type has struct{ requests, errors, latency, unhealthy any }

// sample is the same as the judge takes it: what there is not is 0.
func (h has) sample() canary.Sample {
	number := func(v any) float64 {
		n, _ := v.(float64)
		return n
	}
	return canary.Sample{
		Requests: int(number(h.requests)), Errors: int(number(h.errors)), Unhealthy: int(number(h.unhealthy)),
		P99: time.Duration(number(h.latency) * float64(time.Second)),
	}
}

// The alarms go off by what CloudWatch makes of their math.
func TestAlarms(t *testing.T) {
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
	for i, kind := range canary.Kinds() {
		alarm := canary.Alarms(canary.Group{Name: "users"}, canary.Group{Name: "api"})[i]
		if alarm.Kind != kind {
			t.Fatalf("alarm %d is of %s, want %s", i, alarm.Kind, kind)
		}
		for _, test := range tests {
			value := func(m canary.Metric) any {
				group := test.service
				if m.Service == "api" {
					group = test.monolith
				} else if m.Service != "users" {
					t.Fatalf("%s looks at %s", kind, m.Service)
				}
				switch [2]string{m.Name, m.Statistic} {
				case [2]string{"RequestCount", "Sum"}:
					return group.requests
				case [2]string{"HTTPCode_Target_5XX_Count", "Sum"}:
					return group.errors
				case [2]string{"TargetResponseTime", "p99"}:
					return group.latency
				case [2]string{"UnHealthyHostCount", "Minimum"}:
					return group.unhealthy
				}
				t.Fatalf("%s looks at %v", kind, m)
				return nil
			}
			want := slices.Contains(strings.Fields(test.goesOff), string(kind))
			// Alone, a metric without a value has none at all. With another minute in which
			// all have one, it lacks one only.
			for _, m := range []*math{{minutes: 1}, {minutes: 1, fillsNothing: true}, {minutes: 2}, {minutes: 2, fillsNothing: true}} {
				m.metrics = map[string]series{}
				for _, metric := range alarm.Metrics {
					s := series{}
					if v, ok := value(metric).(float64); ok {
						s[0] = v
					}
					if m.minutes > 1 {
						s[1] = 1
					}
					m.metrics[metric.ID] = s
				}
				result, there := m.evaluate(t, alarm.Expression)[0]
				if off := there && result > alarm.Threshold; off != want {
					t.Errorf("%s: %s with %d minutes is %v (%v), and goes off: %v, want %v", test.name, kind, m.minutes, result, there, off, want)
				}
			}
			// What judges on this machine says the same.
			round := canary.Round{Service: test.service.sample(), Monolith: test.monolith.sample()}
			rounds := []canary.Round{round, round}
			finding := canary.Subject{Service: "users", Monolith: "api", Length: canary.Period, Rounds: rounds}.Judge()[i]
			if worse := finding.State == canary.Worse; worse != want {
				t.Errorf("%s: %s is %s, want the same as the alarm", test.name, kind, finding.State)
			}
		}
	}
}

// What a function does not answer counts as an error, though the load balancer answers. Nobody checks the health of
// a function, so nothing says that it is unhealthy, and nothing waits for such a figure.
func TestAlarmsOfFunctions(t *testing.T) {
	tasks, function := canary.Group{Name: "users"}, canary.Group{Name: "users-lambda", Function: true}
	metrics := map[string]map[string]float64{}
	figures := func(group string, requests, errors, user, internal float64) {
		metrics[group] = map[string]float64{
			"RequestCount": requests, "HTTPCode_Target_5XX_Count": errors, "LambdaUserError": user, "LambdaInternalError": internal, "UnHealthyHostCount": 2,
		}
	}
	errors := func(of, with canary.Group) bool {
		t.Helper()
		alarm := canary.Alarms(of, with)[0]
		m := &math{minutes: 1, metrics: map[string]series{}}
		for _, metric := range alarm.Metrics {
			m.metrics[metric.ID] = series{}
			if n := metrics[metric.Service][metric.Name]; n > 0 { // CloudWatch has no 0
				m.metrics[metric.ID][0] = n
			}
		}
		return m.evaluate(t, alarm.Expression)[0] > alarm.Threshold
	}
	figures("users", 1000, 0, 0, 0)
	for _, failed := range [][3]float64{{20, 0, 0}, {0, 20, 0}, {0, 0, 20}, {4, 4, 4}} {
		figures("users-lambda", 1000, failed[0], failed[1], failed[2])
		if !errors(function, tasks) {
			t.Errorf("%v of 1000 requests to a function failed, and no alarm goes off", failed)
		}
		if errors(tasks, function) {
			t.Errorf("tasks without failures are worse than a function with %v", failed)
		}
	}
	figures("users-lambda", 1000, 3, 3, 3)
	if errors(function, tasks) {
		t.Error("9 of 1000 are less than a percentage point")
	}
	if figures("users", 1000, 20, 0, 0); !errors(tasks, function) {
		t.Error("20 of 1000 are more than a percentage point above 9")
	}
	var kinds []canary.Kind
	for _, alarm := range canary.Alarms(function, tasks) {
		kinds = append(kinds, alarm.Kind)
	}
	if !slices.Equal(kinds, canary.KindsOf(true)) || slices.Contains(kinds, canary.Unhealthy) {
		t.Errorf("a function has alarms of %v", kinds)
	}
	for _, metric := range canary.Alarms(tasks, function)[2].Metrics {
		if metric.Service == function.Name {
			t.Errorf("unhealthy tasks are compared with %s of a function, which has none", metric.Name)
		}
	}
	round := canary.Round{Service: canary.Sample{Requests: 100, Unhealthy: 3}, Monolith: canary.Sample{Requests: 100}}
	findings := canary.Subject{Service: "users-lambda", Monolith: "users", Function: true, Length: canary.Period, Rounds: []canary.Round{round, round}}.Judge()
	if len(findings) != len(kinds) || findings[0].Kind != canary.Errors || findings[1].Kind != canary.Latency {
		t.Errorf("a function is judged by %+v", findings)
	}
}
