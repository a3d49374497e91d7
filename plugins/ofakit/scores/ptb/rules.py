"""The rules of the Penn Treebank tokenizer that the COCO evaluation uses.

They follow the specification of Stanford's PTBTokenizer 3.4.1 (stanfordnlp/CoreNLP, tag v3.4.1,
`edu.stanford.nlp.process.PTBLexer`), which that evaluation calls, and were checked against it on generated texts. Rules
whose only effect is a token that the evaluation removes again, such as the second period of an abbreviation that ends a
sentence, are left out. `ofakit.scores.ptb.ptb_tokenizer` says what the actions do.
"""

from __future__ import annotations

from ofakit.scores.ptb.automaton import CharacterSet, Rule
from ofakit.scores.ptb.characters import DIGITS, LETTERS, MARKS, SYMBOLS, character_ranges

__all__ = ["NAMES", "RULES"]


def _characters(*tables: str) -> CharacterSet:
    return CharacterSet(tuple(entry for table in tables for entry in character_ranges(table)))


def _any_of(words: str) -> str:
    """An expression for any of the words in `words`."""
    return "|".join(words.split())


# Words that keep their period. A bracketed letter counts in that case only.
_MONTHS_AND_DAYS = "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri"
_STATES = (
    "Ala Ariz [A]z [A]rk Calif Colo Conn Ct Dak [D]el Fla Ga [I]ll Ind Kans? Ky [L]a [M]ass Md Mich Minn [M]iss Mo "
    "Mont Neb Nev Okla [O]re [P]a Penn Tenn [T]ex Va Vt [W]ash Wisc? Wyo"
)
_FIRMS = "Assn Bancorp Bhd Bldg Corp Cos? Inc Intl Ltd Plc Pp?t[ye]s? Rt Sys Univ"
_MEASURES = "al est etc ext seq sq tel"
_AFTER_NAMES = r"Blvd Bros Esq Jr Rd Sr (Ed|Ph)\.D"
_TITLES = (
    "Adj Adm Adv Assoc Asst Attys? Ave Brig Capt Co?mdr Col Cpl Det Drs? Ens Ft Gen Govs? Hon Insp Lieut Lt Maj Messrs "
    "[M]iss Mlle Mme Mr Mrs Ms Msgr Mt Pfc Pres Profs? Pvt Reps? Rev Sens? Sfc Sgt Spc Ste? Supts?"
)
_BEFORE_NAMES = r"a\.k\.a Alex cf Cie Dept Elec Invt Jos M[ft]g Natl Ph TREAS vs Wm"
_BEFORE_NUMBERS = "art bldg ca figs? nos? op pp prop"

# Words that may open a sentence: a single letter with a period in front of them ends the previous sentence.
_OPENERS = (
    r"About According Additionally After A An As At But Earlier He Her Here However If In It Last Many More Mr\. Ms\. "
    "Now Once One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You"
)
_EXTENSIONS = (
    "bat bmp c cgi class cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py sql "
    "tar txt wav x xml zip"
)

_NO_LINK = r' \t\n\f\r"<>|(){}'
_OPENER = "|".join(f"[{word[0]}]{word[1:]}" for word in _OPENERS.split())

