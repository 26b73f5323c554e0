# The only list of commands a person needs. Everything installed or produced stays in .venv/ and var/.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PY := .venv/bin/python
UV := .venv/bin/uv
export UV_CACHE_DIR ?= $(CURDIR)/var/cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/var/cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export HYPOTHESIS_STORAGE_DIRECTORY ?= $(CURDIR)/var/cache/hypothesis
ARGS ?=

# Stamps carry the checksum of what they were made from: other content, another stamp, done again.
checksum = $(shell cat $(1) | cksum | tr ' ' '-')
PACKAGES := .venv/.packages-$(call checksum,requirements/bootstrap.txt requirements/dev.txt)
KAFKA := var/kafka/.libs-$(call checksum,deploy/local/kafka/pom.xml)
# The folders that Python imports from; a .pth file in the environment lists them relative to itself.
ROOTS := proto/gen $(sort $(wildcard libs/*/src services/*/src)) deploy/local/src
PTH := .venv/.roots-$(shell echo '$(ROOTS)' | cksum | tr ' ' '-')

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '%s\n' '' 'ARGS of demo and up (all of them: make demo ARGS=--help):' \
	  "  make demo ARGS='--scale 1/100 --seed 7'   a larger city, other people (1/1000 to 1; make clean first)" \
	  "  make demo ARGS=--down                     stop the cities afterwards" \
	  "  make up ARGS=--empty                      without people and institutions" \
	  'Environment: ELDEX_LANG=zh|en|both · ELDEX_PORT_BASE=17000 · ELDEX_PORT_<NAME>'

.PHONY: setup
setup: $(PACKAGES) $(PTH) $(KAFKA) ## install what is missing into .venv/ and var/ (the other commands do it by themselves)

.PHONY: demo
demo: setup ## start two cities, play stories, show what followed; fails unless every effect was seen (ARGS below)
	@$(PY) -m eldex.local.demo $(ARGS)

.PHONY: up
up: setup ## start the city with its people and leave it running (ARGS below)
	@$(PY) -m eldex.local up $(ARGS)

.PHONY: down
down: $(PACKAGES) $(PTH) ## stop everything of the city; its data stays
	@$(PY) -m eldex.local down $(ARGS)

.PHONY: status
status: $(PACKAGES) $(PTH) ## show each part of the city (scripts: `.venv/bin/python -m eldex.local status`, 0 or 3)
	@$(PY) -m eldex.local status $(ARGS) || [ $$? -eq 3 ]  # "not up" is an answer, not an error of make's

.PHONY: logs
logs: $(PACKAGES) $(PTH) ## follow the logs (one part: make logs ARGS=registry)
	@$(PY) -m eldex.local logs $(ARGS)

.PHONY: test
test: setup ## every test on the real parts (some: make test ARGS='-k death')
	@$(PY) -m pytest $(ARGS)

# Each step of `check` is a command of its own too, such as `make check-types`.
CHECKS := format lint types imports proto manifests
.PHONY: check $(CHECKS:%=check-%)
check: $(CHECKS:%=check-%) ## format, lint, types, import contracts, the contract, manifests
$(CHECKS:%=check-%): check-%: $(PACKAGES) $(PTH)
	@echo 'eldex: check $*'
	@$(CHECK_$*)
CHECK_format = $(PY) -m ruff format --check .
CHECK_lint = $(PY) -m ruff check .
CHECK_types = $(PY) -m mypy $(SOURCES)
CHECK_imports = .venv/bin/lint-imports --cache-dir var/cache/import-linter
CHECK_proto = $(PY) proto/build.py check
CHECK_manifests = $(PY) deploy/k8s/check.py
SOURCES := $(wildcard libs services deploy tests bench)

.PHONY: bench
bench: setup ## measure beside the floors; prints ratios, writes bench/out/results.jsonl
	@$(PY) bench/run.py $(ARGS)

.PHONY: proto
proto: $(PACKAGES) $(PTH) ## make the generated code and documents anew from proto/
	@$(PY) proto/build.py generate docs

.PHONY: fmt
fmt: $(PACKAGES) ## put the sources in their format
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) proto/build.py format

