# Needs make and Python 3.11 to 3.13; everything else goes into .venv by itself.
#   make test     the tests          make lint    form and types
#   make demo     a pretrained model learns to judge film reviews; make demo-scratch starts from nothing
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := out/demo
# Packages of what the Python of a GPU machine lacks.
WHEELS := out/wheels
# Processes that run the tests; each command that they start has threads of its own.
WORKERS ?= 2

.PHONY: test lint demo demo-scratch bench test-interop tpu-check gpu-check gpu-wheels clean

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(VENV)/run.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" runs/demo.sh $(DEMO) $(if $(SENTENCE),"$(SENTENCE)")

demo-scratch: $(VENV)/run.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" runs/demo_scratch.sh $(DEMO)/scratch

bench: $(VENV)/interop.stamp
	$(BIN)/python -m bench.classifier

test-interop: $(VENV)/interop.stamp
	$(BIN)/python -m pytest -m interop

# In an environment of its own: where libtpu is installed jax looks for a TPU.
tpu-check: $(VENV)-tpu/tpu.stamp
	$(VENV)-tpu/bin/python -m bench.tpu_check

# On a machine with a GPU, by its own Python with JAX and PyTorch; it needs no network. What that Python lacks comes along
# in out/wheels, from a machine that has one.
gpu-check:
	test ! -d $(WHEELS) || $(PYTHON) -m pip install --quiet --no-index --no-deps --upgrade --target=out/packages $(WHEELS)/*.whl
	PYTHONPATH="$(CURDIR):$(CURDIR)/out/packages" $(PYTHON) -m bench.gpu_check $(ARGS)

gpu-wheels:
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version=3.12 \
	    --platform=manylinux_2_28_x86_64 --platform=manylinux_2_17_x86_64 --dest=$(WHEELS) google-crc32c nupunkt tensorboardX

clean:
	rm -rf $(VENV) $(VENV)-tpu $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find jaxbert tests bench -name __pycache__ -type d -exec rm -rf {} +

# One environment, installed in steps; a stamp is redone when pyproject.toml changes.
$(VENV)/run.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11, 4) <= sys.version_info[:3] < (3, 14))' || \
	    { echo "error: \`$(PYTHON)\` is not Python 3.11.4 to 3.13"; echo "hint: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)-tpu/tpu.stamp: pyproject.toml
	test -x $(VENV)-tpu/bin/python || $(PYTHON) -m venv $(VENV)-tpu
	$(VENV)-tpu/bin/python -m pip install --quiet --editable '.[tpu]'
	touch $@

$(VENV)/interop.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --editable '.[dev,interop]'
	touch $@
