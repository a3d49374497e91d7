"""`python -m ofakit` is the command `ofakit`."""

from ofakit.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
