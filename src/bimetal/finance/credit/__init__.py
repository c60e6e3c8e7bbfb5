"""Credit scoring: a binarized scorecard from application data to a decision that can be explained and replayed."""
