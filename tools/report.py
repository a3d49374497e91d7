"""Write a report of a run, or a comparison of several, as one HTML file."""

from ofakit.cli.report import main

if __name__ == "__main__":
    raise SystemExit(main())
