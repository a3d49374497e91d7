"""One experiment per task of a run of several: what `tasks` says, laid over the rest of the file.

"tasks": [{"name": "caption", "task": "captioning"},
          {"name": "vqa", "task": "vqa", "data": {"reader": {"type": "scene_vqa"}},
           "preprocessor": {"prompt": "vqa: {}"}}]
"""

from __future__ import annotations

from ofakit.config.load import checked, laid_over
from ofakit.config.schema import ExperimentConfig
from ofakit.errors import UsageError

__all__ = ["RETRIEVER", "task_experiments"]

RETRIEVER = "retriever"
"""The `model.type` of what stands around the model that tasks share."""

OF_THE_RUN = {"tasks", "stages", "objectives"}
"""Keys of the run as a whole, which a task has none of."""


def task_experiments(config: ExperimentConfig) -> dict[str, ExperimentConfig]:
    """The experiment of each task by its name, in order.

    Args:
        config: With `tasks`.

    Raises:
        UsageError: There are none, two have one name, or a task has an unknown key or a value out of range.
    """
    if not config.tasks:
        raise UsageError("the task multitask needs `tasks`, a list of the tasks to learn, found none")
    if config.objectives is not None:
        raise UsageError("each of several tasks has its own objectives: put `objectives` into the entries of `tasks`")
    values = config.model_dump(exclude_unset=True, exclude=OF_THE_RUN)
    experiments: dict[str, ExperimentConfig] = {}
    for number, section in enumerate(config.tasks):
        if section.name in experiments:
            raise UsageError(f"two tasks are called {section.name!r}; rename one")
        own = section.model_dump(exclude_unset=True, exclude={"name", "batch_size", "mixing", "retriever"})
        if section.retriever:
            own["model"] = {"type": RETRIEVER, "config": section.retriever}
        try:
            with config.naming_the_file("tasks", number):
                experiments[section.name] = checked(ExperimentConfig, laid_over(values, own))
        except UsageError as error:
            raise UsageError(f"task {section.name!r}: {error}") from None
        experiments[section.name]._origin = config._origin
    return experiments
