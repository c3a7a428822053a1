# The bench: everything a developer or CI does here. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test unit lint fmt bench lock stop clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-7s %s\n", $$1, $$2 }'

setup: ## make the bench in .bench (again: seconds)
	@scripts/setup

demo: setup ## run the main job on real calls and serve Odoo on 127.0.0.1:8069
	@exec scripts/demo

test: setup ## everything: lint, unit tests, Odoo tests by both runners, tours
	@exec scripts/test

unit: setup ## the tests that need no Odoo, in seconds
	@exec scripts/unit

lint: setup ## every style and correctness gate
	@exec scripts/lint

fmt: setup ## let the linters fix what they can
	@exec scripts/lint --fix

bench: setup ## speed, side by side with the alternatives, as a table
	@exec benchmarks/run

lock: setup ## renew the lock files from requirements*.in and package.json
	@exec scripts/lock

stop: ## stop the private PostgreSQL
	@scripts/pg --stop

clean: ## stop PostgreSQL and remove everything the bench made
	@exec scripts/clean
