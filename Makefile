.PHONY: lint test bench

lint:
	ruff check .
	ruff format --check .

test:
	pytest

bench:
	@for script in benchmarks/*.py; do echo "== $$script"; python $$script || exit 1; done
