"""Small nets train fastest on one thread; with several, tests that run side by side wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
