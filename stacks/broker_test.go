package stacks_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cutover/config"
	"cutover/internal/assembly"
	"cutover/internal/golden"
	"cutover/internal/nightly"
)

// brokered has services that use the message broker: the monolith and a task on EC2 from the instance, and one on Fargate.
func brokered() config.Deployment {
	d := alike(3)
	d.Monolith.Broker = config.RabbitMQ
	for i := range d.Services[:2] {
		d.Services[i].Broker = config.RabbitMQ
	}
	d.Services[1].Compute = config.Fargate{}
	return d
}

// TestGoldensOfBroker compares the stack of the message broker: one node, and a cluster in production.
func TestGoldensOfBroker(t *testing.T) {
	for env, context := range map[string]settings{"dev": {"alarms": "on"}, "prod": {"env": "prod", "maxInstances": "20"}} {
		stack := synthQuickly(t, brokered(), context).Stack(env + "-Broker")
		golden.Compare(t, filepath.Join(goldenDir, "broker", stack.Name+".json"), goldenTemplate(t, stack))
	}
}

// TestBroker states what naming a broker changes: the secret with the address, who may read it, and who may reach the broker.
// Services that name none are as they were.
func TestBroker(t *testing.T) {
	nightly.Test(t, "it synthesizes the broker twice")
	without := brokered()
	without.Monolith.Broker = ""
	without.Services = slices.Clone(without.Services)
	for i := range without.Services {
		without.Services[i].Broker = ""
	}
	var got []string
	for _, line := range assembly.Changes(synthQuickly(t, without, nil), synthQuickly(t, brokered(), nil)) {
		if !strings.Contains(line, "dev-Broker ") && !strings.Contains(line, "Metadata.") {
			got = append(got, inShort.Replace(line))
		}
	}
	const (
		secret = "map[Fn::Join:[ [arn: PARTITION :secretsmanager: REGION : ACCOUNT :secret:dev/broker-url"
		reads  = "[map[Action:secretsmanager:GetSecretValue Effect:Allow Resource:" + secret + "-??????]]]]]"
		has    = "Secrets <nil> -> [map[Name:AMQP_URL ValueFrom:" + secret + "]]]]]"
		logs   = "[map[Action:[logs:CreateLogStream logs:PutLogEvents] Effect:Allow Resource:map[Fn::GetAtt:[LogGroupF5B46931 Arn]]]]"
	)
	equal(t, "changes", got, []string{
		"~ dev-S00 container " + has, "~ dev-S00 execution role  -> " + reads,
		"~ dev-S01 FargateTaskDefinition8E3B365E Properties.ContainerDefinitions[0]." + has,
		"~ dev-S01 FargateTaskDefinitionExecutionRoleDefaultPolicy1632DA52 Properties.PolicyDocument.Statement " + logs + " -> " + reads,
		"+ dev-S01 FargateToBroker AWS::EC2::SecurityGroupIngress",
		"~ dev-Shop container " + has, "~ dev-Shop execution role  -> " + reads,
	})
}

// TestNagOfBroker reads what cdk-nag says of the message broker.
func TestNagOfBroker(t *testing.T) {
	nightly.Test(t, "cdk-nag writes reports")
	dir := filepath.Join(scratch, "nag-of-broker")
	if err := synthTo(brokered(), cdkContext(t, settings{"alarms": "on"}), dir, true); err != nil {
		t.Fatal(err)
	}
	a, err := assembly.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkNag(t, "dev", a)
}
