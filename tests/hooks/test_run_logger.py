"""Numbers, scores and captions reach a logger once; one that fails costs a warning and never the run."""

from __future__ import annotations

import logging

import pytest
from modelscope.trainers.hooks.builder import HOOKS
from modelscope.utils.ast_utils import INDEX_KEY, MODULE_KEY
from modelscope.utils.import_utils import LazyImportModule
from ofakit.errors import UsageError
from ofakit.hooks import import_all
from ofakit.hooks.run_logger import RunLoggerHook
from ofakit.registry import modelscope_members

from tests.logged_trainer import run_with


class Recorder(RunLoggerHook):
    """Keeps what it is told, and fails where it is asked to."""

    package = module = "json"
    title = "the recorder"

    def __init__(self, fails_at=None, **arguments):
        super().__init__(**arguments)
        self.fails_at, self.told = fails_at, []

    def _tell(self, what, *details):
        self.told.append((what, *details))
        if what == self.fails_at:
            raise ConnectionError("no network")

    def start(self, trainer):
        self._tell("start", self.run_id)
        return self.run_id or "new"

    def log_scalars(self, numbers, step):
        self._tell("scalars", dict(numbers), step)

    def log_captions(self, samples, step):
        self._tell("captions", [sample.text for sample in samples], step)

    def finish(self):
        self._tell("finish")


def test_means_scores_and_captions_are_sent_once_each(tmp_path):
    hook = Recorder(interval=2)
    run_with(hook, tmp_path)
    (start, first, second, scores, captions, finish) = hook.told
    assert (start, finish) == (("start", None), ("finish",))
    assert (first[1]["loss"], first[2], second[1]["loss"], second[2]) == (1.5, 2, 3.5, 4)
    assert first[1]["lr"] == pytest.approx(0.1) and first[1]["images_per_second"] > 0
    assert scores[1:] == ({"evaluation/cider": 0.5, "evaluation/style/Old & grumpy (mild)/cider": 0.25}, 4)
    assert len(captions[1]) == 2 and captions[2] == 4


def test_a_resumed_run_goes_on_under_its_id(tmp_path):
    before, after = Recorder(), Recorder()
    run_with(before, tmp_path)
    after.load_state_dict(before.state_dict())
    run_with(after, tmp_path, steps=range(4, 6))
    assert after.told[0] == ("start", "new") and after.state_dict() == {"run_id": "new"}


def test_only_the_main_process_sends(tmp_path):
    hook = Recorder(interval=1)
    run_with(hook, tmp_path, rank=1)
    assert hook.told == []


@pytest.mark.parametrize("stage", ["start", "scalars", "captions", "finish"])
def test_a_logger_that_fails_costs_one_warning_and_is_told_no_more(tmp_path, caplog, stage):
    caplog.set_level(logging.WARNING, logger="test")
    hook = Recorder(fails_at=stage, interval=1)
    run_with(hook, tmp_path)
    (record,) = caplog.records
    assert "ConnectionError: no network; training continues" in record.message
    assert [what for what, *_ in hook.told].count(stage) == 1 and hook.told[-1][0] == stage


def test_an_absent_package_is_named_with_its_cure():
    class Absent(Recorder):
        package, module, title = "no-such-logger", "no_such_logger", "Nothing"

    with pytest.raises(UsageError, match="^Absent needs Nothing: pip install no-such-logger$"):
        Absent()


@pytest.mark.parametrize("bad", [{"interval": 0}, {"images": -1}])
def test_numbers_out_of_range_are_refused(bad):
    with pytest.raises(UsageError, match="interval >= 1 and images >= 0"):
        Recorder(**bad)


def test_no_name_is_one_of_modelscopes():
    import_all()
    ours = {name for name, kind in HOOKS.modules["default"].items() if issubclass(kind, RunLoggerHook)}
    assert ours == {"CaptionTensorboardHook", "MlflowHook", "SwanLabHook", "WandbHook"}
    index = LazyImportModule.get_ast_index()[INDEX_KEY]
    places = modelscope_members("HOOKS")
    assert all(index[places[name]][MODULE_KEY].startswith("ofakit.") for name in ours & set(places))
