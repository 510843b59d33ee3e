// Package e2e deploys Cutover with the real CDK CLI to the AWS that internal/emulate emulates: bootstrap, every phase
// forward and back, the deployments that CloudFormation has to refuse, a canary, and destroy. After each deployment it
// reads back through the AWS SDK what is there and compares it with the specification, whose numbers are written out
// here; nothing is taken from the app's own constants. Images are built and pushed by the CLI, pulled from the registry,
// and run.
//
// Run it with
//
//	CUTOVER_E2E=1 go test -count=1 -v -timeout 15m ./test/e2e
//
// It needs what emulator.Missing asks for and the programs of package-lock.json ("npm ci"). Where something is missing
// the test is skipped and says what; where CI=true or CUTOVER_E2E=required is set it fails instead.
//
// What it cannot assert, because the emulator only records these resources and nothing can be read back:
// AWS::EC2::FlowLog, AWS::Lambda::Function and Custom::VpcRestrictDefaultSG (the closed default security group),
// AWS::S3::BucketPolicy (of the bootstrap), and every type that is added without a handler in
// internal/emulate/cloudformation; the test fails when a deployment contains one that is not listed in it. The VPC with
// all its parts, the instances and the IAM policies are created in the emulator but not looked at here: the tests of the
// templates do. The emulator starts no tasks and routes no requests, so nothing is said about deployments in time, about
// health or about draining.
package e2e
