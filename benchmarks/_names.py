"""What the contestants of the engine benchmark are called, in results and tables."""

NETS = ("AlexNet", "VGG-16")
OURS = "bimetal"
ORT, ORT8 = "ONNX Runtime float32", "ONNX Runtime int8"
OV, OV16, OV8 = "OpenVINO float32", "OpenVINO bfloat16", "OpenVINO int8"
EAGER, LAST, COMPILED = "PyTorch eager", "PyTorch channels last", "PyTorch compiled"
LARQ, NUMKONG, FAISS = "Larq Compute Engine", "NumKong", "faiss"
TORCH = "PyTorch float32"
PEERS = (ORT, ORT8, OV, OV16, OV8, EAGER, LAST, COMPILED, LARQ)

TINY = "256 bits → 512 → 512 → 3, one row"
PRODUCT = "XNOR product 256 x 4096 x 4096"
PRODUCT_MACS = 256 * 4096 * 4096


def over(case: str, cores: str, peer: str) -> str:
    """Return the name of a ratio of a net, such as "AlexNet, batch 1, one core: over faiss"."""
    return f"{case.replace(', ', ', batch ')}, {cores}: over {peer}"


def share(kernel: str, batch: int) -> str:
    return f"binary convolutions, {kernel}, batch {batch}: share of xor + popcount + add, median"
