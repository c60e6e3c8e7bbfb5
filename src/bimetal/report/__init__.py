"""Reports: a model judged on rows it has not seen, beside its challengers, as one page to look at.

`judge` gathers the facts, `write_report` draws them into ``report.html``, which needs nothing but
itself, and PNG files beside it.
"""

from bimetal.report.page import write_report
from bimetal.report.study import Judged, Portfolio, Study, judge

__all__ = ["Judged", "Portfolio", "Study", "judge", "write_report"]
