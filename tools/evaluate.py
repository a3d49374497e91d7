"""Score a trained model on a split, or predictions of any system against references."""

from ofakit.cli.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
