"""Estimators with scikit-learn's manners: encoder, parts, teacher, and the Program they become."""

from bimetal.estimators.base import FitReport
from bimetal.estimators.classifier import BinaryClassifier
from bimetal.estimators.regressor import BinaryRegressor

__all__ = ["BinaryClassifier", "BinaryRegressor", "FitReport"]
