"""Build an index over encoded passages, join shards, or check a directory."""

from ofakit.cli.index import main

if __name__ == "__main__":
    raise SystemExit(main())
