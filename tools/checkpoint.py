"""Inspect, convert, extract and average checkpoints."""

from ofakit.cli.checkpoint import main

if __name__ == "__main__":
    raise SystemExit(main())
