"""Read a ModelScope `configuration.json` with a `train` section as an experiment of ours.

Keys that both have keep their meaning; what the stock trainer keeps elsewhere is moved:

    train.criterion                     -> objectives
    train.optimizer_hook.grad_clip      -> train.clip_norm
    train.optimizer_hook.cumulative_iters -> train.gradient_accumulation
    train.use_fp16                      -> train.precision
    train.hooks[].metric_key            -> ours: bleu-4 is bleu4, rouge-l is rouge_l
    model.beam_search                   -> generation
    model.patch_image_size, prompt, …   -> preprocessor

Every key of ours may stand there too and acts; what neither knows is refused with the nearest key, as in our files.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ofakit.config.schema import ModelSection

__all__ = [
    "from_configuration",
    "image_column",
    "is_configuration",
    "our_generation_names",
    "run_keys_on_top",
    "stock_generation",
    "stock_preprocessor",
    "with_usual_sections",
]

BEAM_SEARCH_NAMES = {
    "num_beams": "beam_size",
    "max_length": "max_len_b",
    "min_length": "min_len",
    "no_repeat_ngram_size": "no_repeat_ngram_size",
    "length_penalty": "len_penalty",
    "temperature": "temperature",
}
CAPTIONING = "image-captioning"
LIKE_OURS = 0.85
"""How like a key of ours one in the stock's section `model` must be, from 0 to 1, to count as one."""
RUN_KEYS = ("work_dir", "seed")
SCORE_NAMES = {**{f"bleu-{order}": f"bleu{order}" for order in (1, 2, 3, 4)}, "rouge-l": "rouge_l"}
STOCK_KEYS = (
    "framework", "task", "model", "pipeline", "preprocessor", "dataset", "train", "evaluation", "ofakit", "version",
    "modelscope_version", "allow_remote", "plugins", "hidden", "adapter_cfg",
)  # fmt: skip
"""What a ModelScope configuration has on top beside keys of ours."""
STOCK_TRAIN = (
    "criterion", "lr_scheduler_hook", "optimizer_hook", "use_fp16", "logging", "checkpoint", "trainer", "launcher",
    "type", "device", "ddp", "train_split", "val_split", "find_unused_parameters", "extra", "total_steps",
)  # fmt: skip
STOCK_SCHEDULER = ("type", "options", "by_epoch")
STOCK_DATALOADER = ("shuffle", "drop_last", "pin_memory", "persistent_workers", "prefetch_factor", "worker_init_fn")
STOCK_EVALUATION = ("visualization", "split", "period", "extra")
STOCK_METRICS = ("bleu", "cider", "rouge", "rouge-l", "accuracy", "text-gen-metric", "seq-cls-metric")
"""Metrics of the stock trainer's own outputs; what they say is always computed here."""
CRITERION_NAMES = {
    "label_smoothing": "label_smoothing",
    "drop_worst_ratio": "drop_worst_ratio",
    "drop_worst_after": "drop_worst_after",
}


