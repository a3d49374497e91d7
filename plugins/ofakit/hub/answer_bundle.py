"""A model that answers questions about images, with its prompt, generation settings and closed list of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ofakit.config.vqa import VqaSection
from ofakit.hub.caption_bundle import CaptionBundle
from ofakit.text.codec import TextCodec

__all__ = ["ANSWERING", "AnswerBundle"]

ANSWERING = "visual-question-answering"
"""ModelScope's name for the task."""


@dataclass
class AnswerBundle(CaptionBundle, task=ANSWERING):
    """A model with everything it needs to answer.

    Attributes:
        vqa: Settings for answering.
        candidates: The closed list of answers that it ranks; empty if it generates answers.
    """

    vqa: VqaSection = field(default_factory=VqaSection)
    candidates: tuple[str, ...] = ()

    def codec(self) -> TextCodec:
        """Converts texts to ids and back; answers keep their punctuation."""
        return TextCodec(self.tokenizer, self.preprocessor.model_copy(update={"strip_punctuation": False}))

    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json: its own keys for its own code, ours in the section `ofakit`."""
        whole = super().configuration()
        del whole["pipeline"]
        whole["ofakit"] |= {"vqa": self.vqa.model_dump(mode="json"), "answers": list(self.candidates)}
        return whole

    @classmethod
    def from_configuration(cls, model: Any, tokenizer: Any, configuration: Mapping[str, Any]) -> AnswerBundle:
        """The bundle of a directory.

        Args:
            model: The model read from it.
            tokenizer: The tokenizer read from it.
            configuration: The content of its configuration.json.

        Raises:
            pydantic.ValidationError: A section is not valid.
        """
        found = cast(AnswerBundle, super().from_configuration(model, tokenizer, configuration))
        ours = configuration.get("ofakit", {})
        found.vqa, found.candidates = VqaSection(**ours.get("vqa", {})), tuple(ours.get("answers", ()))
        return found
