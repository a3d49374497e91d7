"""What a run says for its card."""

from ofakit.cli._card_facts import card_of, run_of

from tests.written_runs import write_captioning_run


def test_the_run_around_a_model(tmp_path):
    run = write_captioning_run(tmp_path / "run")
    assert run_of(run / "output", None).folder == run
    assert run_of(tmp_path / "alone", None) is None
    assert run_of(tmp_path / "alone", str(run)).folder == run


def test_facts_of_a_run(tmp_path):
    folder = write_captioning_run(tmp_path / "run", data={"reader": {"type": "given"}})
    (folder / "red.png").unlink()
    card = card_of("me/x", folder / "output", run_of(folder / "output", None), "mit", images=True)
    assert dict(card.facts.data) == {"reader": "given", "test examples": "8", "training steps": "3"}
    assert card.facts.split == "test" and len(card.facts.examples) == 6
    named = [example.image for example in card.facts.examples if example.image]
    assert named == list(card.images) and len(named) < 6  # an image that is gone is not shown
    assert [score.name for score in card.facts.scores][-1] == "happy: CIDEr"
