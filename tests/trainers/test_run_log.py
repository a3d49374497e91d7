"""What a run says goes to stderr at once, and to its file once that is known to be its own, nothing lost between."""

from __future__ import annotations

import re

import pytest
from ofakit.files import SaveError
from ofakit.trainers.run_log import log_to_file, run_logger

from tests.file_limit import file_limit


def messages(text):
    return [re.fullmatch(r"\d\d:\d\d:\d\d ([A-Z]+ .*)", line).group(1) for line in text.splitlines()]


def test_the_file_has_what_was_said_before_and_after(tmp_path, capsys):
    logger = run_logger(str(tmp_path), is_main=True)
    for number in range(1200):
        logger.info("line %d", number)
    logger.error("early")
    log_to_file(logger, tmp_path / "train.log")
    logger.warning("late")
    expected = [*(f"INFO line {number}" for number in range(1200)), "ERROR early", "WARNING late"]
    assert messages((tmp_path / "train.log").read_text()) == expected
    assert messages(capsys.readouterr().err) == expected


def test_a_run_that_goes_on_adds_to_its_file(tmp_path, capsys):
    for name in ("first", "second"):
        logger = run_logger(str(tmp_path), is_main=True)
        logger.info(name)
        log_to_file(logger, tmp_path / "train.log")
    assert messages((tmp_path / "train.log").read_text()) == ["INFO first", "INFO second"]
    assert messages(capsys.readouterr().err) == ["INFO first", "INFO second"]


def test_other_processes_only_warn(tmp_path, capsys):
    logger = run_logger(str(tmp_path), is_main=False)
    logger.info("not heard")
    logger.warning("heard")
    assert messages(capsys.readouterr().err) == ["WARNING heard"] and not list(tmp_path.iterdir())


def test_runs_do_not_hear_each_other(tmp_path, capsys, caplog):
    one, other = (run_logger(str(tmp_path / name), is_main=True) for name in ("one", "other"))
    log_to_file(one, tmp_path / "one.log")
    log_to_file(other, tmp_path / "other.log")
    other.info("mine")
    assert (tmp_path / "one.log").read_text() == "" and messages((tmp_path / "other.log").read_text()) == ["INFO mine"]
    assert messages(capsys.readouterr().err) == ["INFO mine"] and not caplog.records


@pytest.mark.parametrize("spelling", ["run", "./run", "other/../run"])
def test_a_directory_in_any_spelling_has_one_logger(tmp_path, monkeypatch, spelling):
    monkeypatch.chdir(tmp_path)
    assert run_logger(spelling, True) is run_logger(str(tmp_path / "run"), True)


def test_a_full_disk_is_said_once_and_in_one_line(tmp_path, capsys):
    logger = run_logger(str(tmp_path), is_main=True)
    log_to_file(logger, tmp_path / "train.log")
    with file_limit(100):
        with pytest.raises(SaveError, match="train.log: File too large"):
            for _ in range(9):
                logger.info("a line of some length")
        logger.info("later")
    assert messages(capsys.readouterr().err)[-1] == "INFO later"
