"""How long the default BinaryClassifier takes to fit all of Taiwan (30,000 rows), teacher included."""

import numpy as np
from _frame import Row, options, report

from bimetal import BinaryClassifier, datasets


def main() -> None:
    """Fit with a few seeds, one after the other, and report the median."""
    args = options(__doc__.splitlines()[0])
    data = datasets.load_or_simulate("taiwan_default")
    n = 3_000 if args.quick else len(data.y)
    seconds = []
    for seed in range(1 if args.quick else args.seeds):
        model = BinaryClassifier(random_state=seed).fit(data.X.iloc[:n], data.y[:n])
        seconds.append(model.report_.seconds)
    name = f"fit of {data.name} ({data.origin}), {n:,} rows, median of {len(seconds)}"
    report([Row(name, float(np.median(seconds)), "s", "lower", 60)], args.json, seconds=seconds)


if __name__ == "__main__":
    main()
