"""Serve captions, or vectors of images, over HTTP."""

from ofakit.cli.serve import main

if __name__ == "__main__":
    raise SystemExit(main())
