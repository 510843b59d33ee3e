# Cutover. `make help` lists what there is.

# The pinned Node.js and CDK command line come first, for make and all it runs.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true

# More arguments for the command behind a target: make diff ARGS="-c phase=parallel"
ARGS ?=

# Packages without CDK: they build in seconds.
light = $(shell go list ./... | grep -v -e '^cutover$$' -e '^cutover/stacks$$')

.DEFAULT_GOAL := help
.PHONY: help up test race e2e synth diff deploy golden bench setup clean

help: ## show this list
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

up: setup ## set up, synthesize and deploy to an emulated AWS on this machine
	@echo "Synthesizing the deployment (minutes the first time, while the CDK app compiles)"
	@cdk synth --quiet
	@go run ./cmd/emulate -hold cdk deploy --app cdk.out --all --require-approval never --concurrency 4

test: setup ## set up and run all tests but the end-to-end one
	@echo "Compiling the CDK app and its tests (minutes the first time, seconds later)"
	go vet ./...
	go test ./... $(ARGS)

race: ## run the tests of everything but the CDK app with the race detector
	go test -race $(light)

e2e: setup ## carry a deployment through every phase with the real cdk command, on an emulated AWS
	CUTOVER_E2E=1 go test -count=1 -v -timeout 40m ./test/e2e $(ARGS)

synth: setup ## synthesize to cdk.out, with CDK's validation
	cdk synth --quiet $(ARGS)

diff: setup ## show what a deployment would change in the AWS account of the environment
	cdk diff $(ARGS)

deploy: setup ## deploy to the AWS account of the environment
	cdk deploy --all $(ARGS)

golden: setup ## accept the templates as they are synthesized now; review them as code
	go test . -run TestGoldens -update
	@git status --short test/golden

bench: setup ## compare the speed of synthesis with that of the same app in JavaScript
	go run ./bench $(ARGS)

setup: node_modules/.package-lock.json
	@go mod download

# Written by npm when everything is installed.
node_modules/.package-lock.json: package.json package-lock.json
	@echo "Installing the CDK command line and Node.js"
	npm ci
	@touch $@

clean: ## remove what was built and installed here
	rm -rf build cdk.out node_modules
