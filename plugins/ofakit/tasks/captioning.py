"""Captioning images, in a style if one is requested.

    {"task": "image-captioning", "style": {"mode": "code"}, "data": {"reader": {"type": "flickrstyle"}, "root": "DIR"}}

An epoch has one example per caption, or one per image and style where every objective has
`one_example_per = "image"`. Evaluation captions a split, scores it overall and by style, and beside it a control with
shuffled images; the page shows images with their captions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ofakit.config.schema import ExperimentConfig, ModelSection
from ofakit.data import BadExamples, Example, drop_empty, expand
from ofakit.data.expansion import one_per_image
from ofakit.data.style_names import first_spellings
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, ModelBundle
from ofakit.hub.other_task import other_task
from ofakit.inference.captions import NOTHING, caption_batches
from ofakit.models.word_embeddings import start_word_embeddings
from ofakit.objectives.base import Objective
from ofakit.preprocessors import CaptionPreprocessor, Collate
from ofakit.reports import captions_page
from ofakit.tasks._caption_evaluation import Prediction, StyleJudge, build_metrics, score_predictions, style_judge
from ofakit.tasks._shown_tensors import image_name, shown_tensors
from ofakit.tasks._writing import WritingTask
from ofakit.tasks.base import Evaluation, EvaluationLoading
from ofakit.text import StyleSet
from ofakit.text.prompts import STYLE_PROMPT

__all__ = ["Captioning"]

logger = logging.getLogger(__name__)


class Captioning(WritingTask[CaptionBundle]):
    """Caption images in styles.

    Args:
        config: The experiment.

    Raises:
        UsageError: `evaluation.metrics` names what there is not.
    """

    name = "image-captioning"
    usual_objectives = ({"type": "cross_entropy"},)
    usual_score = "cider"

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        self.judge: StyleJudge | None = None
        with config.naming_the_file("evaluation", "metrics"):
            build_metrics(config.evaluation.metrics)  # what is wrong there is said before anything is read

    def _new(self, model: Any, tokenizer: Any, model_type: str) -> CaptionBundle:
        config = self.config
        return CaptionBundle(model, tokenizer, None, config.preprocessor, config.generation, model_type=model_type)

    def _completed(self, bundle: CaptionBundle, section: ModelSection) -> CaptionBundle:
        self._teach_styles(bundle)
        if section.word_embeddings is not None and section.path is None:
            with self.config.naming_the_file("model"):
                self._start_words(bundle, section.word_embeddings)
        return bundle

    def shared_bundle(self, bundle: ModelBundle) -> CaptionBundle:
        """A bundle of captioning around a model that several tasks share.

        Args:
            bundle: The model as it was read or made.

        Raises:
            UsageError: The model writes no captions.
        """
        own = self._continued(replace(bundle))
        self._teach_styles(own)
        return own

    def _teach_styles(self, bundle: CaptionBundle) -> None:
        """The styles that a bundle has, or else those of the experiment, with what stands for them."""
        if bundle.styles is None:
            bundle.styles = choose_styles(self.config, self.examples.get("train", []))
        if bundle.styles is not None:
            _teach_tokens(bundle, bundle.styles)
            prompt = bundle.preprocessor.prompt
            if prompt is not None and "{}" not in prompt:
                logger.warning("preprocessor.prompt %r has no {} for the style, so the model does not see it", prompt)

    def _start_words(self, bundle: CaptionBundle, source: str) -> None:
        """Rows of words and styles as a text encoder has them."""
        started = start_word_embeddings(bundle.model, bundle.tokenizer, source, bundle.styles)
        logger.info("%d of %d token embeddings are initialised from %s", started, len(bundle.tokenizer), source)

    def adopt(self, bundle: CaptionBundle) -> None:
        """Take over prompt and generation as the bundle has them, and look at the styles of the examples.

        Args:
            bundle: The model that is trained or evaluated.
        """
        self.config.preprocessor, self.config.generation = bundle.preprocessor, bundle.generation
        if bundle.styles is not None:
            bundle.styles.check(e.style for examples in self.examples.values() for e in examples)

    def training_examples(
        self, examples: Sequence[Example], objectives: Mapping[str, Objective], bad: BadExamples
    ) -> list[Example]:
        """One example per caption, or one per image and style where all objectives are content with that.

        Where all learn from texts of regions, an image needs those alone.

        Args:
            examples: The training split, as the reader gives it.
            objectives: What is trained, by name.
            bad: Counts and lists what is left out.
        """
        wanted = {objective.one_example_per for objective in objectives.values()}
        if wanted == {"regions"}:
            return _with_region_texts(one_per_image(examples), bad)
        if wanted - {"regions"} == {"image"}:
            return drop_empty(one_per_image(examples), bad)
        return expand(examples, bad)

    def evaluation_examples(self, examples: Sequence[Example], bad: BadExamples) -> list[Example]:
        """Those that have something to be scored against.

        Args:
            examples: The split.
            bad: Counts and lists what is left out.
        """
        return drop_empty(examples, bad)

    def preprocessor(self, bundle: CaptionBundle, mode: str) -> Callable[..., dict[str, Any]]:
        """From an example to prompt, image and caption.

        Args:
            bundle: The model.
            mode: "train" or "eval".
        """
        return CaptionPreprocessor.of(bundle, mode)

    def collator(self, bundle: CaptionBundle) -> Callable[..., dict[str, Any]]:
        """From those of several examples to a batch.

        Args:
            bundle: The model.
        """
        return Collate(bundle.tokenizer.pad_token_id)

    def shown(self, bundle: CaptionBundle, example: Example, sample: Mapping[str, Any]) -> dict[str, Any]:
        """A training example as the model sees it: the image's size, style, prompt and target with their ids.

        Args:
            bundle: The model.
            example: One of `training_examples`.
            sample: What the preprocessor made of it, with the views of objectives.
        """
        tokenizer = bundle.tokenizer
        own = {name: sample[name] for name in ("input_ids", "target") if name in sample}
        views = {name: value for name, value in sample.items() if "/" in name}

        def pieces(ids: Sequence[int]) -> list[str | None]:
            return [tokenizer.id_to_token(number) for number in ids]

        return {
            "id": example.id,
            "image": image_name(example.image, example.image_path),
            **_shown_image(example, sample),
            "style": example.style,
            "prompt": tokenizer.decode(sample["input_ids"].tolist()),
            "text": example.text,
            **shown_tensors({**own, **views}, pieces),
        }

    def evaluate(
        self, bundle: CaptionBundle, examples: Sequence[Example], loading: EvaluationLoading
    ) -> Evaluation | None:
        """Caption a split and score the captions.

        Args:
            bundle: The model.
            examples: What to caption; those without references or with broken images are left out.
            loading: Gives the batches.
        """
        predictions = self.predict(bundle, examples, loading)
        if not loading.processes.is_main:
            return None
        config, settings = self.config, self.config.evaluation
        if self.judge is None:
            self.judge = style_judge(self.reader, self.examples, Path(config.work_dir))
        seed = config.seed if settings.shuffled_images else None
        metrics = build_metrics(settings.metrics)
        scores = score_predictions(predictions, self.judge, seed, metrics, settings.segmentation)
        rows = [prediction.row() for prediction in predictions]
        silent = sum(prediction.score == NOTHING.score for prediction in predictions)
        obeys = None if self.judge is None else self.judge.obeys
        return Evaluation(scores, rows, lambda title: captions_page(title, scores, predictions, obeys), silent)

    def predict(
        self, bundle: CaptionBundle, examples: Sequence[Example], loading: EvaluationLoading
    ) -> list[Prediction]:
        """Caption examples; every process does its share and gets all of them.

        Args:
            bundle: The model.
            examples: What to caption; those without references or with broken images are left out.
            loading: Gives the batches.
        """
        usable, batches = loading.evaluation(examples)
        styles = [example.style for example in usable]
        found = list(caption_batches(bundle, batches, styles, self.config.evaluation.precision))
        by_index = {index: rest for share in loading.processes.gather(found) for index, *rest in share}
        listed, predictions = bundle.styles, []
        for index, example in enumerate(usable):
            style = listed.spelling(example.style) if listed is not None and example.style else example.style
            (caption, *others), before_rerank = by_index[index]
            predictions.append(
                Prediction(
                    example.id,
                    example.image,
                    style,
                    caption.text,
                    caption.score,
                    tuple(example.references),
                    caption.p_yes,
                    before_rerank,
                    example.group,
                    tuple(other.text for other in others),
                )
            )
        return predictions

    def _continued(self, bundle: Any) -> CaptionBundle:
        """A loaded model under this experiment: what the configuration does not say stays as the model was taught."""
        if not isinstance(bundle, CaptionBundle):
            raise other_task(bundle, "a model that writes captions", key="path")
        if type(bundle) is not CaptionBundle:  # one of another task: its prompt asks for something else
            sizes = bundle.preprocessor.model_copy(update={"prompt": None})
            bundle = CaptionBundle(
                bundle.model, bundle.tokenizer, bundle.styles, sizes, bundle.generation, model_type=bundle.model_type,
                objectives=bundle.objectives, live_regions=bundle.live_regions,
            )  # fmt: skip
        config = self.config
        self._take_said(bundle, "preprocessor", "generation")
        if config.style.names is not None or config.style.mode == "none":
            bundle.styles = choose_styles(config, [])
        elif bundle.styles is not None:
            bundle.styles.strict = config.style.strict
        return bundle

    def texts(self) -> list[str]:
        """What a vocabulary of the experiment's own is trained on: the training captions and the prompt."""
        texts = [" " + (example.text or "").lower() for example in expand(self.examples.get("train", []))]
        return [*texts, self.config.preprocessor.prompt or STYLE_PROMPT.replace("{}", "")]


