"""Credit tables: real ones by name, and a simulated portfolio whose true risk is known. Pictures, too.

``load`` looks in the folder named by the environment variable ``BIMETAL_DATA``, then in the user's
cache, then asks the publisher; every download is held to a checksum. Nothing is redistributed here.
To add a data set, write one row in `bimetal.datasets.catalog`. ``load_pictures`` looks in the folder only.
"""

from bimetal.datasets.dataset import Dataset
from bimetal.datasets.loading import load, load_or_simulate, names
from bimetal.datasets.pictures import Pictures, load_pictures, picture_names
from bimetal.datasets.simulation import simulate_credit

__all__ = [
    "Dataset",
    "Pictures",
    "load",
    "load_or_simulate",
    "load_pictures",
    "names",
    "picture_names",
    "simulate_credit",
]
