"""Tables and picture of docs/performance.md, from the results: python benchmarks/_page.py RESULTS.

The page's text is written by hand; a table stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _limits import goal_limits, largest_ratio, net_limit, paper_ratio
from _names import NETS, ORT, ORT8, OURS, PRODUCT, TINY
from _roofline import draw

DOCS = Path(__file__).parents[1] / "docs"
Document = dict[str, Any]


def write(document: Document) -> None:
    """Fill the tables of the page and draw its picture."""
    page = DOCS / "performance.md"
    text = page.read_text()
    for name, make in TABLES.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        table = make(document)
        text = between.sub(lambda found, table=table: found[1] + table + "\n" + found[2], text)
    page.write_text(text)
    draw(document["found"], DOCS / "performance-roofline.svg")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value != value:  # NaN: the peer was skipped
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def machine(document: Document) -> str:
    m, v = document["machine"], {**document["versions"], **document["peers"]}
    packages = ", ".join(f"{k} {v}" for k, v in v.items() if k not in ("scikit-learn", "lightgbm"))
    return (
        f"{document['date']}; {m['cpu']}, {m['cores']} cores, {', '.join(m['isas'])}; {packages}."
    )


def goals(document: Document) -> str:
    most = goal_limits(document["found"])
    rows = [
        [
            row["name"],
            f"{'≥' if row['better'] == 'higher' else '≤'} {row['goal']:g} {row['unit']}",
            number(row["value"]),
            verdict(row),
            number(most[row["name"]]) if row["name"] in most else "",
        ]
        for row in document["rows"]
        if row["goal"] is not None
    ]
    return table(["measure", "goal", "measured", "", "ceilings allow"], rows)


def verdict(row: dict[str, Any]) -> str:
    gap = row["value"] - row["goal"]
    return "met" if (gap >= 0 if row["better"] == "higher" else gap <= 0) else "**missed**"


def ceilings(document: Document) -> str:
    rows = []
    for name, (per_second, per_cycle) in document["found"]["ceilings"].items():
        unit = "GB/s" if name.startswith("read") else "G/s"
        rows.append(
            [name, f"{number(per_second / 1e9)} {unit}", number(per_cycle) if per_cycle else ""]
        )
    return table(["one core", "a second", "a cycle"], rows)


def nets(document: Document, cores: str) -> str:
    times = document["found"][cores]["times"]
    peers = list(dict.fromkeys(peer for case in times.values() for peer in case))
    head = ["ms (ratio to bimetal)", *(case.replace(", ", ", batch ") for case in times)]
    rows = []
    for peer in peers:
        cells = [peer]
        for case in times.values():
            t = case.get(peer, float("nan")) * 1e3
            ratio = "" if peer == OURS or t != t else f" ({number(t / case[OURS] / 1e3)}×)"
            cells.append(number(t) + ratio)
        rows.append(cells)
    return table(head, rows)


def limits(document: Document) -> str:
    found = document["found"]
    rows = []
    for case, times in found["one core"]["times"].items():
        net, batch = case.split(", ")
        least = net_limit(found["layers"][net], found["ceilings"], int(batch))
        rows.append(
            [
                f"{net}, batch {batch}",
                number(least * 1e3),
                number(times[OURS] * 1e3),
                *(
                    f"{number(times.get(peer, float('nan')) / least)}×"
                    for peer in (ORT, "PyTorch eager", "OpenVINO int8")
                ),
            ]
        )
    head = ["one core", "least ms", "measured ms", f"most over {ORT}", "PyTorch eager"]
    return table([*head, "OpenVINO int8"], rows)


def layers(document: Document, net: str) -> str:
    found = document["found"]
    rows = []
    for i, layer in enumerate(found["layers"][net]):
        ours = layer[OURS] * 1e6
        if not layer["macs"]:
            rows.append([layer["layer"], "", number(ours), *[""] * 7])
            continue
        rows.append(
            [
                layer["layer"],
                layer["kernel"],
                number(ours),
                number(layer["macs"] / layer[OURS] / 1e9),
                number(layer[ORT] * 1e6),
                number(layer[ORT8] * 1e6),
                f"{number(layer[ORT] / layer[OURS])}×",
                f"{number(layer[ORT8] / layer[OURS])}×",
                f"{number(largest_ratio(layer, found['ceilings'], i == 0))}×",
                "" if i == 0 else f"{number(paper_ratio(layer['fan_in']))}×",
            ]
        )
    head = ["layer", "kernel", "µs", "G MAC/s", f"{ORT}, µs", f"{ORT8}, µs", "over float32"]
    return table([*head, "over int8", "ceilings allow", "operations counted"], rows)


def rates(document: Document) -> str:
    found = document["found"]
    given = [layer["rates"] for net in found["layers"].values() for layer in net if layer["macs"]]
    cases = sorted({case for rates in given for case in rates}, key=lambda c: c.split(", ")[::-1])
    rows = []
    for net, layers_ in found["layers"].items():
        for layer in layers_:
            if layer.get("rates"):
                cells = [layer["rates"].get(case) for case in cases]
                shares = [f"{c[0] / 1e9:,.0f} ({100 * c[1]:.0f} %)" if c else "" for c in cells]
                rows.append([f"{net} {layer['layer']}", *shares])
    return table(["G MAC/s", *(case.replace(", ", ", batch ") for case in cases)], rows)


def others(document: Document, *beginnings: str) -> str:
    rows = [
        [row["name"], number(row["value"]), row["unit"]]
        for row in document["rows"]
        if row["name"].startswith(beginnings) or any(b in row["name"] for b in beginnings)
    ]
    return table(["", "measured", ""], rows)


def sizes(document: Document) -> str:
    rows = []
    for net, files in document["found"]["files"].items():
        memory = document["found"]["memory"][net]
        ours, theirs = memory["bimetal"], memory["onnxruntime"]
        for what, a, b, unit in (
            ("file", files["bimetal"], files["float32"], 1e6),
            ("peak memory of the process", ours["peak"], theirs["peak"], 1e6),
            ("of that, beyond the imports", ours["added"], theirs["added"], 1e6),
        ):
            cells = [f"{net}: {what}, MB", number(a / unit), number(b / unit)]
            rows.append([*cells, f"{number(b / a)}×"])
        for what, key in (("loading the file", "load"), ("file to ready engine", "ready")):
            a, b = 1e3 * ours[key], 1e3 * theirs[key]
            has_both = key == "ready"
            cells = [f"{net}: {what}, ms", number(a), number(b) if has_both else ""]
            rows.append([*cells, f"{number(b / a)}×" if has_both else ""])
    return table(["", "binary", f"float32 ({ORT.removesuffix(' float32')})", "ratio"], rows)


TABLES = {
    "machine": machine,
    "goals": goals,
    "ceilings": ceilings,
    "limits": limits,
    "one core": lambda d: nets(d, "one core"),
    "two cores": lambda d: nets(d, "two cores"),
    **{net: lambda d, net=net: layers(d, net) for net in NETS},
    "rates": rates,
    "tiny": lambda d: others(d, TINY),
    "product": lambda d: others(d, PRODUCT),
    "avx2": lambda d: others(d, "on AVX2"),
    "sizes": sizes,
}

if __name__ == "__main__":
    write(json.loads(Path(sys.argv[1]).read_text()))
