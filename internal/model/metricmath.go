package model

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strconv"

	"cutover/internal/assembly"
)

// Metric is a part of a metric of one's own, which an expression knows by its id. At most one of Queue and Tasks is set. Without one
// of them, the metric is not measured here.
type Metric struct {
	ID string
	// Queue is the queue whose visible messages are counted.
	Queue *Queue `json:"-"`
	// QueueName is the queue's name.
	QueueName string `json:",omitempty"`
	// Tasks says that the running tasks of the service are counted.
	Tasks bool `json:",omitempty"`
}

// metricMath reads a metric of one's own that is put together from others.
// https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
func (m *Model) metricMath(y *ScalingPolicy, v assembly.Value) {
	for _, query := range v.Field("Metrics").List() {
		id := query.Field("Id").Text("")
		returned := query.Field("ReturnData").Bool(true)
		label, expression := query.Field("Label").Text(""), query.Field("Expression").Text("")
		if returned && expression != "" {
			y.Expression, y.Metric = expression, cmp.Or(label, expression)
		}
		if stat := query.Field("MetricStat"); stat.Present() {
			y.Metrics = append(y.Metrics, m.metric(y, id, stat))
			if returned {
				y.Expression, y.Metric = id, cmp.Or(label, id)
			}
		}
	}
}

func (m *Model) metric(y *ScalingPolicy, id string, stat assembly.Value) Metric {
	stat.Field("Stat")
	of := stat.Field("Metric")
	name := of.Field("Namespace").Text("") + " " + of.Field("MetricName").Text("")
	one := Metric{ID: id}
	for _, d := range of.Field("Dimensions").List() {
		value := d.Field("Value")
		switch dimension := d.Field("Name").Text(""); {
		case dimension == "QueueName" && name == "AWS/SQS ApproximateNumberOfMessagesVisible":
			if one.Queue = elsewhere[Queue](m, value, SQSQueue, "QueueName"); one.Queue == nil {
				one.Queue = m.QueueNamed(value.Identity(""))
			}
			if one.Queue != nil {
				one.QueueName = one.Queue.Name
			}
		case dimension == "ServiceName" && name == "ECS/ContainerInsights RunningTaskCount":
			of := elsewhere[Service](m, value, ECSService, "Name")
			one.Tasks = y.Target != nil && y.Target.Service != nil && (of == y.Target.Service || of == nil && value.Identity("") == y.Target.Service.Name)
		}
	}
	return one
}

// mathMeasured says whether all that the expression needs is measured here.
func (y *ScalingPolicy) mathMeasured() bool {
	for _, one := range y.Metrics {
		if one.Queue == nil && !one.Tasks {
			return false
		}
	}
	if y.Expression == "" {
		return false
	}
	_, err := y.Value(func(Metric) float64 { return 1 })
	return err == nil
}

// Value is the value of a metric of one's own, from those of its parts. It is not a number if a part is none, or for a
// division by 0. The error says what of the expression is not known here: it may have numbers, ids, + - * / and parentheses.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
func (y *ScalingPolicy) Value(of func(Metric) float64) (float64, error) {
	tree, err := parser.ParseExpr(y.Expression)
	if err != nil {
		return 0, fmt.Errorf("the expression %q is not known here", y.Expression)
	}
	value, err := evaluate(tree, func(id string) (float64, error) {
		for _, one := range y.Metrics {
			if one.ID == id {
				return of(one), nil
			}
		}
		return 0, fmt.Errorf("the expression %q has %q, which is no metric", y.Expression, id)
	})
	if math.IsInf(value, 0) {
		value = math.NaN()
	}
	return value, err
}

func evaluate(tree ast.Expr, value func(id string) (float64, error)) (float64, error) {
	switch e := tree.(type) {
	case *ast.Ident:
		return value(e.Name)
	case *ast.BasicLit:
		return strconv.ParseFloat(e.Value, 64)
	case *ast.ParenExpr:
		return evaluate(e.X, value)
	case *ast.BinaryExpr:
		x, err1 := evaluate(e.X, value)
		y, err2 := evaluate(e.Y, value)
		err := errors.Join(err1, err2)
		switch e.Op {
		case token.ADD:
			return x + y, err
		case token.SUB:
			return x - y, err
		case token.MUL:
			return x * y, err
		case token.QUO:
			return x / y, err
		}
	}
	return 0, errors.New("the expression has more than numbers, ids, + - * / and parentheses")
}
