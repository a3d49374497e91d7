"""Answer questions about images; prints one line of JSON per question."""

from ofakit.cli.answer import main

if __name__ == "__main__":
    raise SystemExit(main())
