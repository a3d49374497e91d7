"""A lexer built from rules: at each place the rule with the longest match wins, and of equally long ones the first.

Rules are regular expressions, compiled to a nondeterministic automaton that is made deterministic state by state as
texts need it, so that reading costs one dictionary look-up per character. Python's own `re` takes the first alternative
that matches rather than the longest, so it cannot be used here.

The expressions support literals (ASCII letters match in both cases), `[...]` and `[^...]` (which tell cases apart), `.`
for any character, `(...)`, `|`, `*`, `+`, `?`, `{2,4}`, backslash escapes, and `{name}` for a named set or expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Automaton", "CharacterSet", "DeadEnds", "Rule"]

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_COUNT = re.compile(r"[*+?]|\{(\d+)(?:,(\d+))?\}")
_FAR = 16
"""Characters read past the end of a match before it is noted where they led."""
_LIMITS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


DeadEnds = dict[tuple[int, int], bool]
"""Where no match ends any more: the id of a state and the place of the character that led there, as in Reps 1998,
https://doi.org/10.1145/276393.276394; with each, whether more text might change that."""


class Rule(NamedTuple):
    """One kind of token.

    Attributes:
        action: What the caller does with a match; this module only passes it on.
        pattern: The expression a token matches.
        following: The expression that must match after it. It counts towards the length that decides between rules.
    """

    action: str
    pattern: str
    following: str = ""


@dataclass(frozen=True)
class CharacterSet:
    """A set of characters, given by their code points.

    Attributes:
        ranges: First and last code point of each range.
        negated: Whether the set holds the characters outside the ranges instead.
    """

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def __contains__(self, character: str) -> bool:
        point = ord(character)
        return any(first <= point <= last for first, last in self.ranges) != self.negated


class _Sequence(NamedTuple):
    """Expressions one after the other."""

    parts: Sequence[_Tree]


class _Alternatives(NamedTuple):
    """Any one of several expressions."""

    parts: Sequence[_Tree]


class _Repeat(NamedTuple):
    """An expression `low` to `high` times; without an upper limit where `high` is None."""

    tree: _Tree
    low: int
    high: int | None


_Tree = CharacterSet | _Sequence | _Alternatives | _Repeat


class _State(dict[str, "_State | None"]):
    """A state of the deterministic automaton: next state by character, found on demand; None if nothing matches."""

    __slots__ = ("automaton", "edges", "rule")

    def __init__(self, automaton: Automaton, members: Iterable[int]) -> None:
        self.automaton = automaton
        self.edges = [edge for member in sorted(members) for edge in automaton.edges[member]]
        self.rule = min((automaton.accepts[m] for m in members if m in automaton.accepts), default=None)

    def __missing__(self, character: str) -> _State | None:
        mask = self.automaton.sets_with(character)
        found = self[character] = self.automaton.state({target for bit, target in self.edges if mask & bit})
        return found


def _remember(text: str, start: int, stop: int, state: _State, more: bool, dead_ends: DeadEnds) -> None:
    """Note every state that was passed through in vain."""
    for place in range(start, stop):
        after = state[text[place]]
        if after is None:
            break
        state = after
        dead_ends[id(state), place] = more


