# Every target sets up what it needs. Nothing has to be installed by hand but Python 3.11+ with pip.
PYTHON ?= python3
PY := .venv/bin/python
# As collision/__init__.py, for programs that load torch before it.
export OMP_WAIT_POLICY ?= PASSIVE
# Without bytecode each start compiles 4,000 files anew, for 14 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow test-gpu lint format docs docs-serve bench bench-gpu lock clean help
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: .venv/.ready ## make data, extract features, train, score, score on a second domain
	$(PY) train.py 'evaluate_on=[synthetic_night]'

test: .venv/.ready ## the fast tests, two processes side by side; no network
	@command -v chromium >/dev/null || \
	  echo "Without chromium the tests in a browser are skipped: apt-get install chromium"
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2

test-slow: .venv/.ready ## tests that take minutes
	$(PY) -m pytest -q -m slow
	HYPOTHESIS_PROFILE=exploring $(PY) -m pytest -q -m 'not gpu' `grep -lr hypothesis tests --include=test_*.py`

test-gpu: .venv/.ready ## tests that need a CUDA device
	$(PY) -m pytest -q -m gpu

lint: .venv/.ready ## ruff on the tree, mypy on the built wheel
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	rm -rf build && $(PY) -m uv build -q --wheel -o build/types && \
	  $(PY) -m uv pip install -q --target build/types/site --no-deps build/types/*.whl && \
	  cd build/types/site && ../../../$(PY) -m mypy --config-file ../../../pyproject.toml -p collision

format: .venv/.ready ## let ruff rewrite what it can
	$(PY) -m ruff check --fix -q . ; $(PY) -m ruff format .

docs: .venv/.ready ## the pages as a site in build/site; a broken link is an error
	.venv/bin/uv run --locked --group docs python docs/build_site.py

docs-serve: docs ## the same, shown at http://localhost:8000
	$(PY) -m http.server 8000 --bind 127.0.0.1 --directory build/site

bench: .venv/.ready ## speed, as ratios in one run: benchmarks/RESULTS.md, an hour
	$(PY) -m benchmarks.run

bench-gpu: .venv/.ready ## the same for a GPU: benchmarks/RESULTS-gpu.md
	$(PY) -m benchmarks.run --gpu

lock: .venv/bin/uv ## resolve the newest versions into uv.lock
	.venv/bin/uv lock --upgrade

clean: ## remove the environment and build output, not data, cache or runs
	rm -rf .venv build *.egg-info

# --without-pip and `pip --python`: works where the distribution splits ensurepip off.
.venv/bin/uv:
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python .venv/bin/python install -q uv

# uv is in the dev group of the lock file, so that syncing keeps it in .venv.
.venv/.ready: pyproject.toml uv.lock | .venv/bin/uv
	.venv/bin/uv sync --locked --python .venv/bin/python
	@touch $@
