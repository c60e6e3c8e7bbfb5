"""Binarized layers and training for PyTorch, usable alone."""

from bimetal.nn.binarizers import BINARIZERS, Binarizer, binarizer
from bimetal.nn.blocks import BinaryMLP
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.config import Epoch, History, TrainConfig
from bimetal.nn.conv import BinaryConv2d, BitPlanes, Thermometer
from bimetal.nn.fit import accuracy, fit_classifier, predict
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
from bimetal.nn.losses import distillation, feature_distillation, squared_hinge
from bimetal.nn.optim import OPTIMIZERS, SCHEDULES, Bop, ShiftAdaMax, Split, adamw
from bimetal.nn.residual import Repeat, Residual, bi_real_block, react_block
from bimetal.nn.scales import Logits, RPReLU, Scale, Shift, fold_norm, fold_norms
from bimetal.nn.surrogates import SURROGATES, binarize, surrogate
from bimetal.nn.train import train

__all__ = [
    "BINARIZERS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SURROGATES",
    "Binarizer",
    "BinaryConv2d",
    "BinaryLayer",
    "BinaryLinear",
    "BinaryMLP",
    "BitPlanes",
    "Bop",
    "ByteConv2d",
    "ByteLinear",
    "Epoch",
    "History",
    "Logits",
    "RPReLU",
    "Repeat",
    "Residual",
    "Scale",
    "Shift",
    "ShiftAdaMax",
    "Sign",
    "Split",
    "Thermometer",
    "TrainConfig",
    "accuracy",
    "adamw",
    "bi_real_block",
    "binarize",
    "binarizer",
    "binary_layers",
    "clip_latent",
    "distillation",
    "feature_distillation",
    "fit_classifier",
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
    "train",
]