def is_configuration(values: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a ModelScope configuration and not an experiment of ours.

    Args:
        values: The object.
    """
    return "framework" in values


def with_usual_sections(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A ModelScope configuration with the sections that a `cfg_modify_fn` changes, empty where it has none.

    Args:
        configuration: The content of configuration.json; that of a model directory need not say how to train.
    """
    train = {"dataloader": {}, "optimizer": {}, "lr_scheduler": {}, "hooks": [], **configuration.get("train", {})}
    evaluation = {"dataloader": {}, **configuration.get("evaluation", {})}
    return {"dataset": {}, **configuration, "train": train, "evaluation": evaluation}


def run_keys_on_top(values: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment of ours in which `work_dir` and `seed` stand where ours do, wherever ModelScope has them.

    Args:
        values: The experiment; in `train` these keys win over those on top.
    """
    train = values.get("train")
    if not isinstance(train, Mapping):
        return dict(values)
    above = {key: train[key] for key in RUN_KEYS if key in train}
    return {**values, **above, "train": {key: value for key, value in train.items() if key not in above}}


def from_configuration(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Our keys from a ModelScope configuration; its data set is given to the trainer, so the reader is left open.

    Args:
        configuration: The content of configuration.json.
    """
    ours, train = configuration.get("ofakit", {}), configuration.get("train", {})
    is_captioning = configuration.get("task") in (None, CAPTIONING)
    usual = [_objective(train.get("criterion", {}))] if is_captioning or "criterion" in train else None
    given = {key: value for key, value in configuration.items() if key not in STOCK_KEYS}
    reader = {"type": "given", "column_map": _column_map(configuration)}
    values: dict[str, Any] = {
        **given,
        "data": {"reader": reader, **given.get("data", {})},
        "preprocessor": {**(ours.get("preprocessor") or stock_preprocessor(configuration)), **_changed(configuration)},
        "generation": {
            **(ours.get("generation") or stock_generation(configuration)), **given.get("generation", {}),
        },
        "objectives": given.get("objectives") or usual,
        "train": _train(train),
        "model": _model(configuration.get("model", {})),
        "evaluation": _evaluation(configuration.get("evaluation", {})),
    }  # fmt: skip
    return values | {key: train[key] for key in RUN_KEYS if key in train}


def _model(section: Mapping[str, Any]) -> dict[str, Any]:
    """Our section `model`, and keys that seem to be misspelt ones of it; the stock keeps much more in its own."""
    own = [key for key in ModelSection.model_fields if key != "type"]
    meant = {key: value for key, value in section.items() if difflib.get_close_matches(key, own, 1, LIKE_OURS)}
    return {**meant, "language": "zh" if section.get("language") in ("zh", "cn") else "en"}


def _changed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of ours in the section `preprocessor`, where the stock names a class and what it does by mode."""
    section = configuration.get("preprocessor")
    if not isinstance(section, Mapping):
        return {}
    return {key: value for key, value in section.items() if key not in ("type", "train", "val", "mode")}


def _evaluation(section: Mapping[str, Any]) -> dict[str, Any]:
    """Our section `evaluation`."""
    found = {key: value for key, value in section.items() if key not in STOCK_EVALUATION}
    if "dataloader" in found:
        found["dataloader"] = _without(found["dataloader"], STOCK_DATALOADER)
    if "metrics" in found:
        metrics = found["metrics"] if isinstance(found["metrics"], list) else [found["metrics"]]
        specs = [{"type": metric} if isinstance(metric, str) else metric for metric in metrics]
        found["metrics"] = [spec for spec in specs if spec.get("type") not in STOCK_METRICS]
    return found


def _without(section: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in keys}


def stock_preprocessor(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Our preprocessing keys from a stock configuration; the stock resizes to the patch size and crops nothing.

    Args:
        configuration: The content of configuration.json.
    """
    model = configuration.get("model", {})
    found = {
        "prompt": model.get("prompt"),
        "patch_image_size": model.get("patch_image_size", 480),
        "max_src_length": model.get("max_src_length"),
        "mean_std": "imagenet" if model.get("imagenet_default_mean_and_std") else "half",
    }
    return {key: value for key, value in found.items() if value is not None}


def stock_generation(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Our generation keys from a stock configuration's beam search.

    Args:
        configuration: The content of configuration.json.
    """
    beam = configuration.get("model", {}).get("beam_search", {})
    return {ours: beam[stock] for ours, stock in BEAM_SEARCH_NAMES.items() if stock in beam}


def our_generation_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Generation settings under our names; what already has one, or is not a stock name, stays.

    Args:
        settings: Such as {"beam_size": 3, "max_length": 20}.

    >>> our_generation_names({"beam_size": 3, "max_length": 20})
    {'num_beams': 3, 'max_length': 20}
    """
    names = {stock: ours for ours, stock in BEAM_SEARCH_NAMES.items()}
    return {names.get(name, name): value for name, value in settings.items()}


def image_column(configuration: Mapping[str, Any]) -> str:
    """Under which key the inputs of a directory's pipeline have their image.

    Args:
        configuration: The content of configuration.json.
    """
    return (configuration.get("dataset", {}).get("column_map") or {}).get("image", "image")


def _column_map(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The columns that are not called like their field; ModelScope lists the others too, whether or not they exist."""
    columns = configuration.get("dataset", {}).get("column_map", {})
    return {field: column for field, column in columns.items() if field != column}


def _objective(criterion: Mapping[str, Any]) -> dict[str, Any]:
    """Cross entropy with the stock criterion's settings."""
    objective = {ours: criterion[stock] for ours, stock in CRITERION_NAMES.items() if stock in criterion}
    if criterion.get("use_rdrop"):
        objective["r_drop_alpha"] = criterion.get("reg_alpha", 1.0)
    return {"type": "cross_entropy", **objective}


def _train(train: Mapping[str, Any]) -> dict[str, Any]:
    """Our section `train`."""
    update = {**train.get("optimizer", {}).get("options", {}), **train.get("optimizer_hook", {})}
    clip = update.get("grad_clip", {}).get("max_norm")
    optimizer = {key: value for key, value in train.get("optimizer", {}).items() if key != "options"}
    scheduler = _without(train.get("lr_scheduler", {}), STOCK_SCHEDULER)
    found = {
        "dataloader": _without(train.get("dataloader", {}), STOCK_DATALOADER),
        "gradient_accumulation": update.get("cumulative_iters"),
        "precision": "fp16" if train.get("use_fp16") else None,
        "optimizer": optimizer or None,
        "lr_scheduler": scheduler or None,
        "hooks": [_hook(hook) for hook in train.get("hooks", [])],
    }
    moved = (*found, *RUN_KEYS, *STOCK_TRAIN)
    own = {key: train[key] for key in train if key not in moved or key in ("gradient_accumulation", "precision")}
    return {"clip_norm": clip, **{key: value for key, value in found.items() if value is not None}, **own}


def _hook(hook: Mapping[str, Any]) -> dict[str, Any]:
    """A hook, with our name for the score that it watches."""
    watched = {key: SCORE_NAMES.get(hook[key], hook[key]) for key in ("metric_key",) if key in hook}
    return {**hook, **watched}
