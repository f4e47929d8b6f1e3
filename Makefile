# make demo: set everything up and run the main job.  make test: set everything up and pass the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: setup demo test check docs keras lock clean

setup: $(VENV)/.ready

# A bare torch on Linux would bring gigabytes of CUDA: the CPU build comes first, from the usual index where it is to be
# had there, else from PyTorch's own.
$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.lock
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python -m pip install -q "$(TORCH)+cpu" \
		|| $(BIN)/python -m pip install -q "$(TORCH)" --index-url $(TORCH_CPU_INDEX)
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

demo: setup
	$(BIN)/rarelesion demo

# Two files of tests side by side, each on one thread: with more they wait for each other.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

docs: setup
	$(BIN)/python docs/make_reference.py

# The peer of benchmarks/speed.py, in an environment of its own.
keras:
	$(PYTHON) -m venv .venv-keras
	.venv-keras/bin/python -m pip install -q keras==3.15.1 tensorflow-cpu==2.21.0

lock: setup
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch==' > requirements.lock

clean:
	rm -rf $(VENV) .venv-keras rarelesion-demo
