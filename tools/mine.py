"""Mine hard negatives for the questions that a retriever is trained on."""

from ofakit.cli.mine import main

if __name__ == "__main__":
    raise SystemExit(main())
