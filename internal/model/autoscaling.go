package model

import (
	"fmt"
	"math"

	"cutover/internal/assembly"
)

// AutoScalingGroup is a group of EC2 instances.
type AutoScalingGroup struct {
	Base
	// Desired is 0 if the template leaves the number to the group.
	Min, Max, Desired int
	// Launch is the launch template or launch configuration; nil if not in the assembly.
	Launch *Launch
	// LaunchProperty is the property that names Launch, or that should.
	LaunchProperty string
	// InstanceTypes are the group's own, preferred first. Default: the type of Launch.
	InstanceTypes []string
	// TargetGroups are those that the instances are registered with, by the property that says so.
	TargetGroups map[string]*TargetGroup
	// Subnets has nil for each subnet that the assembly does not have.
	Subnets []*Subnet
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-autoscaling-autoscalinggroup.html
func (m *Model) autoScalingGroup(g *AutoScalingGroup, p assembly.Value) {
	g.Min = p.Field("MinSize").Int(0, 0, math.MaxInt32)
	g.Desired = p.Field("DesiredCapacity").Int(0, 0, math.MaxInt32)
	g.Max = p.Field("MaxSize").Int(max(g.Min, g.Desired), 0, math.MaxInt32)
	g.Subnets = m.subnets(p.Field("VPCZoneIdentifier"))

	g.TargetGroups = map[string]*TargetGroup{}
	register := func(property string, v assembly.Value) {
		if group := elsewhere[TargetGroup](m, v, ELBTargetGroup, "TargetGroupArn"); group != nil {
			g.TargetGroups[property] = group
		}
	}
	for i, v := range p.Field("TargetGroupARNs").List() {
		register(fmt.Sprintf("TargetGroupARNs[%d]", i), v)
	}
	for i, v := range p.Field("TrafficSources").List() {
		register(fmt.Sprintf("TrafficSources[%d].Identifier", i), v.Field("Identifier"))
	}

	template := p.Field("LaunchTemplate")
	g.LaunchProperty = "LaunchTemplate"
	if mixed := p.Field("MixedInstancesPolicy").Field("LaunchTemplate"); mixed.Present() {
		template = mixed.Field("LaunchTemplateSpecification")
		g.LaunchProperty = "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification"
		for _, override := range mixed.Field("Overrides").List() {
			g.InstanceTypes = append(g.InstanceTypes, override.Field("InstanceType").Text(""))
		}
	}
	if g.Launch = refer[Launch](m, template.Field("LaunchTemplateId"), EC2LaunchTemplate, "LaunchTemplateId"); g.Launch == nil {
		g.Launch = refer[Launch](m, p.Field("LaunchConfigurationName"), EC2LaunchConfiguration)
	}
}

// Launch is how instances are launched: by a launch template or an older launch configuration.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ec2-launchtemplate-launchtemplatedata.html
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-autoscaling-launchconfiguration.html
type Launch struct {
	Base
	InstanceType string
	// TokensRequired says that version 1 of the metadata service is off. Default false.
	TokensRequired bool
	// PublicAddresses says if each interface (or the only one) gets one; nil: the subnet decides.
	PublicAddresses []*bool
	Volumes         []Volume

	data string // goes before the names of members
}

func (l *Launch) Template() bool { return l.data != "" }

// Property returns the property that a member is, like "InstanceType".
func (l *Launch) Property(member string) string { return l.data + member }

// Volume is a volume that an instance is launched with.
type Volume struct {
	// Property is its place among the properties of the launch template.
	Property string
	Device   string
	// EBS is false for an instance store volume, which has no more than a device.
	EBS bool
	// Type is like gp3. Default gp2.
	Type      string
	SizeGB    int
	Encrypted bool
}

func (l *Launch) readTemplate(p assembly.Value) {
	l.data = "LaunchTemplateData."
	l.read(p.Field("LaunchTemplateData"))
}

// read reads the data of a launch template, or a launch configuration.
func (l *Launch) read(p assembly.Value) {
	l.InstanceType = p.Field("InstanceType").Text("")
	l.TokensRequired = p.Field("MetadataOptions").Field("HttpTokens").Text("optional") == "required"
	addresses := []assembly.Value{p}
	if interfaces := p.Field("NetworkInterfaces").List(); len(interfaces) > 0 {
		addresses = interfaces
	}
	for _, v := range addresses {
		var public *bool
		if address := v.Field("AssociatePublicIpAddress"); address.Present() {
			public = new(address.Bool(true))
		}
		l.PublicAddresses = append(l.PublicAddresses, public)
	}
	for i, device := range p.Field("BlockDeviceMappings").List() {
		disk := device.Field("Ebs")
		l.Volumes = append(l.Volumes, Volume{
			Property:  l.Property(fmt.Sprintf("BlockDeviceMappings[%d]", i)),
			Device:    device.Field("DeviceName").Text(""),
			EBS:       disk.Present(),
			Type:      disk.Field("VolumeType").Text("gp2"),
			SizeGB:    disk.Field("VolumeSize").Int(0, 1, math.MaxInt32),
			Encrypted: disk.Field("Encrypted").Bool(false),
		})
	}
}
