"""The styles of an experiment, and how each is written in a prompt.

    {"styles": {"names": ["humorous", "romantic"], "mode": "code"}}

| mode | in the prompt | vocabulary |
|---|---|---|
| `code` | `<code_i>`, i being the style's position; `<code_n>` for a style that is none of the n | unchanged |
| `new` | `<style:humorous>`; `<style:unknown>` | grows by n + 1 tokens |
| `plain` | the style's name as the list spells it | unchanged |

Styles are compared without regard to case, white space and Unicode form.

Source: facebookresearch/ParlAI `projects/personality_captions` for the traits; the codes are those that OFA-Sys/OFA
uses for image tokens.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.data.style_names import same_style
from ofakit.errors import UsageError, did_you_mean
from ofakit.text.normalization import lower

if TYPE_CHECKING:
    from ofakit.text.base_tokenizer import BaseTokenizer

__all__ = ["MODES", "StyleSet", "same_style"]

MODES = ("code", "new", "plain")
UNKNOWN = "unknown"

logger = logging.getLogger(__name__)


class StyleSet:
    """The styles of an experiment.

    Args:
        names: The styles; their order determines their codes.
        mode: `code`, `new` or `plain`.
        strict: Whether a style that is not among them is an error.

    Raises:
        UsageError: There is no name or an empty one, two names mean the same style or would get the same token, or the
            mode is unknown.

    `unknown_counts` holds how often each unknown style was asked for. One warning is logged: about the first of them,
    or about all at once by `check`.

    >>> styles = StyleSet(["Humorous", "Appreciative (Grateful)"])
    >>> styles.text("humorous "), styles.text("appreciative  (grateful)"), styles.text("Drunk")
    ('<code_0>', '<code_1>', '<code_2>')
    >>> dict(styles.unknown_counts)
    {'Drunk': 1}
    """

    def __init__(self, names: Sequence[str], mode: str = "code", strict: bool = False) -> None:
        if mode not in MODES:
            raise UsageError(f"unknown style mode {mode!r}: {did_you_mean(str(mode), MODES)}")
        if isinstance(names, str) or not names:
            raise UsageError(f"expected a list of at least one style, found {names!r}")
        self.names = [" ".join(name.split()) for name in names]
        self.mode = mode
        self.strict = strict
        self.unknown_counts: Counter[str] = Counter()
        self._warned = False
        self._index: dict[str, int] = {}
        for i, name in enumerate(self.names):
            if not name:
                raise UsageError(f"style {i} has an empty name")
            first = self._index.setdefault(same_style(name), i)
            if first != i:
                raise UsageError(f"styles {first} and {i} are the same: {self.names[first]!r} and {name!r}")
        if mode == "new":
            self._check_tokens()

    @classmethod
    def from_file(cls, path: str | Path, mode: str = "code", strict: bool = False) -> StyleSet:
        """Read a list of styles.

        Args:
            path: Text file with one name per line; a style's code is its line number, from 0.
            mode: As in `StyleSet`.
            strict: As in `StyleSet`.

        Raises:
            UsageError: The file cannot be read, or a line before the last name is empty.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"expected a text file with one style per line at {path}: {error}") from error
        return cls(text.rstrip().split("\n") if text.strip() else [], mode, strict)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> StyleSet:
        """The set that `to_dict` described.

        Args:
            fields: `names`, and optionally `mode` and `strict`.

        Raises:
            UsageError: There is another key, or no `names`.
        """
        for key in fields:
            if key not in ("names", "mode", "strict"):
                raise UsageError(f"unknown key {key!r} of styles: {did_you_mean(key, ('names', 'mode', 'strict'))}")
        if "names" not in fields:
            raise UsageError("styles need 'names'")
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes; JSON can hold it."""
        return {"names": list(self.names), "mode": self.mode, "strict": self.strict}

    def index(self, style: str) -> int:
        """The position of a style. For an unknown one, which is counted, it is the number of styles.

        Args:
            style: A style, in any case.

        Raises:
            UsageError: The style is unknown and the set is strict.
        """
        known = self._index.get(same_style(style))
        if known is not None:
            return known
        name = " ".join(style.split())
        if self.strict:
            raise UsageError(f"unknown style {name!r}: {did_you_mean(name, self.names)}")
        self.unknown_counts[name] += 1
        self._warn_once()
        return len(self.names)

    def check(self, styles: Iterable[str | None]) -> Counter[str]:
        """Count the unknown styles of a data set, and log one warning about all of them.

        Args:
            styles: The style of each caption; None means no style.

        Returns:
            How often each unknown style occurs.

        Raises:
            UsageError: There is an unknown style and the set is strict.
        """
        unknown = Counter(" ".join(s.split()) for s in styles if s is not None and same_style(s) not in self._index)
        if unknown and self.strict:
            raise UsageError(f"{_described(unknown)}; {did_you_mean(next(iter(unknown)), self.names)}")
        self.unknown_counts.update(unknown)
        if unknown:
            self._warn_once()
        return unknown

    def text(self, style: str | None) -> str:
        """What stands in a prompt for a style.

        Args:
            style: A style, in any case. None means no style; it gets what stands for unknown styles, but is not counted
                as one.

        Raises:
            UsageError: The style is unknown and the set is strict.
        """
        i = len(self.names) if style is None else self.index(style)
        if self.mode == "code":
            return f"<code_{i}>"
        if self.mode == "new":
            return style_token(self.names[i] if i < len(self.names) else UNKNOWN)
        return self.spelling(UNKNOWN if style is None else style)

    def spelling(self, style: str) -> str:
        """A style as the list spells it. One that is not in the list is returned as given, with white space collapsed.

        Args:
            style: A style, in any case.

        >>> StyleSet(["Old man"]).spelling("OLD  man"), StyleSet(["Old man"]).spelling(" Old  boy")
        ('Old man', 'Old boy')
        """
        known = self._index.get(same_style(style))
        return " ".join(style.split()) if known is None else self.names[known]

    def tokens(self) -> list[str]:
        """The tokens that prompts need, in order, the one for unknown styles last."""
        if self.mode == "code":
            return [f"<code_{i}>" for i in range(len(self.names) + 1)]
        if self.mode == "new":
            return list(dict.fromkeys(style_token(name) for name in [*self.names, UNKNOWN]))
        return []

    def prepare(self, tokenizer: BaseTokenizer) -> dict[int, list[int]]:
        """Add the tokens that prompts need to a tokenizer. A second call changes nothing.

        Args:
            tokenizer: Grows in mode `new`; must have the codes in mode `code`.

        Returns:
            What `initial_rows` gives, for the tokens that this call added.

        Raises:
            UsageError: The vocabulary has too few codes.
        """
        if self.mode == "code":
            last = f"<code_{len(self)}>"
            if tokenizer.token_to_id(last) is None:
                raise UsageError(
                    f"{len(self)} styles in style.mode 'code' need one code each, and one for unknown styles; the "
                    f"vocabulary has no {last}: raise model.tokenizer.num_codes to {len(self) + 1} if the vocabulary "
                    "is trained, or set style.mode to 'new'"
                )
            return {}
        added = tokenizer.add_tokens(self.tokens())
        return {i: pieces for i, pieces in self.initial_rows(tokenizer).items() if i in set(added)}

    def initial_rows(self, tokenizer: BaseTokenizer) -> dict[int, list[int]]:
        """The tokens whose embedding rows are averaged into the first row of each new token.

        Args:
            tokenizer: Has the new tokens already.

        Returns:
            The id of each new token, with the ids of the pieces of its style's name without punctuation. Empty in the
            other modes.

        Raises:
            UsageError: The tokenizer lacks a token.
        """
        rows: dict[int, list[int]] = {}
        for name in [*self.names, UNKNOWN] if self.mode == "new" else []:
            token_id = tokenizer.token_to_id(style_token(name))
            if token_id is None:
                raise UsageError(f"the tokenizer does not have {style_token(name)!r}: call prepare(tokenizer) first")
            words = " ".join(re.findall(r"\w+", name)) or name
            rows.setdefault(token_id, tokenizer.encode(" " + words))
        return rows

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, style: str) -> bool:
        return same_style(style) in self._index

    def _check_tokens(self) -> None:
        """Refuse names that mode `new` could not tell apart, such as "old man" and "old_man"."""
        owners: dict[str, str] = {}
        for name in self.names:
            token = style_token(name)
            if owners.setdefault(token, name) != name:
                raise UsageError(
                    f"the styles {owners[token]!r} and {name!r} have the same token {token!r}: rename one of them, or "
                    "set style.mode to 'code'"
                )

    def _warn_once(self) -> None:
        if not self._warned:
            stand_in = {"code": f"<code_{len(self)}>", "new": style_token(UNKNOWN), "plain": "its name"}[self.mode]
            logger.warning("%s; the prompt gets %s", _described(self.unknown_counts), stand_in)
            self._warned = True


def style_token(name: str) -> str:
    """The token of a style in mode `new`.

    Args:
        name: A style.

    >>> style_token("Stoic (Unemotional, Matter-of-fact)")
    '<style:stoic_(unemotional,_matter-of-fact)>'
    """
    return f"<style:{lower('_'.join(name.split()))}>"


def _described(unknown: Counter[str], most: int = 5) -> str:
    examples = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(most))
    more = f" and {len(unknown) - most} more" if len(unknown) > most else ""
    return f"{sum(unknown.values())} use(s) of {len(unknown)} style(s) that are not in the list: {examples}{more}"
