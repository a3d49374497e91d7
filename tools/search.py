"""Search a base for queries with every searcher of a configuration, and score the rankings."""

from ofakit.cli.search import main

if __name__ == "__main__":
    raise SystemExit(main())
