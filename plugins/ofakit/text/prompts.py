"""What the model is asked, and what it should answer.

    {"prompt": " what does the image describe? reply in personality {}."}

The leading space is OFA's: in its byte-level vocabulary the space belongs to the word after it.

Source: ModelScope `preprocessors/ofa/image_captioning.py`, OFA-Sys/OFA `data/mm_data/example_dataset.py`.
"""

from __future__ import annotations

import string

from ofakit.errors import UsageError

__all__ = ["FACTUAL_PROMPT", "STYLE_PROMPT", "build_prompt", "clean_caption", "usual_prompt"]

FACTUAL_PROMPT = " what does the image describe?"
STYLE_PROMPT = " what does the image describe? reply in personality {}."

WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def usual_prompt(styled: bool) -> str:
    """OFA's prompt, with or without a style.

    Args:
        styled: Whether there are styles.
    """
    return STYLE_PROMPT if styled else FACTUAL_PROMPT


def build_prompt(template: str, *texts: str | None) -> str:
    """Fill each `{}` of a template with a text. Other braces, and braces in the texts, are left as they are.

    Args:
        template: Such as `STYLE_PROMPT`.
        *texts: One for each `{}`, in order, usually what `StyleSet.text` gives; None counts as no text.

    Raises:
        UsageError: There are more or fewer texts than `{}`.

    >>> build_prompt(STYLE_PROMPT, "<code_3>")
    ' what does the image describe? reply in personality <code_3>.'
    >>> build_prompt(' does the image describe " {} " in personality {}?', "a {} dog", "Calm")
    ' does the image describe " a {} dog " in personality Calm?'
    >>> build_prompt(FACTUAL_PROMPT, None)
    ' what does the image describe?'
    """
    given = [text for text in texts if text is not None]
    around = template.split("{}")
    if len(given) != len(around) - 1:
        raise UsageError(
            f"the prompt {template!r} has '{{}}' {len(around) - 1} times, but there are {len(given)} texts to fill in: "
            f"write '{{}}' where the style belongs, and leave it out of a prompt without a style"
        )
    return around[0] + "".join(text + after for text, after in zip(given, around[1:], strict=True))


def clean_caption(
    text: str, max_words: int | None = None, *, keep_punctuation: bool = False, lower_case: bool = False
) -> str:
    """Turn a caption into a training target, by default as the stock code does.

    Args:
        text: A caption.
        max_words: Keep only this many words; None keeps all.
        keep_punctuation: Keep ASCII punctuation, which the stock code removes.
        lower_case: Lower-case the caption, which the stock code does not.

    Raises:
        UsageError: `max_words` is below 1.

    >>> clean_caption("  Two dogs, side-by-side,\\n run. ")
    'Two dogs sidebyside run'
    >>> clean_caption("Two dogs run.", 2, keep_punctuation=True, lower_case=True)
    'two dogs'
    """
    if max_words is not None and max_words < 1:
        raise UsageError(f"expected max_words >= 1 or None, found {max_words}")
    text = text if keep_punctuation else text.translate(WITHOUT_PUNCTUATION)
    return " ".join((text.lower() if lower_case else text).split()[:max_words])
