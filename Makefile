# Cutover. `make help` lists what there is.

# The pinned Node.js and CDK command line come first, for make and all it runs.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true

# More arguments for the command behind a target: make diff ARGS="-c phase=parallel"
ARGS ?=
FUZZTIME ?= 1m
# What a review compares with: a branch, tag or commit.
BASE ?= main

# The shell variable packages has those that link no CDK, which compile in seconds,
# without those that only run other programs. It fails where go list does.
light = packages=$$(go list -f '{{.ImportPath}} {{.Deps}}' ./...) && \
	packages=$$(echo "$$packages" | grep -v -e aws-cdk-go -e /test/e2e -e /test/instance -e /test/supply | cut -d ' ' -f 1)

# Those of the packages that the race detector is for. Checking a list of services is one goroutine, and takes minutes with it.
raced = $(light) && packages=$$(echo "$$packages" | grep -v '/config$$')

# Packages whose tests run at the same time. Half of them mostly wait, for health
# checks and engines, so that two cores have enough to do.
tests_at_once = $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? 4 : n)))

.DEFAULT_GOAL := help
.PHONY: help up down rehearse review quick test test-cdk race nightly mutants fuzz e2e reliability synth diff cost critical-path path deploy emulate golden module upgrade-cdk vulns sbom bench setup bin/cutover clean

