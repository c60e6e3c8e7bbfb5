"""HTTP scoring: load, validate, score, explain, log; no torch."""
