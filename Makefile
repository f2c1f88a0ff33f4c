# Every target needs python3 (3.11 or newer) and make, nothing else. PYTHON names another interpreter; ARGS are passed on.

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
# Every process that a test starts would compile the program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test long check docs recording screenshots lint-contract lint-dashboard clients reference release-contract bench bench-runs \
	bench-authentication bench-requests bench-streams \
	bench-dashboard bench-webhooks faults webhook-faults soak rolling fuzz clean

demo: $(VENV)/installed-app  ## start everything and run a bundled suite; ARGS=--exit ends with the run
	@$(BIN)/gateway demo $(ARGS)

# What a server of another version and another owner could break: these tests run on the machine's Postgres too, where
# there is one, with the schema made by a superuser and by a plain owner. The others run on the wheel's only.
ON_EVERY_SERVER := $(addprefix tests/integration/test_,postgres_fixtures.py settling.py isolation.py tables.py \
	snapshot_reader.py organization_log.py broker.py row_security.py)
# Most tests wait for processes, so more of them run at once than there are cores.
PYTEST := $(BIN)/python -m pytest --numprocesses 4

test: $(VENV)/installed-dev  ## run the tests; ARGS are pytest's, and with any only those run
	$(PYTEST) $(ARGS)
ifeq ($(ARGS),)
	$(PYTEST) --quiet --postgres server-superuser $(ON_EVERY_SERVER)
	$(PYTEST) --quiet --postgres server-owner $(ON_EVERY_SERVER)
endif

long: $(VENV)/installed-dev  ## run the tests that take long; ARGS are pytest's
	$(BIN)/python -m pytest -m long $(ARGS)

check: $(VENV)/installed-dev  ## format, lint, types, import directions, dependencies, dead code, spelling, contract, site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/vulture
	$(BIN)/codespell
	$(BIN)/openapi-spec-validator openapi.yaml
	$(MKDOCS) --quiet
	@$(MAKE) --no-print-directory lint-contract lint-dashboard

# Every page as a site that loads nothing from anywhere else; what a page links to and is not there ends it.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs: $(VENV)/installed-dev  ## build the documentation into dist/site; dist/site/index.html is its first page
	$(MKDOCS)

recording: $(VENV)/installed-dev  ## draw what the demo says on a terminal, for the README
	$(BIN)/python docs/site/recording.py

screenshots: $(VENV)/installed-dev  ## take the pictures of docs/dashboard.md; needs Chromium and GATEWAY_TEST_DATA
	$(BIN)/python -m docs.site.screenshots

# The linters of openapi.yaml and of the dashboard need Node.js; without one there is only what else `make check` says.
lint-contract: NODE_LINT := ./node_modules/.bin/redocly lint openapi.yaml
lint-dashboard: NODE_LINT := ./node_modules/.bin/biome lint --error-on-warnings
lint-contract lint-dashboard:  ## hold the document against redocly.yaml, or the dashboard's files against the rules of biome
	@if ! command -v npm >/dev/null; then echo "$@: skipped, for there is no Node.js with npm here"; \
	elif ! test node_modules/.package-lock.json -nt package-lock.json && ! npm ci --silent --prefer-offline; \
	then echo "$@: skipped, for npm cannot install what it needs"; \
	else $(NODE_LINT); fi

clients: $(VENV)/installed-dev  ## generate clients of openapi.yaml into clients/, as far as there are the tools
	$(BIN)/python -m tests.clients

reference:  ## put another Swagger UI into gateway/reference; VERSION=5.35.0
	sh gateway/reference/update.sh $(VERSION)

release-contract: $(VENV)/installed-dev  ## keep openapi.yaml, and what the version leaves at work, for the next ones to be held against
	$(BIN)/python -m tests.compatibility.keep

bench: $(VENV)/installed-dev  ## measure; ARGS are those of python -m tests.bench
	$(BIN)/python -m tests.bench $(ARGS)

bench-runs: $(VENV)/installed-dev  ## measure runs next to a bare loop; ARGS='--tests 10000 --latencies 0 50 --repeat 3'
	$(BIN)/python -m tests.bench.runs $(ARGS)

bench-authentication: $(VENV)/installed-dev  ## measure what it costs to know the caller; ARGS='--algorithm ES256'
	$(BIN)/python -m tests.bench.authentication $(ARGS)

bench-requests: $(VENV)/installed-dev  ## measure status reads and executions next to a bare handler; ARGS='--alone --rounds 5'
	$(BIN)/python -m tests.bench.requests $(ARGS)

bench-streams: $(VENV)/installed-dev  ## measure streams next to other servers; ARGS='--only gateway bare --clients 1000 --rate 20'
	$(BIN)/python -m tests.bench.streams $(ARGS)

bench-dashboard: $(VENV)/installed-dev  ## measure a browser that follows a large run; ARGS='--tests 10000 --rounds 3'
	$(BIN)/python -m tests.bench.dashboard $(ARGS)

bench-webhooks: $(VENV)/installed-dev  ## measure webhooks with and without receivers that hang; ARGS='--endpoints 1000 --hanging 0.1'
	$(BIN)/python -m tests.bench.webhooks $(ARGS)

faults: $(VENV)/installed-dev  ## break a deployment at random for minutes; ARGS='--seed 7 --minutes 10 --broker redis'
	$(BIN)/python -m tests.faults $(ARGS)

webhook-faults: $(VENV)/installed-dev  ## break what sends webhooks to receivers of every manner; ARGS='--seed 7 --minutes 10'
	$(BIN)/python -m tests.webhook_faults $(ARGS)

soak: $(VENV)/installed-dev  ## break what streams stand on while clients read them; ARGS='--seed 7 --events 100000 --rounds 5'
	$(BIN)/python -m tests.soak $(ARGS)

rolling: $(VENV)/installed-dev  ## restart gateways and workers behind nginx while callers call; ARGS='--seed 7 --rounds 5', --kill
	$(BIN)/python -m tests.rolling $(ARGS)

fuzz: $(VENV)/installed-dev  ## ask the API for what is another organization's; ARGS='--minutes 10 --seed 7'
	$(BIN)/python -m tests.fuzz $(ARGS)

clean:  ## remove what these targets made here; the data of `gateway up` and `gateway demo` stays
	rm -rf $(VENV) clients node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11; name another: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }

# What is installed is remembered by these files: a second start takes no time.
$(VENV)/installed-app: pyproject.toml | $(BIN)/python
	@test -e $(VENV)/installed-dev || echo "Installing into $(VENV) (once) …"
	@test $(VENV)/installed-dev -nt pyproject.toml || $(PIP) install --editable '.[embedded]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (once) …"
	@$(PIP) install --editable '.[dev]'
	@touch $@
