package config

import "slices"

// Broker is a message broker of the environment, for software that speaks the protocol of one.
type Broker string

// RabbitMQ is a broker of Amazon MQ, whose clients speak AMQP.
const RabbitMQ Broker = "rabbitmq"

const (
	// BrokerUser is the user of the broker with whom all clients log in.
	BrokerUser = "cutover"
	// BrokerVariable has the broker's URL, with the user and the password.
	BrokerVariable = "AMQP_URL"
)

// BrokerName is the name of the environment's broker.
func (s Settings) BrokerName() string { return s.Name(s.Env) }

// BrokerURLSecret is the name of the secret that has the value of [BrokerVariable], and BrokerUserSecret that of the one with
// the user and the password.
func (s Settings) BrokerURLSecret() string { return s.Name(s.Env) + "/broker-url" }

// BrokerUserSecret is explained at BrokerURLSecret.
func (s Settings) BrokerUserSecret() string { return s.Name(s.Env) + "/broker" }

// Brokered lists the services that use a broker.
func (d Deployment) Brokered() []Service {
	return d.that(func(s Service) bool { return s.Broker != "" })
}

// brokered gives the services that use a broker its address. It refuses a variable of that name.
func (d Deployment) brokered(settings Settings, refuse func(string, ...any)) Deployment {
	d.Services = slices.Clone(d.Services)
	for _, s := range append([]*Service{&d.Monolith}, pointers(d.Services)...) {
		if s.Broker == "" {
			continue
		}
		_, given := s.Environment[BrokerVariable]
		if _, secret := s.Secrets[BrokerVariable]; given || secret {
			refuse("service %q: %s is the address of the Broker: remove it, or Broker", s.Name, BrokerVariable)
			continue
		}
		s.Secrets = with(s.Secrets, map[string]Secret{BrokerVariable: {SecretsManager: settings.BrokerURLSecret()}})
	}
	return d
}

// checkBrokers refuses a broker that is unknown, or that a service cannot reach.
func checkBrokers(d Deployment, refuse func(string, ...any)) {
	for _, service := range d.Brokered() {
		if service.Broker != RabbitMQ {
			refuse("service %q: Broker %q is unknown: choose %q", service.Name, service.Broker, RabbitMQ)
		}
		if slices.ContainsFunc(service.Pairs(), Pair.IsFunction) {
			refuse("service %q: Broker: a client keeps its connection, and a function keeps none between its invocations: choose Fargate{} or EC2{}, or let the service consume from a queue", service.Name)
		}
	}
}