NAMES: dict[str, str | CharacterSet] = {
    "digit": _characters(DIGITS),
    "letter": _characters(LETTERS),
    "alphanumeric": _characters(LETTERS, DIGITS),
    "symbol": _characters(SYMBOLS),
    "space": "[ \t\u00a0\u2000-\u200a\u3000]",
    "gap": "[ \t\u00a0\u2000-\u200a\u3000\n\r\u2028\u2029\u000b\u000c\u0085]",
    "mark": _characters(LETTERS, MARKS),
    "word_letter": "{mark}|&[aeiouAEIOU](acute|grave|uml);",
    "word_part": "{word_letter}({word_letter}|{digit})*",
    "word": "{word_part}([.!?]{word_part})*",
    "apostrophe": "['\u0092\u2019]|&apos;",
    "any_apostrophe": "{apostrophe}|[`\u0091\u2018\u201b]",
    "clitic": "{apostrophe}([msdMSD]|re|ve|ll)",
    "negation": "n{any_apostrophe}t",
    "hyphen": "[-_\u058a\u2010\u2011]",
    "number": "{digit}+|{digit}*([.:,\u00ad\u066b\u066c]{digit}+)+",
    "fraction": "{digit}{1,4}(\\\\?/|\u2044){digit}{1,4}",
    "acronym": r"[A-Za-z](\.[A-Za-z])*|{country_acronym}",
    "long_acronym": r"[A-Za-z](\.[A-Za-z])+|{country_acronym}",
    "country_acronym": r"(Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(U\.K|U\.S\.S\.R)",
    "abbreviation": f"{_any_of(_TITLES)}|{_any_of(_BEFORE_NAMES)}|{{acronym}}",
    "file": r"({word_letter}|{digit})+(\.({word_letter}|{digit})+)*\." + f"({_any_of(_EXTENSIONS)})",
    "hyphenated": "{elided}{alphanumeric}+({hyphen}{elided}{alphanumeric}+)*",
    "elided": "([dDoOlL]{any_apostrophe}{alphanumeric})?",
    "ascii_hyphenated": r"[A-Za-z0-9][A-Za-z0-9.,­]*(-([A-Za-z0-9­]+|{long_acronym}\.))+".replace("­", "\u00ad"),
    "amp": "&amp;",
    "joined": "[A-Z]+(([+&]|{amp})[A-Z]+)+",
    "slashed": r"{slash_part}(\\?/{slash_part}){1,2}",
    "slash_part": "[A-Za-z0-9]+(-[A-Za-z]+){0,2}",
    "tag_name": r"[A-Za-z][A-Za-z0-9_:.\-]*",
    "attribute": "{tag_name}([ ]*=[ ]*('[^']*'|\"[^\"]*\"))?",
    "tag": r"<([!?][A-Za-z\-][^>\r\n]*|{tag_name}([ ]+{attribute})*[ ]*/?|/{tag_name})[ ]*>",
    "path": rf"/[^ \t\n\f\r\"<>|()]+[^{_NO_LINK}.!?,\-]",
    "sentence_mark": "[,;:\u3001]",
    "gap_digits": "[\\- \u00a0]",
    "dot": "(\\.[ \u00a0])",
}

