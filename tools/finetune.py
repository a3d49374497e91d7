"""Train from a configuration, then evaluate the best model; or only evaluate."""

from ofakit.cli.finetune import main

if __name__ == "__main__":
    raise SystemExit(main())
