# Everything that builds and checks threadcast. `make help` lists the targets.
#
# Tools are pinned: the Go ones in internal/tools/go.mod, buf below. What is
# fetched goes to .cache, which git ignores.

SHELL       := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE       := .cache
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS     := -s -w -X main.version=$(VERSION)

# Any buf on the PATH, else the one that npm brings.
BUF_VERSION := 1.75.0
BUF         := $(or $(shell command -v buf),$(CACHE)/buf/node_modules/.bin/buf)
TOOL        := go tool -modfile=internal/tools/go.mod
PLAIN       := go run -C internal/tools ./plain

RULES       := $(CACHE)/protovalidate/buf/validate/validate.proto
BASELINE    := proto/baseline.binpb
GENERATED   := $(CACHE)/generated
SOURCES     := $(wildcard cmd deploy internal proto)

# Packages whose tests also run on a real Apache Kafka.
REAL        := ./internal/publish/... ./internal/pipeline/... ./internal/broker/... ./cmd/...
ON_KAFKA    := go run ./internal/kafkatest/real --

BENCH       ?= .
COUNT       ?= 6
SOAK        ?= 10m

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Building

.PHONY: build
build: ## bin/threadcast and bin/demo, with the version from git
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: proto-deps
proto-deps: $(RULES) $(BUF) ## what buf needs: the validation rules' own .proto, and buf itself

# The rules' .proto comes from the Go module of the same project; no copy of it is
# committed.
$(RULES): internal/tools/go.mod
	@go -C internal/tools mod download github.com/bufbuild/protovalidate
	@mkdir -p $(@D)
	@install -m 644 "$$(go -C internal/tools list -m -f '{{.Dir}}' github.com/bufbuild/protovalidate)/proto/protovalidate/buf/validate/validate.proto" $@

$(CACHE)/buf/node_modules/.bin/buf:
	@command -v npm >/dev/null || { echo "buf: put buf $(BUF_VERSION) on the PATH, or npm, which brings it" >&2; exit 1; }
	npm install --prefix $(CACHE)/buf --no-save --no-audit --no-fund --loglevel=error @bufbuild/buf@$(BUF_VERSION)

.PHONY: proto
proto: proto-deps ## generate the Go code and the rule-free copies of the contract
	$(BUF) generate
	$(BUF) build proto -o $(CACHE)/contract.binpb
	$(PLAIN) $(CURDIR)/$(CACHE)/contract.binpb $(CURDIR)/proto/plain

.PHONY: proto-baseline
proto-baseline: proto-deps ## take the contract as it is for what `buf breaking` compares with
	$(BUF) build proto --exclude-source-info -o $(BASELINE)

## Checking

.PHONY: test
test: ## all tests, with the broker inside the process
	go test ./...

.PHONY: check
check: fmt vet staticcheck proto-check race ## everything that a change must pass

.PHONY: fmt
fmt: ## the code is formatted
	@unformatted=$$(gofmt -l $(SOURCES)); \
	if [[ -n "$$unformatted" ]]; then echo "gofmt: run gofmt -w on:" $$unformatted >&2; exit 1; fi

.PHONY: vet
vet: ## go vet
	go vet ./...
	go -C internal/tools vet ./...

.PHONY: staticcheck
staticcheck: ## staticcheck
	$(TOOL) staticcheck ./...
	cd internal/tools && go tool staticcheck ./...

.PHONY: race
race: ## all tests with the race detector
	go test -race ./...

.PHONY: proto-check
proto-check: proto-deps ## the contract: lint, breaking changes, generated code up to date
	$(BUF) lint
	$(BUF) breaking proto --against $(BASELINE)
	@rm -rf $(GENERATED) && mkdir -p $(GENERATED)
	@$(BUF) generate -o $(GENERATED)
	@$(BUF) build proto -o $(GENERATED)/contract.binpb
	@$(PLAIN) $(CURDIR)/$(GENERATED)/contract.binpb $(CURDIR)/$(GENERATED)/proto/plain
	@diff -r --exclude='*.proto' $(GENERATED)/proto/threadcast proto/threadcast \
	  && diff -r $(GENERATED)/proto/plain proto/plain \
	  || { echo "the generated files are not those of the contract: run make proto" >&2; exit 1; }
	@if command -v protoc >/dev/null; then \
	  for copy in proto/plain/*.proto; do protoc -I proto/plain -o /dev/null $$(basename $$copy); done; \
	else echo "protoc is missing: the copies were compiled by Go alone (internal/contract)"; fi

.PHONY: real
real: ## the tests of publisher, pipeline and commands on a real Apache Kafka (needs Java 17, Maven)
	$(ON_KAFKA) go test -count=1 $(REAL)

# A soak is a test named TestSoak...: a few seconds long in an ordinary run, and as
# long as THREADCAST_SOAK says in this one.
.PHONY: soak
soak: ## long runs of the TestSoak tests: SOAK=10m each, more seeds, more kill -9
	@go test -list '^TestSoak' ./... | grep '^TestSoak' || { echo "soak: there is no TestSoak" >&2; exit 1; }
	THREADCAST_SOAK=$(SOAK) go test -count=1 -timeout 0 -v -run '^TestSoak' ./...

.PHONY: soak-real
soak-real: ## the same on a real Apache Kafka
	@go test -list '^TestSoak' $(REAL) | grep '^TestSoak' || { echo "soak: there is no TestSoak for a real broker" >&2; exit 1; }
	THREADCAST_SOAK=$(SOAK) $(ON_KAFKA) go test -count=1 -timeout 0 -v -run '^TestSoak' $(REAL)

## Measuring

.PHONY: bench
bench: ## benchmarks into .cache/bench/HEAD.txt: BENCH=regexp COUNT=6
	@mkdir -p $(CACHE)/bench
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 0 ./... \
	  | tee "$(CACHE)/bench/$$(git rev-parse --short HEAD).txt"

.PHONY: benchstat
benchstat: ## compare two such files: OLD=file NEW=file
	$(TOOL) benchstat $(OLD) $(NEW)

# Outside `check`: the answer depends on the day, and on the network.
.PHONY: vuln
vuln: ## known vulnerabilities (needs its database in the network)
	@mkdir -p $(CACHE); code=0; $(TOOL) govulncheck ./... >$(CACHE)/vuln.txt 2>&1 || code=$$?; cat $(CACHE)/vuln.txt; \
	if grep -qE 'dial tcp|no such host|i/o timeout|fetching vulnerabilities|HTTP GET' $(CACHE)/vuln.txt; then \
	  echo "vuln: NOTHING WAS CHECKED: the vulnerability database is out of reach from here" >&2; exit 1; fi; exit $$code

.PHONY: clean
clean: ## remove what was built and fetched
	rm -rf bin $(CACHE)
