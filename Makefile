# What can be done here? `make demo` and `make test` do their own set-up.

PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
RUN := $(VENV)/bin

.PHONY: demo test lint unit browser js lowest soak bench bite clean

demo: $(VENV)/demo.stamp
	$(RUN)/twistd -n --pidfile= sockproxy --demo

test: packages lint unit js lowest

lint: $(VENV)/test.stamp js/node_modules/.stamp
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy sockproxy tests benchmarks
	$(RUN)/lint-imports
	cd js && npm run --silent types

unit: $(VENV)/test.stamp js/node_modules/.stamp
	$(RUN)/pytest --cov=sockproxy.core --cov=sockproxy.policy --cov-branch --cov-fail-under=100

js: js/node_modules/.stamp
	cd js && npm test --silent

# The same tests on the oldest releases that setup.cfg promises, without those that drive
# a browser: these run the newest.
lowest: $(LOWEST)/test.stamp
	$(LOWEST)/bin/pytest -q -p no:cacheprovider --ignore=tests/browser --ignore=tests/test_packaging.py

soak: packages $(VENV)/test.stamp
	$(RUN)/pytest -m soak --timeout=3600
	$(RUN)/python -m benchmarks.soak
	$(RUN)/python -m benchmarks.bounds

bench: $(VENV)/test.stamp
	$(RUN)/python -m benchmarks.bounds

.PHONY: packages
packages:
	@tools/need-apt.sh

$(VENV)/bin/python:
	@command -v git >/dev/null && $(PYTHON) -c 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'something is missing (Python is to be 3.11 or newer); run first:'; \
		  echo '    apt-get install make git python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(VENV)/bin/python setup.cfg
	$(RUN)/pip install --quiet --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/bin/python setup.cfg
	$(RUN)/pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/demo.stamp

$(LOWEST)/test.stamp: setup.cfg tests/lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --editable '.[test]' --constraint tests/lowest.txt
	@touch $@

js/node_modules/.stamp: js/package-lock.json
	cd js && npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) $(LOWEST) js/node_modules build dist *.egg-info
