package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"cutover/config"
	"cutover/internal/canary"
	"cutover/internal/onaws"
	"cutover/migration"
)

// Comparison is a pair of a service that has taken traffic from another pair.
type Comparison struct {
	Service config.Service
	// Pair is compared with With: names of pairs, as in [migration.Plan].
	Pair, With string
	// Balancer is the further load balancer at which they are compared. Empty for the first one.
	Balancer string
	// Compute says that both pairs are of the service, which moves to another compute. Otherwise With is
	// of the monolith.
	Compute bool
	// Percent is how much of the traffic the pair has taken.
	Percent float64
}

// Name names the comparison: the pair, and the load balancer if the service is behind several.
func (c Comparison) Name() string {
	return migration.Balancer{Name: c.Balancer}.GroupName(c.Pair)
}

// function says whether the pair is a function.
func (c Comparison) function() bool {
	function, is := c.Service.Function()
	return is && function.Name == c.Pair
}

// Canaries returns what is compared in a position:
//
//   - with the monolith, while it runs, services that have a share above 0 or are switched, unless their
//     old pair has no traffic any more: no alarm compares the new one with the monolith
//   - with its old pair, the new one of a service that moves to another compute, while both run and it
//     has traffic
//
// If there is nothing to compare, the error says what to do.
func Canaries(d config.Deployment, at migration.Position) (all []Comparison, err error) {
	m := d.Migration()
	asked := func(s config.Service) bool {
		if s.Name == d.Monolith.Name {
			return at.Phase < migration.Switched || d.KeepRest
		}
		return Percent(at, s) > 0
	}
	for _, service := range d.Services {
		if at.Phase < migration.Retired && Percent(at, service) > 0 && at.Compute[service.Name].Phase < migration.Switched {
			all = append(all, Comparison{Service: service, Pair: service.Pairs()[0].Name, With: m.Leading(d.Monolith.Name, at), Balancer: "", Percent: Percent(at, service)})
		}
	}
	var hint error
	for _, service := range d.All() {
		place, pairs := at.Compute[service.Name], service.Pairs()
		if service.Next == nil || !asked(service) || place.Phase == migration.Retired {
			continue
		}
		percent := 100.0
		switch {
		case place.Shifted:
			percent = float64(place.Percent)
		case place == migration.Place{} && at.Phase >= migration.Retired:
			hint = fmt.Errorf("there is no canary in %s, %s has all of the traffic of %s: go to parallel with `cutover phase next --compute %[3]s`, deploy that, and begin a canary", at, pairs[0].Name, service.Name)
			continue
		case place.Phase < migration.Switched:
			percent = 0
		}
		if percent == 0 {
			hint = fmt.Errorf("there is no canary in %s, %s has all of the traffic of %s: begin one with `cutover phase next --compute %[3]s=10` and deploy it", at, pairs[0].Name, service.Name)
			continue
		}
		balancers := []string{""}
		if service.Name == d.Monolith.Name {
			balancers = nil
			for _, b := range m.Plan(at).Balancers {
				balancers = append(balancers, b.Name)
			}
		}
		for _, balancer := range balancers {
			all = append(all, Comparison{Service: service, Pair: pairs[1].Name, With: pairs[0].Name, Balancer: balancer, Compute: true, Percent: percent})
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case hint != nil:
		return nil, hint
	case at.Phase >= migration.Retired:
		return nil, fmt.Errorf("in %s %s answers nothing any more that others could be compared with: the migration is complete", at.Phase, d.Monolith.Name)
	}
	for _, service := range d.Services {
		for _, route := range service.AllRoutes() {
			if at.Place(service.Name, route.Name).Phase == migration.Parallel {
				return nil, fmt.Errorf("there is no canary in %s, %s has all of the traffic: begin one with `cutover phase next --canary %s=10` and deploy it", at, d.Monolith.Name, migration.Key(service.Name, route.Name))
			}
		}
	}
	return nil, fmt.Errorf("in %s %s has all of the traffic: go to parallel with `cutover phase next`, deploy that, and begin a canary", at, d.Monolith.Name)
}

// Percent returns how much of its traffic a service gets: the share of the route that has the most.
func Percent(at migration.Position, service config.Service) (percent float64) {
	for _, route := range service.AllRoutes() {
		switch place := at.Place(service.Name, route.Name); {
		case place.Phase == migration.Switched:
			return 100
		case place.Shifted:
			percent = max(percent, float64(place.Percent))
		}
	}
	return percent
}

// Watched is a comparison on AWS.
type Watched struct {
	Comparison
	canary.Subject
	Findings []canary.Finding
	Alarms   []Alarm
}

// Alarm is an alarm that compares a service with the monolith, and its state.
type Alarm struct {
	Name  string `json:"name"`
	State string `json:"state"` // OK, ALARM or INSUFFICIENT_DATA
	// Reason is why the alarm came into this state, in CloudWatch's words. Since is when.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`

	groups []group
}

// group is a target group in the dimensions of a metric.
type group struct{ balancer, target string }

// Watcher asks CloudWatch how the canaries of an environment do.
type Watcher struct {
	env        string
	prefix     string // of the target groups' names
	canaries   []Comparison
	since      time.Time // when the canary began; zero if unknown
	cloudwatch *cloudwatch.Client
	region     string
}

// NewWatcher returns a watcher of the [Canaries] in a position of an environment. The names of its
// target groups begin with the prefix. Figures from before since do not count. Credentials and
// region come from the same places as for [Ask].
func NewWatcher(ctx context.Context, d config.Deployment, env, prefix string, at migration.Position, since time.Time, getenv func(string) string) (*Watcher, error) {
	canaries, err := Canaries(d, at)
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	account, err := onaws.Config(asking, getenv, "CLOUDWATCH")
	if err != nil {
		return nil, fmt.Errorf("AWS was not asked: %w", err)
	}
	return &Watcher{
		env: env, prefix: prefix, canaries: canaries, since: since, region: account.Region,
		cloudwatch: cloudwatch.NewFromConfig(account, func(o *cloudwatch.Options) {
			// AWS takes several protocols. Emulators may lack the default, CBOR.
			o.Protocol = awsjson.New10(schemas.GraniteServiceVersion20100801)
		}),
	}, nil
}

// Look returns the comparisons with their alarms, and the figures of the last minutes that CloudWatch
// has. It fails if an alarm is missing, or if AWS does not answer.
func (w *Watcher) Look(ctx context.Context) ([]Watched, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	alarms, err := w.alarms(ctx)
	if err != nil {
		return nil, err
	}
	var all []Watched
	var pairs [][2]group // of each comparison
	for _, c := range w.canaries {
		watched := Watched{Comparison: c, Subject: canary.Subject{Service: c.Name(), Monolith: migration.Balancer{Name: c.Balancer}.GroupName(c.With), Function: c.function(), Length: canary.Period}}
		for _, kind := range canary.KindsOf(c.function()) {
			watched.Alarms = append(watched.Alarms, alarms[canary.AlarmName(w.env, c.Name(), kind)])
		}
		all = append(all, watched)
		pair, err := w.pair(c, watched.Alarms)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
	}
	measured, err := w.measure(ctx, pairs)
	if err != nil {
		return nil, err
	}
	for i := range all {
		watched, pair := &all[i], pairs[i]
		watched.Rounds = rounds(measured, pair[0], pair[1], w.since)
		for k, finding := range watched.Judge() {
			watched.Findings = append(watched.Findings, watched.Alarms[k].told(finding, w.since))
		}
	}
	return all, nil
}

func (w *Watcher) alarms(ctx context.Context) (map[string]Alarm, error) {
	var names []string
	for _, c := range w.canaries {
		for _, kind := range canary.KindsOf(c.function()) {
			names = append(names, canary.AlarmName(w.env, c.Name(), kind))
		}
	}
	alarms := map[string]Alarm{}
	for some := range slices.Chunk(names, 100) { // the most that can be asked for
		answer, err := w.cloudwatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: some, MaxRecords: aws.Int32(100)})
		if err != nil {
			return nil, w.failed("alarms", "DescribeAlarms", err)
		}
		for _, a := range answer.MetricAlarms {
			alarm := Alarm{Name: aws.ToString(a.AlarmName), State: string(a.StateValue), Reason: aws.ToString(a.StateReason), Since: aws.ToTime(a.StateUpdatedTimestamp)}
			for _, query := range a.Metrics {
				if query.MetricStat == nil || query.MetricStat.Metric == nil {
					continue
				}
				var g group
				for _, dimension := range query.MetricStat.Metric.Dimensions {
					switch aws.ToString(dimension.Name) {
					case "LoadBalancer":
						g.balancer = aws.ToString(dimension.Value)
					case "TargetGroup":
						g.target = aws.ToString(dimension.Value)
					}
				}
				alarm.groups = append(alarm.groups, g)
			}
			alarms[alarm.Name] = alarm
		}
	}
	missing := slices.DeleteFunc(names, func(name string) bool { return alarms[name].Name != "" })
	if n := len(missing); n > 0 {
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" and %d others", n-1)
		}
		return nil, fmt.Errorf(`%s in %s has no alarm %s%s: set "alarms": "on" in cdk.json and deploy that`, w.env, w.region, missing[0], more)
	}
	return alarms, nil
}

