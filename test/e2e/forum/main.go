// Forum is the CDK app of the forum, whatever is deployed.
package main

import (
	"os"

	"cutover/stacks"
	"cutover/test/e2e/moving"
)

func main() {
	os.Exit(stacks.Run(moving.Of(os.Getenv(moving.Variable))))
}
