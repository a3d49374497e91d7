"""Check data, draw scenes, decode images in advance, count n-grams, list the words of styles."""

from ofakit.cli.data import main

if __name__ == "__main__":
    raise SystemExit(main())