func (w *Watcher) failed(what, permission string, err error) error {
	return fmt.Errorf("CloudWatch did not answer for the %s of %s in %s, which takes the permission cloudwatch:%s: %w", what, w.env, w.region, permission, err)
}

// pair returns the target groups that the alarms of a comparison compare, the canary's first.
func (w *Watcher) pair(c Comparison, alarms []Alarm) (pair [2]group, err error) {
	b := migration.Balancer{Name: cmp.Or(c.Service.LoadBalancer, c.Balancer)}
	for i, of := range []string{c.Pair, c.With} {
		// A target group is "targetgroup/NAME/ID" in metrics.
		name := "targetgroup/" + w.prefix + b.GroupName(of) + "/"
		for _, alarm := range alarms {
			for _, g := range alarm.groups {
				if strings.HasPrefix(g.target, name) {
					pair[i] = g
				}
			}
		}
		if pair[i].target == "" {
			return pair, fmt.Errorf("the alarm %s in %s does not compare with the target group %s: deploy what cdk.json says", alarms[0].Name, w.region, w.prefix+b.GroupName(of))
		}
	}
	return pair, nil
}

// The metrics of a target group, and their statistics. Only a function has the last two, what it did not answer,
// and only tasks have hosts that are unhealthy
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html).
var metrics = []struct{ name, statistic string }{
	{"RequestCount", "Sum"}, {"HTTPCode_Target_5XX_Count", "Sum"}, {"TargetResponseTime", "p99"}, {"UnHealthyHostCount", "Minimum"},
	{"LambdaUserError", "Sum"}, {"LambdaInternalError", "Sum"},
}

