"""Exact answers about a Program: why this score, what would change it, and what can never happen."""

from bimetal.explain.blocks import Block
from bimetal.explain.bounds import Bound, bounds
from bimetal.explain.certificate import Certificate, certify, check_certificate
from bimetal.explain.counterfactual import Answer, counterfactuals
from bimetal.explain.form import PointsForm, form_of, points_program
from bimetal.explain.grid import Bin, ColumnBins, bins_of
from bimetal.explain.monotone import Proof, prove_monotone
from bimetal.explain.reasons import principal_reasons
from bimetal.explain.shapley import Contributions, Explainer

__all__ = [
    "Answer",
    "Bin",
    "Block",
    "Bound",
    "Certificate",
    "ColumnBins",
    "Contributions",
    "Explainer",
    "PointsForm",
    "Proof",
    "bins_of",
    "bounds",
    "certify",
    "check_certificate",
    "counterfactuals",
    "form_of",
    "points_program",
    "principal_reasons",
    "prove_monotone",
]
