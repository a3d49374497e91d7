"""Try a model on a page in a browser."""

from ofakit.cli.demo import main

if __name__ == "__main__":
    raise SystemExit(main())
