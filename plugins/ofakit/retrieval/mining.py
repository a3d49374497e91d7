"""Hard negatives: passages that rank high for a question and do not answer it.

    miner = NegativeMiner(base, {"bm25": Run.read("bm25.trec")}, MiningSettings(number=8, last_rank=100))
    mine_to_file(miner, queries, Path("negatives.jsonl"), fingerprint="…")

Candidates come from any number of rankings in turns, the first of each, then the second; random passages of the same
group, such as the same article or type of entity, may come on top. Left out is what is known to answer, what has the
text of a passage that does, what holds an answer, and what scores too close to the best positive or too high. With a
scorer, such as a cross-encoder, its scores stand in place of the rankings': they decide what is too close or too
high (denoising), they put the negatives in order, and a teacher may be read from them.

Sources: Karpukhin et al. 2020, https://arxiv.org/abs/2004.04906 (BM25 negatives without an answer); Qu et al. 2021,
https://arxiv.org/abs/2010.08191, section 3.2 (RocketQA: only what a cross-encoder scores low is a negative); Moreira et
al. 2024, https://arxiv.org/abs/2407.15831 (margins to the positive's score).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ofakit.data.answers import AnswerMatcher
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.files import replace_file
from ofakit.json_text import to_json
from ofakit.progress import followed
from ofakit.retrieval.journal import BlockJournal
from ofakit.retrieval.negatives import MinedQuestion
from ofakit.retrieval.pair_scorers import PairScorer

if TYPE_CHECKING:
    from ofakit.processes import Processes

__all__ = ["MiningSettings", "NegativeMiner", "mine_to_file"]

Rankings = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By name of the system, question and passage, the score; best first."""

_DRAWS = 50
"""How often each random passage is drawn before a question gets fewer."""


@dataclass(frozen=True)
class MiningSettings:
    """What a hard negative is.

    Attributes:
        number: Negatives of a question from the rankings, at most.
        first_rank: Where in a ranking candidates begin, from 1.
        last_rank: Where they end.
        sampling: Take the hardest, or draw from all that qualify.
        absolute_margin: How far below the best positive a negative scores at least.
        relative_margin: The same, as a share of the best positive's score.
        max_score: What a negative scores at most.
        random: Random negatives of a question on top; none of them is a candidate of a ranking.
        keep_answers: Whether a passage that holds an answer may be a negative.
        seed: Of what is drawn.

    Raises:
        UsageError: A number is out of its range.
    """

    number: int = 8
    first_rank: int = 1
    last_rank: int = 100
    sampling: Literal["top", "random"] = "top"
    absolute_margin: float | None = None
    relative_margin: float | None = None
    max_score: float | None = None
    random: int = 0
    keep_answers: bool = False
    seed: int = 7

    def __post_init__(self) -> None:
        if min(self.number, self.random, self.number + self.random - 1) < 0:
            raise UsageError(f"expected negatives to mine, found {self.number} hard and {self.random} random ones")
        if not 1 <= self.first_rank <= self.last_rank:
            raise UsageError(f"expected ranks of at least 1, found {self.first_rank} to {self.last_rank}")
        if self.sampling not in ("top", "random"):
            raise UsageError(f"expected the sampling top or random, found {self.sampling!r}")
        for name, margin in (("absolute", self.absolute_margin), ("relative", self.relative_margin)):
            if margin is not None and not margin >= 0:
                raise UsageError(f"expected an {name} margin of at least 0, found {margin}")

    def too_high(self, score: float, best: float | None) -> bool:
        """Whether a score is too high for a negative.

        Args:
            score: Its score.
            best: That of the best positive; None if it is not known, and then no margin is kept.

        >>> settings = MiningSettings(relative_margin=0.25)
        >>> settings.too_high(7.5, 10.0), settings.too_high(7.6, 10.0), settings.too_high(-11.0, -10.0)
        (False, True, True)
        """
        if self.max_score is not None and score > self.max_score:
            return True
        if self.absolute_margin is None and self.relative_margin is None:
            return False
        if best is None:
            return True
        limit = best - max(self.absolute_margin or 0.0, abs(best) * (self.relative_margin or 0.0))
        return score > limit


@dataclass
class _Candidates:
    """What may become the negatives of a question.

    Attributes:
        query: The question.
        positives: Passages of the base that answer it.
        hard: The scores of candidates, the hardest first.
        random: Random passages.
        scores: Of positives and random passages, as far as they are known.
    """

    query: Query
    positives: tuple[str, ...]
    hard: dict[str, float] = field(default_factory=dict)
    random: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)

    def passages(self) -> list[str]:
        """All that a scorer looks at."""
        return [*self.positives, *self.hard, *self.random]


