"""Binarized layers and training for PyTorch, usable alone."""

from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.activity import Activity, SignInsight, watch_activations
from bimetal.nn.adaptive import AdaSign, InputScale, XnorConv2d, rsign
from bimetal.nn.attention import BinaryAttention
from bimetal.nn.binarizers import BINARIZERS, Binarizer, binarizer
from bimetal.nn.blocks import BinaryMLP
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.calibration import calibrate
from bimetal.nn.config import Epoch, History, TrainConfig
from bimetal.nn.conv import BinaryConv2d, BitPlanes, Thermometer
from bimetal.nn.convert import Conversion, LayerChange, binarize_
from bimetal.nn.deploy import with_byte_activations
from bimetal.nn.embedding import BinaryEmbedding
from bimetal.nn.fit import accuracy, fit_classifier, predict
from bimetal.nn.gated import BinaryGRU, BinaryLSTM
from bimetal.nn.insight import Histogram, LayerInsight, Watch
from bimetal.nn.kbit import DoReFaActivation, DoReFaWeight, TernaryWeight, straight_through
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
from bimetal.nn.lut import GroupSum, LutLinear
from bimetal.nn.lut_area import LutArea, lut_areas
from bimetal.nn.metaplastic import ATTENUATIONS, Metaplastic, attenuation
from bimetal.nn.norms import ShiftBatchNorm, ShiftBatchNorm1d, ShiftBatchNorm2d, ap2
from bimetal.nn.optim import OPTIMIZERS, SCHEDULES, Bop, ShiftAdaMax, Split, adamw
from bimetal.nn.policy import POLICIES, Policy
from bimetal.nn.recurrent import BinaryRNN
from bimetal.nn.replacement import Rows
from bimetal.nn.residual import Repeat, Residual, bi_real_block, react_block
from bimetal.nn.row_threshold import RowThreshold
from bimetal.nn.scales import Logits, RPReLU, Scale, Shift, fold_norm, fold_norms
from bimetal.nn.sequence import BinaryConv1d, causal, tcn_block
from bimetal.nn.step_norm import STEP_NORMS, StepNorm
from bimetal.nn.straighten import as_sequence
from bimetal.nn.summary import LayerSummary, Summary, summary
from bimetal.nn.surrogates import SURROGATES, binarize, surrogate
from bimetal.nn.take import Last
from bimetal.nn.tensor_norm import TensorNorm
from bimetal.nn.train import train
from bimetal.nn.transfer import Transfer, transfer
from bimetal.nn.twin import float_twin

__all__ = [
    "ATTENUATIONS",
    "BINARIZERS",
    "OPTIMIZERS",
    "POLICIES",
    "SCHEDULES",
    "STEP_NORMS",
    "SURROGATES",
    "Activity",
    "AdaSign",
    "Binarizer",
    "BinaryAttention",
    "BinaryConv1d",
    "BinaryConv2d",
    "BinaryEmbedding",
    "BinaryGRU",
    "BinaryLSTM",
    "BinaryLayer",
    "BinaryLinear",
    "BinaryMLP",
    "BinaryRNN",
    "BitPlanes",
    "Bop",
    "ByteConv2d",
    "ByteLinear",
    "Bytes",
    "Conversion",
    "CsvLogger",
    "DoReFaActivation",
    "DoReFaWeight",
    "Epoch",
    "GroupSum",
    "Histogram",
    "History",
    "InputScale",
    "Last",
    "LayerChange",
    "LayerInsight",
    "LayerSummary",
    "Logits",
    "LutArea",
    "LutLinear",
    "MLflowLogger",
    "Metaplastic",
    "Pixels",
    "Policy",
    "RPReLU",
    "Repeat",
    "Residual",
    "RowThreshold",
    "Rows",
    "Scale",
    "Shift",
    "ShiftAdaMax",
    "ShiftBatchNorm",
    "ShiftBatchNorm1d",
    "ShiftBatchNorm2d",
    "Sign",
    "SignInsight",
    "Split",
    "StepNorm",
    "Summary",
    "TensorBoardLogger",
    "TensorNorm",
    "TernaryWeight",
    "Thermometer",
    "TrainConfig",
    "Transfer",
    "Watch",
    "XnorConv2d",
    "accuracy",
    "adamw",
    "ap2",
    "as_sequence",
    "attenuation",
    "bi_real_block",
    "binarize",
    "binarize_",
    "binarizer",
    "binary_layers",
    "calibrate",
    "causal",
    "clip_latent",
    "distillation",
    "feature_distillation",
    "fit_classifier",
    "float_twin",
    "fold_norm",
    "fold_norms",
    "kept_signs",
    "latent_weights",
    "lut_areas",
    "predict",
    "react_block",
    "real_weights",
    "rsign",
    "set_progress",
    "squared_hinge",
    "straight_through",
    "summary",
    "surrogate",
    "tcn_block",
    "together",
    "train",
    "transfer",
    "watch_activations",
    "with_byte_activations",
]
