# Any of these may be given on the command line: make test PYTHON37=/opt/python3.7/bin/python3.7
# PYTHON is 3.10 or later, for Keras 3. PYTHON37 is for TensorFlow 1.15 and dies with it; empty: do without.
# TORCH is what pip is told to install for PyTorch; options of pip may stand in front of it.
PYTHON ?= $(shell .ci/find-python 3.11 3.12 3.13 3.10)
PYTHON37 ?= $(shell .ci/find-python 3.7)
PYTHON37 := $(PYTHON37)
TORCH ?= torch==2.13.0
VENV ?= .venv
VENV37 ?= .venv-tf115

python3 = $(or $(PYTHON),$(error No Python 3.10 to 3.13 found. Name one: make PYTHON=/path/to/python3))
each_runtime = VENV=$(VENV) VENV37=$(if $(PYTHON37),$(VENV37)) .ci/each-runtime
pip_install = -m pip install -qq --disable-pip-version-check

.NOTPARALLEL:
.PHONY: help setup demo test test-slow bench clean

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: $(VENV)/.complete $(if $(PYTHON37),$(VENV37)/.complete) ## make both virtual environments, Keras 3 and TensorFlow 1.15

demo: $(VENV)/.tensorflow ## train a small cascade on TensorFlow (installs only what that takes)
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(VENV)/bin/python examples/train_cascade.py

test: setup ## run the tests on every runtime
	@$(each_runtime) -m pytest -q -p no:cacheprovider

test-slow: setup ## run the slow tests on every runtime
	@$(each_runtime) -m pytest -q -p no:cacheprovider -m slow

bench: setup ## run the benchmarks on every runtime
	@for name in data_consistency warp ncc voxelmorph unet dynamic pinning; do LANES=1 $(each_runtime) benchmarks/$$name.py || exit 1; done

clean: ## remove all that was made, with the virtual environments; outputs/ stays
	@for venv in $(VENV) $(VENV37); do if [ -f $$venv/pyvenv.cfg ]; then rm -rf $$venv; fi; done
	@rm -rf build dist *.egg-info .pytest_cache
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call make_venv,DIRECTORY,PYTHON,CONDITION ON THE VERSION): makes a virtual environment where there is none
define make_venv
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
	  $(2) -c 'import sys; sys.exit(None if $(3) else "%s is Python %d.%d, not $(3)" % ((sys.executable,) + sys.version_info[:2]))' \
	  && $(2) -m venv $(1); }
endef

$(VENV)/.tensorflow: setup.py
	@echo "Installing Keras 3 with TensorFlow into $(VENV): a minute or two"
	$(call make_venv,$(VENV),$(python3),sys.version_info >= (3, 10))
	@$(VENV)/bin/python $(pip_install) -e '.[tensorflow,plots]'
	@touch $@

$(VENV)/.complete: setup.py
	@echo "Installing Keras 3 with TensorFlow, JAX and PyTorch into $(VENV): a few minutes"
	$(call make_venv,$(VENV),$(python3),sys.version_info >= (3, 10))
	@$(VENV)/bin/python $(pip_install) $(TORCH)
	@$(VENV)/bin/python $(pip_install) -e '.[tensorflow,jax,torch,neurite,onnx,plots,test]'
	@touch $(VENV)/.tensorflow $@

$(VENV37)/.complete: setup.py # dies with TensorFlow 1.15
	@echo "Installing TensorFlow 1.15 into $(VENV37): a minute"
	$(call make_venv,$(VENV37),$(PYTHON37),sys.version_info[:2] == (3, 7))
	@$(VENV37)/bin/python $(pip_install) -e '.[plots,test]'
	@touch $@
