"""Names that a target's language takes, and text of strangers made harmless inside its files.

Column names, categories and class labels come from files that anyone can make. In a comment they may
not end the comment, in a string not the string.
"""

import re
from collections.abc import Mapping

from bimetal.errors import ExportError

__all__ = ["LANGUAGES", "c_string", "check_identifier", "comment", "sql_quote"]

_C = """auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main
asm bool catch class const_cast delete dynamic_cast explicit export false friend mutable namespace new operator private
protected public reinterpret_cast static_cast template this throw true try typeid typename using virtual wchar_t"""
_JAVA = """abstract assert boolean break byte case catch char class const continue default do double else enum extends final
finally float for goto if implements import instanceof int interface long native new package private protected public
return short static strictfp super switch synchronized this throw throws transient try void volatile while true false
null var record yield sealed permits String Object Math Map Long"""
_JS = """arguments await break case catch class const continue debugger default delete do else enum eval export extends false
finally for function if implements import in instanceof interface let new null package private protected public return
static super switch this throw true try typeof undefined var void while with yield async of"""
_VERILOG = """always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default defparam
design disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask
event for force forever fork function generate genvar highz0 highz1 if ifnone incdir include initial inout input instance
integer join large liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled not notif0
notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup rcmos real realtime reg release repeat rnmos
rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify specparam strong0 strong1 supply0 supply1 table
task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use vectored wait wand weak0 weak1 while wire wor
xnor xor logic bit byte int do interface class program"""

LANGUAGES: Mapping[str, frozenset[str]] = {
    "c": frozenset(_C.split()),
    "java": frozenset(_JAVA.split()),
    "js": frozenset(_JS.split()),
    "verilog": frozenset(_VERILOG.split()),
    "sql": frozenset(),
}
"""The words that each language keeps for itself."""

_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}", re.ASCII)


def check_identifier(name: str, language: str) -> None:
    """Raise `ExportError` unless `name` is an identifier of `language` that is free to use.

    Examples
    --------
    >>> check_identifier("credit_2", "c")
    """
    said = f"'{name[:80]}' is no name in {language}" if language else f"'{name[:80]}' is no name"
    if not _SHAPE.fullmatch(name):
        suggested = re.sub(r"\W", "_", name, flags=re.ASCII)[:63]
        suggested = suggested if _SHAPE.fullmatch(suggested) else f"net_{suggested}"[:63]
        raise ExportError(
            f"{said}: a letter, then up to 62 letters, digits or underscores expected; "
            f"name it with name={suggested!r} (--name {suggested})"
        )
    if name in LANGUAGES.get(language, frozenset()):
        raise ExportError(f"{said}: the language keeps that word; name it with name='my_{name}'")


def comment(text: str, most: int = 100) -> str:
    r"""Return `text` as printable ASCII that ends no comment and no line of any target language.

    Examples
    --------
    >>> print(comment('*/ system("rm"); /* \n -- <script>'))
    * / system("rm"); / * \n - - < script>
    """
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = "".join(
        c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in plain.replace("\n", "\\n")
    )
    for risky in ("*/", "/*", "//", "--", "<s", "</", "<!", "]]", "??", "\\u"):
        while risky in plain:
            plain = plain.replace(risky, f"{risky[0]} {risky[1]}")
    plain = plain.replace("\\ u", "\\ u").rstrip("\\")
    return plain if len(plain) <= most else plain[: most - 3].rstrip("\\") + "..."


def c_string(text: str) -> str:
    r"""Return `text` as a C string literal of UTF-8 bytes; nothing in it can end the literal.

    Examples
    --------
    >>> print(c_string('a"b?\n'))
    "a\"b\077\012"
    """
    plain = frozenset(range(32, 127)) - set(b'"\\?%')
    body = "".join(
        chr(b) if b in plain else ('\\"' if b == 34 else f"\\{b:03o}") for b in text.encode()
    )
    return f'"{body}"'


def sql_quote(text: str, mark: str = "'") -> str:
    """Return `text` between quotation marks of SQL, with those inside doubled.

    Examples
    --------
    >>> sql_quote("O'Hara"), sql_quote('x"y', '"')
    ("'O''Hara'", '"x""y"')
    """
    if "\0" in text:
        raise ExportError(f"SQL has no way to write the character NUL, which is in {text!r:.80}")
    return mark + text.replace(mark, mark * 2) + mark
