package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAutoScalingGroups(t *testing.T) {
	m := read(t, `
		"Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {
			"InstanceType": "t3.small", "MetadataOptions": {"HttpTokens": "required"}, "NetworkInterfaces": [{"AssociatePublicIpAddress": "false"}, {}],
			"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": true, "Iops": 9000}}, {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}]}}},
		"Configuration": {"Type": "AWS::AutoScaling::LaunchConfiguration", "Properties": {"InstanceType": "t3.medium", "AssociatePublicIpAddress": true}},
		"Mixed": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "2", "MaxSize": "4", "MixedInstancesPolicy": {"LaunchTemplate": {
			"LaunchTemplateSpecification": {"LaunchTemplateId": {"Ref": "Template"}}, "Overrides": [{"InstanceType": "t4g.small"}, {"InstanceType": "t4g.medium"}]}}}},
		"Old": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "1", "DesiredCapacity": 3, "LaunchConfigurationName": {"Ref": "Configuration"}}},
		"Strange": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}}`)
	var got []string
	for _, g := range m.AutoScalingGroups {
		line := fmt.Sprintf("%s: %d to %d, %d; %v", g.Key(), g.Min, g.Max, g.Desired, g.InstanceTypes)
		if l := g.Launch; l != nil {
			var addresses []string
			for _, public := range l.PublicAddresses {
				if public == nil {
					addresses = append(addresses, "subnet")
				} else {
					addresses = append(addresses, fmt.Sprint(*public))
				}
			}
			line += fmt.Sprintf(" %s template %v %s tokens %v addresses %v %+v", l.Key(), l.Template(), l.InstanceType, l.TokensRequired, addresses, l.Volumes)
		} else {
			line += fmt.Sprint(" ", g.LaunchProperty, " ", g.Problem("LaunchTemplate"))
		}
		got = append(got, line)
	}
	if diff := cmp.Diff([]string{
		"S/Mixed: 2 to 4, 0; [t4g.small t4g.medium] S/Template template true t3.small tokens true addresses [false subnet] " +
			"[{Property:LaunchTemplateData.BlockDeviceMappings[0] Device:/dev/xvda EBS:true Type:gp3 SizeGB:30 Encrypted:true} {Property:LaunchTemplateData.BlockDeviceMappings[1] Device:/dev/sdb EBS:false Type:gp2 SizeGB:0 Encrypted:false}]",
		"S/Old: 1 to 3, 3; [] S/Configuration template false t3.medium tokens false addresses [true] []",
		`S/Strange: 0 to 0, 0; [] LaunchTemplate S/Strange/Properties.LaunchTemplate.LaunchTemplateId: expected a resource of the assembly of type AWS::EC2::LaunchTemplate, found "lt-1"`,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var settings []string
	for _, s := range m.LaunchTemplates[0].Settings {
		settings = append(settings, s.Property)
	}
	if want := "Properties.LaunchTemplateData.BlockDeviceMappings[0].Ebs.Iops Properties.LaunchTemplateData.BlockDeviceMappings[1].VirtualName"; strings.Join(settings, " ") != want {
		t.Errorf("the settings %q, want %q", settings, want)
	}
}
