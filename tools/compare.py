"""Compare the captions or rankings of two or more systems, with a paired significance test and tables."""

from ofakit.cli.compare import main

if __name__ == "__main__":
    raise SystemExit(main())
