"""Images, folders or JSONL in; one JSON line per image and style out."""

from ofakit.cli.caption import main

if __name__ == "__main__":
    raise SystemExit(main())
