"""Keys of ModelScope's hooks without a meaning here pass where they ask for nothing, and only there."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.hooks.modelscope_keys import ANY, OF_EVERY_CHECKPOINT_HOOK, without_inert_keys


class Hook:
    INERT_KEYS = {"flag": ((None, False), "leave it out"), "more": (ANY, "")}


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({"flag": False, "interval": 3}, {"interval": 3}),
        ({"flag": None, "more": "anything"}, {}),
        ({"other": None}, {"other": None}),
        ({}, {}),
    ],
)
def test_what_asks_for_nothing_is_dropped(arguments, left):
    given = dict(arguments)
    assert without_inert_keys("TheirHook", Hook, given) == left
    assert given == arguments


def test_what_asks_for_something_is_refused_with_what_to_do_instead():
    with pytest.raises(UsageError, match="^train.hooks: flag = True of TheirHook is not supported; leave it out$"):
        without_inert_keys("TheirHook", Hook, {"flag": True})


def test_a_hook_without_such_keys_gets_all_of_its_arguments():
    assert without_inert_keys("object", object, {"save_dir": "x"}) == {"save_dir": "x"}


@pytest.mark.parametrize("key", [key for key, (_, instead) in OF_EVERY_CHECKPOINT_HOOK.items() if instead])
def test_every_key_that_can_ask_for_something_says_what_to_do_instead(key):
    hook = type("Both", (), {"INERT_KEYS": OF_EVERY_CHECKPOINT_HOOK})
    nothing, instead = OF_EVERY_CHECKPOINT_HOOK[key]
    assert without_inert_keys("CheckpointHook", hook, {key: nothing[0]}) == {}
    with pytest.raises(UsageError) as caught:
        without_inert_keys("CheckpointHook", hook, {key: "elsewhere"})
    assert str(caught.value).endswith(instead)
