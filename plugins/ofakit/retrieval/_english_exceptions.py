"""Characters and words that guide the splitting of English text: marks, units, abbreviations and contractions.

Source: spaCy 3.8, `lang/char_classes.py`, `lang/tokenizer_exceptions.py` and `lang/en/tokenizer_exceptions.py`, and the
sentence marks of its sentencizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

__all__ = ["CURRENCIES", "HYPHENS", "MARKS", "QUOTES", "SENTENCE_ENDS", "UNITS", "exceptions"]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MARKS = _split("… , : ; ! ? ¿ ؟ ¡ ( ) [ ] { } < > _ # * & 。 ？ ！ ， 、 ； ： ～ · । ، ۔ ؛ ٪")
QUOTES = _split("' \" ” “ ` ‘ ´ ’ ‚ , „ » « 「 」 『 』 （ ） 〔 〕 【 】 《 》 〈 〉 〈 〉 ⟦ ⟧")
CURRENCIES = ("US$", "C$", "A$", *"$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿")
HYPHENS = _split("--- -- —— - – — ~")
UNITS = _split(
    """km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa
    mbar mb MB kb KB gb GB tb TB T G M K %"""
)
SENTENCE_ENDS = frozenset("!.?։؟۔܀܁܂߹।॥၊။።፧፨᙮᜵᜶᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼。꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？｡")

PRONOUNS = {
    "i": "ll d ve m ma",
    "you": "ll d ve re",
    "he": "ll d s",
    "she": "ll d s",
    "it": "ll d s",
    "we": "ll d ve re",
    "they": "ll d ve re",
    "that": "ll d s",
    "this": "ll d s",
    "these": "ll d re ve",
    "those": "ll d re ve",
} | dict.fromkeys(_split("who what when where why how there"), "ll d s re ve")
NEGATED_WITH_HAVE = _split("ca could do does did had may might must need ought sha should wo would")
NEGATED = _split("ai are is was were have has dare")
WITH_HAVE = _split("could might must should would not")
NO_CONTRACTIONS = _split("ill its hell shell shed were well whore")
ABBREVIATIONS = _split(
    """Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr.
    Mrs. Ms. Mt. p.m. a.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct.
    Nov. Dec. Ak. Ala. Ariz. Ark. Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. Mass. Mich.
    Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Okla. Ore. Pa. S.C. Tenn. Va. Wash. Wis. ä. ö. ü. C++"""
)
CLIPPED = _split("doin goin nothin nuthin ol somethin havin lovin")
WHOLE_WORDS = _split(
    """em ll nuff 'em 'll 'nuff 'd 's 'S ‘s ‘S 're '' ' 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout and/or w/o
    ma'am Ma'am o'clock O'clock —"""
)
# Faces made of marks, which prose has by accident, as in `(1947):`.
FACES = _split(
    """:) :)) :))) :( :(( :((( :() :* :-) :-( :/ :-/ :0 :1 :3 :> :D :O :P :X :] :o :p :x :| :} =( =) =/ =3 =D =[ =] =|
    ;) ;-) ;D 8) 8-) 8D (: (; (= [: [= ): ]= >:( :') :'( <3 XD xD 0.0 o.o ._. ^_^"""
)
IN_TWO = _split("cannot Cannot gonna Gonna gotta Gotta let's Let's c'mon C'mon y'all yall")
IN_THREE = _split("how'd'y How'd'y °c. °f. °k. °C. °F. °K.")


def exceptions() -> dict[str, int]:
    """Pieces of text that are cut otherwise than the marks in them would have it.

    Returns:
        How many tokens each of them is; apostrophes may be straight or curly.

    >>> found = exceptions()
    >>> found["Dr."], found["don't"], found["they'd've"]
    (1, 2, 3)
    """
    clipped = [*CLIPPED, *(word.title() for word in CLIPPED)]
    words = dict.fromkeys([*clipped, *(f"{word}'" for word in clipped)], 1)
    words |= dict.fromkeys([*ABBREVIATIONS, *WHOLE_WORDS, *FACES], 1)
    words |= {f"{letter}.": 1 for letter in "abcdefghijklmnopqrstuvwxyz"}
    words |= dict.fromkeys(IN_TWO, 2) | dict.fromkeys(IN_THREE, 3)
    words |= {f"{hour}{half}": 2 for hour, half in product(range(1, 13), ("am", "pm", "a.m.", "p.m."))}
    for word, count in _contractions():
        words |= {word: count, word[0].upper() + word[1:]: count}
    return words | {word.replace("'", "’"): count for word, count in words.items()}


def _contractions() -> Iterator[tuple[str, int]]:
    """Contracted words in lower case, with and without their apostrophes, and how many tokens they are."""
    for word, endings in PRONOUNS.items():
        for ending in _split(endings):
            count = 3 if ending == "ma" else 2
            if word + ending not in NO_CONTRACTIONS:
                yield word + ending, count
            yield f"{word}'{ending}", count
            if ending in ("ll", "d"):
                yield from ((f"{word}{ending}ve", 3), (f"{word}'{ending}'ve", 3))
    for word in (*NEGATED_WITH_HAVE, *NEGATED):
        yield from ((f"{word}nt", 2), (f"{word}n't", 2))
        if word in NEGATED_WITH_HAVE:
            yield from ((f"{word}ntve", 3), (f"{word}n't've", 3))
    for word in WITH_HAVE:
        yield from ((f"{word}ve", 2), (f"{word}'ve", 2))
