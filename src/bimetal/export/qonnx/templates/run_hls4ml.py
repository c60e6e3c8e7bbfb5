"""Runs a QONNX model as hls4ml's C++, compiled by g++: run_hls4ml.py <model> <bits.npy> <points.npy>."""

import sys

import numpy as np


def main(model_file: str, bits_file: str, points_file: str) -> None:
    """Convert, compile, predict.

    31 bits before the point and one behind it hold every sum and every half; where the model says
    how wide a number is, hls4ml uses that.
    """
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    model = cleanup_model(ModelWrapper(model_file))
    config = hls4ml.utils.config_from_onnx_model(
        model, granularity="name", backend="Vitis", default_precision="ap_fixed<32,31>"
    )
    net = hls4ml.converters.convert_from_onnx_model(
        model, output_dir="hls", io_type="io_parallel", backend="Vitis", hls_config=config
    )
    net.compile()
    points = net.predict(np.ascontiguousarray(np.load(bits_file)))
    np.save(points_file, np.asarray(points, np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])
