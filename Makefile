# Every target is one line; what is more than that is a role or a module of lab/.
# `make` alone lists the targets. VARS hands variables to the play: make up VARS="-e lab_name=other"

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Molecule and ansible-lint look for ansible's own commands on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# With BUNDLE=FILE no network is asked: neither by the play, nor by pip, then and later.
BUNDLE ?=
# Not every shell replaces a tilde behind `=`.
override BUNDLE := $(patsubst ~/%,$(HOME)/%,$(BUNDLE))
GIVEN = $(if $(filter file,$(origin NAME)),,-e '{"lab_name": "$(NAME)"}') $(VARS) $(if $(BUNDLE),-e lab_source=bundle -e lab_bundle="$(abspath $(BUNDLE))")
ANSIBLE = $(BIN)/ansible-playbook $(GIVEN)
# What is no option would be taken for a playbook.
$(if $(filter-out -%,$(firstword $(VARS))),$(error VARS are options of ansible-playbook: VARS="-e $(VARS)"))
$(if $(BUNDLE),$(if $(findstring lab_source,$(VARS))$(findstring lab_bundle,$(VARS)),$(error BUNDLE=FILE says lab_source and lab_bundle: leave them out of VARS, or BUNDLE)))
WHEELS := $(VENV)/wheels
PIP := $(BIN)/pip install --quiet --no-compile --require-hashes
FROM := $(if $(BUNDLE)$(wildcard $(WHEELS)),--no-index --find-links $(WHEELS))
PYTEST := $(BIN)/python -m pytest
PUBLISH := $(PYTHON) -m lab publish
# Not from the environment, where some systems have a NAME of their own.
NAME := lab
SINCE ?= 15m
.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/done: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@$(if $(BUNDLE),$(PYTHON) -m lab.bundle.boot "$(BUNDLE)" $(WHEELS))
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PIP) $(FROM) --requirement requirements.txt && touch $@

# What tests and tools for development need beside it; `make up` does without.
$(VENV)/dev: requirements-dev.txt $(VENV)/done
	@$(PIP) $(FROM) --requirement requirements-dev.txt && touch $@

.PHONY: up bundle upgrade down clean
up: $(VENV)/done  ## stand up the lab, or bring it back to what it should be
	@$(ANSIBLE) site.yml

bundle: $(VENV)/done  ## everything that the lab is made of, in one file: make bundle [NAME=lab] [FILE=...] [PARTS=...]
	@$(BIN)/python -m lab bundle --name="$(NAME)" $(if $(FILE),--file "$(FILE)") $(if $(PARTS),--parts "$(PARTS)")

upgrade: $(VENV)/done  ## have the catalog's versions in place, and say what changed; refused by name where only a new lab can
	@$(BIN)/python -m lab upgrade --name="$(NAME)" -- $(GIVEN)

down: $(VENV)/done  ## take the lab down; what was built stays in the cache
	@$(ANSIBLE) playbooks/down.yml

clean: $(VENV)/done  ## take the lab down, remove the cache, stop an engine that the lab started
	@$(ANSIBLE) playbooks/clean.yml

.PHONY: deploy rollback schema-down status logs
deploy: $(VENV)/done  ## build the checkout's images and roll them out: make deploy [NAME=lab]
	@$(BIN)/python -m lab deploy --name="$(NAME)"

rollback: $(VENV)/done  ## run the images before those that run now; the schema stays
	@$(BIN)/python -m lab rollback --name="$(NAME)"

schema-down: $(VENV)/done  ## undo the migrations that the running image does not know
	@$(BIN)/python -m lab schema-down --name="$(NAME)"

status: $(VENV)/done  ## what runs, what answers where, what is not well and why
	@$(BIN)/python -m lab status --name="$(NAME)"

logs: $(VENV)/done  ## follow the replicas' logs
	@$(BIN)/python -m lab logs --name="$(NAME)"

.PHONY: open credentials diagnostics balance backup restore
open: $(VENV)/done  ## what answers where, in a browser if there is one
	@$(BIN)/python -m lab open --name="$(NAME)"

credentials: $(VENV)/done  ## the lab's passwords and what each is for; only to a terminal, or with SHOW=yes
	@$(BIN)/python -m lab credentials --name="$(NAME)" $(if $(SHOW),--show)

diagnostics: $(VENV)/done  ## one archive of status, events, logs and versions, every secret masked
	@$(BIN)/python -m lab diagnostics --name="$(NAME)"

balance: $(VENV)/done  ## send 10,000 requests, check every reply, say which replica answered how many
	@$(BIN)/python -m lab balance --name="$(NAME)"

backup: $(VENV)/done  ## write the variables into a file under .lab/<name>/backups, and prove it
	@$(BIN)/python -m lab backup --name="$(NAME)"

restore: $(VENV)/done  ## have the variables of a backup: make restore FILE=.lab/lab/backups/<time>.dump
	@$(BIN)/python -m lab restore --name="$(NAME)" "$(FILE)"

.PHONY: mutants test lint unit integration coverage molecule lifecycle deployments walkthrough images test-long verify
test:  ## prove it: linters, unit and integration tests, labs of its own, their images
	@MAKE="$(MAKE)" $(PYTHON) -m tests.suite lint unit integration coverage molecule lifecycle images

lint: $(VENV)/dev  ## linters
	@$(BIN)/ruff check . && $(BIN)/ruff format --check lab/build && $(BIN)/yamllint . && $(BIN)/python -m app.queries check --offline && $(BIN)/ansible-lint --offline

