"""Caption images in a style: takes images, folders or JSONL; prints one line of JSON per image and style."""

from ofakit.cli.caption import main

if __name__ == "__main__":
    raise SystemExit(main())