def _with_region_texts(examples: Sequence[Example], bad: BadExamples) -> list[Example]:
    """Those that say something about a part of their image; others are counted."""
    for example in examples:
        if not example.region_texts:
            bad.add(example, "no text of a region", "nothing is said about a part of the image")
    return [example for example in examples if example.region_texts]


def _shown_image(example: Example, sample: Mapping[str, Any]) -> dict[str, Any]:
    """How large an image is as the model sees it, or how many regions."""
    if "vis_feats" in sample:
        return {"regions": list(sample["vis_feats"].shape)}
    return {"image_size": None if example.image is None else list(sample["patch_image"].shape[-2:])}


def choose_styles(config: ExperimentConfig, examples: Sequence[Example]) -> StyleSet | None:
    """The styles of the experiment: those listed, or else those of the training examples in alphabetical order.

    A style that the data spells in several ways is listed once, as it is spelled first.

    Args:
        config: Its section `style` says mode and names.
        examples: The training examples.

    Raises:
        UsageError: The list is empty, or names a style twice.
    """
    section = config.style
    if section.mode == "none":
        return None
    if isinstance(section.names, str):
        return StyleSet.from_file(section.names, mode=section.mode, strict=section.strict)
    names = section.names
    if names == []:
        raise UsageError(
            "style.names: expected at least one style, found []; null takes the styles of the training examples, and "
            "style.mode none turns styles off"
        )
    if names is None:
        names = [name for _, name in sorted(first_spellings(example.style for example in examples).items())]
    if not names:
        return None
    return StyleSet(names, mode=section.mode, strict=section.strict)


def _teach_tokens(bundle: CaptionBundle, styles: StyleSet) -> None:
    """Give styles that are new tokens their rows in the vocabulary, each the mean of its name's pieces."""
    model, tokenizer = bundle.model, bundle.tokenizer
    rows = styles.prepare(tokenizer)
    if len(tokenizer) > len(model.output_embedding):
        model.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        for weight in model.token_embeddings():
            for new, pieces in rows.items():
                weight[new] = weight[pieces].mean(0)
