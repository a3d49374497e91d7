"""Find the members of a room by the name of the file that defines them.

A room such as `ofakit.data.readers` is a package; each of its files defines one member and names it first in
`__all__`. The file's name is the `type` of a configuration, so a new member is one new file and nothing else
(`base.py`, which says what a member is, and files that begin with `_` are none, nor those that the room itself names):

    {"type": "flickrstyle", "train": "train.jsonl"}   ->   ofakit/data/readers/flickrstyle.py

A member from outside the package is added with `register`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ofakit.config.values import checked_value, resolved_annotations
from ofakit.errors import UsageError, did_you_mean

__all__ = ["Registry", "modelscope_members"]


def modelscope_members(registry: str) -> dict[str, tuple[str, str, str]]:
    """What ModelScope can build by name, imported or not.

    Args:
        registry: Such as "HOOKS" or "METRICS".

    Returns:
        Name to (registry, group, name), by which ModelScope's `LazyImportModule.import_module` imports it.
    """
    from modelscope.utils.ast_utils import INDEX_KEY
    from modelscope.utils.import_utils import LazyImportModule

    return {place[2]: place for place in LazyImportModule.get_ast_index()[INDEX_KEY] if place[0] == registry}


class Registry:
    """The members of one room, imported when they are first asked for.

    Args:
        noun: What a member is called in messages, such as "reader".
        package: The dotted name of the package whose files are the members.
        besides: Files of the package that are no members, beside `base`.
    """

    def __init__(self, noun: str, package: str, besides: Sequence[str] = ()) -> None:
        self.noun = noun
        self.package = package
        self.besides = {"base", *besides}
        self._added: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Every `type` that can be asked for, sorted. Imports no member."""
        found = importlib.import_module(self.package)
        files = [
            m.name
            for m in pkgutil.iter_modules(found.__path__)
            if not m.name.startswith("_") and m.name not in self.besides
        ]
        return sorted({*files, *self._added})

    def register(self, name: str) -> Callable[[Any], Any]:
        """Decorate a class or function from outside the package to make it a member called `name`.

        Args:
            name: The `type` it gets.

        Raises:
            UsageError: The name is taken.
        """
        if name in self.names():
            raise UsageError(f"{self.noun} {name!r} already exists; choose another name")

        def add(member: Any) -> Any:
            self._added[name] = member
            return member

        return add

    def get(self, name: str) -> Any:
        """The member called `name`.

        Args:
            name: A `type`.

        Raises:
            UsageError: There is none; the message names the nearest.
        """
        if name in self._added:
            return self._added[name]
        if name not in self.names():
            raise UsageError(f"unknown {self.noun} {name!r}: {did_you_mean(str(name), self.names())}")
        module = importlib.import_module(f"{self.package}.{name}")
        return getattr(module, module.__all__[0])

    def build(self, spec: Mapping[str, Any], **context: Any) -> Any:
        """Make the member that `spec["type"]` names, from the other keys of `spec`.

        Args:
            spec: A configuration with a `type`; its other keys are arguments of the member.
            **context: Arguments that do not come from the configuration. Those the member does not take are left out.

        Raises:
            UsageError: `type` is missing or unknown, a key is missing or is not one of the member's arguments, or a
                value is not of the type that the argument is annotated with.
        """
        if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
            raise UsageError(f"a {self.noun} needs a 'type', found {spec!r}: {did_you_mean('', self.names())}")
        member = self.get(spec["type"])
        parameters = inspect.signature(member).parameters
        given = {key: value for key, value in context.items() if key in parameters}
        return member(**self._arguments(spec, member, context), **given)

    def weight(self, spec: Mapping[str, Any]) -> float:
        """The weight of a member in a sum, 1 where its configuration has none.

        Args:
            spec: A configuration.

        Raises:
            UsageError: It is not a number.
        """
        return checked_value(spec.get("weight", 1.0), float, "weight", f"{self.noun} {spec.get('type')!r}")

    def _arguments(self, spec: Mapping[str, Any], member: Any, context: Mapping[str, Any]) -> dict[str, Any]:
        """The checked arguments that a configuration gives to its member."""
        owner, annotations = f"{self.noun} {spec['type']!r}", resolved_annotations(member)
        parameters = inspect.signature(member).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        named = {k: p for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        configurable = [key for key in named if key not in context]
        arguments = {key: value for key, value in spec.items() if key != "type"}
        for key, value in arguments.items():
            if key in configurable:
                arguments[key] = checked_value(value, annotations.get(key, Any), key, owner)
            elif not open_ended or key in context:
                raise UsageError(f"unknown key {key!r} for {owner}: {did_you_mean(key, configurable)}", key)
        for key in configurable:
            if named[key].default is inspect.Parameter.empty and key not in arguments:
                raise UsageError(f"{owner} needs the key {key!r}")
        return arguments
