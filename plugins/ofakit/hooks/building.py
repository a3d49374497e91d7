"""A hook from its configuration, every key checked before anything runs.

Many of ModelScope's hooks take `**kwargs`, in which a misspelt key would be lost without a word.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from logging import Logger
from typing import Annotated, Any

from modelscope.trainers.hooks.builder import HOOKS
from modelscope.utils.import_utils import LazyImportModule
from pydantic import Field

from ofakit.config.schema import ExperimentConfig
from ofakit.config.values import checked_value, resolved_annotations
from ofakit.errors import UsageError, did_you_mean
from ofakit.hooks import import_all
from ofakit.hooks.best_snapshot import BestSnapshotHook
from ofakit.hooks.modelscope_keys import without_inert_keys
from ofakit.hooks.push_to_hub import without_push
from ofakit.registry import modelscope_members

__all__ = ["build_hook", "build_hooks"]

OURS_INSTEAD = {
    "CheckpointHook": "SnapshotHook",
    "BestCkptSaverHook": "BestSnapshotHook",
    "EarlyStopHook": "ResumableEarlyStopHook",
    "TensorboardHook": "CaptionTensorboardHook",
}
DONE_BY_THE_TRAINER = ("OptimizerHook", "TorchAMPOptimizerHook", "LrSchedulerHook", "DDPHook", "LoadCheckpointHook")
NEED_EVALUATION = ("EvaluationHook", "BestSnapshotHook")
PUSHES = {"SnapshotHook": "last", "BestSnapshotHook": "best"}
"""Which model is sent where ModelScope's `push_to_hub` is asked for."""
WATCH_A_SCORE = ("BestSnapshotHook", "ResumableEarlyStopHook")
USUAL = (
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook"},
    {"type": "MetricsFileHook", "interval": 10},
    {"type": "TensorboardHook", "interval": 10},
    {"type": "SnapshotHook", "interval": 1, "max_checkpoint_num": 2},
)
STRATEGIES = ("by_epoch", "by_step", "no")
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "EvaluationHook": {"eval_strategy": STRATEGIES},
    "ResumableEarlyStopHook": {"early_stop_strategy": STRATEGIES, "rule": ("max", "min")},
}
"""What ModelScope's hooks take without a look."""
NUMBERS = {
    "interval": Annotated[int, Field(ge=0, le=1_000_000_000)],
    "patience": Annotated[int, Field(ge=0, le=1_000_000)],
}
"""Likewise, and what they must be."""


def build_hooks(
    experiment: ExperimentConfig, score: str, evaluates: bool, logger: Logger, parts: Mapping[str, str] | None = None
) -> list[Any]:
    """The hooks of an experiment, or the usual ones where it names none.

    Args:
        experiment: Its `train.hooks`.
        score: What hooks watch where they do not say.
        evaluates: Whether there are examples to evaluate on.
        logger: Is told which hooks are left out.
        parts: The score of each of several tasks; where a best model is kept, each task has its own, too.

    Raises:
        UsageError: An EvaluationHook has nothing to evaluate on, or as `build_hook`.
    """
    usual = [dict(hook) for hook in USUAL if evaluates or hook["type"] not in NEED_EVALUATION]
    specs = [hook.model_dump() for hook in experiment.train.hooks] or usual
    if not evaluates and any(spec["type"] == "EvaluationHook" for spec in specs):
        raise UsageError(
            "train.hooks has an EvaluationHook, but there are no examples to evaluate on: set data.val to a split, "
            "pass an eval_dataset, or leave the hook out"
        )
    _refuse_push_of_no_best(specs)
    hooks = []
    for number, spec in enumerate(specs):
        if spec["type"] in DONE_BY_THE_TRAINER:
            logger.info(f"hook {spec['type']} is left out: the trainer does its work itself")
            continue
        if OURS_INSTEAD.get(spec["type"], spec["type"]) in WATCH_A_SCORE:
            spec.setdefault("metric_key", score)
        pushed = PUSHES.get(OURS_INSTEAD.get(spec["type"], spec["type"]))
        with experiment.naming_the_file("train", "hooks", number):
            built = [build_hook(one) for one in ([spec] if pushed is None else without_push(spec, pushed))]
        hooks += built
        for hook in built:
            if isinstance(hook, BestSnapshotHook) and hook.part is None:
                hooks += [BestSnapshotHook(own, hook.rule, part) for part, own in (parts or {}).items()]
    return hooks


def _refuse_push_of_no_best(specs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to send `best/` where nothing writes it."""
    types = {OURS_INSTEAD.get(spec["type"], spec["type"]) for spec in specs}
    wants_best = any(spec["type"] == "PushToHubHook" and spec.get("model", "best") == "best" for spec in specs)
    if wants_best and "BestSnapshotHook" not in types:
        raise UsageError(
            'train.hooks has a PushToHubHook that uploads best/, but no hook writes it: add {"type": '
            '"BestSnapshotHook"} and {"type": "EvaluationHook", "interval": 1}, or give it "model": "last"'
        )


def build_hook(spec: Mapping[str, Any]) -> Any:
    """The hook of an entry of `train.hooks`.

    Args:
        spec: With `type`; the other keys are the hook's arguments.

    Raises:
        UsageError: There is no such hook, a key is none of its arguments, or a value is none it can work with.
    """
    asked = spec["type"]
    meant = OURS_INSTEAD.get(asked, asked)
    hook = _hook_class(asked, meant)
    arguments = {key: value for key, value in spec.items() if key != "type"}
    arguments = without_inert_keys(asked, hook, arguments)
    annotations = resolved_annotations(hook)
    known, choices = _arguments_of(hook), CHOICES.get(meant, {})
    for key, value in arguments.items():
        if key not in known:
            raise UsageError(f"train.hooks: unknown key {key!r} for hook {asked!r}: {did_you_mean(key, known)}")
        if key in choices and value not in choices[key]:
            near = did_you_mean(str(value), choices[key])
            raise UsageError(f"train.hooks: {key} of {asked} cannot be {value!r}: {near}")
        kind = NUMBERS.get(key) or annotations.get(key)
        if kind is not None:
            arguments[key] = checked_value(value, kind, key, f"hook {asked!r}")
    try:
        return hook(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"train.hooks: {dict(spec)}: {error}") from None


def _hook_class(asked: str, meant: str) -> type:
    """The class of a type; ModelScope's own files are imported when one of them is meant."""
    import_all()
    if HOOKS.get(meant) is None:
        theirs = modelscope_members("HOOKS")
        if meant not in theirs:
            near = did_you_mean(asked, {*HOOKS.modules["default"], *theirs})
            raise UsageError(f"train.hooks: unknown hook {asked!r}: {near}")
        LazyImportModule.import_module(theirs[meant])
    return HOOKS.get(meant)


def _arguments_of(hook: type) -> list[str]:
    """The arguments that a class names, and those that its bases name where it hands on the rest."""
    names: list[str] = []
    for cls in inspect.getmro(hook):
        if "__init__" not in vars(cls):
            continue
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            return names
        # The older spelling of a strategy, which ModelScope's hooks look for among the rest.
        names += ["by_epoch"] if any(name.endswith("_strategy") for name in names) else []
    return names
