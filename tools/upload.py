"""Upload a model directory with a model card to ModelScope's hub or Hugging Face's."""

from ofakit.cli.upload import main

if __name__ == "__main__":
    raise SystemExit(main())
