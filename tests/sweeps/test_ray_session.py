"""A session of Ray: a pretended one says how it is started and ended, a real one does it where Ray is installed."""

from __future__ import annotations

import sys

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps.ray_session import ray_session

QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


class PretendedRay:
    """Notes what is asked of it, and prints."""

    def __init__(self):
        self.calls = []

    def is_initialized(self):
        return bool(self.calls) and self.calls[-1] is not None

    def init(self, **settings):
        print("Ray has started")
        self.calls.append(settings)

    def shutdown(self):
        print("Ray has ended")
        self.calls.append(None)


@pytest.fixture
def ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", PretendedRay())
    return sys.modules["ray"]


def test_without_ray_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r'--launcher ray needs Ray.*pip install "ofakit\[ray\]"'):
        ray_session("--launcher ray").__enter__()


@pytest.mark.parametrize("cpus", [None, 3])
def test_a_ray_of_this_machine_has_the_cores_asked_for(ray, cpus):
    with ray_session("--engine ray", cpus=cpus) as given:
        assert given is ray
    assert ray.calls == [{"address": "local", "include_dashboard": False, "num_cpus": cpus, **QUIET}, None]


@pytest.mark.parametrize(
    ("argument", "variable", "joined"), [("a:1", None, "a:1"), (None, "b:2", "b:2"), ("a:1", "b:2", "a:1")]
)
def test_a_cluster_is_joined_and_keeps_its_own_cores(ray, monkeypatch, argument, variable, joined):
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    with ray_session("--engine ray", argument, cpus=3):
        pass
    assert ray.calls == [{"address": joined, **QUIET}, None]


def test_a_cluster_that_does_not_respond_is_named(ray, monkeypatch):
    def refuse(**settings):
        raise ConnectionError("refused")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UsageError, match="no Ray cluster responds at a:1: refused"):
        ray_session("--engine ray", "a:1").__enter__()
    assert ray.calls == []


def test_a_session_of_this_process_is_left_running(ray):
    ray.init()
    with ray_session("--engine ray", cpus=3):
        pass
    assert ray.calls == [{}] and ray.is_initialized()


def test_ray_ends_with_an_error_too_and_prints_to_stderr(ray, capsys):
    with pytest.raises(KeyError), ray_session("--engine ray"):
        print("in the block")
        raise KeyError("no run")
    assert not ray.is_initialized()
    told = capsys.readouterr()
    assert told.out == "" and told.err == "Ray has started\nin the block\nRay has ended\n"


def test_on_a_real_ray(capsys):
    pytest.importorskip("ray")
    with ray_session("--engine ray", cpus=2) as ray:
        assert ray.is_initialized() and ray.cluster_resources()["CPU"] == 2
        with ray_session("--launcher ray"):
            pass
        assert ray.is_initialized()
    assert not ray.is_initialized() and capsys.readouterr().out == ""
