"""Binarized layers and training for PyTorch, usable alone."""

from bimetal.nn.blocks import BinaryMLP
from bimetal.nn.layers import BinaryLinear, Sign, clip_latent, latent_weights
from bimetal.nn.optim import adamw
from bimetal.nn.surrogates import SURROGATES, binarize, surrogate
from bimetal.nn.train import Epoch, History, TrainConfig, train

__all__ = [
    "SURROGATES",
    "BinaryLinear",
    "BinaryMLP",
    "Epoch",
    "History",
    "Sign",
    "TrainConfig",
    "adamw",
    "binarize",
    "clip_latent",
    "latent_weights",
    "surrogate",
    "train",
]
