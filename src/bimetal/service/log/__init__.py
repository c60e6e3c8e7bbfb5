"""The decision log: append-only, hash-chained, durable before a decision is answered."""

from bimetal.service.log.chained import ChainedLog
from bimetal.service.log.opening import open_log
from bimetal.service.log.record import (
    GENESIS,
    DecisionLog,
    DuplicateRequest,
    Entry,
    Erasure,
    LogUnavailable,
    Record,
)

__all__ = [
    "GENESIS",
    "ChainedLog",
    "DecisionLog",
    "DuplicateRequest",
    "Entry",
    "Erasure",
    "LogUnavailable",
    "Record",
    "open_log",
]
