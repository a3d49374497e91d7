"""Read a ModelScope `configuration.json` with a `train` section as an experiment of ours.

Keys that both have keep their meaning; what the stock trainer keeps elsewhere is moved:

    train.criterion                     -> objectives
    train.optimizer_hook.grad_clip      -> train.clip_norm
    train.optimizer_hook.cumulative_iters -> train.gradient_accumulation
    train.use_fp16                      -> train.precision
    train.hooks[].metric_key            -> ours: bleu-4 is bleu4, rouge-l is rouge_l
    model.beam_search                   -> generation
    model.patch_image_size, prompt, …   -> preprocessor
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "from_configuration",
    "is_configuration",
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
RUN_KEYS = ("work_dir", "seed")
SCORE_NAMES = {**{f"bleu-{order}": f"bleu{order}" for order in (1, 2, 3, 4)}, "rouge-l": "rouge_l"}
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
    ours = configuration.get("ofakit", {})
    train = configuration.get("train", {})
    evaluation = configuration.get("evaluation", {})
    values: dict[str, Any] = {
        "data": {"reader": {"type": "given", "column_map": _column_map(configuration)}},
        "preprocessor": dict(ours.get("preprocessor") or stock_preprocessor(configuration)),
        "generation": dict(ours.get("generation") or stock_generation(configuration)),
        "objectives": [_objective(train.get("criterion", {}))],
        "train": _train(train),
        "model": {"language": "zh" if configuration.get("model", {}).get("language") in ("zh", "cn") else "en"},
    }
    if "dataloader" in evaluation:
        values["evaluation"] = {"dataloader": _dataloader(evaluation["dataloader"])}
    return values | {key: train[key] for key in RUN_KEYS if key in train}


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
    scheduler = {
        key: value
        for key, value in train.get("lr_scheduler", {}).items()
        if key in ("name", "warmup_proportion", "lr_end", "power")
    }
    found = {
        "max_epochs": train.get("max_epochs"),
        "dataloader": _dataloader(train.get("dataloader", {})),
        "gradient_accumulation": update.get("cumulative_iters"),
        "precision": "fp16" if train.get("use_fp16") else None,
        "optimizer": optimizer or None,
        "lr_scheduler": scheduler or None,
        "hooks": [_hook(hook) for hook in train.get("hooks", [])],
    }
    return {"clip_norm": clip, **{key: value for key, value in found.items() if value is not None}}


def _hook(hook: Mapping[str, Any]) -> dict[str, Any]:
    """A hook, with our name for the score that it watches."""
    watched = {key: SCORE_NAMES.get(hook[key], hook[key]) for key in ("metric_key",) if key in hook}
    return {**hook, **watched}


def _dataloader(section: Mapping[str, Any]) -> dict[str, Any]:
    """The two keys that have a meaning here."""
    return {key: section[key] for key in ("batch_size_per_gpu", "workers_per_gpu") if key in section}
