"""Write `odd_texts.jsonl`: texts with odd corners and what the stock tokenizers make of them.

    python make_odd_texts.py ENGLISH_DIR CHINESE_DIR OUT

Runs where ModelScope's stock OFA imports, not in ofakit's environment. The directories hold `vocab.json` with
`merges.txt`, and `vocab.txt`, without `added_tokens.json`. Texts are put together from fragments by a seeded generator.
"""

from __future__ import annotations

import json
import random
import sys
import unicodedata
from pathlib import Path

EXTRA = ["<style:calm>", "<style:Odd One>", "ab", "bc", "abcd", "two words"]
FRAGMENTS = (
    "<mask>| <mask>|  <mask> |<s>|</s>|<unk>|<pad>|<code_1>|<code_10>|<CODE_5>|<bin_999>|<bin_1000>|<code_<code_3>|"
    "<Mask>|<mas\u212a>|<\x00s>| <\u200bs> |<mask\u0301>|\u0300<\u200bmask>|\u226emask>|[MASK]|[UNK]|\n|\t|\r\n|  |   |"
    "\u3000|\u00a0|\u2028|\u2029|\x85|\x1c|\x1f|\x00|\ufffd|\u200b|\ufeff|\u00ad|café|cafe\u0301|naïve|İstanbul|ΛΌΓΟΣ|"
    "ΣΣ |straße|ﬁ|\u212b|각|한국어|\u1112\u1161\u11ab|が|か\u3099|🙂|👨\u200d👩\u200d👧|🥰|汉字|、。！？|“老”|—|…|·|"
    "it's|IT'S|'ll|'re |''s| '|١٢٣|²|½|Ⅷ|\u0301\u0323|\u302e|豈|\U0002f800|\U0002b920|\U0002cea5|𠀀|\u037e|ab|bc|abc|"
    "abcd|two words|two  words|<style:calm>|<STYLE:calm>|<style:Odd One>|<style:odd one>|~`^$+=|1,000.5|"
    "http://a.b/c?d=e|\ue000|\U000e0041|\U0010ffff|ǅ|ŉ|ı|ſ|dog|The quick|Ünïcödé|" + "é" * 120 + "|" + "a" * 101
).split("|")


def assigned(rng: random.Random) -> str:
    """A random character that Unicode 14 assigns."""
    while True:
        char = chr(rng.choice((rng.randrange(0x300), rng.randrange(0x3000, 0xA000), rng.randrange(0x30000))))
        if unicodedata.category(char) not in ("Cn", "Cs"):
            return char


def make_text(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randrange(1, 8)):
        part = rng.choice(FRAGMENTS) if rng.random() < 0.75 else "".join(assigned(rng) for _ in range(3))
        parts.append(rng.choice(("", "", " ", "  ")) + part)
    return "".join(parts)


def main(english: str, chinese: str, out: str) -> None:
    from modelscope.models.multi_modal.ofa import OFATokenizer, OFATokenizerZH

    rng = random.Random(0)
    texts = [make_text(rng) for _ in range(400)]
    lines = [{"text": text} for text in texts]
    for language, kind, directory in (("en", OFATokenizer, english), ("zh", OFATokenizerZH, chinese)):
        for name, extra in ((language, []), (f"{language}_extra", EXTRA)):
            tokenizer = kind.from_pretrained(directory)
            tokenizer.add_tokens([f"<code_{i}>" for i in range(8192)])
            tokenizer.add_tokens([f"<bin_{i}>" for i in range(1000)])
            tokenizer.add_tokens(extra)
            for line in lines:
                line[name] = tokenizer(line["text"], add_special_tokens=False)["input_ids"]
    Path(out).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