# Where the images' Linux binaries cannot run, the same programs are run from source.
from_source = $(foreach service,$(patsubst services/%/main.go,%,$(wildcard services/*/main.go)),--run "$(service)=go run ./services/$(service)")
run = $(if $(filter linux/amd64,$(shell go env GOOS)/$(shell go env GOARCH)),,$(from_source))

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 15

up: setup bin/cutover ## set up, synthesize and run it all on this machine, in the background
	@echo "Synthesizing (minutes the first time, while the CDK app compiles)"
	@cdk synth --quiet
	@if bin/cutover status >/dev/null 2>&1; then bin/cutover deploy $(ARGS); else bin/cutover up --detach $(run) $(ARGS); fi

down: bin/cutover ## stop what `make up` runs
	@bin/cutover down

rehearse: setup bin/cutover ## walk the whole migration and back under load, 100,000 requests, and write a report
	@$(if $(CI),.ci/rehearse,bin/cutover rehearse) --rate 1200 --requests 100000 $(run) $(ARGS)

review: setup bin/cutover ## show what this branch does to a deployment, against BASE (main), in build/review
	@bin/cutover review --base "$(BASE)" $(run) $(ARGS)

quick: ## test in seconds what links no CDK, without the tests that are slow (-short)
	@$(light) && go test -vet=off -short $$packages

# The tests of the stacks take longest. They come first, and the others run beside them.
# The race detector slows tests down, and finds more: CI runs them once, with it, and
# nothing beside them, because services that start too slowly fail their health checks.
test: setup ## set up and run all tests but the slow ones (nightly) and the end-to-end one; with CI set, the slow ones, too, and the race detector
	@echo "Compiling the CDK app and its tests (minutes the first time, seconds later)"
	go vet ./...
ifdef CI
	$(MAKE) --no-print-directory race
	$(MAKE) --no-print-directory test-cdk
else
	go test -vet=off -timeout 30m -p $(tests_at_once) ./stacks ./... $(ARGS)
endif

test-cdk:
	@$(raced) && all=$$(go list ./...) && \
	go test -vet=off -timeout 30m -p $(tests_at_once) $$(echo "$$all" | grep -v -x -F "$$packages") $(ARGS)

race: ## run the tests of everything but the CDK app with the race detector
	@$(raced) && go test -race -vet=off -timeout 30m $$packages

nightly: reliability vulns ## run what is slower than a change should wait for
	CUTOVER_NIGHTLY=1 go test -vet=off -count=1 -timeout 30m -p $(tests_at_once) ./stacks ./...
	CUTOVER_RELIABILITY=stores go test ./stacks -count=1 -v -run TestReliabilityOfStores
	CUTOVER_RELIABILITY=moves go test ./stacks -count=1 -v -timeout 30m -run '^TestRehearsalOfMovesWithWrites$$'
	.ci/rehearse -c store=dynamodb --rate 200 --requests 0 --dwell 3s --out build/rehearsal-dynamodb
	test/replace/replace $$(mktemp -d)/shop
	$(MAKE) mutants
	$(MAKE) fuzz
	$(MAKE) bench ARGS="-rounds 6"

mutants: setup ## change the code in one place at a time, and print the changes that no test notices
	@go run ./test/mutants $(ARGS)

# Most of what the fuzzer finds interesting differs in timing only: it is not
# worth the minute that making it smaller takes by default.
fuzz: ## look for requests that a service cannot bear, for FUZZTIME (1m) per fuzz test
	go test ./services -run '^$$' -fuzz '^FuzzServices$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 1s
	go test ./services -run '^$$' -fuzz '^FuzzStores$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 1s
	go test ./services/internal/server -run '^$$' -fuzz '^FuzzRouter$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 1s

e2e: setup ## carry a deployment through every phase with the real cdk command, on an emulated AWS
	CUTOVER_E2E=1 go test -count=1 -v -timeout 40m -parallel 3 ./test/e2e $(ARGS)

reliability: setup ## do every fault to every service under load, and write docs/reliability.md
	CUTOVER_RELIABILITY=1 go test ./stacks -count=1 -v -parallel 4 -run '^TestReliability$$' -update

synth: setup ## synthesize to cdk.out, with CDK's validation
	CDK_VALIDATION=true cdk synth --quiet $(ARGS)

diff: setup ## show what a deployment would change in the AWS account of the environment
	cdk diff $(ARGS)

cost: setup bin/cutover ## estimate from the templates what a month costs, and which service causes it
	@CDK_VALIDATION=false cdk synth --quiet --output build/cost $(ARGS)
	@bin/cutover cost --app build/cost

critical-path: setup bin/cutover ## show from the templates what a first deployment has to wait for
	@CDK_VALIDATION=false cdk synth --quiet --output build/critical-path $(ARGS)
	@bin/cutover critical-path --app build/critical-path

# The name before, so that what calls it goes on working.
path: critical-path

# Of stacks that deploy side by side the command line cannot ask about each: it
# prints what it would ask, and goes on. `make diff` shows the same before.
deploy: setup ## deploy to the AWS account of the environment
	cdk deploy --all --concurrency 8 --yes $(ARGS)

emulate: setup ## deploy to an AWS emulated on this machine, with the real cdk command
	@cdk synth --quiet
	@go run ./cmd/emulate -hold cdk deploy --app cdk.out --all --require-approval never --concurrency 8

golden: setup ## accept the templates and what is written from them as they are now; review them as code
	go test ./stacks -run '^TestGoldens' -update
	go test ./services ./strangler -run '^TestAPI$$' -update
	go test ./test/documents -update
	go test ./internal/local/alb -run '^TestConformance$$' -update
	go test ./test/supply -run TestLicences -update
	@git status --short stacks/golden strangler docs README.md

# Given on the command line, PATH is no longer where programs are found.
module: ## rename the Go module everywhere, to PATH=example.com/you/cutover
	@new='$(if $(filter command,$(origin PATH)),$(PATH))'; PATH=$$(command -p getconf PATH) .ci/module "$$new"

upgrade-cdk: setup ## take the newest version of CDK, or VERSION=x.y.z, and show what becomes of the templates
	@.ci/upgrade-cdk $(VERSION)

vulns: ## check services, tool and CDK app for known vulnerabilities; asks vuln.go.dev
	go tool govulncheck ./services/... ./cmd/... .

sbom: ## write a bill of materials for each image, in CycloneDX, to build/sbom
	go run ./cmd/sbom $(patsubst services/%/main.go,%,$(wildcard services/*/main.go)) $(ARGS)

bench: setup ## measure synthesis, load balancer and services against others, and write docs/performance.md
	go run ./bench $(ARGS)

# Go gets its modules by itself.
setup: node_modules/.package-lock.json

bin/cutover:
	@go build -o $@ ./cmd/cutover

# Written by npm when everything is installed.
node_modules/.package-lock.json: package.json package-lock.json
	@echo "Installing the CDK command line and Node.js"
	npm ci
	@touch $@

clean: ## remove what was built and installed here
	rm -rf .cutover bin build cdk.out node_modules
