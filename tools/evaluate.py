"""Score a trained model on a split, or captions or rankings of any system."""

from ofakit.cli.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
