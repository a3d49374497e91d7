"""Run one experiment many times with different parameters."""

from ofakit.cli.sweep import main

if __name__ == "__main__":
    raise SystemExit(main())
