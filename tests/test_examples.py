"""The stories of examples/ are run as a reader would run them, in small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = {
    "card_preapproval": ["--rows", "3000", "--vectors", "100"],
    "credit_decision": ["--rows", "700", "--rules", "60"],
    "order_flow_signal": ["--seeds", "1", "--vectors", "60"],
    "volatility_alarm": ["--seeds", "1", "--vectors", "100"],
    "warehouse_preapproval": ["--vectors", "40"],
}


def test_every_story_is_run() -> None:
    stories = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("_")}
    assert stories == set(SMALL)


@pytest.mark.parametrize(
    ("story", "has_data"),
    [
        *((story, False) for story in SMALL),
        ("credit_decision", True),
        ("volatility_alarm", True),
        ("warehouse_preapproval", True),
    ],
)
def test_a_story_runs_to_its_end(story: str, has_data: bool, tmp_path: Path) -> None:
    if has_data and not os.environ.get("BIMETAL_DATA"):
        pytest.skip("needs the data sets: set BIMETAL_DATA")
    environment = {**os.environ, "BIMETAL_DATA": os.environ["BIMETAL_DATA"] if has_data else ""}
    command = [sys.executable, EXAMPLES / f"{story}.py", *SMALL[story], "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "equal the reference" in done.stdout or "not run here" in done.stdout.lower()
    assert any(tmp_path.iterdir()), "it wrote what it told of"
