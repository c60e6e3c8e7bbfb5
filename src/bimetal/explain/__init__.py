"""Exact answers about a Program: why this score, what would change it, and what can never happen."""

from bimetal.explain.form import PointsForm, form_of, points_program
from bimetal.explain.grid import Bin, ColumnBins, bins_of

__all__ = ["Bin", "ColumnBins", "PointsForm", "bins_of", "form_of", "points_program"]
