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
from sklearn.model_selection import train_test_split

import bimetal
from bimetal import export
from bimetal.datasets import load_or_simulate

CORE = "cortex-m0"


def main() -> None:
    """Train, measure, write, prove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=30_000, help="of the table, to train and test on"
    )
    parser.add_argument("--vectors", type=int, default=2_000, help="to run on the emulated card")
    parser.add_argument("--out", type=Path, default=Path("runs/card"))
    given = parser.parse_args()

    data = load_or_simulate("taiwan_default", offline=True)
    X, y = data.X[: given.rows], data.y[: given.rows]
    X, held_out, y, outcome = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    model = bimetal.BinaryClassifier(
        encoder=bimetal.TreeEncoder(max_bits=96, special_codes=data.special_codes),
        max_bytes=4096,
        n_members=3,
        hidden=(32,),
        random_state=0,
    ).fit(X, y)
    program = model.program_
    auc = roc_auc_score(outcome, model.predict_proba(held_out)[:, 1])
    tell(
        "The model", data=data.title, AUC_on_rows_held_out=f"{auc:.4f}", bytes=program.cost().bytes
    )

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
