"""A model that answers questions about images, with what goes with it: prompt, generation, and a closed list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ofakit.config.vqa import VqaSection
from ofakit.hub.caption_bundle import CaptionBundle
from ofakit.text.codec import TextCodec

__all__ = ["ANSWERING", "AnswerBundle"]

ANSWERING = "visual-question-answering"
"""ModelScope's name of the task."""


@dataclass
class AnswerBundle(CaptionBundle, task=ANSWERING):
    """A model and what must go with it to answer.

    Attributes:
        vqa: How it answers.
        candidates: The closed list that it ranks; empty where it generates.
    """

    vqa: VqaSection = field(default_factory=VqaSection)
    candidates: tuple[str, ...] = ()

    def codec(self) -> TextCodec:
        """Texts to ids and back; answers keep their punctuation."""
        return TextCodec(self.tokenizer, self.preprocessor.model_copy(update={"strip_punctuation": False}))

    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json: its own keys for its own code, ours in `ofakit`."""
        whole = super().configuration()
        del whole["pipeline"]
        whole["ofakit"] |= {"vqa": self.vqa.model_dump(mode="json"), "answers": list(self.candidates)}
        return whole

    @classmethod
    def from_configuration(cls, model: Any, tokenizer: Any, configuration: Mapping[str, Any]) -> AnswerBundle:
        """The bundle of a directory.

        Args:
            model: Read from it.
            tokenizer: Likewise.
            configuration: The content of its configuration.json.

        Raises:
            pydantic.ValidationError: A section does not fit.
        """
        found = cast(AnswerBundle, super().from_configuration(model, tokenizer, configuration))
        ours = configuration.get("ofakit", {})
        found.vqa, found.candidates = VqaSection(**ours.get("vqa", {})), tuple(ours.get("answers", ()))
        return found
