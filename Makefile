.PHONY: lint test coverage bench docs site wheel matrix

lint:
	ruff check .
	ruff format --check .
	mypy

test:
	pytest

# A test that hangs is tried once more; any other failure counts at once.
coverage:
	pytest --cov -rfER --reruns 1 --only-rerun 'Timeout \(>'

# Into build/site; a warning is an error. NO_MKDOCS_2_WARNING leaves out what the theme says of its own future.
docs:
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

site: docs
	python -m http.server --directory build/site --bind 127.0.0.1 8000

wheel:
	.ci/packages

matrix:
	.ci/matrix

BENCHMARKS = startup data masking scores meteor kill_resume
STOCK_BENCHMARKS = stock_parity stock_plain vs_stock

bench:
	@for name in $(BENCHMARKS); do \
		echo "== $$name"; python benchmarks/$$name.py || exit 1; \
	done
ifdef STOCK_PYTHON
	@for name in $(STOCK_BENCHMARKS); do \
		echo "== $$name"; python benchmarks/$$name.py --stock-python $(STOCK_PYTHON) || exit 1; \
	done
endif
