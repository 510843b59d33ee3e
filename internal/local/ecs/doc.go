// Package ecs runs services on this machine as Amazon ECS runs services on EC2 instances and on
// Fargate: tasks with a life cycle, health checks, rolling updates, a circuit breaker, and a stop that
// drains connections first. It simulates Application Auto Scaling by target tracking.
//
// [Check] says which services of a model cannot run here. A [Scheduler] keeps tasks running. A
// [Driver] runs their containers, as processes of this host or in Docker. A [Balancer] sends
// requests to the tasks. A [Provider] runs the services of assemblies for the local target,
// stack by stack.
//
// No alarm goes off here. So no alarm takes a deployment back.
//
// The behaviour is that of the Amazon ECS Developer Guide
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/). If the guide does not have a
// number, the constant says so.
package ecs
