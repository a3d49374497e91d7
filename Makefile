.PHONY: lint test coverage bench

lint:
	ruff check .
	ruff format --check .
	mypy

test:
	pytest

coverage:
	pytest --cov

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
