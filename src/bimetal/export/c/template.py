"""Templates: C that a compiler can check by itself, made to fit one header.

In a template (see templates/check.h)

- ``name_x`` and ``NAME_X`` stand for names of the header that is written;
- ``AT8(table, i)`` reads element *i* of a constant of type uint8_t; AT16, AT32 and AT64 likewise, ATI8,
  ATI16 and ATI32 of signed ones, ATF of float; on most chips it becomes ``table[i]``;
- ``FLASH`` in the declaration of a constant, ``CODE`` in the type of a pointer to one, say where it
  lies; on most chips they vanish;
- words that the caller names (``CUT_T``) stand for types, calls and such.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from bimetal.export.c.cores import Core

__all__ = ["Word", "Words", "fit", "template"]

_READS = {
    "AT8": "", "AT16": "", "AT32": "", "AT64": "", "ATF": "",
    "ATI8": "(int8_t)", "ATI16": "(int16_t)", "ATI32": "(int32_t)",
}  # fmt: skip
_MARKS = ("name_", "NAME_", "FLASH ", "CODE ", "AT")
Word = str | Callable[..., str]
Words = Mapping[str, Word]


@cache
def _stored(file: str) -> str:
    text = (files("bimetal.export.c") / "templates" / file).read_text(encoding="utf-8")
    return text.split("/* template */\n", 1)[-1].split("/* end */")[0].strip()


def template(file: str, words: Words | None = None) -> str:
    """Return a template with `words` put in; the rest of its marks is for `fit`.

    A word that stands for a function takes arguments in the template: ``KEY(row, j)``.
    """
    text = _stored(file)
    for word, meaning in (words or {}).items():
        text = _put(text, word, meaning)
    return text


def fit(text: str, name: str, core: Core) -> str:
    """Return text with the names of a header and the memory of a core; comments stay as they are.

    Examples
    --------
    >>> from bimetal.export.c.cores import CORES
    >>> fit("static const FLASH int8_t name_w[2]; AT8(name_w, i + 1)", "net", CORES["generic"])
    'static const int8_t net_w[2]; net_w[i + 1]'
    """
    parts = re.split(r"(/\*.*?\*/|\n\};\n)", text, flags=re.DOTALL)  # tables are long: pass them by
    has_marks = [any(mark in part for mark in _MARKS) for part in parts[::2]]
    fits = [_fit(p, name, core) if has else p for p, has in zip(parts[::2], has_marks, strict=True)]
    parts[::2] = fits
    return "".join(parts)


def _fit(text: str, name: str, core: Core) -> str:
    flash = {"flat": "", "avr": "NAME_FLASH ", "8051": "__code "}[core.memory]
    text = re.sub(r"\bFLASH ", flash, text)
    text = re.sub(r"\bCODE ", "__code " if core.memory == "8051" else "", text)
    for mark, cast in _READS.items():
        far = f"{cast}NAME_AT{mark.strip('ATI')}({{}}, {{}})".format
        text = _put(text, mark, far if core.memory == "avr" else "{}[{}]".format)
    names = {"name_": f"{name}_", "NAME_": f"{name.upper()}_"}
    return re.sub(r"\b(name_|NAME_)", lambda found: names[found[0]], text)


def _put(text: str, word: str, meaning: str | Callable[..., str]) -> str:
    if isinstance(meaning, str):
        return re.sub(rf"\b{word}(?!\w)", lambda _: meaning, text)
    done, at, called = [], 0, re.compile(rf"\b{word}\(")
    while found := called.search(text, at):
        arguments, end = _arguments(text, found.end())
        inner = [_put(argument, word, meaning) for argument in arguments]
        done += [text[at : found.start()], meaning(*inner)]
        at = end
    return "".join([*done, text[at:]])


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """Return what stands between commas from `start` on, and where the closing bracket ends."""
    arguments, depth, begin = [], 0, start
    for i in range(start, len(text)):
        if not depth and text[i] in ",)":
            arguments.append(text[begin:i].strip())
            begin = i + 1
        if not depth and text[i] == ")":
            return arguments, i + 1
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[i], 0)
    raise AssertionError(f"a bracket stays open: {text[start : start + 60]}")
