"""Several small JavaScript modules as the text of one, for a page of one file.

Each becomes a function of its own, so that no two names meet. It knows the few forms in which our
own templates import and export, and refuses any other.
"""

import re
from collections.abc import Mapping

from bimetal.errors import ExportError

__all__ = ["bundled"]

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const) (\w+))", re.MULTILINE)


def bundled(modules: Mapping[str, str]) -> str:
    """Return one script of modules that are in order: each imports from those before it.

    Raises
    ------
    ExportError
        When one imports or exports in another form, or from one that is not before it.

    Examples
    --------
    >>> parts = {"a.js": "export const two = 2;", "b.js": 'import { two } from "./a.js";'}
    >>> print(bundled(parts))
    "use strict";
    const MODULES = {};
    MODULES["a.js"] = (() => {
    const two = 2;
    return { two };
    })();
    MODULES["b.js"] = (() => {
    const { two } = MODULES["a.js"];
    return {  };
    })();
    """
    texts = ['"use strict";\nconst MODULES = {};']
    for i, (name, text) in enumerate(modules.items()):
        _require_order(name, text, list(modules)[:i])
        exports = ", ".join(_EXPORT.findall(text))
        body = _EXPORT.sub("", _IMPORT.sub(r'const \1 = MODULES["\2"];', text)).rstrip()
        if re.search(r"^(import|export)\b", body, re.MULTILINE) or "</script" in body:
            raise ExportError(f"'{name}' imports or exports in a form that one file cannot have")
        texts.append(f'MODULES["{name}"] = (() => {{\n{body}\nreturn {{ {exports} }};\n}})();')
    return "\n".join(texts)


def _require_order(name: str, text: str, before: list[str]) -> None:
    for _, source in _IMPORT.findall(text):
        if source not in before:
            raise ExportError(f"'{name}' imports from '{source}', which does not come before it")