.PHONY: client-go client-java
client-go: var/clients/go/member ## build the member's client in Go (docs/joining.md): var/clients/go/member
client-java: var/clients/java/member.jar ## the same in Java: var/clients/java/member.jar

PROTOS := $(shell find proto/eldex -name '*.proto')
GO = GOFLAGS='-modcacherw -buildvcs=false' GOMODCACHE='$(CURDIR)/var/cache/go/mod' \
    GOCACHE='$(CURDIR)/var/cache/go/build' GOBIN='$(CURDIR)/var/clients/go/bin' go -C clients/go

var/clients/go/member: $(PROTOS) $(wildcard clients/go/*) | $(PACKAGES) $(PTH)
	@command -v go >/dev/null || { echo "eldex: Go 1.26 or newer is needed and 'go' is not there: install it (go.dev/dl)" >&2; exit 1; }
	@rm -rf var/clients/go/contract
	@mkdir -p var/clients/go/contract
	@printf 'module eldex.example/contract\n\ngo 1.26.0\n' > var/clients/go/contract/go.mod
	@$(GO) install tool
	@$(PY) proto/build.py go
	@$(GO) build -o '$(CURDIR)/$@' .

var/clients/java/member.jar: $(PROTOS) clients/java/pom.xml $(shell find clients/java/src -name '*.java') | prerequisites
	@mkdir -p var/cache
	@# javac runs once: the JVM's second compiler costs more than it brings (36 s of CPU, 20 without it).
	@MAVEN_OPTS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' mvn -B -q -Dstyle.color=never -f clients/java/pom.xml -Dmaven.repo.local='$(CURDIR)/var/cache/maven' package
	@touch $@

.PHONY: clean
clean: ## stop the city and remove its data; keeps what was fetched
	@if [ -x $(PY) ]; then for city in $(notdir $(wildcard var/[1-9]*)); do $(PY) -m eldex.local down --city $$city; done; fi
	@rm -rf $(filter-out var/cache var/kafka,$(wildcard var/*)) bench/out

.PHONY: distclean
distclean: clean ## remove everything that was ever installed or produced
	@rm -rf .venv var
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: prerequisites
prerequisites:
	@deploy/local/prerequisites.sh '$(PYTHON)'

$(PACKAGES): | prerequisites
	@echo 'eldex: installing the Python packages into .venv/ (some 10 s, a minute or more on a slow line or machine)'
	@mkdir -p var/cache
	@'$(PYTHON)' -m venv .venv
	@$(PY) -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	@$(UV) pip sync --python $(PY) --require-hashes requirements/dev.txt
	@rm -f .venv/.packages-*
	@touch $@

$(PTH): $(PACKAGES)
	@$(PY) -c 'import os, pathlib, sys, sysconfig; \
	site = pathlib.Path(sysconfig.get_path("purelib")); \
	(site / "eldex.pth").write_text("".join(os.path.relpath(root, site) + "\n" for root in sys.argv[1:]))' $(ROOTS)
	@rm -f .venv/.roots-*
	@touch $@

$(KAFKA): | prerequisites
	@echo 'eldex: fetching Apache Kafka into var/kafka/libs (some 20 s, a minute or more on a slow line or machine)'
	@mkdir -p var/cache/m2 var/kafka
	@rm -rf var/kafka/libs var/kafka/classes.jsa
	@mvn -B -f deploy/local/kafka/pom.xml -Dmaven.repo.local='$(CURDIR)/var/cache/m2' \
	    dependency:copy-dependencies -DoutputDirectory='$(CURDIR)/var/kafka/libs' 2>&1 \
	  | tee var/kafka/fetch.log \
	  | awk '/Downloaded from/ {if (++n % 25 == 0) {printf "  %d files fetched\n", n; fflush()}} /ERROR/ {print; fflush()}' \
	  || { echo 'eldex: Maven could not fetch Kafka; all it said is in var/kafka/fetch.log' >&2; exit 1; }
	@rm -rf var/cache/m2 var/kafka/.libs-*
	@touch $@

.PHONY: lock
lock: $(PACKAGES) ## resolve requirements/*.in again (hashes, no addresses)
	@for set in bootstrap runtime dev go; do \
	  echo "eldex: resolving requirements/$$set.in"; \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command 'make lock' requirements/$$set.in -o requirements/$$set.txt; \
	done