unit: $(VENV)/dev  ## tests that need neither Docker nor Ansible's tasks
	@$(BIN)/coverage erase && $(BIN)/coverage run -m pytest tests/unit

integration: $(VENV)/dev  ## tests of the service on a real PostgreSQL
	@$(BIN)/coverage run -m pytest tests/integration

coverage:  ## what unit and integration tests together have run of app/: every line and branch
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report --skip-covered

mutants: $(VENV)/dev  ## seed faults in a copy of the checkout; the tests that each names have to go red
	@$(BIN)/python -m tests.mutants

molecule: $(VENV)/dev  ## a lab of its own: converge, idempotence, verify, destroy (KEEP=yes: not that)
	@$(BIN)/molecule test $(if $(KEEP),--destroy=never)

lifecycle: $(VENV)/dev  ## repairs, restarts and refusals, on a lab of its own
	@$(PYTEST) tests/lifecycle

deployments: $(VENV)/dev  ## deployments under load, good ones and broken ones, on a lab of its own
	@$(PYTEST) tests/deploy

walkthrough: $(VENV)/dev  ## the exercises of WALKTHROUGH.md, as they are written, on a lab of its own
	@$(PYTEST) -m long tests/walkthrough

images: $(VENV)/dev  ## images against the contract of their namesakes, the charts, the alerts; needs what `up` or `molecule` built
	@$(PYTEST) tests/images tests/chart tests/rules

test-long: $(VENV)/dev  ## what takes hours
	@$(PYTEST) -m long tests && $(BIN)/molecule test -s small && $(BIN)/molecule test -s workers
	@$(BIN)/python -m lab bundle && $(BIN)/molecule test -s bundle

verify: $(VENV)/dev  ## check a running lab
	@LAB_NAME="$(NAME)" $(PYTEST) tests/infra

.PHONY: chaos
chaos: $(VENV)/done  ## break one thing after the other in the lab `chaos`: make chaos [FAULT=web] [ROUNDS=20] [NAME=other]
	@$(BIN)/python -m lab chaos $(if $(filter file,$(origin NAME)),,--name "$(NAME)") $(if $(FAULT),--fault "$(FAULT)") $(if $(ROUNDS),--rounds "$(ROUNDS)") $(if $(RESUME),--resume) $(if $(BREAK),--break-lab)

.PHONY: report dev bench-app bench-nodes bench-up requirements
report: $(VENV)/dev  ## what the dashboards show, as a page, pictures and tables: make report [NAME=lab] [SINCE=15m]
	@$(BIN)/python -m lab report --name="$(NAME)" --since="$(SINCE)"

dev: $(VENV)/dev  ## the service alone, with a database of its own, no Docker
	@$(BIN)/python -m lab dev

bench-app: $(VENV)/dev  ## measure the service beside a FastAPI one
	@$(BIN)/python -m lab bench-app

bench-nodes: $(VENV)/dev  ## measure what three and five nodes cost more than one, in time and memory
	@$(BIN)/python -m lab bench-nodes

bench-up: $(VENV)/dev  ## measure cold, warm, rerun and down
	@$(BIN)/python -m lab bench-up

requirements: $(VENV)/dev  ## compile the hash-locked requirements anew
	@for file in app/requirements requirements requirements-dev tests/requirements; do $(BIN)/pip-compile --quiet --generate-hashes --no-strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host $$file.in; done

# From checkout to published image; these need Docker, git and Python, and no set-up.
.PHONY: image image-release image-migrations image-test image-test-build image-test-run
image: image-release image-migrations  ## build the images of the service and of its migrations

image-release:  ## build the service's image
	@$(PUBLISH) build web

image-migrations:  ## check the migrations' SQL and build their image
	@$(PUBLISH) build migrations

image-test: image-test-build image-test-run  ## linters and unit tests in an image, as the pipeline runs them

image-test-build:  ## build the test image
	@$(PUBLISH) build test

image-test-run:  ## run the test image
	@$(PUBLISH) test

.PHONY: login publish publish-check publish-release publish-migrations sbom audit pipeline
login:  ## log in: make login REGISTRY=host/path, with REGISTRY_USERNAME and REGISTRY_TOKEN
	@$(PUBLISH) login --registry "$(REGISTRY)"

publish: publish-check image-test-build image publish-release publish-migrations  ## build and publish: make publish REGISTRY=host/path [DIRTY=yes]

publish-check:  ## refuse what cannot be published, before anything is built
	@$(PUBLISH) check --registry "$(REGISTRY)" $(if $(DIRTY),--dirty)

publish-release:  ## publish the service's image that is built, with its bill of materials
	@$(PUBLISH) push web --registry "$(REGISTRY)" $(if $(DIRTY),--dirty)

publish-migrations:  ## publish the migrations' image that is built
	@$(PUBLISH) push migrations --registry "$(REGISTRY)" $(if $(DIRTY),--dirty)

sbom: image-test-build  ## bill of materials (CycloneDX) of the release: .lab/sbom.cdx.json
	@$(PUBLISH) sbom .lab/sbom.cdx.json

audit: $(VENV)/dev  ## known vulnerabilities in the locked requirements
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements-dev.txt

pipeline: $(VENV)/dev  ## each step of the pipeline, whole and broken, against a registry of its own; needs an engine
	@$(PYTEST) -s tests/pipeline
