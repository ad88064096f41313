# make demo | test | check-long | lint | format | bundle | lock | clean
# PYTHON=... chooses the interpreter, ARGS=... goes to the demo or to pytest, CHECKS=... names the checks of lint.
# Each target sets up what it needs (see ros2_ws/bootstrap) and reuses it next time.
.DEFAULT_GOAL := help
.PHONY: help demo test check-long lint format lock bundle clean

PYTHON ?=
ARGS ?=
CHECKS ?=
# The interpreter that runs the set-up script: the first that starts. It needs no package.
RUN_SETUP := $(shell for python in $(PYTHON) python3 python3.11 python3.12 python3.10; do \
	$$python -c '' 2>/dev/null && echo $$python && break; done)
SETUP = $(or $(RUN_SETUP),$(error no Python 3 found: install one, or say PYTHON=/path/to/python)) \
	-m ros2_ws.bootstrap $(if $(PYTHON),--python $(PYTHON))
DEMO = $(SETUP) demo --
TEST = $(SETUP) test --

help:
	@sed -n '1,3s/^# //p' Makefile

demo:
	@$(DEMO) python launch/demo.py $(ARGS)

test: lint
	@$(TEST) python -m pytest tests -m "not long" $(ARGS)

check-long:
	@$(TEST) python -m pytest tests -m long $(ARGS)

lint:
	@$(TEST) python -m ros2_ws.lint $(CHECKS)

format:
	@$(TEST) ruff check --fix .
	@$(TEST) ruff format .

# The bundle in the repository, from nothing, seeded: about 40 minutes on 2 cores.
bundle:
	@$(TEST) python -m ov3d_trainer cache --config trainer/configs/demo_street.yaml
	@$(TEST) python -m ov3d_trainer train --config trainer/configs/demo_street.yaml --restart
	@$(TEST) python -m ov3d_trainer evaluate --checkpoint runs/demo_street/checkpoint.pt
	@$(TEST) python -m ov3d_export student runs/demo_street/checkpoint.pt --out export/bundles/street_demo \
		--text trainer/configs/demo_bank.npz

lock:
	@$(SETUP) lock

clean:
	rm -rf .venv-demo-* .venv-test-* ros2_ws/build ros2_ws/install ros2_ws/log .mypy_cache .ruff_cache .pytest_cache
	find ros2_ws/src trainer export bags launch tests -name __pycache__ -prune -exec rm -rf {} +
	find ros2_ws/src trainer export -name '*.egg-info' -prune -exec rm -rf {} +
