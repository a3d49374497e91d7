"""Encode passages into an index directory, in any number of processes and shards, resumable."""

from ofakit.cli.encode import main

if __name__ == "__main__":
    raise SystemExit(main())
