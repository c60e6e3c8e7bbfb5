"""From what the stages found to rows with goals: the goal table of the engine, and more."""

from typing import Any

import numpy as np
from _frame import Row
from _names import (
    EAGER,
    FAISS,
    NETS,
    NUMKONG,
    ORT,
    ORT8,
    OURS,
    OV8,
    PRODUCT,
    PRODUCT_MACS,
    TINY,
    TORCH,
    over,
    share,
)

Found = dict[str, Any]


def rows(found: Found) -> list[Row]:
    """Return every figure that has a goal, and those that stand beside it."""
    return [
        *_ceiling_shares(found),
        *_nets(found),
        *_fully_connected(found),
        *_int8(found),
        *_bytes(found),
        *_tiny(found),
        *_product(found),
        *_avx2(found),
        *_memory(found),
    ]


def _ceiling_shares(found: Found) -> list[Row]:
    """Share of the xor + popcount + add ceiling, over the binary convolutions of both nets."""
    cases = (("words", 1, 95), ("planes", 1, None), ("planes", 16, 150), ("tiles", 1, None))
    made = []
    for kernel, batch, goal in cases:
        shares = [
            100 * part
            for net in found["layers"].values()
            for case, (_, part) in (
                pair for layer in net for pair in layer.get("rates", {}).items()
            )
            if case == f"{kernel}, {batch}"
        ]
        if shares:
            name = share(kernel, batch)
            made.append(Row(name, float(np.median(shares)), "%", "higher", goal))
            made.append(Row(name.replace("median", "best"), max(shares), "%"))
    return made


def _ratio(times: dict[str, float], peer: str) -> float:
    return times.get(peer, float("nan")) / times[OURS]


GOALS = {
    ("AlexNet, 1", ORT): 30,
    ("AlexNet, 1", EAGER): 42,
    ("AlexNet, 16", ORT): 45,
    ("AlexNet, 16", EAGER): 58,
    ("VGG-16, 1", ORT): 28,
    ("VGG-16, 1", EAGER): 40,
}


def _nets(found: Found) -> list[Row]:
    made = []
    for cores in ("one core", "two cores"):
        for case, times in found[cores]["times"].items():
            name = over(case, cores, OURS).replace("over ", "")
            made.append(Row(name, times[OURS] * 1e3, "ms", "lower"))
            made += [
                Row(over(case, cores, p), _ratio(times, p), "x", "higher", GOALS.get((case, p)))
                for p in times
                if p != OURS
            ]
    one, two = (found[cores]["times"] for cores in ("one core", "two cores"))
    for case in one:
        if case in two:
            scale = one[case][OURS] / two[case][OURS]
            name = f"{case.replace(', ', ', batch ')}: one core over two, bimetal"
            made.append(Row(name, scale, "x", "higher", 1.8))
    return made


def _fully_connected(found: Found) -> list[Row]:
    fc = [layer for layer in found["layers"]["AlexNet"] if layer["layer"].startswith("fc")][:2]
    return [
        Row(
            over(f"AlexNet {layer['layer']}, 1", "one core", ORT),
            layer[ORT] / layer[OURS],
            "x",
            "higher",
            100,
        )
        for layer in fc
    ]


def _int8(found: Found) -> list[Row]:
    made = []
    for net, goal in zip(NETS, (9, 8), strict=True):
        times = found["one core"]["times"][f"{net}, 1"]
        best = min((t, peer) for peer, t in times.items() if peer in (ORT8, OV8))
        name = over(f"{net}, 1", "one core", f"the best int8 engine ({best[1]})")
        made.append(Row(name, best[0] / times[OURS], "x", "higher", goal))
    return made


def _bytes(found: Found) -> list[Row]:
    return [
        Row(
            f"{net}: bytes of float32 over the whole file",
            f["float32"] / f["bimetal"],
            "x",
            "higher",
            31.5,
        )
        for net, f in found["files"].items()
    ]


def _tiny(found: Found) -> list[Row]:
    times = found["tiny"]
    kernel = times[OURS] - times["a net of one bit"]
    name = TINY
    return [
        Row(f"{name}: bimetal from Python", times[OURS] * 1e6, "us", "lower"),
        Row(f"{name}: bimetal less the call (a net of one bit)", kernel * 1e6, "us", "lower"),
        Row(f"{name}: {ORT}", times[ORT] * 1e6, "us", "lower"),
        Row(f"{name}: from Python, over {ORT}", _ratio(times, ORT), "x", "higher", 58),
        Row(f"{name}: less the call, over {ORT}", times[ORT] / kernel, "x"),
        Row(f"{name}: from Python, over {EAGER}", _ratio(times, EAGER), "x"),
    ]


def _product(found: Found) -> list[Row]:
    times = found["product"]["times"]
    name = PRODUCT
    made = [Row(f"{name}: {k}", PRODUCT_MACS / t / 1e9, "G MAC/s") for k, t in times.items()]
    return made + [
        Row(f"{name}: over {peer}", _ratio(times, peer), "x", "higher", goal)
        for peer, goal in ((NUMKONG, 3), (FAISS, 5))
        if peer in times
    ]


def _avx2(found: Found) -> list[Row]:
    times = found["avx2"]["product"]["times"]
    made = [
        Row(
            f"XNOR product on AVX2: over {TORCH} forced to AVX2",
            _ratio(times, TORCH),
            "x",
            "higher",
            15,
        )
    ]
    for case, other in found["avx2"]["nets"].items():
        name = f"{case.replace(', ', ', batch ')} on AVX2"
        made.append(Row(f"{name}: bimetal", other[OURS] * 1e3, "ms", "lower"))
        made += [
            Row(f"{name}: over {p} forced to AVX2", _ratio(other, p), "x")
            for p in other
            if p != OURS
        ]
    return made


def _memory(found: Found) -> list[Row]:
    made = []
    for net, kinds in found["memory"].items():
        for kind, what in kinds.items():
            name = f"{net}, batch 1, a process of its own: {kind}"
            made.append(Row(f"{name}, peak memory", what["peak"] / 2**20, "MiB", "lower"))
            made.append(Row(f"{name}, beyond the imports", what["added"] / 2**20, "MiB", "lower"))
            made.append(Row(f"{name}, file to ready", what["ready"] * 1e3, "ms", "lower"))
        ours = kinds["bimetal"]
        made.append(Row(f"{net}: loading the file, bimetal", ours["load"] * 1e3, "ms", "lower"))
    return made
