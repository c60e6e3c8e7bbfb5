"""Compression: the five families of the field and binarization, side by side on the user's model.

`compress` takes a float model and data and returns a `Study`: accuracy on test rows, bytes of a real
file, and latency by what runs that file, for parameter pruning, quantization, low-rank factorisation,
compact and transferred filters, knowledge distillation, binary nets, and combinations. One file a
family; to add a method, write one function and name it in `METHODS`.
"""

from bimetal.compress.data import CompressData, Part, read_data
from bimetal.compress.lesson import CompressConfig, Lesson
from bimetal.compress.models import load_model, load_weights
from bimetal.compress.result import Candidate, Latency, Method, Result, Skipped
from bimetal.compress.study import METHODS, Study, compress

__all__ = [
    "METHODS",
    "Candidate",
    "CompressConfig",
    "CompressData",
    "Latency",
    "Lesson",
    "Method",
    "Part",
    "Result",
    "Skipped",
    "Study",
    "compress",
    "load_model",
    "load_weights",
    "read_data",
]
