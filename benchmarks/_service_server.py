"""The service of `service_load.py`, as a process: with our model inside, or LightGBM and shap.

``python _service_server.py SETTINGS_JSON KIND WORKERS`` prints its port. Both kinds are the same service:
the same HTTP, checks, micro-batches and durable log; only the scorer differs.
"""

import hashlib
import json
import pickle
import sys
from typing import Any

import numpy as np

from bimetal.finance.credit.model import Reason
from bimetal.service.limits import Limits
from bimetal.service.scorer import Outcome, Scorer, scorer_of
from bimetal.service.server import Config, serve
from bimetal.service.service import Settings


class TreesScorer:
    """LightGBM for the probability, shap.TreeExplainer for the reasons of what is not approved.

    The columns, their checks and the share of approvals are those of our model. With references the
    explainer is asked what ours answers: what set an applicant apart from these approved ones. Without,
    it takes its short cut along the paths of the trees, which compares with everybody.
    """

    unit, cutoff, policy_id = 100, 0, None

    def __init__(self, data: bytes) -> None:
        import shap

        given = pickle.loads(data)  # our own file, written by service_load.py
        self.file_hash = self.id = hashlib.sha256(data).hexdigest()
        self.form = scorer_of(given["ours"], Limits()).form
        self._model, self._threshold = given["model"], given["threshold"]
        self._booster = self._model.booster_
        references = given["references"]
        self._explainer = (
            shap.TreeExplainer(self._model)
            if references is None
            else shap.TreeExplainer(self._model, references, feature_perturbation="interventional")
        )

    def score(self, rows: np.ndarray) -> list[Outcome]:
        bad = self._booster.predict(rows, num_threads=1)
        wanted = np.flatnonzero(bad >= self._threshold)
        reasons: list[tuple[Reason, ...]] = [()] * len(rows)
        if len(wanted):
            values = np.asarray(self._explainer.shap_values(rows[wanted], check_additivity=False))
            values = values[..., 1] if values.ndim == 3 else values
            for i, row in zip(wanted, values, strict=True):
                worst = np.argsort(-row, kind="stable")[:4]
                reasons[i] = tuple(self._reason(k, row) for k in worst if row[k] > 0)
        return [
            Outcome(None, None, p, "decline" if p >= self._threshold else "approve", None, why)
            for p, why in zip(bad.astype(np.float32).tolist(), reasons, strict=True)
        ]

    def _reason(self, k: int, row: np.ndarray) -> Reason:
        name = self.form.names[k]
        return Reason(name, f"R{k:02d}", f"{name} speaks against it", -float(row[k]), (name,))

    def counterfactuals(self, row: np.ndarray) -> list[dict[str, Any]]:
        return []

    def self_test(self) -> None:
        self.score(np.zeros((2, len(self.form)), np.float32))

    def describe(self) -> dict[str, Any]:
        return {}


def trees(data: bytes, limits: Limits) -> Scorer:
    return TreesScorer(data)


class TreesConfig(Config):
    """A `Config` whose service has LightGBM and shap inside."""

    build = staticmethod(trees)


if __name__ == "__main__":
    kind = Config if sys.argv[2] == "bimetal" else TreesConfig
    config = kind(Settings.from_spec(json.loads(sys.argv[1])), port=0, workers=int(sys.argv[3]))
    serve(config, told=lambda port: print(port, flush=True))
