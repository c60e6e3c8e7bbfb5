"""Sequences of tasks by name: pictures that are permuted, split or follow one another; finance beside them.

To add a sequence, write its `SequenceMaker` in one of the files here and name it in that file's tuple.
"""

from bimetal.continual.sequences.finance import TABLE_SEQUENCES
from bimetal.continual.sequences.maker import SequenceMaker, Split
from bimetal.continual.sequences.order_books import ORDER_BOOK_SEQUENCES
from bimetal.continual.sequences.pictures import PICTURE_SEQUENCES
from bimetal.continual.sequences.simulated import SIMULATED_SEQUENCES
from bimetal.continual.sequences.volatility import VOLATILITY

__all__ = ["SEQUENCES", "SequenceMaker", "Split"]

SEQUENCES: dict[str, SequenceMaker] = {
    maker.name: maker
    for maker in (
        *PICTURE_SEQUENCES,
        *SIMULATED_SEQUENCES,
        *TABLE_SEQUENCES,
        *ORDER_BOOK_SEQUENCES,
        VOLATILITY,
    )
}