class NegativeMiner:
    """Finds the negatives of questions.

    Args:
        base: The passages.
        rankings: By name, a `Run` of the questions or anything like it; may be empty where negatives are random.
        settings: What a negative is.
        scorer: Looks at every candidate; None goes by the rankings' scores.
        groups: Names the group of a passage that random negatives share with a positive; None: they are of any.

    Raises:
        UsageError: There is neither a ranking nor a random negative to take, or a ranking is of another base.

    Attributes:
        counts: What was found: `questions`, `negatives`, `short` (questions with fewer than asked for),
            `without_ranking`; and what was left out: questions `without_positive`, and candidates `dropped_…` that are
            known to be relevant, have the same_text as a positive, hold an answer, have too high a score, or are
            unreadable for the scorer.
    """

    def __init__(
        self,
        base: PassageBase,
        rankings: Rankings,
        settings: MiningSettings,
        scorer: PairScorer | None = None,
        groups: Callable[[Passage], str] | None = None,
    ) -> None:
        if settings.number and not rankings:
            raise UsageError(
                "expected a ranking to take hard negatives from, found none; for random ones only, set number to 0"
            )
        self.base, self.rankings, self.settings, self.scorer = base, rankings, settings, scorer
        self.members: dict[str, list[int]] = {}
        self.group_of = groups
        if settings.random and groups is not None:
            for position, passage in enumerate(base):
                self.members.setdefault(groups(passage), []).append(position)
        self.counts: Counter[str] = Counter()

    def mine(self, queries: Sequence[Query]) -> list[MinedQuestion]:
        """The negatives of some questions, which a scorer is asked about together.

        Args:
            queries: The questions; one without a passage of the base that answers it is counted and left out.

        Raises:
            UsageError: A ranking holds a passage that the base lacks.
        """
        candidates = [found for query in queries if (found := self._candidates(query)) is not None]
        if self.scorer is not None:
            self._rescore(candidates)
        return [self._chosen(found) for found in candidates]

    def _candidates(self, query: Query) -> _Candidates | None:
        positives = tuple(passage for passage in query.relevant_ids if passage in self.base)
        if not positives:
            self.counts["without_positive"] += 1
            return None
        found = _Candidates(query, positives)
        rankings = [ranking.get(query.id, {}) for ranking in self.rankings.values()]
        self.counts["without_ranking"] += bool(rankings) and not any(rankings)
        for ranking in reversed(rankings):
            found.scores |= {passage: ranking[passage] for passage in positives if passage in ranking}
        answers = _Answers(query, [self.base[self.base.position(passage)] for passage in positives], self.settings)
        for passage, score, best in self._in_turns(rankings, positives):
            if passage in found.hard or self._refused(passage, answers):
                continue
            if self.scorer is None and self.settings.too_high(score, best):
                self.counts["dropped_score"] += 1
            else:
                found.hard[passage] = score
        found.random = self._random(found, answers)
        return found

    def _in_turns(
        self, rankings: Sequence[Mapping[str, float]], positives: Sequence[str]
    ) -> Iterator[tuple[str, float, float | None]]:
        """The candidates of all rankings, the first of each, then the second, with the best positive's score there."""
        slices = []
        for ranking in rankings:
            best = max((ranking[passage] for passage in positives if passage in ranking), default=None)
            rows = islice(ranking.items(), self.settings.first_rank - 1, self.settings.last_rank)
            slices.append([(passage, score, best) for passage, score in rows])
        for turn in zip_longest(*slices):
            yield from (entry for entry in turn if entry is not None)

    def _refused(self, passage: str, answers: _Answers) -> bool:
        """Whether a passage answers after all; counts why."""
        reason = answers.reason(self.base[self.base.position(passage)])
        if reason is not None:
            self.counts[f"dropped_{reason}"] += 1
        return reason is not None

    def _random(self, found: _Candidates, answers: _Answers) -> tuple[str, ...]:
        """Random passages of the groups of the positives."""
        pool: Sequence[int] = range(len(self.base))
        if self.group_of is not None:
            groups = dict.fromkeys(self.group_of(self.base[self.base.position(p)]) for p in found.positives)
            pool = [position for group in groups for position in self.members.get(group, ())]
        rng, draws = self._rng(found.query, 1), _DRAWS * self.settings.random
        places = rng.permutation(len(pool)) if len(pool) <= draws else rng.integers(len(pool), size=draws)
        drawn: dict[str, None] = {}
        for place in places.tolist():
            if len(drawn) == self.settings.random:
                break
            passage = self.base[pool[place]]
            if passage.id not in found.hard and answers.reason(passage) is None:
                drawn[passage.id] = None
        return tuple(drawn)

    def _rescore(self, candidates: Sequence[_Candidates]) -> None:
        """Put the scorer's scores in place of the rankings', and leave out what it finds too good."""
        pairs = [(found.query, passage) for found in candidates for passage in found.passages()]
        asked = [(query, self.base[self.base.position(passage)]) for query, passage in pairs]
        scores = iter(self.scorer(asked).tolist() if asked and self.scorer is not None else ())
        for found in candidates:
            own = {passage: next(scores) for passage in found.passages()}
            found.scores = {passage: own[passage] for passage in found.positives if not np.isnan(own[passage])}
            best = max(found.scores.values(), default=None)
            hard = {passage: own[passage] for passage in found.hard if self._passes(own[passage], best)}
            found.hard = dict(sorted(hard.items(), key=lambda pair: (-pair[1], pair[0])))
            found.random = tuple(passage for passage in found.random if self._passes(own[passage], best))
            found.scores |= {passage: own[passage] for passage in found.random}

    def _passes(self, score: float, best: float | None) -> bool:
        """Whether a negative may have the scorer's score; counts why not."""
        reason = "unreadable" if np.isnan(score) else "score" if self.settings.too_high(score, best) else None
        if reason is not None:
            self.counts[f"dropped_{reason}"] += 1
        return reason is None

    def _chosen(self, found: _Candidates) -> MinedQuestion:
        hard = list(found.hard)
        if self.settings.sampling == "random":
            places = self._rng(found.query, 0).permutation(len(hard))[: self.settings.number]
            hard = [hard[place] for place in sorted(places.tolist())]
        hard = hard[: self.settings.number]
        negatives = (*hard, *found.random)
        scores = {**found.scores, **found.hard}
        self.counts["questions"] += 1
        self.counts["negatives"] += len(negatives)
        self.counts["short"] += len(negatives) < self.settings.number + self.settings.random
        known = {passage: scores[passage] for passage in (*found.positives, *negatives) if passage in scores}
        return MinedQuestion(found.query.id, found.positives, negatives, known)

    def _rng(self, query: Query, purpose: int) -> np.random.Generator:
        """Random numbers of a question: the same whatever was mined before it, and in which process."""
        return np.random.default_rng([self.settings.seed, zlib.crc32(query.id.encode()), purpose])


