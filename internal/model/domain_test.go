package model

import (
	"fmt"
	"strings"
	"testing"
)

// A URL with a domain of a load balancer refers to the load balancer, wherever the domain is said. What only
// looks like the domain stays.
func TestDomains(t *testing.T) {
	values := []struct{ value, want string }{
		{`"https://api.example.com"`, "http://${S/Lb.Domain:api.example.com:443}"},
		{`"http://api.example.com/users?a=b"`, "http://${S/Lb.Domain:api.example.com:80}/users?a=b"},
		{`"HTTPS://me:secret@API.example.com.:8443/"`, "HTTP://me:secret@${S/Lb.Domain:api.example.com:8443}/"},
		{`"wss://api.example.com,https://api.example.com#a"`, "ws://${S/Lb.Domain:api.example.com:443},http://${S/Lb.Domain:api.example.com:443}#a"},
		{`{"Fn::Join": ["", ["https://api.example.com/", {"Fn::GetAtt": ["Lb", "LoadBalancerName"]}]]}`, "http://${S/Lb.Domain:api.example.com:443}/${S/Lb.LoadBalancerName}"},
		{`"https://www.example.org"`, "http://${S/Lb.Domain:www.example.org:443}"},
		{`"https://alias.example.org"`, "http://${S/Lb.Domain:alias.example.org:443}"},
		{`"https://api.example.community"`, ""},
		{`"https://my.api.example.com"`, ""},
		{`"https://apiXexample.com"`, ""},
		{`"https://api.example.com.evil.org"`, ""},
		{`"https://api.example.com-evil.org"`, ""},
		{`"https://bucket.example.org"`, ""},
		{`"api.example.com"`, ""},
		{`"postgres://api.example.com"`, ""},
	}
	var variables []string
	for i, v := range values {
		variables = append(variables, fmt.Sprintf(`{"Name": "V%d", "Value": %s}`, i, v.value))
	}
	m := read(t, `
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Metadata": {"cutover:domain": "api.example.com"}, "Properties": {"Subnets": ["a", "b"]}},
		"Cname": {"Type": "AWS::Route53::RecordSet", "Properties": {"Name": "www.example.org.", "Type": "CNAME", "ResourceRecords": [{"Fn::GetAtt": ["Lb", "DNSName"]}]}},
		"Alias": {"Type": "AWS::Route53::RecordSet", "Properties": {"Name": "alias.example.org", "Type": "A", "AliasTarget": {"DNSName": {"Fn::Join": ["", ["dualstack.", {"Fn::GetAtt": ["Lb", "DNSName"]}]]}}}},
		"Other": {"Type": "AWS::Route53::RecordSet", "Properties": {"Name": "bucket.example.org", "Type": "CNAME", "ResourceRecords": ["s3.amazonaws.com"]}},
		"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{"Name": "c", "Image": "i", "Environment": [`+strings.Join(variables, ",")+`]}]}},
		"Caller": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": {"Ref": "T"}}}`)
	for i, v := range m.TaskDefinitions[0].Containers[0].Environment {
		if got := v.Parts.String(); got != values[i].want {
			t.Errorf("%s became %q, want %q", values[i].value, got, values[i].want)
		}
		if want := strings.Trim(values[i].value, `"`); !strings.HasPrefix(want, "{") && v.Value != want {
			t.Errorf("%s has the value %q", want, v.Value)
		}
	}
	if calls := m.Calls(); len(calls) != 7 || calls[0].Value != "https://api.example.com" || calls[0].Balancer != m.LoadBalancers[0] {
		t.Errorf("%d calls, the first is %+v", len(calls), calls[0])
	}
}
