package config_test

import (
	"testing"

	"cutover/config"
)

func TestMistakesInBrokers(t *testing.T) {
	named := func(change func(*config.Service)) func(*config.Deployment) {
		return func(d *config.Deployment) { d.Services[0].Broker = config.RabbitMQ; change(&d.Services[0]) }
	}
	const given = `service "users": AMQP_URL is the address of the Broker: remove it, or Broker`
	const function = `service "users": Broker: a client keeps its connection, and a function keeps none between its invocations: choose Fargate{} or EC2{}, or let the service consume from a queue`
	testMistakes(t, []mistake{
		{name: "unknown broker", change: named(func(s *config.Service) { s.Broker = "activemq" }), want: `service "users": Broker "activemq" is unknown: choose "rabbitmq"`},
		{name: "variable", change: named(func(s *config.Service) { s.Environment = map[string]string{"AMQP_URL": "amqp://broker"} }), want: given},
		{name: "secret", change: named(func(s *config.Service) {
			s.Secrets = map[string]config.Secret{"AMQP_URL": {SecretsManager: "shop/broker"}}
		}), want: given},
		{name: "function", change: named(func(s *config.Service) { s.Compute = config.Lambda{} }), want: function},
		{name: "on its way to a function", change: named(func(s *config.Service) { s.Compute, s.Next = config.EC2{}, config.Lambda{} }), want: function},
		{name: "stack", change: func(d *config.Deployment) { d.Services[0].Name, d.Services[1].Broker = "broker", config.RabbitMQ },
			want: `the message broker: its stack is called Broker, like that of service "broker": rename one`},
	})
}
