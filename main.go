// Cutover deploys a forum API to AWS, as a monolith and as the microservices
// that take its place, and moves the traffic from one to the others.
//
// It is a CDK app: run it with the cdk command, or with make.
package main

import (
	"os"

	"cutover/deployment"
	"cutover/stacks"
)

func main() {
	os.Exit(stacks.Run(deployment.App))
}