// lateness is how long CloudWatch may take to have the figures of a minute.
const lateness = 3 * time.Minute

// measure returns CloudWatch's figures by group and minute, in the order of the metrics.
func (w *Watcher) measure(ctx context.Context, pairs [][2]group) (map[group]map[time.Time][]float64, error) {
	measured := map[group]map[time.Time][]float64{}
	var queries []types.MetricDataQuery
	var groups []group
	for _, pair := range pairs {
		for _, g := range pair {
			if measured[g] != nil {
				continue
			}
			measured[g] = map[time.Time][]float64{}
			groups = append(groups, g)
			for _, metric := range metrics {
				queries = append(queries, types.MetricDataQuery{Id: aws.String(fmt.Sprintf("m%d", len(queries))), MetricStat: &types.MetricStat{
					Metric: &types.Metric{
						Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String(metric.name),
						Dimensions: []types.Dimension{
							{Name: aws.String("LoadBalancer"), Value: aws.String(g.balancer)},
							{Name: aws.String("TargetGroup"), Value: aws.String(g.target)},
						},
					},
					Period: aws.Int32(int32(canary.Period / time.Second)), Stat: aws.String(metric.statistic),
				}})
			}
		}
	}
	end := time.Now().UTC().Truncate(canary.Period)
	start := end.Add(-canary.Periods*canary.Period - lateness)
	for some := range slices.Chunk(queries, 500) { // the most that can be asked for
		pages := cloudwatch.NewGetMetricDataPaginator(w.cloudwatch, &cloudwatch.GetMetricDataInput{StartTime: &start, EndTime: &end, MetricDataQueries: some})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, w.failed("metrics", "GetMetricData", err)
			}
			for _, result := range page.MetricDataResults {
				n, err := strconv.Atoi(strings.TrimPrefix(aws.ToString(result.Id), "m"))
				if err != nil || n < 0 || n >= len(queries) || len(result.Values) != len(result.Timestamps) {
					return nil, w.failed("metrics", "GetMetricData", errors.New("the answer does not fit the question"))
				}
				for i, at := range result.Timestamps {
					minutes := measured[groups[n/len(metrics)]]
					if at = at.UTC(); minutes[at] == nil {
						minutes[at] = make([]float64, len(metrics))
					}
					minutes[at][n%len(metrics)] = result.Values[i]
				}
			}
		}
	}
	return measured, nil
}

// rounds returns the last minutes with figures of either group, without minutes before since.
// CloudWatch has no figure for a count of 0.
func rounds(measured map[group]map[time.Time][]float64, service, monolith group, since time.Time) []canary.Round {
	var last time.Time
	for _, g := range []group{service, monolith} {
		for at := range measured[g] {
			if at.After(last) {
				last = at
			}
		}
	}
	var rounds []canary.Round
	for n := canary.Periods - 1; n >= 0; n-- {
		at := last.Add(-time.Duration(n) * canary.Period)
		if !last.IsZero() && !at.Before(since) {
			rounds = append(rounds, canary.Round{Service: sample(measured[service][at]), Monolith: sample(measured[monolith][at])})
		}
	}
	return rounds
}

func sample(figures []float64) (s canary.Sample) {
	if figures == nil {
		return s
	}
	return canary.Sample{
		Requests: int(figures[0]), Errors: int(figures[1] + figures[4] + figures[5]),
		P99: time.Duration(math.Round(figures[2]*1e6)) * time.Microsecond, Unhealthy: int(figures[3]),
	}
}

// told returns a finding with what its alarm adds:
//
//   - An alarm that went off means worse, whatever the last figures are. An alarm that went off
//     before the canary began does not count.
//   - An alarm that has not been evaluated yet rules out a good finding.
func (a Alarm) told(f canary.Finding, since time.Time) canary.Finding {
	switch {
	case f.State == canary.Worse:
	case a.State == string(types.StateValueAlarm) && !a.Since.Before(since):
		f.State, f.Reason = canary.Worse, fmt.Sprintf("the alarm %s went off: %s", a.Name, strings.TrimSuffix(a.Reason, "."))
	case a.State == string(types.StateValueInsufficientData) && f.State != canary.NotEnough:
		f.State, f.Reason = canary.NotEnough, fmt.Sprintf("the alarm %s has not been evaluated yet: %s", a.Name, strings.TrimSuffix(a.Reason, "."))
	}
	return f
}
