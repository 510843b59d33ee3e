// Package ecs runs the services of a cloud assembly on this machine as Amazon
// ECS runs them on EC2 instances in bridge mode: tasks with a life cycle,
// health checks, rolling updates, a circuit breaker, and a stop that drains
// connections first. Application Auto Scaling is simulated with it, as far as it
// tracks a target of the desired count.
//
// [Services] reads the services out of an assembly. A [Scheduler] keeps the
// tasks of each running, through a [Driver] that runs containers (one as
// processes of this host, one in Docker) and a [Balancer] that sends them
// requests.
//
// Alarms that would take a deployment back on AWS do not go off here.
//
// The behaviour is that of the Amazon ECS Developer Guide
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/); where a number
// is not documented there, the constant here says so.
package ecs
