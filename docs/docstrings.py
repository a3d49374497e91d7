"""What mkdocstrings does not make of docstrings: code in fences, and arguments that a class has from its base.

It reads Markdown, in which `>>>` alone is three levels of quotation. MkDocs loads these extensions of griffe by the
path of this file (`extensions` in mkdocs.yml).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import griffe

__all__ = ["CodeInDocstrings", "InheritedArguments", "fenced"]

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


class InheritedArguments(griffe.Extension):
    """Documents the arguments of a class that is made as its base is, and says nothing of them itself."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Change the docstrings of such classes, once all bases have been read.

        Args:
            pkg: The package.
        """
        for told in _classes(pkg):
            if told.docstring is None or "__init__" in told.members or "Args:" in told.docstring.value:
                continue
            maker = next((base for base in told.mro() if "__init__" in base.members), None)
            if maker is not None and maker.docstring is not None and "Args:" in maker.docstring.value:
                arguments = maker.docstring.value[maker.docstring.value.index("Args:") :]
                told.docstring.value += f"\n\n{arguments}"


def _classes(parent: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    """Every class inside, however deep."""
    for member in parent.members.values():
        if not member.is_alias and isinstance(member, griffe.Module | griffe.Class):
            if member.is_class:
                yield member
            yield from _classes(member)
