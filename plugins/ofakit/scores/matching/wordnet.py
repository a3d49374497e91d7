"""Synonyms by WordNet 3.0, as METEOR 1.5 looks them up: two words match if they share a set of synonyms.

A word has its own sets and those of its base forms: the irregular ones that WordNet lists or, where it lists none, the
first that a rule of WordNet's morphology gives and that has sets (https://wordnet.princeton.edu/documentation/morphy7wn).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

__all__ = ["Synonyms"]

_DETACHMENT = (
    # nouns
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
    # verbs
    ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    # adjectives
    ("er", ""), ("est", ""), ("er", "e"), ("est", "e"),
)  # fmt: skip


class Synonyms:
    """The sets of synonyms of words.

    Args:
        sets: Word → the numbers of its sets, decimal, with spaces between them.
        irregular: Irregular form → its base forms.
    """

    def __init__(self, sets: Mapping[str, str], irregular: Mapping[str, Sequence[str]]) -> None:
        self._sets, self._irregular = sets, irregular

    @classmethod
    def from_text(cls, sets: str, exceptions: str) -> Synonyms:
        """Read METEOR's files.

        Args:
            sets: Lines in pairs: a word, and the numbers of its sets.
            exceptions: Lines in pairs: a base form, and its irregular forms.

        >>> synonyms = Synonyms.from_text("dog\\n7 8\\nhound\\n8\\n", "dog\\ndoggos\\n")
        >>> [sorted(synonyms.sets(word)) for word in ("hounds", "doggos", "cat")]
        [[8], [7, 8], []]
        """
        lines = sets.split("\n")
        irregular = defaultdict(list)
        bases = exceptions.split("\n")
        for base, forms in zip(bases[::2], bases[1::2], strict=False):
            for form in forms.split():
                irregular[form].append(base)
        return cls(dict(zip(lines[::2], lines[1::2], strict=False)), dict(irregular))

    def sets(self, word: str) -> frozenset[int]:
        """The numbers of a word's sets and of its base forms' sets.

        Args:
            word: Lower-cased.
        """
        numbers = [self._sets.get(form, "") for form in (word, *self._bases(word))]
        return frozenset(map(int, " ".join(numbers).split()))

    def _bases(self, word: str) -> Sequence[str]:
        if word in self._irregular:
            return self._irregular[word]
        if word.endswith("ss") or len(word) <= 2:
            return ()
        for ending, replacement in _DETACHMENT:
            base = word.removesuffix(ending) + replacement
            if word.endswith(ending) and base in self._sets:
                return (base,)
        return ()
