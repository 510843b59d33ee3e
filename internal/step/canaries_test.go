package step_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cutover/config"
	"cutover/internal/canary"
	"cutover/internal/step"
	"cutover/migration"
)

func TestCanaries(t *testing.T) {
	d := config.Deployment{Monolith: config.Service{Name: "api"}, Services: []config.Service{{Name: "users"}, {Name: "threads"}, {Name: "posts"}}}
	for _, c := range []struct {
		at   migration.Position
		want string // with their percentages, or the error
	}{
		{at(migration.Monolith), "in monolith api has all of the traffic: go to parallel with `cutover phase next`"},
		{at(migration.Parallel), "there is no canary in parallel, api has all of the traffic: begin one with `cutover phase next --canary users=10`"},
		{at(migration.Parallel, "posts=5", "users=10"), "users 10 posts 5"},
		{at(migration.Parallel, "posts=100", "users=0"), "posts 100"},
		{at(migration.Parallel, "users=0"), "there is no canary in parallel, users=0, api has"},
		{at(migration.Switched), "users 100 threads 100 posts 100"},
		{at(migration.Retired), "in retired api answers nothing any more that others could be compared with"},
	} {
		canaries, err := step.Canaries(d, c.at)
		var got []string
		for _, one := range canaries {
			got = append(got, fmt.Sprintf("%s %g", one.Name(), one.Percent))
			if one.With != "api" || one.Compute {
				t.Errorf("%v: %+v", c.at, one)
			}
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.Join(got, " "); !strings.HasPrefix(text, c.want) || err == nil && text != c.want {
			t.Errorf("%v: %q, want %q", c.at, text, c.want)
		}
	}
}

// metrics is CloudWatch with the alarms of any service, and the same figures in two
// minutes for every target group of microservices.
type metrics struct {
	t      *testing.T
	last   time.Time // the later one of the minutes
	denied string    // an operation
	state  string    // of every alarm for errors
	since  float64   // when it came into this state
	groups []string  // that the alarms compare; of the service if there is one
	failed float64   // requests that functions did not answer
}

func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		AlarmNames         []string
		StartTime, EndTime float64
		MetricDataQueries  []struct {
			Id         string
			MetricStat struct {
				Metric struct {
					MetricName string
					Dimensions []struct{ Value string }
				}
			}
		}
		NextToken string
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "GraniteServiceVersion20100801.")
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.AlarmNames) > 100 || len(request.MetricDataQueries) > 500 {
		m.t.Errorf("%s with %d alarms and %d queries: %v", operation, len(request.AlarmNames), len(request.MetricDataQueries), err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if operation == m.denied {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"__type":"AccessDenied","message":"not authorized"}`)
		return
	}
	var alarms, results []any
	for _, name := range request.AlarmNames {
		service := strings.Split(name, "-")[1]
		var queries []any
		for _, group := range m.groups {
			queries = append(queries, map[string]any{"Id": "m", "MetricStat": map[string]any{"Stat": "Sum", "Period": 60, "Metric": map[string]any{"Dimensions": []any{
				map[string]any{"Name": "TargetGroup", "Value": "targetgroup/" + strings.ReplaceAll(group, "SERVICE", service) + "/0"}, map[string]any{"Name": "LoadBalancer", "Value": "app/x/1"},
			}}}})
		}
		state := "OK"
		if strings.HasSuffix(name, "-errors") {
			state = m.state
		}
		alarms = append(alarms, map[string]any{"AlarmName": name, "StateValue": state, "StateReason": "So it is.", "StateUpdatedTimestamp": m.since, "Metrics": queries})
	}
	half := len(request.MetricDataQueries) / 2 // on two pages
	queries, next := request.MetricDataQueries[:half], "more"
	if request.NextToken != "" {
		queries, next = request.MetricDataQueries[half:], ""
	}
	for _, query := range queries {
		metric := query.MetricStat.Metric
		value, ok := map[string]float64{"RequestCount": 100, "TargetResponseTime": 0.0125}[metric.MetricName]
		if metric.MetricName == "LambdaUserError" && strings.Contains(metric.Dimensions[1].Value, "-lambda/") {
			value, ok = m.failed, true
		}
		if strings.Contains(metric.Dimensions[1].Value, "-api/") {
			value = 10 * value
		}
		result := map[string]any{"Id": query.Id, "Values": []float64{}, "Timestamps": []float64{}}
		last := float64(m.last.Unix())
		if ok && request.StartTime <= last-60 && last < request.EndTime {
			result["Values"], result["Timestamps"] = []float64{value, value}, []float64{last, last - 60}
		}
		results = append(results, result)
	}
	answer := map[string]any{"MetricAlarms": alarms}
	if operation == "GetMetricData" {
		answer = map[string]any{"MetricDataResults": results}
		if next != "" {
			answer["NextToken"] = next
		}
	}
	json.NewEncoder(w).Encode(answer)
}

func TestWatcher(t *testing.T) {
	now := time.Now()
	minute := func(n int) time.Time { return now.Truncate(time.Minute).Add(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		metrics  metrics
		services int
		since    time.Time
		want     string // the verdict and its reason, or the error
	}{
		"good":                    {metrics{state: "OK"}, 1, time.Time{}, "go on: s0 answered 0.0 % of 100 requests with 5xx and api 0.0 % of 1000; s0 has a p99 of 12.5 ms and api one of 125 ms; s0 has 0 unhealthy targets and api 0"},
		"begun":                   {metrics{state: "OK"}, 1, minute(-2), "go on: s0 answered"},
		"begun a minute ago":      {metrics{state: "OK"}, 1, minute(-2).Add(time.Second), "wait: s0 has had 1 of the 2 periods"},
		"late figures":            {metrics{state: "OK", last: minute(-3)}, 1, time.Time{}, "go on: s0 answered"},
		"gone off":                {metrics{state: "ALARM", since: float64(minute(-2).Unix())}, 1, minute(-2), "back: the alarm dev-s0-canary-errors went off: So it is"},
		"gone off before":         {metrics{state: "ALARM", since: float64(minute(-3).Unix())}, 1, minute(-2), "go on: "},
		"new":                     {metrics{state: "INSUFFICIENT_DATA"}, 1, time.Time{}, "wait: the alarm dev-s0-canary-errors has not been evaluated yet: So it is"},
		"new and begun now":       {metrics{state: "INSUFFICIENT_DATA"}, 1, minute(1), "wait: s0 has had 0 of the 2 periods"},
		"as many as there may be": {metrics{state: "OK"}, 250, time.Time{}, "go on: s0 answered"},
		"may not be asked":        {metrics{state: "OK", denied: "GetMetricData"}, 1, time.Time{}, "error: CloudWatch did not answer for the metrics of dev in eu-west-1, which takes the permission cloudwatch:GetMetricData: "},
		"may not be asked at all": {metrics{denied: "DescribeAlarms"}, 1, time.Time{}, "error: CloudWatch did not answer for the alarms of dev in eu-west-1, which takes the permission cloudwatch:DescribeAlarms: "},
		"without the monolith":    {metrics{groups: []string{"q-SERVICE"}}, 1, time.Time{}, "error: the alarm dev-s0-canary-errors in eu-west-1 does not compare with the target group q-api: deploy what cdk.json says"},
		"of other names":          {metrics{groups: []string{"SERVICE", "api"}}, 1, time.Time{}, "error: the alarm dev-s0-canary-errors in eu-west-1 does not compare with the target group q-s0: "},
		// An alarm for unhealthy functions would never be evaluated.
		"of a function":            {metrics{state: "OK", groups: []string{"q-SERVICE-lambda", "q-api"}}, 1, time.Time{}, "go on: s0-lambda answered 0.0 % of 100 requests with 5xx and api 0.0 % of 1000; s0-lambda has a p99 of 12.5 ms and api one of 125 ms"},
		"of a function that fails": {metrics{state: "OK", groups: []string{"q-SERVICE-lambda", "q-api"}, failed: 3}, 1, time.Time{}, "back: s0-lambda answered 3.0 % of 100 requests with 5xx and api 0.0 % of 1000, and was worse for 2 periods of 60 s"},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.metrics
			m.t = t
			if m.last.IsZero() {
				m.last = minute(-1)
			}
			if m.groups == nil {
				m.groups = []string{"q-SERVICE", "q-api"}
			}
			server := httptest.NewServer(&m)
			defer server.Close()
			d := config.Deployment{Monolith: config.Service{Name: "api"}}
			for i := range c.services {
				d.Services = append(d.Services, config.Service{Name: fmt.Sprintf("s%d", i)})
				if strings.Contains(name, "function") {
					d.Services[i].Compute = config.Lambda{}
				}
			}
			environment := map[string]string{"AWS_ENDPOINT_URL_CLOUDWATCH": server.URL, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
			watcher, err := step.NewWatcher(t.Context(), d, "dev", "q-", at(migration.Switched), c.since, func(name string) string { return environment[name] })
			if err != nil {
				t.Fatal(err)
			}
			all, err := watcher.Look(t.Context())
			var findings []canary.Finding
			for _, w := range all {
				findings = slices.Concat(findings, w.Findings)
			}
			verdict, reasons := canary.Decide(findings)
			got := string(verdict) + ": " + strings.Join(reasons, "; ")
			if err != nil {
				got = "error: " + err.Error()
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%.400s\nwant %s", got, c.want)
			}
			if strings.Contains(name, "function") && strings.Contains(got, "unhealthy") {
				t.Errorf("%s: nobody checks the health of a function", got)
			}
			if err == nil && len(all) != c.services {
				t.Errorf("%d services were watched of %d", len(all), c.services)
			}
		})
	}
}
