package documents_test

import (
	"fmt"
	"slices"
	"strings"

	"cutover/internal/local/alb"
	"cutover/internal/local/apigateway"
	"cutover/internal/local/backing/broker"
	"cutover/internal/local/backing/dynamodb"
	"cutover/internal/local/backing/postgres"
	"cutover/internal/local/backing/queues"
	"cutover/internal/local/backing/queues/contract"
	"cutover/internal/local/cloudfront"
	"cutover/internal/local/discovery"
	"cutover/internal/local/ecs"
	"cutover/internal/local/eventbridge"
	"cutover/internal/local/eventsource"
	"cutover/internal/local/lambda"
	"cutover/internal/local/provider"
	"cutover/internal/local/secrets"
	"cutover/internal/local/ssm"
	"cutover/internal/model"
)

// compatibilityTables say what of a foreign assembly runs on this machine, from the tables that decide.
func compatibilityTables() map[string]string {
	table := func(rows []provider.Compatibility) string {
		var b strings.Builder
		b.WriteString("| setting | on this machine | why |\n|---|---|---|\n")
		for _, row := range rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", row.Setting, row.Here, row.Why)
		}
		return b.String()
	}
	var run []string
	for _, p := range []provider.Provider{&alb.Provider{}, &ecs.Provider{}, &eventbridge.Provider{}, &lambda.Provider{}, &eventsource.Provider{}, ssm.New(), &discovery.Provider{}, &dynamodb.Provider{}, &postgres.Provider{}, &queues.Provider{}, &broker.Provider{}, &secrets.Secrets{}, &apigateway.Provider{}, &cloudfront.Provider{}} {
		run = append(run, p.Types()...)
	}
	slices.Sort(run)
	var types strings.Builder
	types.WriteString("| type | on this machine |\n|---|---|\n")
	for _, name := range run {
		fmt.Fprintf(&types, "| `%s` | runs |\n", name)
	}
	for _, name := range model.UnevaluatedTypes() {
		fmt.Fprintf(&types, "| `%s` | left out, with a warning: %s |\n", strings.TrimSuffix(name, "::"), model.Unevaluated(name))
	}
	for _, name := range model.RefusedAPIs() {
		other := ""
		if strings.HasSuffix(name, "::") {
			other = ", but for its `VpcLink`"
		}
		fmt.Fprintf(&types, "| `%s`%s | refused: %s |\n", strings.TrimSuffix(name, "::"), other, model.RefusedAPI(strings.TrimSuffix(name, "::")+map[bool]string{true: "::"}[other != ""]))
	}
	fmt.Fprintf(&types, "| `%s` | refused: AWS has ended App Mesh on 2026-09-30 |\n", strings.TrimSuffix(model.Ended, "::"))
	ofQueues, ofTopics, ofSubscriptions := queues.Compatibility()
	var promises strings.Builder
	promises.WriteString("| SQS and SNS promise | on this machine |\n|---|---|\n")
	for _, promise := range contract.Promises {
		here := "shown"
		if promise.Only != "" {
			here = "only on AWS: " + promise.Only
		}
		fmt.Fprintf(&promises, "| %s | %s |\n", promise.Does, here)
	}
	return map[string]string{
		"compatibility, promises":       promises.String(),
		"compatibility, queues":         table(ofQueues),
		"compatibility, topics":         table(ofTopics),
		"compatibility, subscriptions":  table(ofSubscriptions),
		"compatibility, types":          types.String(),
		"compatibility, tasks":          table(ecs.Compatibility()),
		"compatibility, load balancers": table(alb.Compatibility()),
		"compatibility, names":          table(discovery.Compatibility()),
		"compatibility, schedules":      table(eventbridge.Compatibility()),
		"compatibility, functions":      table(lambda.Compatibility()),
		"compatibility, event sources":  table(eventsource.Compatibility()),
		"compatibility, apis":           table(apigateway.Compatibility()),
		"compatibility, distributions":  table(cloudfront.Compatibility()),
		"compatibility, tables":         table(dynamodb.Compatibility()),
		"compatibility, brokers":        table(broker.Compatibility()),
		"compatibility, clusters":       table(postgres.Compatibility()),
	}
}
