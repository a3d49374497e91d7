"""The objectives of an experiment, by the names under which they are logged.

{"objectives": [{"type": "cross_entropy"}, {"type": "cross_entropy", "name": "smooth", "weight": 0.5}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ofakit.config import ExperimentConfig
from ofakit.config.values import checked_value
from ofakit.errors import UsageError
from ofakit.hub import ModelBundle
from ofakit.models.base import Model
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.base import Objective

__all__ = ["build_objectives", "objectives_of_parts", "parameters_of_losses"]


def objectives_of_parts(
    parts: Mapping[str | None, tuple[ExperimentConfig, ModelBundle]],
) -> tuple[dict[str, Objective], list[float]]:
    """The objectives of every task of a run; with several tasks they are called `<task>.<objective>`.

    Args:
        parts: Configuration and bundle of each task; None is the name of the only one.

    Returns:
        See `build_objectives`.

    Raises:
        UsageError: See `build_objectives`.
    """
    objectives: dict[str, Objective] = {}
    weights: list[float] = []
    for part, (experiment, bundle) in parts.items():
        own, factors = build_objectives(experiment, bundle)
        weights += factors
        for name, objective in own.items():
            objective.part = part
            objectives[name if part is None else f"{part}.{name}"] = objective
    return objectives, weights


def parameters_of_losses(model: Model, objectives: Mapping[str, Objective]) -> list[str]:
    """The names of the parameters of a model that belong to losses.

    Args:
        model: The whole model, which several tasks may share.
        objectives: The objectives by name.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = []
    for objective in objectives.values():
        own = dict(model.for_task(objective.part).named_parameters()) if objective.parameters else {}
        found += [names[id(own[name])] for name in objective.parameters if name in own]
    return found


def build_objectives(experiment: ExperimentConfig, bundle: ModelBundle) -> tuple[dict[str, Objective], list[float]]:
    """The objectives and the weight of each; the bundle records their types.

    Args:
        experiment: The experiment with `objectives`.
        bundle: The model that is trained.

    Returns:
        The objectives by name, in the order of the configuration, and the weight of each.

    Raises:
        UsageError: An objective or one of its keys is unknown, or a name is not unique; the message names the file.
    """
    context = {"pad_token_id": bundle.pad_token_id, "bundle": bundle}
    components = experiment.objectives or ()
    objectives: dict[str, Objective] = {}
    weights = []
    for number, component in enumerate(components):
        spec = component.model_dump()
        with experiment.naming_the_file("objectives", number):
            name = _name(spec, objectives)
            weights.append(OBJECTIVES.weight(spec))
            spec.pop("weight", None)
            objectives[name] = OBJECTIVES.build(spec, **context)
            _refuse_other_models(component.type, objectives[name], bundle.model)
    learned = [*(bundle.objectives or ()), *(component.type for component in components)]
    bundle.objectives = tuple(dict.fromkeys(learned))
    return objectives, weights


def _refuse_other_models(kind: str, objective: Objective, model: Any) -> None:
    """Check that the objective can train the model."""
    if not isinstance(model, objective.model_kind):
        raise UsageError(
            f"the objective {kind!r} trains a {objective.model_kind.__name__}, found a {type(model).__name__}; choose "
            "another objective, or a task and model.type that match it"
        )


def _name(spec: dict[str, Any], taken: Mapping[str, Objective]) -> str:
    """The name that an objective is logged under: the `name`, removed from its configuration, or else its type."""
    name = checked_value(spec.pop("name", spec["type"]), str, "name", f"objective {spec['type']!r}")
    if name in taken:
        raise UsageError(
            f'two objectives are called {name!r}; give one its own name: {{"type": "{spec["type"]}", "name": …}}',
            "name",
        )
    if name != spec["type"] and OBJECTIVES.get(spec["type"]).has_view():
        raise UsageError(
            f"the objective {spec['type']!r} adds data to each example under its type; leave out its name, {name!r}",
            "name",
        )
    if not name or "/" in name:
        raise UsageError(f"expected a name without '/', found {name!r}", "name")
    return name
