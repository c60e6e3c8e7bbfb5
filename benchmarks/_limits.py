"""The least time that the measured ceilings allow a layer or a net, and so the largest ratios."""

from typing import Any

from _ceiling import AMX, L3, LOGIC, TRIPLE, VNNI
from _names import EAGER, FAISS, NUMKONG, ORT, ORT8, OV8, PRODUCT, PRODUCT_MACS, TINY, over, share

Ceilings = dict[str, list[float]]


def rate(ceilings: Ceilings, *names: str) -> float:
    """Return the highest of these ceilings that the machine has, units a second."""
    return max((ceilings[name][0] for name in names if name in ceilings), default=float("nan"))


def least_seconds(layer: dict[str, Any], ceilings: Ceilings, is_first: bool, batch: int) -> float:
    """Return the least seconds of a layer for a whole batch, on one core.

    Compute: every multiply-accumulate at the best instruction the machine has for it; bits go at
    one three-input logic operation a vector (bit planes) or through the matrix unit. Memory: the
    weights, one bit each (one byte in a first layer of convolution), come once a call from the
    outer cache, as they do in a net that does not fit the inner one.
    """
    bits = rate(ceilings, TRIPLE, LOGIC, AMX)
    bytes_ = rate(ceilings, VNNI, AMX)
    weights = layer["weights"] * (1 if is_first else 1 / 8)
    compute = batch * layer["macs"] / (bytes_ if is_first else bits)
    return max(compute, weights / rate(ceilings, L3))


def net_limit(layers: list[dict[str, Any]], ceilings: Ceilings, batch: int) -> float:
    """Return the least seconds of a net for a whole batch, on one core."""
    return sum(
        least_seconds(layer, ceilings, i == 0, batch)
        for i, layer in enumerate(layers)
        if layer["macs"]
    )


def largest_ratio(layer: dict[str, Any], ceilings: Ceilings, is_first: bool) -> float:
    """Return the largest ratio to ONNX Runtime float32 that a layer can reach at batch 1."""
    return float(layer[ORT] / least_seconds(layer, ceilings, is_first, 1))


def paper_ratio(fan_in: int) -> float:
    """XNOR-Net's count of operations: 64 c n / (c n + 64), for c channels and n weights of each."""
    return 64 * fan_in / (fan_in + 64)


def goal_limits(found: dict[str, Any]) -> dict[str, float]:
    """Return, for the rows with a goal to which the ceilings set one, the largest value possible."""
    ceilings, made = found["ceilings"], {share("words", 1): 120.0}  # five instructions, not six
    bits = rate(ceilings, TRIPLE, LOGIC, AMX)
    made[share("planes", 16)] = 100 * rate(ceilings, LOGIC) / rate(ceilings, TRIPLE)
    for cores, n_cores in (("one core", 1), ("two cores", 2)):
        for case, times in found[cores]["times"].items():
            net, batch = case.split(", ")
            least = net_limit(found["layers"][net], ceilings, int(batch)) / n_cores
            peers = {peer: t for peer, t in times.items() if peer in (ORT, EAGER)}
            int8 = [(t, peer) for peer, t in times.items() if peer in (ORT8, OV8)]
            if int8:
                peers[f"the best int8 engine ({min(int8)[1]})"] = min(int8)[0]
            made |= {over(case, cores, peer): t / least for peer, t in peers.items()}
    for layer in found["layers"]["AlexNet"]:
        if layer["layer"].startswith("fc"):
            name = over(f"AlexNet {layer['layer']}, 1", "one core", ORT)
            made[name] = largest_ratio(layer, ceilings, is_first=False)
    for peer in (NUMKONG, FAISS):
        if peer in found["product"]["times"]:
            seconds = found["product"]["times"][peer]
            made[f"{PRODUCT}: over {peer}"] = bits * seconds / PRODUCT_MACS
    tiny = found["tiny"]
    macs = 256 * 512 + 512 * 512 + 512 * 3
    least = macs / rate(ceilings, TRIPLE) + tiny["a net of one bit"]
    made[f"{TINY}: from Python, over {ORT}"] = tiny[ORT] / least
    return made
