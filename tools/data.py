"""Look at data, draw scenes, decode images ahead, count document frequencies."""

from ofakit.cli.data import main

if __name__ == "__main__":
    raise SystemExit(main())
