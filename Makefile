# Berth's targets. Only Go and make must be there; what else a target needs, it gets (scripts/install-deps, scripts/db).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := build

GO       ?= go
PKGS     := ./...
UNIT     := $(shell $(GO) list ./... 2>/dev/null | grep -v /integration)
# Stress tests of what is shared between goroutines run with the race detector.
RACE     := ./core/... ./engines/... ./plugins/... ./config/... ./cmd/...
FUZZTIME ?= 30s
SIM_TIME ?= 60s

.PHONY: build demo test unit race integration oracle differential sim mutants mutants-fast lint fuzz bench failover soak suites release reproducible vuln check clean

build: ## bin/berth
	$(GO) build -trimpath -o bin/berth ./cmd/berth

demo: build ## databases too small for the crowd, with and without Berth (KEEP=1 leaves all running)
	scripts/install-deps
	scripts/demo

test: lint unit race oracle mutants-fast integration ## every test that continuous integration runs

unit:
	$(GO) test $(UNIT)

race:
	$(GO) test -race $(RACE)

integration: build ## against real servers and real drivers
	scripts/install-deps
	scripts/integration

oracle: ## the SQL scanners against PostgreSQL's parser and TiDB's (a module of its own)
	scripts/install-deps
	cd integration/oracle
	$(GO) vet $(PKGS)
	$(GO) test -v -run '^Test' $(PKGS) | grep -v '^=== '
	$(GO) test -run '^Fuzz' $(PKGS)

differential: build ## random sessions against the servers and through Berth, SCRIPTS on each server from SEED (0: the time)
	scripts/install-deps
	scripts/differential $(or $(SCRIPTS),1000) $(or $(SEED),0)

sim: ## new seeds of the simulator for SIM_TIME on every core, counted
	scripts/sim $(SIM_TIME)

mutants: ## every mistake of integration/sim/mutations is found by the simulator
	$(GO) test -count=1 -timeout 0 -tags mutants -v -run EveryMutation ./integration/sim | grep -v '^=== '

mutants-fast: ## those that the first seeds find
	$(GO) test -count=1 -tags mutants -run 'EveryMutation/(answer|budget|pin|waiter)$$' ./integration/sim

lint: ## formatting, vet, staticcheck, the kqueue build
	test -z "$$(gofmt -l cmd config core engines integration plugins | tee /dev/stderr)"
	$(GO) vet $(PKGS)
	GOOS=darwin $(GO) vet ./core/... ./engines/... ./cmd/...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 $(PKGS)

fuzz: ## every fuzz target for FUZZTIME, with the count of executions
	scripts/fuzz $(FUZZTIME)

suites: build ## the drivers' own test suites, directly and through Berth: SUITES (all) on SERVERS (all)
	scripts/install-deps
	scripts/suites $(or $(SUITES),all) $(or $(SERVERS),all)

release: ## VERSION's binaries, bills of materials, licences and sums, in bin/release
	scripts/release $(VERSION) bin/release

reproducible: ## the same commit built twice: the same bytes?
	scripts/release --check $(or $(VERSION),devel)

vuln: ## known vulnerabilities in what is linked (needs the network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./cmd/berth

bench: build ## ratios against other proxies, from one run on this machine
	scripts/install-deps
	scripts/bench

failover: build ## how soon service is back when the writer is lost, RUNS=10 of each of SERVERS ("pg18 mysql97 mariadb1011")
	scripts/install-deps
	scripts/failover $(or $(RUNS),10) "$(SERVERS)"

soak: build ## everything at once, with faults, for TIME=1h at RATE=40 requests a second of each server, from SEED (0: the time)
	scripts/install-deps
	scripts/soak $(or $(TIME),1h) $(or $(RATE),40) $(or $(SEED),0)

check: lint unit ## the quick part of test

clean:
	rm -rf bin
