"""Every key of an experiment's JSON file, with its unit, range and default.

The smallest file that trains starts from a model; one from scratch needs `model.size` and `model.tokenizer`:

    {"data": {"reader": {"type": "flickrstyle"}, "root": "DIR"}, "model": {"path": "MODEL_DIR_OR_HUB_ID"}}

Keys that ModelScope has carry ModelScope's names (`train.max_epochs`, `train.dataloader.batch_size_per_gpu`,
`train.hooks`, `evaluation.dataloader`). An object with a `type` names a file of a room: a reader, an objective.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from ofakit.config.backbone import BackboneSection
from ofakit.config.component import Component
from ofakit.config.generation import GenerationSettings
from ofakit.config.origin import Origin
from ofakit.config.regions import RegionsSection
from ofakit.config.retrieval import RetrievalSection
from ofakit.config.section import SEEDS, PathText, Section
from ofakit.config.vqa import VqaSection
from ofakit.errors import UsageError

__all__ = ["EmaSection", "ExperimentConfig"]


class TokenizerSection(Section):
    """Where the vocabulary comes from when the model starts from scratch."""

    path: PathText | None = Field(
        None,
        description="directory with vocab.json and merges.txt, or vocab.txt (Chinese); for `vl` also T5's, with "
        "tokenizer.json or spiece.model",
    )
    train_vocab_size: int | None = Field(
        None,
        ge=300,
        le=1_000_000,
        description="instead of reading one, train a byte-level BPE of this many entries on the training captions",
    )
    num_codes: int = Field(8192, ge=1, le=100_000, description="<code_i> tokens added to a trained vocabulary")
    num_bins: int = Field(1000, ge=0, le=100_000, description="<bin_i> tokens added to a trained vocabulary")


class ModelSection(Section):
    """The network and where its weights come from."""

    type: str | None = Field(None, description="a file of ofakit/models/types; null: the default of the task")
    path: PathText | None = Field(
        None, description="start from this model directory, fairseq .pt file or hub id; null: random weights"
    )
    size: Literal["tiny", "medium", "base", "large", "huge"] = Field("tiny", description="released size, if no path")
    config: dict[str, Any] = Field(default_factory=dict, description="keys of the network's configuration to override")
    language: Literal["en", "zh"] = "en"
    tokenizer: TokenizerSection = Field(default_factory=TokenizerSection)
    backbone: BackboneSection | None = Field(
        None,
        description="a timm network as the visual backbone; null: OFA's own ResNet, or for `vl` features of "
        "`data.regions`",
    )
    adapter: Component | None = Field(
        None,
        description='a file of ofakit/models/adapters with its keys, as in `{"type": "lora", "rank": 8}`: only these '
        "weights are trained, and those parts of the network that its keys name; null: the network is trained",
    )
    word_embeddings: PathText | None = Field(
        None,
        description="initialise word embeddings from this text encoder (directory or hub id), if the model has no path",
    )
    allow_partial: bool = Field(False, description="accept a checkpoint with missing or unexpected weights")


class StyleSection(Section):
    """How the style is given to the model."""

    mode: Literal["code", "new", "plain", "none"] = Field(
        "code", description="an existing <code_i>, a new token per style, the style's name, or no styles at all"
    )
    names: list[str] | str | None = Field(
        None, description="style names in order, or a file with one per line; null: those of the training examples"
    )
    strict: bool = Field(False, description="a style outside the list is an error, not the unknown-style token")


class DataSection(Section):
    """The examples and their images."""

    root: PathText | None = Field(None, description="folder that the reader's paths are relative to")
    reader: Component
    train: str = Field("train", description="split or slice to train on, such as train[-50000:]")
    val: str | None = Field("val", description="split or slice for evaluation during training")
    test: str | None = Field("test", description="split or slice for the final evaluation")
    base_folder: PathText | None = Field(
        None,
        description="folder in which the passages of a knowledge base larger than memory are stored, once for all "
        "experiments that name the folder; null: passages are kept in memory",
    )
    negatives: PathText | None = Field(None, description="hard negatives for training questions, from `ofakit mine`")
    teacher_scores: PathText | None = Field(
        None, description="a teacher's scores of passages for training questions, for distillation"
    )
    image_store: PathText | None = Field(
        None, description="folder of decoded images; null: <work_dir>/image_store. Experiments may share one"
    )
    regions: RegionsSection | None = Field(
        None, description="images as region features, for models that read these; null: as pixels"
    )
    max_bad_fraction: float = Field(
        0.01,
        ge=0,
        le=1,
        description="a run stops if a larger share of its training examples has a missing or damaged image",
    )


class PreprocessorSection(Section):
    """How examples become tensors."""

    prompt: str | None = Field(
        None,
        description="source text; {} marks the place of the style. null: OFA's prompt, with the style if there is one",
    )
    patch_image_size: int = Field(
        224, ge=16, le=4096, multiple_of=16, description="side in pixels of the image that the model sees"
    )
    max_image_size: int | None = Field(
        None, ge=16, le=8192, description="side in pixels before the random crop in training; null: no crop"
    )
    crops: int | None = Field(
        None,
        ge=1,
        le=9,
        description="training crops per image: the centre, then the corners, then the middles of the sides; null: "
        "crops anywhere",
    )
    mean_std: Literal["half", "imagenet"] = Field(
        "half", description="image normalisation; `model.backbone` has its own"
    )
    horizontal_flip: bool = Field(False, description="flip training images at random")
    max_src_length: int = Field(80, ge=4, le=10_000, description="tokens of the source, including bos and eos")
    max_tgt_length: int = Field(30, ge=2, le=10_000, description="tokens of the caption, including eos")
    lowercase: bool = Field(True, description="lower-case captions")
    strip_punctuation: bool = Field(True, description="remove punctuation from captions, as OFA does")
    leading_space: bool = Field(True, description="encode captions with a leading space, as OFA does")

    @property
    def stored_size(self) -> int:
        """Pixels a side that images are resized to before the cut."""
        return self.max_image_size or self.patch_image_size

    @model_validator(mode="after")
    def _crop_fits(self) -> PreprocessorSection:
        if self.max_image_size is not None and self.max_image_size < self.patch_image_size:
            raise ValueError(
                f"max_image_size {self.max_image_size} is smaller than patch_image_size {self.patch_image_size}; "
                "a crop cannot be larger than the image"
            )
        return self


class DataloaderSection(Section):
    """Batches of one process."""

    batch_size_per_gpu: int = Field(8, ge=1, le=1_000_000, description="examples per process and forward pass")
    workers_per_gpu: int = Field(0, ge=0, le=1024, description="data-loading processes per training process")


class TrainDataloaderSection(DataloaderSection):
    """Batches of one process, and how groups of examples are mixed."""

    mixing: Literal["balanced", "proportional", "roundrobin"] | None = Field(
        None,
        description="use one group of examples in each step, such as those with an image. balanced: each group equally "
        "often; proportional: by size; null: no grouping. With several `tasks` also roundrobin, the default: by size, "
        "in a shuffled order",
    )


class EvaluationDataloaderSection(DataloaderSection):
    """Batches of one process, without gradients."""

    batch_size_per_gpu: int = Field(16, ge=1, le=1_000_000, description="examples per process and forward pass")


class SchedulerSection(Section):
    """Learning rate over the steps."""

    name: Literal["const", "linear", "cosine", "polynomial_decay"] = "polynomial_decay"
    warmup_proportion: float = Field(0.06, ge=0, le=1, description="share of all steps that are warmup")
    warmup_steps: int | None = Field(None, ge=0, le=1_000_000_000, description="steps; instead of warmup_proportion")
    lr_end: float = Field(1e-7, ge=0, le=1000, description="final learning rate of polynomial_decay")
    power: float = Field(1.0, gt=0, le=100, description="of polynomial_decay")


Decay = Annotated[float, Field(ge=0, lt=1)]
"""The share of a running mean that stays at each step."""


class OptimizerSection(Section):
    """AdamW."""

    type: Literal["AdamW"] = "AdamW"
    lr: float = Field(2e-5, gt=0, le=1000, description="peak learning rate")
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="decay of the running means of gradients and of their squares"
    )
    eps: float = Field(1e-8, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0, le=1000)
    lr_scales: dict[str, Annotated[float, Field(ge=0, le=1_000_000)]] = Field(
        default_factory=dict,
        description='learning rates of parts of the model relative to `lr`, as in `{"visual": 0.1}`; the parts are '
        "those of `train.freeze`; weights shared by several parts belong to the first one named",
    )
    scale_lr: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="peak learning rate of a loss's own parameters, such as a temperature, which get no weight "
        "decay; null: lr",
    )


class EmaSection(Section):
    """An exponential moving average of the weights."""

    decay: float = Field(0.999, ge=0, lt=1, description="share of the average that is kept at each step")
    after: int = Field(0, ge=0, le=1_000_000_000, description="steps during which the average equals the weights")


class TrainSection(Section):
    """The training loop. A step is one update of the weights."""

    max_epochs: int = Field(3, ge=1, le=1_000_000)
    max_steps: int | None = Field(None, ge=1, le=1_000_000_000, description="stop after this many steps")
    time_limit: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        description="minutes after which the run stops with a snapshot, as on a signal; null: the time left in the "
        "Slurm job, if the run is in one",
    )
    async_snapshots: bool = Field(
        True,
        description="write snapshots in the background from a copy in CPU memory, which takes three times the size "
        "of the weights; false: training waits for the disk",
    )
    timeout_minutes: float = Field(
        120,
        gt=0,
        le=1_000_000,
        description="minutes that a process waits for the others before the run fails",
    )
    dataloader: TrainDataloaderSection = Field(default_factory=TrainDataloaderSection)
    batch_size: Literal["auto"] | None = Field(
        None,
        description="auto: find the largest batch that fits in memory; null: dataloader.batch_size_per_gpu",
    )
    gradient_accumulation: int = Field(1, ge=1, le=100_000, description="batches per step")
    examples_per_step: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="examples per step over all processes, from which gradient_accumulation follows; null: as batch "
        "size and accumulation give",
    )
    clip_norm: float | None = Field(1.0, gt=0, le=1e9, description="largest gradient norm; null: no clipping")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="type in which matrix products are computed")
    recompute: bool = Field(
        False,
        description="gradient checkpointing: layers keep only their inputs and are computed again in the backward "
        "pass, which takes less memory and more time",
    )
    compile: bool = Field(
        False, description="compile the layers with torch.compile, which takes minutes before the first step"
    )
    sharding: Literal["none", "grad", "full"] = Field(
        "none",
        description="what is sharded across processes with FSDP2. grad: gradients and optimizer moments; full: the "
        "weights as well; none: every process holds everything",
    )
    ema: EmaSection | None = Field(
        None,
        description="keep a moving average of the weights; it is what is evaluated and saved in best/ and output/",
    )
    freeze: list[str] = Field(
        default_factory=list,
        description="parts of the model that are not trained; OFA's are `visual`, the backbone and its batch-norm "
        "statistics, `embeddings`, those of tokens and the output projection, and `encoder`, all of it except the "
        "token embeddings; those of `vl` are `backbone`, `visual`, the projection of its features, `embeddings`, "
        "`encoder` and `language_model`",
    )
    optimizer: OptimizerSection = Field(default_factory=OptimizerSection)
    lr_scheduler: SchedulerSection = Field(default_factory=SchedulerSection)
    hooks: list[Component] = Field(default_factory=list, description="ModelScope hooks, with ModelScope's keys")
    max_bad_steps: int = Field(
        10, ge=1, le=1_000_000, description="consecutive steps with a NaN or infinite loss after which the run stops"
    )

    @field_validator("batch_size", mode="before")
    @classmethod
    def _a_number_is_set_elsewhere(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(f"expected auto or null, found {value}; set a number as dataloader.batch_size_per_gpu")
        return value

    @model_validator(mode="after")
    def _compiles_alone(self) -> TrainSection:
        if self.compile and (self.recompute or self.sharding != "none"):
            raise ValueError("compile cannot be combined with recompute or sharding; leave one of them out")
        return self

    @model_validator(mode="after")
    def _decays(self) -> TrainSection:
        schedule, lr = self.lr_scheduler, self.optimizer.lr
        if schedule.name == "polynomial_decay" and schedule.lr_end >= lr:
            raise ValueError(
                f"lr_scheduler.lr_end {schedule.lr_end:g} must be less than optimizer.lr {lr:g} for polynomial_decay; "
                "lower lr_end, or use lr_scheduler.name = const"
            )
        return self


class GenerationSection(GenerationSettings):
    """Beam search or sampling, and the order of the hypotheses."""

    rerank: Literal["itm"] | None = Field(
        None,
        description="itm: of the num_beams hypotheses, take the one that a model trained with itm rates as the best "
        "match; null: the one with the best score",
    )


class EvaluationSection(Section):
    """What is evaluated, and on how many examples."""

    dataloader: EvaluationDataloaderSection = Field(default_factory=EvaluationDataloaderSection)
    metrics: list[Component] = Field(
        default_factory=list,
        description="additional scores, each with a `type`: a file of ofakit/metrics or a name in METRICS",
    )
    shuffled_images: bool = Field(True, description="also score every caption against another image's references")
    segmentation: Literal["characters", "words", "spaces"] = Field(
        "characters", description="what counts as a word in scripts without spaces; `words` needs jieba"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="number type used in generation")
    final_split: Literal["test", "val"] = Field(
        "test", description="split that is scored at the end of a run; if there is none, the other; sweeps use val"
    )


class StageSection(Section):
    """One of several trainings, each of which starts from the best model of the one before."""

    name: str = Field(
        pattern=r"^[\w-]+$", max_length=100, description="also the name of its folder, stages/<number>_<name>"
    )
    objectives: list[Component] | None = Field(
        None, min_length=1, description="objectives of this stage, in place of the experiment's"
    )
    model: dict[str, Any] = Field(
        default_factory=dict, description="keys of `model` that differ in this stage, such as `adapter`"
    )
    data: dict[str, Any] = Field(default_factory=dict, description="keys of `data` that differ in this stage")
    train: dict[str, Any] = Field(default_factory=dict, description="keys of `train` that differ in this stage")


class TaskSection(Section):
    """One of several tasks of a run; what it does not say is as in the rest of the file."""

    name: str = Field(
        pattern=r"^[\w-]+$", max_length=100, description="name of the task in batches, scores and adapters"
    )
    task: str = Field(description="a file of ofakit/tasks, or ModelScope's name for the task")
    data: dict[str, Any] = Field(default_factory=dict, description="keys of `data` for this task")
    style: dict[str, Any] = Field(default_factory=dict, description="keys of `style` for this task")
    preprocessor: dict[str, Any] = Field(
        default_factory=dict, description="keys of `preprocessor` for this task, such as its prompt"
    )
    objectives: list[Component] | None = Field(
        None, min_length=1, description="what is trained; null: the default of the task"
    )
    generation: dict[str, Any] = Field(default_factory=dict, description="keys of `generation` for this task")
    evaluation: dict[str, Any] = Field(default_factory=dict, description="keys of `evaluation` for this task")
    vqa: dict[str, Any] = Field(default_factory=dict, description="keys of `vqa` for this task")
    retrieval: dict[str, Any] = Field(default_factory=dict, description="keys of `retrieval` for this task")
    retriever: dict[str, Any] = Field(
        default_factory=dict,
        description="for retrieval: keys of a retriever's `model.config`; its `encoder`, the shared model, has "
        "`pooling`, `projection` and the like",
    )
    batch_size: int | None = Field(
        None, ge=1, le=1_000_000, description="training batch size; null: train.dataloader.batch_size_per_gpu"
    )
    mixing: Literal["balanced", "proportional"] | None = Field(
        None,
        description="how the groups of its examples take turns, so that each of its steps has one group, for "
        "objectives with `groups`; null: groups are not kept apart",
    )


class ExperimentConfig(Section):
    """One experiment. `extends` names a base file, relative to the file itself."""

    description: str = Field("", description="what the experiment is for")
    seed: int = Field(7, ge=0, le=SEEDS)
    work_dir: PathText = Field("work_dir/run", description="the run directory")
    task: str = Field("image-captioning", description="a file of ofakit/tasks, or ModelScope's name for the task")
    tasks: list[TaskSection] = Field(
        default_factory=list, description="for the task `multitask`: the tasks that one model learns in one run"
    )
    model: ModelSection = Field(default_factory=ModelSection)
    style: StyleSection = Field(default_factory=StyleSection)
    data: DataSection
    preprocessor: PreprocessorSection = Field(default_factory=PreprocessorSection)
    objectives: list[Component] | None = Field(
        None, min_length=1, description="what is trained; null: the default of the task"
    )
    train: TrainSection = Field(default_factory=TrainSection)
    stages: list[StageSection] = Field(
        default_factory=list,
        description="consecutive trainings, each with a `name` and the `objectives`, keys of `data` and keys of "
        "`train` that differ",
    )
    generation: GenerationSection = Field(default_factory=GenerationSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    retrieval: RetrievalSection = Field(
        default_factory=RetrievalSection, description="how a knowledge base is searched; multimodal-retrieval only"
    )
    vqa: VqaSection = Field(
        default_factory=VqaSection, description="how questions are answered; visual-question-answering only"
    )
    corpus: PathText | None = Field(
        None, description="for `ofakit search`: passages as JSON lines, in place of the reader's"
    )
    queries: PathText | None = Field(
        None, description="for `ofakit search`: queries as JSON lines, in place of a split"
    )
    qrels: PathText | None = Field(None, description="for `ofakit search`: TREC qrels of the queries")
    run: PathText | None = Field(None, description="for `ofakit search`: file to write the TREC run to")
    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="after")
    def _kept_features_are_found_again(self) -> ExperimentConfig:
        backbone, images = self.model.backbone, self.preprocessor
        cuts_anywhere = images.stored_size > images.patch_image_size and images.crops is None
        if backbone is not None and backbone.feature_store is not None and cuts_anywhere:
            raise ValueError(
                "model.backbone.feature_store caches the features of each crop of an image, and random crops of "
                f"{images.patch_image_size} out of {images.stored_size} pixels would fill it without ever being "
                "reused; set preprocessor.crops to a small number, such as 5, or max_image_size to null"
            )
        return self

    @property
    def files(self) -> Sequence[Path]:
        """The files that this was read from, the base last."""
        return self._origin.files

    @contextmanager
    def naming_the_file(self, *location: str | int) -> Iterator[None]:
        """Add the file, or the `--set`, to an error about a component that this configuration holds.

        Args:
            *location: The parts of the component's key, such as "objectives", 0.

        Raises:
            UsageError: What was raised inside.
        """
        try:
            yield
        except UsageError as error:
            key = () if error.key is None else (error.key,)
            raise UsageError(f"{error}{self._origin.place_of((*location, *key))}") from None
