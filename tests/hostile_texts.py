"""Texts that would run, load or hide something where a page took them for more than text, and names that lead away."""

from __future__ import annotations

PATTERNS = [
    "<script>window.ran = {n}; alert({n})</script>",
    "</script><script>window.ran = {n}</script>",
    "</style><script>alert({n})</script>",
    "</title><img src=x onerror=alert({n})>",
    "\"><svg onload='window.ran={n}'>",
    "' onmouseover='alert({n})' x='",
    "<iframe srcdoc='<script>parent.ran={n}</script>'></iframe>",
    "<a href='javascript:alert({n})'>click {n}</a>",
    "<details open ontoggle=alert({n})>",
    "<base href='//evil.example/{n}'><link rel=stylesheet href='//evil.example/{n}.css'>",
    "<meta http-equiv=refresh content='0;url=//evil.example/{n}'>",
    "{{{{ 7 * {n} }}}} {{% for x in ().__class__.__mro__ %}}{{% endfor %}} ${{{n}}} #{{{n}}}",
    "--><!-- {n} ]]><![CDATA[ <b>{n}</b> &lt;i&gt; &#60;u&#62;",
    "\u202etac a {n}\u2066 \u2067\u200f dog",
    "nul \0 {n} \x07 \x1b[31m \x7f \x85",
    "lone \ud83d {n} \udc00 half",
    "long {n} " + "x" * 5000,
    "zal\u0301\u0302\u0303\u0304\u0305\u0306go {n} " + "\u0489" * 200,
    "../../../etc/passwd {n}\r\nSet-Cookie: x",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert({n})>",
]
"""Each with a place for a number, which tells two of them apart."""

NAMES = [
    "../../outside/{n}.png",
    "/etc/cron.d/{n}.png",
    "..\\..\\outside\\{n}.png",
    "%2e%2e%2f%2e%2e%2foutside%2f{n}.png",
    "....//....//outside/{n}.png",
    "C:\\Windows\\{n}.png",
    "<img src=x onerror=alert({n})>.png",
    "{n}.png<script>alert({n})</script>.png",
    'a"; filename="{n}.html',
    "{n}.svg",
    "{n}.html",
    "{n}.png\r\nSet-Cookie: x={n}",
    "~/.ssh/{n}.png",
    "/proc/self/environ{n}",
    "file:///etc/passwd?{n}.png",
    "http://evil.example/{n}.png",
    ".",
    "..",
    "",
    "{n}" + "x" * 400 + ".png",
    "con{n}.png.",
    "caf\u00e9 \u202egnp.{n}.exe",
    "$(touch {n}).png",
    "{{{{ {n} * 7 }}}}.png",
]


def hostile_texts(number: int) -> list[str]:
    """So many texts, no two the same."""
    return [PATTERNS[n % len(PATTERNS)].format(n=n) for n in range(number)]


def hostile_names(number: int) -> list[str]:
    """So many names of files; those that are the same in every round are there again and again."""
    return [NAMES[n % len(NAMES)].format(n=n) for n in range(number)]
