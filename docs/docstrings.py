"""Show code in docstrings as code: mkdocstrings reads Markdown, in which `>>>` alone is three levels of quotation.

MkDocs loads this extension of griffe by its path (`extensions` in mkdocs.yml).
"""

from __future__ import annotations

import re

import griffe

__all__ = ["CodeInDocstrings", "fenced"]

DOCTEST = re.compile(r"(?:^[ \t]*>>> .*\n?(?:^[ \t]*\S.*\n?)*)+", re.MULTILINE)
CODE = re.compile(r"[{\[\"]|(?:from|import|for|with) \w|[\w.]+\(|\w[\w\"'\[\], .]* = ")
"""How a paragraph of code begins; one of prose begins with a capital letter or an article."""


def fenced(text: str, of_module: bool = False) -> str:
    """A docstring whose doctests, and whose paragraphs of code at the head of a file, stand in fences.

    Args:
        text: The docstring, dedented.
        of_module: It stands at the head of a file, where code need not be indented.

    >>> print(fenced("Adds.\\n\\n>>> add(1, 2)\\n3"))
    Adds.
    <BLANKLINE>
    ```pycon
    >>> add(1, 2)
    3
    ```
    """
    if of_module:
        first, *rest = text.split("\n\n")
        rest = [f"```python\n{part}\n```" if CODE.match(part) and ">>>" not in part else part for part in rest]
        text = "\n\n".join([first, *rest])
    return DOCTEST.sub(_fence, text)


def _fence(found: re.Match[str]) -> str:
    block = found[0].rstrip("\n")
    indent = re.match(r"[ \t]*", block)[0]
    return f"{indent}```pycon\n{block}\n{indent}```" + "\n" * (len(found[0]) - len(block))


class CodeInDocstrings(griffe.Extension):
    """Fences code in every docstring of the package."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of an object that griffe has read.

        Args:
            obj: The object.
        """
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value, obj.is_module)
