"""The same scoring, for tables larger than memory and for many machines.

`score` reads a file, scores it with a saved model and writes the scores to another file: in this process
(``engine="local"``), or on a Ray cluster (``engine="ray"``), with the same bytes as output.
"""

from bimetal.scale.cluster import Cluster
from bimetal.scale.files import Tally, score_file
from bimetal.scale.job import recipe_of
from bimetal.scale.run import ENGINES, Summary, cluster_of, score

__all__ = [
    "ENGINES",
    "Cluster",
    "Summary",
    "Tally",
    "cluster_of",
    "recipe_of",
    "score",
    "score_file",
]
