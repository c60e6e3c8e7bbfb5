"""Pre-approval on a payment card: a credit model of a few kilobytes in constant time, on a Cortex-M0.

A card's secure element has a 32-bit core without floats, some kilobytes of flash to spare, and an
attacker who watches how long it computes. The net is trained on Taiwan's card data, cut to 4 KB, and
written as one C header whose running time does not depend on the applicant.

    python examples/card_preapproval.py
"""

import argparse
from pathlib import Path

from _story import proved, tell
from sklearn.metrics import roc_auc_score

import bimetal
from bimetal import export
from bimetal.datasets import load_or_simulate

CORE = "cortex-m0"


def main() -> None:
    """Train, measure, write, prove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=12_000, help="of the table, to train and test on"
    )
    parser.add_argument("--vectors", type=int, default=2_000, help="to run on the emulated card")
    parser.add_argument("--out", type=Path, default=Path("runs/card"))
    given = parser.parse_args()

    data = load_or_simulate("taiwan_default", offline=True)
    X, y = data.X[: given.rows], data.y[: given.rows]
    cut = len(y) * 2 // 3
    encoder = bimetal.TreeEncoder(max_bits=96, categorical=list(data.categorical))
    model = bimetal.BinaryClassifier(
        encoder=encoder, max_rules=0, n_members=4, hidden=(24, 24), max_bytes=6_000, random_state=0
    ).fit(X[:cut], y[:cut])
    program = model.program_
    auc = roc_auc_score(y[cut:], model.predict_proba(X[cut:])[:, 1])
    tell("The model", data=data.title, AUC_on_later_rows=f"{auc:.4f}", bytes=program.cost().bytes)

    needs = export.size(program, CORE, constant_time=True)
    tell(f"What it needs on a {CORE}, before anything is built", **needs.facts())

    given.out.mkdir(parents=True, exist_ok=True)
    written = export.export(program, given.out / "preapproval.h", core=CORE, constant_time=True)
    tell("Written", **{path.name: f"{path.stat().st_size:,} bytes" for path in written})
    tell(
        "Proved",
        card=proved(program, f"qemu:{CORE}", given.vectors, constant_time=True),
        this_machine=proved(program, "host:gcc", given.vectors, constant_time=True),
    )


if __name__ == "__main__":
    main()
