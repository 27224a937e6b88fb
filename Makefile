# podsupd's two commands are `make run` and `make test`; the rest are their parts.
VENV   := .venv
PREFIX ?= /opt/podsupd
DESTDIR ?=

.PHONY: help run test setup images podman5 vm check lint format bench lock install uninstall clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: ## set up, then the daemon in the foreground on config/, with the example pod
	@scripts/setup
	@images/build
	@scripts/run

test: ## set up, then every test; ARGS="-k name" goes to pytest
	@scripts/setup --tests
	@images/build
	@scripts/test $(ARGS)

setup: ## install what is missing: packages (apt), .venv (pip, by hash), a Podman that runs containers
	@scripts/setup --tests

images: ## have the example's images: pulled, or made here where there is no registry
	@images/build

podman5: setup images ## every test that needs Podman, on Podman 5.4 in a Debian 13 of its own (some ten minutes)
	@scripts/with-podman tests/hosts/on-podman5 -n 2 --dist loadscope $(or $(ARGS),tests/podman tests/e2e)

vm: setup images ## the corpus, clocks, sleep and power cuts, on machines of their own: QEMU, with KVM where it works (an hour or two without)
	@scripts/setup --vm
	@timeout 10800 scripts/with-podman $(VENV)/bin/pytest -p no:randomly $(or $(ARGS),tests/vm)

check: setup images lint ## everything that has to pass before a commit
	@scripts/test

lint: ## ruff, mypy and the layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: ## let ruff format and fix what it can
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: setup images ## measure, against Podman's own ways; prints a table
	@scripts/with-podman $(VENV)/bin/python -m bench.run $(ARGS)

lock: ## write requirements*.lock anew from pyproject.toml
	@scripts/lock

install: ## put podsupd on this host (or under DESTDIR): PREFIX, units, configuration
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install

uninstall: ## take it off again; leaves configuration, state and pods
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/uninstall

clean: ## remove what the other targets made in this directory
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
