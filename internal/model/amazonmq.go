package model

import (
	"slices"

	"cutover/internal/assembly"
)

// Engines of brokers. RabbitMQ speaks AMQP 0-9-1.
const (
	RabbitMQ = "RABBITMQ"
	ActiveMQ = "ACTIVEMQ"
)

// Broker is a message broker of Amazon MQ.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-amazonmq-broker.html
type Broker struct {
	Base
	Name string
	// Engine is RABBITMQ or ACTIVEMQ. Version is Amazon MQ's newest one where it is empty.
	Engine, Version string
	// InstanceType is like mq.m7g.medium. Mode is SINGLE_INSTANCE, CLUSTER_MULTI_AZ or ACTIVE_STANDBY_MULTI_AZ.
	InstanceType, Mode string
	// Public gives the broker a public address. Default false.
	Public bool
	// MinorUpgrades are made by themselves. Default false.
	MinorUpgrades bool
	// GeneralLogs and AuditLogs go to CloudWatch Logs. Both are off by default. RabbitMQ has no audit log.
	GeneralLogs, AuditLogs bool
	// KeyID is the key that encrypts what is stored; empty for a key that AWS owns.
	KeyID string
	// Subnets are those of the broker. A subnet is nil if the assembly does not have it.
	Subnets []*Subnet
	// SecurityGroups are those of the assembly.
	SecurityGroups []*assembly.Resource
	// Users are those of the broker's beginning. RabbitMQ gets one.
	Users []BrokerUser
}

// BrokerUser is a user of a broker. The name and the password are texts whose parts a deployment may tell, and may have dynamic
// references.
type BrokerUser struct{ Name, Password assembly.Text }

func (m *Model) broker(b *Broker, p assembly.Value) {
	b.Name = name(&b.Base, p.Field("BrokerName"))
	b.Engine = p.Field("EngineType").Need("an engine").OneOf(RabbitMQ, ActiveMQ)
	b.Version = p.Field("EngineVersion").Text("")
	b.InstanceType = p.Field("HostInstanceType").Text("")
	b.Mode = p.Field("DeploymentMode").OneOf("SINGLE_INSTANCE", "CLUSTER_MULTI_AZ", "ACTIVE_STANDBY_MULTI_AZ")
	b.Public = p.Field("PubliclyAccessible").Bool(false)
	b.MinorUpgrades = p.Field("AutoMinorVersionUpgrade").Bool(false)
	b.GeneralLogs, b.AuditLogs = p.Field("Logs").Field("General").Bool(false), p.Field("Logs").Field("Audit").Bool(false)
	if encryption := p.Field("EncryptionOptions"); !encryption.Field("UseAwsOwnedKey").Bool(false) {
		b.KeyID = encryption.Field("KmsKeyId").Keyed()
	}
	for _, subnet := range p.Field("SubnetIds").List() {
		b.Subnets = append(b.Subnets, elsewhere[Subnet](m, subnet, EC2Subnet, "SubnetId"))
	}
	for _, group := range p.Field("SecurityGroups").List() {
		if resource := group.Elsewhere(EC2SecurityGroup, "GroupId"); resource != nil {
			b.SecurityGroups = append(b.SecurityGroups, resource)
		}
	}
	for _, user := range p.Field("Users").List() {
		b.Users = append(b.Users, BrokerUser{whole(user.Field("Username").Need("a name")), whole(user.Field("Password").Need("a password"))})
	}
}

// whole is a text, of one part if it is known.
func whole(v assembly.Value) assembly.Text {
	text, parts := v.Mixed()
	if parts == nil && text != "" {
		return assembly.Text{text}
	}
	return parts
}

// BrokerIn is the broker whose address a text has, or a secret that the text names; nil if there is none.
func (m *Model) BrokerIn(text assembly.Text) *Broker {
	return m.brokerIn(text, nil)
}

func (m *Model) brokerIn(text assembly.Text, seen []*ManagedSecret) *Broker {
	for _, part := range text {
		ref, _ := part.(assembly.Ref)
		if piece, ok := part.(assembly.Piece); ok {
			ref = piece.Ref()
		}
		switch value := m.values[ref.Resource].(type) {
		case *Broker:
			return value
		case *ManagedSecret:
			if found := m.brokerOf(value, seen); found != nil {
				return found
			}
		}
	}
	return nil
}

func (m *Model) brokerOf(s *ManagedSecret, seen []*ManagedSecret) *Broker {
	if s == nil || slices.Contains(seen, s) {
		return nil
	}
	return m.brokerIn(s.Parts, append(seen, s))
}

// BrokerOf is the broker whose address a container's secret has; nil if there is none.
func (m *Model) BrokerOf(s Secret) *Broker {
	if found := m.BrokerIn(s.Parts); found != nil {
		return found
	}
	return m.brokerOf(m.SecretNamed(s.anywhere), nil)
}

// BrokersOf are the brokers whose addresses the containers of a task have, each once.
func (m *Model) BrokersOf(d *TaskDefinition) (all []*Broker) {
	add := func(b *Broker) {
		if b != nil && !slices.Contains(all, b) {
			all = append(all, b)
		}
	}
	for _, c := range d.Containers {
		for _, v := range c.Environment {
			add(m.BrokerIn(v.Parts))
		}
		for _, s := range c.Secrets {
			add(m.BrokerOf(s))
		}
	}
	return all
}
