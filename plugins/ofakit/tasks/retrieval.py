"""Retrieval: questions with images, passages with images, and which passages answer which question.

    {"task": "multimodal-retrieval", "data": {"reader": {"type": "knowledge_base", …}, "root": "DIR"},
     "model": {"config": {"encoder": {"type": "ofa", "size": "tiny", …}}},
     "objectives": [{"type": "contrastive", "query": ["text", "image"], "passage": ["text", "image"]}],
     "retrieval": {"searchers": {"bm25": {"type": "bm25"}, "dense": {"type": "dense"}}}}

An epoch has one example per training question, with passages that are drawn again. Evaluation searches the base with
every searcher and with their fusion; what is left open is chosen on the validation split, and kept with the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ofakit.config.schema import ExperimentConfig, ModelSection
from ofakit.config.task_experiments import RETRIEVER
from ofakit.data import BadExamples
from ofakit.data.base_folder import base_of
from ofakit.data.image_keys import images_by_name
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.data.reading import build_reader
from ofakit.data.training_question import TrainingQuestion, training_questions
from ofakit.errors import UsageError
from ofakit.hub import ModelBundle, RetrievalBundle, load_retriever
from ofakit.models.encoders import ENCODERS
from ofakit.models.model_type import ModelType
from ofakit.models.shared_model import own_settings_of, retriever_around
from ofakit.models.types import MODELS
from ofakit.objectives.base import Objective
from ofakit.preprocessors.retrieval import CollateRetrieval, RetrievalPreprocessor
from ofakit.preprocessors.sides import SideInputs
from ofakit.retrieval.negatives import read_negatives
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.search_system import SearchSystem
from ofakit.retrieval.searchers.base import SearchContext
from ofakit.retrieval.teacher_scores import read_teacher_scores
from ofakit.tasks._retrieval_evaluation import RankingEvaluation, score_runs
from ofakit.tasks._shown_tensors import image_name, shown_ids, shown_tensors
from ofakit.tasks.base import EvaluationLoading, Task

__all__ = ["Retrieval"]


class Retrieval(Task[RetrievalBundle]):
    """Find the passages that answer a question.

    Args:
        config: The experiment.

    Raises:
        UsageError: `retrieval.searchers` names what there is not.
    """

    name = "multimodal-retrieval"
    usual_model = "retriever"
    usual_objectives = ({"type": "contrastive"},)
    usual_score = "mrr@100"
    wraps_model = True

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        self.system = SearchSystem(config.retrieval, naming=config.naming_the_file)
        self._bases: dict[str | None, PassageBase] = {}

    def read(self, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The questions of every split.

        Args:
            given: Lists of `Query` in memory by split, instead of the reader's.

        Raises:
            UsageError: The reader is not one of a knowledge base.
        """
        data = self.config.data
        self.reader = build_reader(self.config)
        if not hasattr(self.reader, "passages"):
            raise UsageError(
                f"data.reader {data.reader.type!r} has no passages to search; use knowledge_base, or image_text around "
                "a caption reader"
            )
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
            if given.get(name) is not None:
                self.examples[name] = list(given[name])
            elif split is not None and split.partition("[")[0].partition("+")[0] in self.reader.splits():
                self.examples[name] = self.reader.read(split)
        return self.examples

    def base(self, name: str) -> PassageBase:
        """The passages that the questions of a split are asked of.

        Args:
            name: "train", "val" or "test".
        """
        by_split = getattr(self.reader, "passages_by_split", False)
        split = getattr(self.config.data, name) if by_split else None
        if split not in self._bases:
            self._bases[split] = base_of(self.config, self.reader, split)
        return self._bases[split]

    def build_bundle(self, path: str | None = None) -> RetrievalBundle:
        """The retriever to start from, with what its sides read.

        Args:
            path: A model directory or hub id instead of the configuration's.

        Raises:
            UsageError: The checkpoint or a tokenizer is missing or does not fit.
        """
        config = self.config
        section = config.model if path is None else config.model.model_copy(update={"path": path})
        if section.path is not None and not section.path.endswith((".bin", ".safetensors", ".pt")):
            bundle = load_retriever(section.path, allow_partial=section.allow_partial)
            bundle.retrieval = config.retrieval.over(bundle.retrieval)
        else:
            model_type = section.type or self.usual_model
            kind = MODELS.build({"type": model_type})
            section = self.with_region_width(section, kind)
            with config.naming_the_file("model", "config"):
                tokenizer = kind.tokenizer(section, self._passages_and_questions())
                model = kind.build(section, tokenizer)
            bundle = RetrievalBundle(model, tokenizer, config.retrieval, model_type=model_type)
        with config.naming_the_file("model"):
            MODELS.build({"type": bundle.model_type}).adapt(bundle.model, section)
        return bundle

    def shared_bundle(self, bundle: ModelBundle) -> RetrievalBundle:
        """A retriever both of whose sides are encoded by a model that several tasks share.

        Args:
            bundle: The model as it was read or made, or the retriever around it from a run before.

        Raises:
            UsageError: The model cannot encode, or a key of `retriever` says what the model is.
        """
        config = self.config
        if isinstance(bundle, RetrievalBundle):
            encoder: Any = bundle.model.encoder("query")
            texts: Any = bundle.tokenizer["query"].texts
            kind, keys = bundle.model.settings.encoder.type, own_settings_of(bundle.model)
            model, readings = retriever_around(encoder.network, kind, texts.tokenizer, keys)
            model.take_heads(bundle.model)
            section, fitted = config.retrieval.over(bundle.retrieval), dict(bundle.fitted)
            return RetrievalBundle(model, readings, section, fitted, model_type=RETRIEVER)
        given = config.model.config if config.model.type == RETRIEVER else {}
        seen = config.preprocessor
        usual = {"image_size": seen.patch_image_size, "mean_std": seen.mean_std, "lowercase": seen.lowercase}
        model, readings = retriever_around(bundle.model, bundle.model_type, bundle.tokenizer, given, usual)
        return RetrievalBundle(model, readings, config.retrieval, model_type=RETRIEVER)

    def with_region_width(self, section: ModelSection, kind: ModelType) -> ModelSection:
        """The section `model` whose encoders of regions have their width as `config.feat_dim`, where they say none.

        Args:
            section: The section.
            kind: Not looked at: an encoder says what it reads.
        """
        if self.config.data.regions is None:
            return section
        config = dict(section.config)
        for name in ("encoder", "passage_encoder"):
            spec = config.get(name)
            if isinstance(spec, Mapping) and _wants_region_width(spec):
                own = {**spec.get("config", {}), "feat_dim": self.region_inputs().width}
                config[name] = {**spec, "config": own}
        return section.model_copy(update={"config": config})

    def adopt(self, bundle: RetrievalBundle) -> None:
        """Search as the bundle does, with what was fitted with it.

        Args:
            bundle: The model that is trained or evaluated.
        """
        self.config.retrieval = bundle.retrieval
        self.system = SearchSystem(bundle.retrieval, bundle.fitted, self.config.naming_the_file)

    def reads_regions(self, bundle: RetrievalBundle) -> bool:
        """Whether a side reads regions.

        Args:
            bundle: The model.
        """
        return any(reading.regions for reading in bundle.tokenizer.values())

    def images(self) -> dict[str, Any]:
        """The images of all questions and of the passages that they are asked of."""
        passages = (passage for name in self.examples for passage in self.base(name))
        return {**super().images(), **images_by_name(passages)}

    def training_examples(
        self, examples: Sequence[Query], objectives: Mapping[str, Objective], bad: BadExamples
    ) -> list[TrainingQuestion]:
        """The questions that a passage of the base answers.

        Args:
            examples: The training split.
            objectives: Not looked at.
            bad: Counts and lists what is left out.
        """
        file = self.config.data.negatives
        return training_questions(examples, self.base("train"), bad, None if file is None else read_negatives(file))

    def preprocessor(self, bundle: RetrievalBundle, mode: str) -> Callable[..., dict[str, Any]]:
        """From a training question to what both sides read of it.

        Args:
            bundle: The model.
            mode: "train"; an evaluation encodes by itself.
        """
        section, scores = self.config.retrieval, self.config.data.teacher_scores
        teacher = None if scores is None else read_teacher_scores(scores)
        base = self.base("train" if "train" in self.examples else "test")
        query, passage = self._sides(bundle)
        return RetrievalPreprocessor(query, passage, base, section.positives, section.hard_negatives, teacher)

    def collator(self, bundle: RetrievalBundle) -> Callable[..., dict[str, Any]]:
        """From those of several questions to a batch.

        Args:
            bundle: The model.
        """
        return CollateRetrieval(*self._sides(bundle))

    def image_size(self, bundle: RetrievalBundle) -> int | None:
        """Pixels a side that images are kept decoded in; None where neither side reads images.

        Args:
            bundle: The model.
        """
        sizes = [reading.image_size for reading in bundle.tokenizer.values() if reading.image_size is not None]
        return max([*sizes, self.config.preprocessor.max_image_size or 0]) if sizes else None

    def shown(self, bundle: RetrievalBundle, example: TrainingQuestion, sample: Mapping[str, Any]) -> dict[str, Any]:
        """A training question as the model sees it, with the passages that were drawn for it.

        Args:
            bundle: The model.
            example: One of `training_examples`.
            sample: What the preprocessor made of it, with the views of objectives.
        """
        query, passage = self._sides(bundle)
        base = self.base("train")
        places = dict.fromkeys((*example.relevant, *example.negatives))
        of_number: dict[int, int] = {}
        for place in places:
            of_number.setdefault(example.numbers[place], place)
        found = zip(sample["passage_index"].tolist(), sample["positive"].tolist(), sample["passages"], strict=True)
        return {
            "id": example.id,
            "query": _shown_item(example.query, query, sample["query"]),
            "passages": [
                {**_shown_item(base[of_number[number]], passage, tensors), "relevant": positive}
                for number, positive, tensors in found
            ],
            **shown_tensors({name: value for name, value in sample.items() if "/" in name}),
        }

    def evaluate(
        self, bundle: RetrievalBundle, examples: Sequence[Query], loading: EvaluationLoading
    ) -> RankingEvaluation | None:
        """Search for every question, and score the rankings.

        Args:
            bundle: The model.
            examples: A split. On the validation split what the configuration leaves open is chosen; of another split
                this is done first where it has not been.
            loading: Says which process this is.
        """
        self.system.take(bundle.fitted)
        name = next((name for name, own in self.examples.items() if own is examples), "test")
        val = self.examples.get("val")
        if name != "val" and self.system.needs_fitting and val:
            self.evaluate(bundle, val, loading)
        section = self.config.evaluation
        context = SearchContext(
            bundle=bundle,
            processes=loading.processes,
            batch_size=section.dataloader.batch_size_per_gpu,
            precision=section.precision,
        )
        base = self.base(name)
        self.system.prepare(base, context)
        runs = self.system.fit(examples, Qrels.of(examples)) if name == "val" else self.system.rank(examples)
        bundle.fitted = self.system.fitted
        if not loading.processes.is_main:
            return None
        return score_runs(runs, self.system.main, examples, base, self.config.retrieval, self.system.fitted)

    def _sides(self, bundle: RetrievalBundle) -> tuple[SideInputs, SideInputs]:
        """How questions and passages are read in training."""
        prompts, section = bundle.model.settings.prompts, self.config.preprocessor

        def inputs(side: Any) -> SideInputs:
            return SideInputs(
                bundle.tokenizer[side], prompts.get(side, ""), self.config.retrieval.title_separator,
                section.max_image_size, section.horizontal_flip, bundle.regions,
            )  # fmt: skip

        return inputs("query"), inputs("passage")

    def texts(self) -> Iterator[str]:
        """What the vocabulary of a model is trained on that several tasks share."""
        lowercase = self.config.preprocessor.lowercase
        return (f" {text.lower() if lowercase else text}" for text in self._passages_and_questions())

    def _passages_and_questions(self) -> _Texts:
        """What vocabularies are trained on: the base and the training questions."""
        train = self.examples.get("train", [])
        base = self.base("train" if train else "test")
        return _Texts(base.titled(self.config.retrieval.title_separator), train)


def _wants_region_width(spec: Mapping[str, Any]) -> bool:
    """Whether an encoder reads regions and does not say how wide they are; what is no encoder is said elsewhere."""
    name = spec.get("type")
    if name not in ENCODERS.names() or not ENCODERS.get(str(name)).reads_regions or spec.get("backbone") is not None:
        return False
    return "feat_dim" not in spec.get("config", {})


def _shown_item(item: Query | Passage, side: SideInputs, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """What a side reads of a query or of a passage; passages of the same content count as one."""
    texts = side.reading.texts
    ids = {} if texts is None else {"input_ids": shown_ids(tensors["input_ids"], texts.pieces)}
    size = None if item.image is None or "image" not in tensors else list(tensors["image"].shape[-2:])
    image = image_name(item.image, item.image_path)
    return {"id": item.id, "text": side.text(item), "image": image, "image_size": size, **ids}


class _Texts:
    """The texts of passages and questions that have any, read again whenever they are walked over."""

    def __init__(self, passages: Iterable[str], questions: Sequence[Query]) -> None:
        self.passages, self.questions = passages, questions

    def __iter__(self) -> Iterator[str]:
        return filter(None, itertools.chain(self.passages, (query.text or "" for query in self.questions)))
