"""The bit-exact difference of two Programs: what an auditor asks of a model that has changed.

In a net of real numbers every weight moves a little with every update, and nobody can read the list.
In a binary net most weights stay what they were, so the list is short: these weights flipped, these
thresholds moved by one, these points by three. `diff` makes it, and its `Patch` turns one Program into
the other and back, to the last byte of the file.
"""

from bimetal.diff.changes import Flips, Moves, Recast, Rewired
from bimetal.diff.compare import ProgramDiff, diff
from bimetal.diff.patch import Patch

__all__ = ["Flips", "Moves", "Patch", "ProgramDiff", "Recast", "Rewired", "diff"]