class _Answers:
    """What answers a question, as far as can be told.

    Args:
        query: The question.
        positives: Passages that answer it.
        settings: Whether a passage that holds an answer counts.
    """

    def __init__(self, query: Query, positives: Sequence[Passage], settings: MiningSettings) -> None:
        self.relevant = set(query.relevant_ids)
        self.texts = {_text_key(passage) for passage in positives}
        self.holds = None if settings.keep_answers else AnswerMatcher(query.answers, strict=True)

    def reason(self, passage: Passage) -> str | None:
        """Why a passage is not a negative: `relevant`, `same_text` or `answer`; None if it may be one.

        Args:
            passage: Any passage.
        """
        if passage.id in self.relevant:
            return "relevant"
        if _text_key(passage) in self.texts:
            return "same_text"
        if self.holds is not None and self.holds(passage.titled()):
            return "answer"
        return None


def _text_key(passage: Passage) -> Any:
    """What passages have in common that say the same: their text, or else their image."""
    text = " ".join((passage.text or "").lower().split())
    return text or passage.image_path or id(passage.image)


def mine_to_file(
    miner: NegativeMiner,
    queries: Sequence[Query],
    path: Path,
    fingerprint: str,
    processes: Processes | None = None,
    block_size: int = 64,
) -> dict[str, Any]:
    """Mine the negatives of all questions into a file; the same call continues where a kill stopped it.

    Args:
        miner: Finds them.
        queries: The questions.
        path: The file, JSON lines as `ofakit.retrieval.negatives` describes them.
        fingerprint: Changes with whatever the result depends on; blocks of other work are not taken.
        processes: Those that share the work; the file is the same as that of one.
        block_size: Questions that are mined together, and that a kill may cost.

    Returns:
        The counts.

    Raises:
        SaveError: The disk is full or permission is missing.
    """
    rank, world_size = (0, 1) if processes is None else (processes.rank, processes.world_size)
    journal = BlockJournal(path, f"{fingerprint} {len(queries)} in blocks of {block_size}", rank)
    wait = processes.wait if processes is not None else lambda: None
    if rank == 0:
        journal.remove_others()
    wait()
    done = journal.finished()
    wait()  # nobody writes before everybody has read
    left = [number for number in range(-(-len(queries) // block_size)) if number not in done]
    for number in followed(left[rank::world_size], "mining", "blocks", shown=rank == 0):
        miner.counts.clear()
        mined = miner.mine(queries[number * block_size : (number + 1) * block_size])
        journal.add(number, {"rows": [question.row() for question in mined], "counts": dict(miner.counts)})
    wait()
    blocks = journal.finished()
    if rank == 0:
        with replace_file(path) as new, new.open("w", encoding="utf-8") as file:
            for number in sorted(blocks):
                file.writelines(to_json(row) + "\n" for row in blocks[number]["rows"])
    wait()
    if rank == 0:
        journal.remove()
    counts: Counter[str] = Counter()
    for block in blocks.values():
        counts.update(block["counts"])
    return dict(counts)
