"""`modelscope ofakit VERB …`: the command `ofakit` inside ModelScope's own command line.

ModelScope's command takes in those of other packages by the entry points `modelscope_hub.cli_plugins`. Such a command
is a class of the form of `modelscope_hub.cli.base.CLICommand`; it is not derived from it, so that this file can be
imported beside an older ModelScope, whose command line knows no others.
"""

from __future__ import annotations

import argparse
from typing import Any

from ofakit.cli.main import main

__all__ = ["OfakitCommand"]


class OfakitCommand:
    """One call of `modelscope ofakit`.

    Args:
        args: As ModelScope parsed them; `ofakit_arguments` are those behind the name.
    """

    name = "ofakit"

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args

    @classmethod
    def register(cls, subparsers: Any) -> None:
        """Add the name to ModelScope's parser; everything behind it is left to ours.

        Args:
            subparsers: What `ArgumentParser.add_subparsers` gave.
        """
        # No argument can begin with NUL, so none is taken for an option of ModelScope's parser, `--help` included.
        parser = subparsers.add_parser(
            cls.name, help="Fine-tune OFA to caption in a style (ofakit).", add_help=False, prefix_chars="\0"
        )
        parser.add_argument("ofakit_arguments", nargs=argparse.REMAINDER)
        parser.set_defaults(_command=cls)

    def execute(self) -> None:
        """Run the verb.

        Raises:
            SystemExit: With its exit code, which ModelScope hands on.
        """
        raise SystemExit(main(self.args.ofakit_arguments, name="modelscope ofakit"))
