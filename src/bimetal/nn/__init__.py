"""Binarized layers and training for PyTorch, usable alone."""

from bimetal.nn.activity import Activity, SignInsight, watch_activations
from bimetal.nn.binarizers import BINARIZERS, Binarizer, binarizer
from bimetal.nn.blocks import BinaryMLP
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.config import Epoch, History, TrainConfig
from bimetal.nn.conv import BinaryConv2d, BitPlanes, Thermometer
from bimetal.nn.convert import Conversion, LayerChange, binarize_
from bimetal.nn.fit import accuracy, fit_classifier, predict
from bimetal.nn.insight import Histogram, LayerInsight, Watch
from bimetal.nn.layers import (
    BinaryLayer,
    BinaryLinear,
    Sign,
    binary_layers,
    clip_latent,
    kept_signs,
    latent_weights,
    real_weights,
    set_progress,
)
from bimetal.nn.loggers import CsvLogger, MLflowLogger, TensorBoardLogger, together
from bimetal.nn.losses import distillation, feature_distillation, squared_hinge
from bimetal.nn.optim import OPTIMIZERS, SCHEDULES, Bop, ShiftAdaMax, Split, adamw
from bimetal.nn.policy import POLICIES, Policy
from bimetal.nn.replacement import Rows
from bimetal.nn.residual import Repeat, Residual, bi_real_block, react_block
from bimetal.nn.scales import Logits, RPReLU, Scale, Shift, fold_norm, fold_norms
from bimetal.nn.surrogates import SURROGATES, binarize, surrogate
from bimetal.nn.train import train
from bimetal.nn.transfer import Transfer, transfer
from bimetal.nn.twin import float_twin

__all__ = [
    "BINARIZERS",
    "OPTIMIZERS",
    "POLICIES",
    "SCHEDULES",
    "SURROGATES",
    "Activity",
    "Binarizer",
    "BinaryConv2d",
    "BinaryLayer",
    "BinaryLinear",
    "BinaryMLP",
    "BitPlanes",
    "Bop",
    "ByteConv2d",
    "ByteLinear",
    "Conversion",
    "CsvLogger",
    "Epoch",
    "Histogram",
    "History",
    "LayerChange",
    "LayerInsight",
    "Logits",
    "MLflowLogger",
    "Policy",
    "RPReLU",
    "Repeat",
    "Residual",
    "Rows",
    "Scale",
    "Shift",
    "ShiftAdaMax",
    "Sign",
    "SignInsight",
    "Split",
    "TensorBoardLogger",
    "Thermometer",
    "TrainConfig",
    "Transfer",
    "Watch",
    "accuracy",
    "adamw",
    "bi_real_block",
    "binarize",
    "binarize_",
    "binarizer",
    "binary_layers",
    "clip_latent",
    "distillation",
    "feature_distillation",
    "fit_classifier",
    "float_twin",
    "fold_norm",
    "fold_norms",
    "kept_signs",
    "latent_weights",
    "predict",
    "react_block",
    "real_weights",
    "set_progress",
    "squared_hinge",
    "surrogate",
    "together",
    "train",
    "transfer",
    "watch_activations",
]