RULES = [
    Rule("keep", r"c\+\+|(c|f)#"),
    Rule("cut3", "cannot|'twas"),
    Rule("cut2", "'tis|gonna|gotta|lemme|gimme|wanna"),
    Rule("bind", "{tag}"),
    Rule("drop", "&(MD|mdash|ndash);|[\u0096\u0097\u2013\u2014\u2015]"),
    Rule("ampersand", "{amp}"),
    Rule("keep", "&(HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);"),
    Rule("soften", "{word}", "{clitic}"),
    Rule("soften", "[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*", "{negation}"),
    Rule("soften", "{word}"),
    # Words with an apostrophe in them.
    Rule("keep", "{apostrophe}n{apostrophe}?|[lLdDjJ]{apostrophe}|(Dunkin|somethin|ol){apostrophe}"),
    Rule("keep", "{apostrophe}(em|[2-9]0s|till?|cause)|'twas|cont'd\\.?|nor'easter|c'mon|e'er|s'mores"),
    Rule("keep", "ev'ry|li'l|nat'l|O{any_apostrophe}o|[A-HJ-XZn]{any_apostrophe}{letter}{letter}+"),
    Rule("keep", "{letter}+[aeiouyAEIOUY]{any_apostrophe}[aeiouA-Z]{letter}*"),
    Rule("keep", "y{apostrophe}", "{letter}"),
    # Addresses and names of the web.
    Rule("keep", rf"https?://[^{_NO_LINK}]+[^{_NO_LINK}.!?,\-]"),
    Rule("keep", r'www\.([^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}({path})?'),
    Rule("keep", r"""([^ \t\n\f\r"`'<>|.!?(){},-_$]+\.)+(com|net|org|edu)({path})?"""),
    Rule(
        "keep",
        f"(&lt;|<)?[a-zA-Z0-9][^{_NO_LINK}\u00a0]*@([^{_NO_LINK}.\u00a0]+\\.)*[^{_NO_LINK}.\u00a0]+(&gt;|>)?",
    ),
    Rule("keep", "@[a-zA-Z_][a-zA-Z_0-9]*|#{word_letter}+"),
    Rule("quote", "{clitic}|{negation}", "[^A-Za-z]"),
    # Numbers and money.
    Rule("keep", "{digit}{1,2}[\\-/]{digit}{1,2}[\\-/]{digit}{2,4}"),
    Rule("soften", "[\\-+]?{number}"),
    Rule("keep", "[⁺⁻₊₋]?([⁰¹²³⁴-⁹]+|[₀-₉]+)"),
    Rule("bind", "({digit}{1,4}[\\- \u00a0])?{fraction}"),
    Rule("fraction", "[¼½¾\u2153-\u215e]"),
    Rule("ampersand", "-(RRB|LRB|RCB|LCB|RSB|LSB)-|C\\.D\\.s|pro-|anti-|S(&|{amp})(P-500|Ls)"),
    Rule("keep", "Cap{apostrophe}n|c{apostrophe}est"),
    Rule("keep", "{slashed}"),
    Rule("keep", r"[A-Z]*\$|#"),
    Rule("money", "[¢£¤¥\u0080\u20a0€\u060b\u0e3f\u20a4\uffe0\uffe1\uffe5\uffe6]"),
    # Abbreviations.
    Rule("initial", r"{acronym}\.", f"{{gap}}+({_OPENER}|{{tag}}){{gap}}"),
    Rule("keep", rf"({_any_of(_BEFORE_NUMBERS)})\.", "{gap}?{digit}"),
    Rule("keep", r"(pt[eyEY]|co)\.", "{space}(ltd|lim)"),
    Rule("keep", r"{kept_period}\.", ".."),
    Rule("keep", r"({kept_period}|{abbreviation})\."),
    Rule("keep", "{abbreviation}", "{space}"),
    Rule("keep", "{acronym}", "{gap}"),
    Rule("keep", "{apostrophe}[0-9][0-9]", "{gap}"),
    Rule("keep", "{file}", "{gap}|[.?!,]"),
    Rule("soften", r"{word}\.", "{sentence_mark}"),
    Rule("round", "(\\([0-9]{2,3}\\)[ \u00a0]?|{area_code}[0-9]{2,4}{gap_digits})[0-9]{3,4}{gap_digits}?[0-9]{3,5}"),
    Rule("bind", r"((\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"),
    # Punctuation.
    Rule("drop", '["\u007f]'),
    Rule("quote", "&quot;"),
    Rule("less", "<|&lt;"),
    Rule("greater", ">|&gt;"),
    Rule("round", r"[<>]?[:;=][\-o*']?[()DPdpO\\{@|\[\]]", "[^A-Za-z0-9]"),
    Rule("round", r"[\-^x=~<>']_[\-^x=~<>']|\([\-^x=~<>'][_.]?[\-^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)"),
    Rule("bracket", r"[(){}\[\]]"),
    Rule("drop", "---?-?|\\.{3,5}|{dot}{2,4}\\.|[\u0085…]"),
    Rule("keep", r"-+|@+|#+|_+|\*+|(\\\*){1,3}|[?!]+|[.=/]|{sentence_mark}"),
    # Words with hyphens in them.
    Rule("soften", r"{ascii_hyphenated}\.", "{sentence_mark}"),
    Rule("soften", "{ascii_hyphenated}"),
    Rule("keep", r"{hyphenated}\.", "{sentence_mark}"),
    Rule("keep", "{hyphenated}"),
    Rule("ampersand", r"{joined}\.", "{sentence_mark}"),
    Rule("ampersand", "{joined}"),
    Rule("drop", "'", "[A-Za-z][^ \t\n\r\u00a0]"),
    Rule("quote", "{clitic}|{negation}"),
    Rule("quote", "{apostrophe}|''|[`‘’‚‛“”\u0091-\u0094„‟‹›«»]{1,2}"),
    Rule("keep", r"<<|>>|[+%&~^|\\]|{symbol}"),
    Rule("drop", "{space}+|[\u0000\u200b\u200e\u200f\ufeff]|{gap}|&nbsp;|."),
]

NAMES["kept_period"] = "|".join(map(_any_of, (_MONTHS_AND_DAYS, _STATES, _FIRMS, _MEASURES, _AFTER_NAMES)))
NAMES["area_code"] = "((\\+\\+?)?([0-9]{2,4}{gap_digits})?)"
