package model

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIAM(t *testing.T) {
	m := read(t, `
		"Role": {"Type": "AWS::IAM::Role", "Properties": {
			"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}},
			"Policies": [{"PolicyName": "own", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": ["a:B", "a:C"], "Resource": {"Fn::GetAtt": ["Topic", "Arn"]}}]}}],
			"ManagedPolicyArns": ["arn:aws:iam::aws:policy/X"]}},
		"Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
		"Policy": {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": [
			{"Sid": "x", "Effect": "Deny", "Action": "*", "Resource": {"Fn::Join": ["", [{"Fn::GetAtt": ["Topic", "Arn"]}, "/*"]]}, "Condition": {"StringEquals": {"aws:SourceAccount": ["1", "2"]}}},
			{"Effect": "Allow", "NotAction": "a:B", "Resource": "*"}]}}},
		"Topic": {"Type": "AWS::SNS::Topic"},
		"Open": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "sns:Publish", "Resource": "*", "Principal": "*"}}}},
		"Gone": {"Type": "AWS::SNS::TopicPolicy", "Condition": "Never", "Properties": {"PolicyDocument": {"Statement": []}}}`)
	var got []string
	add := func(what string, statements []Statement) {
		for _, s := range statements {
			got = append(got, fmt.Sprintln(what, s.Effect, s.Actions, "on", s.Resources, "by", s.Principals, "if", s.Condition))
		}
	}
	for _, r := range m.Roles {
		add("trust", r.Trust)
		add("own", r.Statements)
		got = append(got, fmt.Sprintln("managed", r.Managed))
	}
	for _, p := range m.Policies {
		add(p.Roles[0].Key(), p.Statements)
		got = append(got, fmt.Sprintln(p.Unsupported(nil, nil, "PolicyDocument")))
	}
	for _, p := range m.ResourcePolicies {
		add(p.Key(), p.Statements)
		if err := p.Unsupported(nil, nil); err != nil {
			t.Error(err)
		}
	}
	for _, p := range m.InstanceProfiles {
		got = append(got, fmt.Sprintln("instances", p.Roles[0].Key()))
	}
	if diff := cmp.Diff([]string{
		"trust Allow [sts:AssumeRole] on [] by map[Service:[ec2.amazonaws.com]] if map[]\n",
		"own Allow [a:B a:C] on [S/Topic.Arn] by map[] if map[]\n",
		"managed [arn:aws:iam::aws:policy/X]\n",
		"S/Role Deny [*] on [${S/Topic.Arn}/*] by map[] if map[StringEquals:map[aws:SourceAccount:[1 2]]]\n",
		"S/Role Allow [] on [*] by map[] if map[]\n",
		"S/Policy/Properties.PolicyDocument.Statement[1].NotAction: not honoured: what it does is not known here\n",
		"S/Open Allow [sns:Publish] on [*] by map[AWS:[*]] if map[]\n",
		"instances S/Role\n",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARN(t *testing.T) {
	m := read(t, `
		"Named": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/ecs/users"}},
		"Own": {"Type": "AWS::SSM::Parameter"},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}},
		"Key": {"Type": "AWS::KMS::Key"},
		"Route": {"Type": "AWS::EC2::Route"}`)
	for id, want := range map[string]string{
		"Named": "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/users:*",
		"Own":   "arn:aws:ssm:us-east-1:123456789012:parameter/${S/Own}",
		"Role":  "arn:aws:iam::123456789012:role/r",
		"Key":   "arn:aws:kms:us-east-1:123456789012:key/${S/Key}",
		"Route": "",
	} {
		if got := ARN(m.Assembly.Stacks[0].Resource(id), "123456789012", "us-east-1"); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}
