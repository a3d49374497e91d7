"""Look at this installation: versions, devices, and what is missing for what."""

from ofakit.cli.doctor import main

if __name__ == "__main__":
    raise SystemExit(main())
