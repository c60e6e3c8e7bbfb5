"""Runs a QONNX model in qonnx's executor over rows of ±1: run_qonnx.py <model> <bits.npy> <points.npy>."""

import sys

import numpy as np


def main(model_file: str, bits_file: str, points_file: str) -> None:
    """Give the model the batch size of the rows, and run them all at once."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(model_file)
    bits = np.load(bits_file)
    model.set_tensor_shape("bits", list(bits.shape))
    model.set_tensor_shape("points", [len(bits), model.get_tensor_shape("points")[1]])
    model = model.transform(InferShapes()).transform(InferDataTypes())
    np.save(points_file, execute_onnx(model, {"bits": bits})["points"])


if __name__ == "__main__":
    main(*sys.argv[1:])
