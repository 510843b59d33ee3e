package criticalpath

import (
	"fmt"
	"strings"
	"testing"
)

// What AWS takes minutes for is told where a deployment waits for it, and no sum has it. The page is there before a request for it.
func TestFronts(t *testing.T) {
	const (
		link   = `"Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"Name": "NAME", "SubnetIds": ["SUBNET"]}}`
		stage  = `"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"Description": "NAME", "CacheClusterEnabled": CACHE}}`
		broker = `"Broker": {"Type": "AWS::AmazonMQ::Broker", "Properties": {"BrokerName": "NAME"}}`
		poll   = `"Poll": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"BatchSize": 1, "StartingPosition": "TRIM_HORIZON"}}`
		page   = `"Files": {"Type": "Custom::CDKBucketDeployment"}, "Way": {"Type": "AWS::CloudFront::VpcOrigin", "DependsOn": "Files"},
			"Ui": {"Type": "AWS::CloudFront::Distribution", "DependsOn": "Way", "Properties": {"DistributionConfig": {"Comment": "NAME"}}}`
	)
	with := func(text string, more ...string) stacks {
		return stacks{"Front": strings.NewReplacer(append(more, "NAME", "a", "SUBNET", "s", "CACHE", "false")...).Replace(text)}
	}
	for _, test := range []struct {
		name          string
		before, after stacks
		want          string
	}{
		{"a VPC link", nil, with(link), "create Link: minutes, until API Gateway has network interfaces in the VPC"},
		{"another name of it", with(link), with(link, "NAME", "b"), "update Link: "},
		{"another subnet", with(link), with(link, "SUBNET", "r"), "replace Link: minutes, until API Gateway has network interfaces in the VPC; delete Link: "},
		{"a stage", nil, with(stage), "create Stage: "},
		{"a broker", nil, with(broker), "create Broker: about 15 minutes, until the broker runs"},
		{"with a cache", nil, with(stage, "CACHE", "true"), "create Stage: minutes, until its cache is there or gone"},
		{"another description", with(stage, "CACHE", "true"), with(stage, "CACHE", "true", "NAME", "b"), "update Stage: "},
		{"no cache any more", with(stage, "CACHE", "true"), with(stage), "update Stage: minutes, until its cache is there or gone"},
		{"a mapping of a stream", nil, with(poll), "create Poll: minutes, until Lambda reads the stream"},
		{"another batch", with(poll), with(poll, `"BatchSize": 1`, `"BatchSize": 2`), "update Poll: minutes, until Lambda reads the stream"},
		{"another position", with(poll), with(poll, "TRIM_HORIZON", "LATEST"), "replace Poll: minutes, until Lambda reads the stream; delete Poll: "},
		{"a mapping of a queue", nil, with(poll, `, "StartingPosition": "TRIM_HORIZON"`, ""), "create Poll: "},
		{"a page", nil, with(page), "create Files: ; create Way: minutes, until CloudFront has network interfaces in the VPC; create Ui: minutes, until all places of CloudFront have it"},
		{"a change of it", with(page), with(page, "NAME", "b"), "update Ui: minutes, until all places of CloudFront have it"},
		{"no page any more", with(page), with(link, "NAME", "b"), "create Link: minutes, until API Gateway has network interfaces in the VPC; delete Ui: ; delete Way: ; delete Files: "},
	} {
		p := path(t, test.before, test.after)
		var steps []string
		for _, step := range p.Chain {
			steps = append(steps, fmt.Sprintf("%s %s: %s", step.Action, step.LogicalID, step.Why))
		}
		if got := strings.Join(steps, "; "); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
		if p.Longest.Seconds != 0 || p.Serial.Seconds != 0 {
			t.Errorf("%s: %d s and %d s are summed up", test.name, p.Longest.Seconds, p.Serial.Seconds)
		}
	}
}