class Automaton:
    """Finds the longest match of any rule.

    Args:
        rules: In order of precedence.
        names: The set or expression that `{name}` stands for in them.

    Raises:
        ValueError: There is no rule, or a bracket of an expression is missing.
    """

    def __init__(self, rules: Sequence[Rule], names: Mapping[str, str | CharacterSet]) -> None:
        self.rules = rules
        self.names = names
        self.edges: list[list[tuple[int, int]]] = []
        self.jumps: list[list[int]] = []
        self.accepts: dict[int, int] = {}
        self._sets: dict[CharacterSet, int] = {}
        self._masks: dict[str, int] = {}
        self._states: dict[frozenset[int], _State] = {}
        self._parts: dict[int, tuple[Automaton, Automaton]] = {}
        first = self._node()
        for number, rule in enumerate(rules):
            parts = [_Parser(part, names).parse() for part in (rule.pattern, rule.following)]
            self.accepts[self._add(_Sequence(parts), first)] = number
        start = self.state({first})
        if start is None:
            raise ValueError("an automaton needs at least one rule")
        self.start = start

    def longest(self, text: str, start: int, dead_ends: DeadEnds | None = None) -> tuple[int | None, int, bool]:
        """The longest match at `start`.

        Args:
            text: What is read.
            start: Where the match begins.
            dead_ends: Found at other places of the same text, and added to. Without them some texts, such as quotes
                one after the other, take a time that grows as the square of their length: after each token a rule for
                addresses reads on to the end.

        Returns:
            The number of the rule (None if none matches), where the match ends, and whether more text after the end of
            `text` could have changed either.
        """
        state, rule, end, accepted = self.start, None, start, self.start
        for place in range(start, len(text)):
            after = state[text[place]]
            if after is None:
                more = False
                break
            state = after
            if state.rule is not None:
                rule, end, accepted = state.rule, place + 1, state
            elif dead_ends and (id(state), place) in dead_ends:
                more = dead_ends[id(state), place]
                break
        else:
            place, more = len(text), bool(state.edges)
        if dead_ends is not None and place - end > _FAR:
            _remember(text, end, place, accepted, more, dead_ends)
        return rule, end, more

    def token_end(self, number: int, text: str, start: int, end: int) -> int:
        """Where the longest token ends in a match that also covers what must follow the token.

        Args:
            number: The rule that matched.
            text: What was read.
            start: Where the match begins.
            end: Where it ends.
        """
        rule = self.rules[number]
        if not rule.following:
            return end
        if number not in self._parts:
            token, following = (Automaton([Rule("", part)], self.names) for part in (rule.pattern, rule.following))
            self._parts[number] = token, following
        token, following = self._parts[number]
        ends = token.ends(text, start, end)
        return next(place for place in reversed(ends) if end in following.ends(text, place, end))

    def ends(self, text: str, start: int, limit: int) -> list[int]:
        """Every place up to `limit` where a match that begins at `start` can end.

        Args:
            text: What is read.
            start: Where the match begins.
            limit: Nothing is read from here on.
        """
        found, state = [], self.start
        for place in range(start, limit):
            after = state[text[place]]
            if after is None:
                break
            state = after
            if state.rule is not None:
                found.append(place + 1)
        return found

    def state(self, nodes: set[int]) -> _State | None:
        """The state for `nodes` and all nodes reached from them without reading; None if it leads nowhere.

        Args:
            nodes: Nodes of the nondeterministic automaton.
        """
        reached, waiting = set(nodes), list(nodes)
        while waiting:
            for node in self.jumps[waiting.pop()]:
                if node not in reached:
                    reached.add(node)
                    waiting.append(node)
        members = frozenset(n for n in reached if self.edges[n] or n in self.accepts)
        if not members:
            return None
        if members not in self._states:
            self._states[members] = _State(self, members)
        return self._states[members]

    def sets_with(self, character: str) -> int:
        """The bits of the character sets that contain `character`.

        Args:
            character: A single one.
        """
        if character not in self._masks:
            self._masks[character] = sum(bit for members, bit in self._sets.items() if character in members)
        return self._masks[character]

    def _node(self) -> int:
        self.edges.append([])
        self.jumps.append([])
        return len(self.edges) - 1

    def _add(self, tree: _Tree, start: int) -> int:
        """Append an expression to node `start` (Thompson's construction); return the node it ends in."""
        if isinstance(tree, CharacterSet):
            end = self._node()
            bit = self._sets.setdefault(tree, 1 << len(self._sets))
            self.edges[start].append((bit, end))
            return end
        if isinstance(tree, _Sequence):
            for part in tree.parts:
                start = self._add(part, start)
            return start
        if isinstance(tree, _Alternatives):
            end = self._node()
            for part in tree.parts:
                self.jumps[self._add(part, start)].append(end)
            return end
        return self._add_repeated(tree.tree, tree.low, tree.high, start)

    def _add_repeated(self, tree: _Tree, low: int, high: int | None, start: int) -> int:
        for _ in range(low):
            start = self._add(tree, start)
        end = self._node()
        self.jumps[start].append(end)
        if high is None:
            begin = self._node()
            self.jumps[start].append(begin)
            last = self._add(tree, begin)
            self.jumps[last] += [begin, end]
            return end
        for _ in range(high - low):
            begin = self._node()
            self.jumps[start].append(begin)
            start = self._add(tree, begin)
            self.jumps[start].append(end)
        return end


class _Parser:
    """Reads one expression into a tree."""

    def __init__(self, pattern: str, names: Mapping[str, str | CharacterSet]) -> None:
        self.pattern = pattern
        self.names = names
        self.place = 0

    def parse(self) -> _Tree:
        """The tree of the whole expression."""
        tree = self._alternatives()
        if self.place != len(self.pattern):
            raise ValueError(f"unbalanced {self.pattern[self.place]!r} at {self.place} in {self.pattern!r}")
        return tree

    def _peek(self) -> str:
        return self.pattern[self.place : self.place + 1]

    def _take(self) -> str:
        self.place += 1
        return self.pattern[self.place - 1]

    def _alternatives(self) -> _Tree:
        found = [self._sequence()]
        while self._peek() == "|":
            self._take()
            found.append(self._sequence())
        return _Alternatives(found) if len(found) > 1 else found[0]

    def _sequence(self) -> _Tree:
        found = []
        while self._peek() not in ("", "|", ")"):
            item = self._item()
            count = _COUNT.match(self.pattern, self.place)
            if count:
                self.place = count.end()
                low, high = _LIMITS.get(count[0]) or (int(count[1]), int(count[2] or count[1]))
                item = _Repeat(item, low, high)
            found.append(item)
        return _Sequence(found)

    def _item(self) -> _Tree:
        character = self._take()
        if character == "(":
            tree = self._alternatives()
            if self._peek() != ")":
                raise ValueError(f"missing ')' in {self.pattern!r}")
            self._take()
            return tree
        if character == "[":
            return self._class()
        if character == "{":
            return self._named()
        if character == ".":
            return CharacterSet((), negated=True)
        literal = self._escaped() if character == "\\" else character
        cases = {literal, literal.lower(), literal.upper()} if literal.isascii() else {literal}
        return CharacterSet(tuple((ord(c), ord(c)) for c in sorted(cases)))

    def _named(self) -> _Tree:
        end = self.pattern.index("}", self.place)
        meaning = self.names[self.pattern[self.place : end]]
        self.place = end + 1
        return meaning if isinstance(meaning, CharacterSet) else _Parser(meaning, self.names).parse()

    def _escaped(self) -> str:
        character = self._take()
        return _ESCAPES.get(character, character)

    def _class(self) -> CharacterSet:
        negated = self._peek() == "^"
        self.place += negated
        ranges = []
        while (character := self._take()) != "]":
            first = last = self._escaped() if character == "\\" else character
            if self._peek() == "-" and self.pattern[self.place + 1] != "]":
                self._take()
                character = self._take()
                last = self._escaped() if character == "\\" else character
            ranges.append((ord(first), ord(last)))
        return CharacterSet(tuple(ranges), negated)
