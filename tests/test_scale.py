"""Scoring at scale: the same bytes whoever scores, one bad row stops nothing, one bad table everything."""

import filecmp
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from credit_models import toy_model, toy_program, toy_table

from bimetal import reference
from bimetal.columns import Column, Lists, to_rows
from bimetal.errors import ColumnError, DataError, FormatError, MissingExtraError
from bimetal.finance.credit.model import CreditModel
from bimetal.format import dumps
from bimetal.runtime import isas
from bimetal.scale import Cluster, Tally, cluster_of, recipe_of, score, score_file
from bimetal.scale.cluster import in_order, score_part
from bimetal.scale.credit import CreditScores
from bimetal.scale.files import rebatched
from bimetal.scale.job import Job
from bimetal.tables import Part, open_part, open_source, parts_of, read_table

GOLDEN = Path(__file__).parent / "golden" / "tiny.bimetal"


def applications(model: CreditModel, n: int = 500, seed: int = 0) -> pa.Table:
    table = pa.table(toy_table(model.program, n, seed))
    return table.append_column("id", pa.array([f"{i:06d}" for i in range(n)]))


def stored(table: pa.Table, path: Path, piece: int = 60) -> Path:
    match path.suffix:
        case ".csv":
            pyarrow.csv.write_csv(table, path)
        case ".parquet":
            pyarrow.parquet.write_table(table, path, row_group_size=piece)
        case ".arrow":
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=piece)
        case _:
            pyarrow.feather.write_feather(table, path, chunksize=piece)
    return path


def scores_of(model: CreditModel, table: pa.Table, **options: Any) -> dict[str, list[Any]]:
    scores = CreditScores(model, **options)
    batch = table.combine_chunks().to_batches()[0]
    names = [name for name, _ in scores.fields]
    return {n: c.to_pylist() for n, c in zip(names, scores.columns(batch), strict=True)}


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- What is written for an application ----------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("isa", isas())
def test_scores_are_those_of_the_credit_model(seed: int, isa: str) -> None:
    model = toy_model(seed, refer=None)
    low = model.policy.cutoff - 500
    model = toy_model(seed, refer=(low, model.policy.cutoff + 500))
    table = applications(model, 300, seed + 10)
    got = scores_of(model, table, isa=isa)
    rows = model.rows(table)
    told, refused = model.assess(rows), {p.row for p in model.check(rows) if p.is_refused}
    answers = reference.run(model.program, rows)
    assert len(refused) > 5 and {"approve", "refer", "decline"} <= set(told.decision)
    for i in range(300):
        row = {name: column[i] for name, column in got.items()}
        if i in refused:
            assert row["decision"] == "refused" and row["problem"]
            assert (
                row["points"] is row["score"] is row["probability_bad"] is row["prediction"] is None
            )
        else:
            assert (row["points"], row["score"], row["decision"]) == (
                told.points[i], told.score[i], told.decision[i])  # fmt: skip
            assert (row["probability_good"], row["probability_bad"]) == tuple(answers[i].tolist())
            assert row["prediction"] == model.program.classes[int(answers[i].argmax())]


def test_reasons_are_those_of_the_credit_model_and_none_where_approved_or_refused() -> None:
    model = toy_model(1)
    table = applications(model, 200, 3)
    got, expected = scores_of(model, table, with_reasons=True), model.reasons(model.rows(table))
    for i, reasons in enumerate(expected):
        told = [(got[f"reason_{k}"][i], got[f"reason_{k}_points"][i]) for k in range(1, 5)]
        is_refused = got["decision"][i] == "refused"
        wanted = [] if is_refused else [(r.code, r.points) for r in reasons]
        assert [t for t in told if t != (None, None)] == wanted
        assert bool(wanted) <= (got["decision"][i] == "decline")


def test_a_group_without_a_code_is_named_as_it_is() -> None:
    model = toy_model(1, codes={}, texts={}, groups={"means": ("income", "amount")}, max_reasons=2)
    got = scores_of(model, applications(model, 100), with_reasons=True)
    assert "means" in set(got["reason_1"]) and "reason_3" not in got


def test_points_beyond_float64_are_divided_once() -> None:
    from bimetal.scale.credit import _ratio

    huge = np.array([[2**60 + 1, -(2**59) - 3]])
    assert _ratio(huge, 7).tolist() == [[(2**60 + 1) / 7, (-(2**59) - 3) / 7]]
    assert _ratio(huge % 1000, 7).tolist() == [[n / 7 for n in (huge % 1000)[0].tolist()]]


def test_each_problem_of_a_row_is_said_and_its_neighbours_are_scored() -> None:
    model = toy_model(0)
    good = {name: [values[0]] * 6 for name, values in toy_table(model.program, 1, 2).items()}
    good["income"] = [50.0, -3.0, float("inf"), None, 50.0, 1e300]
    good["age"] = [40.0, 5.0, 40.0, 40.0, 40.0, 40.0]
    good["housing"] = ["own"] * 4 + ["tent", "own"]
    got = scores_of(model, pa.table(good))
    texts = [text or "" for text in got["problem"]]
    assert got["decision"][0] != "refused" and texts[0] == ""
    assert got["decision"][1:4] == ["refused"] * 3 and got["decision"][4] != "refused"
    assert "income: 0 to any expected, got -3" in texts[1] and "age: 18 to 110" in texts[1]
    assert "income: a finite number" in texts[2] and "income: a value expected" in texts[3]
    assert got["decision"][5] == "refused" and "income: a finite number" in texts[5]
    assert "never saw" in texts[4] and "scored as 'other'" in texts[4]


def test_a_policy_may_refuse_unknown_categories() -> None:
    model = toy_model(0, unknown_category="refuse", limits={})
    table = applications(model, 200)
    got = scores_of(model, table)
    is_unknown = [home == "houseboat" for home in table.column("housing").to_pylist()]
    assert [decision == "refused" for decision in got["decision"]] == is_unknown


# ---- Arrow columns to raw rows, the fast way -------------------------------------------------------

HOMES = Column("home", "category", ("own", "rent", "other"))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
@pytest.mark.parametrize("chunks", [[7], [3, 0, 4], [0]])
def test_arrow_text_is_read_as_any_list_is(kind: pa.DataType, chunks: list[int]) -> None:
    rng = np.random.default_rng(0)
    choices = np.array(["own", "rent", "boat", None], dtype=object)
    values = [rng.choice(choices, n).tolist() for n in chunks]
    column = pa.chunked_array([pa.array(v, pa.string()).cast(kind) for v in values], kind)
    flat = [value for part in values for value in part]
    expected = to_rows(Lists({"home": flat}), [HOMES])
    np.testing.assert_array_equal(to_rows(pa.table({"home": column}), [HOMES]), expected)


def test_a_dictionary_entry_that_no_row_uses_is_no_value() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([1, None], pa.int8()), ["forty", None])
    rows = to_rows(
        pa.table({"age": texts}), [Column("age")]
    )  # all missing, so a number may stand there
    assert np.isnan(rows).all() and rows.shape == (2, 1)
    with pytest.raises(ColumnError, match="must hold numbers"):
        to_rows(pa.table({"age": texts.take(pa.array([0, 1])).fill_null("x")}), [Column("age")])


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.float64(), pa.bool_()])
def test_arrow_nulls_are_missing_and_the_rest_stays(kind: pa.DataType) -> None:
    column = pa.chunked_array(
        [pa.array([1, None], pa.int8()), pa.array([None, 0], pa.int8())]
    ).cast(kind)
    rows = to_rows(pa.table({"x": column}), [Column("x")])
    np.testing.assert_array_equal(rows, np.array([[1], [np.nan], [np.nan], [0]], np.float32))
    assert rows.flags.c_contiguous


# ---- From file to file ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", [".parquet", ".feather", ".csv"])
def test_the_file_depends_on_the_rows_alone(tmp_path: Path, target: str) -> None:
    """However the table is stored and cut, the scores are the same bytes."""
    model = toy_model(2)
    table = applications(model, 700)
    ways = [(".parquet", 60), (".parquet", 1000), (".feather", 33), (".arrow", 700)]
    outs = []
    for i, (suffix, piece) in enumerate(ways):
        data = stored(table, tmp_path / f"in{i}{suffix}", piece)
        outs.append(tmp_path / f"out{i}{target}")
        score(model, data, outs[-1], reasons=True, keep=["id"], batch_rows=128)
    assert all(filecmp.cmp(outs[0], out, shallow=False) for out in outs[1:])


def test_the_summary_counts_and_the_file_says_who_made_it(tmp_path: Path) -> None:
    model = toy_model(0)
    model.save(tmp_path / "model.bimetal")
    table = applications(model)
    data, out = stored(table, tmp_path / "in.parquet"), tmp_path / "out.parquet"
    summary = score(tmp_path / "model.bimetal", data, out, keep=["id"], batch_rows=64)
    got = read_table(out)
    decisions, problems = got.column("decision").to_pylist(), got.column("problem")
    assert summary.n_rows == len(got) == 500 and summary.model_id == model.id
    assert summary.n_refused == decisions.count("refused") > 0
    assert summary.n_warned == 500 - problems.null_count - summary.n_refused > 0
    assert got.column("id").to_pylist() == table.column("id").to_pylist()
    metadata = {k.decode(): v.decode() for k, v in got.schema.metadata.items()}
    assert metadata["bimetal.policy_id"] == model.policy_id
    assert metadata["bimetal.file_hash"] == CreditModel.load(tmp_path / "model.bimetal").file_hash
    row_groups = pyarrow.parquet.ParquetFile(out).metadata
    assert [row_groups.row_group(i).num_rows for i in range(8)] == [64] * 7 + [52]


def test_a_model_may_be_a_file_a_program_or_a_credit_model(tmp_path: Path) -> None:
    model = toy_model(0)
    data = stored(applications(model, 50), tmp_path / "in.parquet")
    (tmp_path / "model.bimetal").write_bytes(dumps(model.program))
    for i, given in enumerate((tmp_path / "model.bimetal", model.program, model)):
        score(given, data, tmp_path / f"{i}.csv")
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_a_plain_classifier_has_no_problems_to_count(tmp_path: Path) -> None:
    housing = pa.array(["own", "rent"] * 40)
    table = pa.table({"age": [40.0] * 80, "income": [1500.0] * 80, "housing": housing})
    data = stored(table, tmp_path / "in.parquet")
    summary = score(GOLDEN, data, tmp_path / "out.parquet")
    assert (summary.n_rows, summary.n_refused, summary.n_warned) == (80, 0, 0)


@pytest.mark.parametrize("target", [".parquet", ".feather", ".csv"])
def test_a_kept_category_comes_through_whatever_its_dictionaries(
    tmp_path: Path, target: str
) -> None:
    model = toy_model(0)
    branches = [pa.array([f"b{i % 7 + k}" for i in range(100)]) for k in (0, 20, 40)]
    column = pa.chunked_array([branch.dictionary_encode() for branch in branches])
    table = applications(model, 300).append_column("branch", column)
    data = stored(table, tmp_path / "in.parquet", 100)
    score(model, data, tmp_path / f"out{target}", keep=["branch"], batch_rows=64)
    got = read_table(tmp_path / f"out{target}").column("branch").to_pylist()
    assert got == column.to_pylist()


@pytest.mark.parametrize("sizes", [[], [0], [5], [4, 4], [1] * 9, [0, 7, 0, 9], [40]])
def test_batches_cut_anew_hold_the_same_rows(sizes: list[int]) -> None:
    schema = pa.schema([("x", pa.int64())])
    numbers = iter(range(100))
    given = [
        pa.record_batch([pa.array([next(numbers) for _ in range(n)], pa.int64())], schema)
        for n in sizes
    ]
    got = list(rebatched(given, schema, 4))
    assert [x for batch in got for x in batch.column("x").to_pylist()] == list(range(sum(sizes)))
    assert [batch.num_rows for batch in got[:-1]] == [4] * (len(got) - 1)
    assert all(0 < batch.num_rows <= 4 for batch in got)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize("part_rows", [1, 60, 150, 10_000])
def test_parts_of_a_file_are_the_file(tmp_path: Path, suffix: str, part_rows: int) -> None:
    model = toy_model(0)
    table = applications(model, 500)
    path = stored(table, tmp_path / f"in{suffix}")
    parts = parts_of(path, part_rows)
    assert parts is not None
    assert [part.first_row for part in parts] == np.cumsum(
        [0, *(p.n_rows for p in parts)]
    ).tolist()[:-1]
    assert max(part.n_rows for part in parts) <= max(60, part_rows)
    batches: list[Any] = []
    for part in parts:
        with open_part(path, part, model.program.columns, ["id"], 37) as source:
            batches += list(source.batches)
    with open_source(path, model.program.columns, ["id"]) as source:
        assert pa.Table.from_batches(batches, source.schema) == pa.Table.from_batches(
            source.batches
        )


@pytest.mark.parametrize("suffix", [".csv", ".arrow"])
def test_what_can_only_be_read_from_the_beginning_has_no_parts(tmp_path: Path, suffix: str) -> None:
    assert parts_of(stored(pa.table({"x": [1.0]}), tmp_path / f"in{suffix}"), 10) is None


def broken(table: pa.Table) -> pa.Table:
    """An application near the end states a number that no float32 holds."""
    income = table.column("income").to_pylist()
    income[450] = 1e300
    return table.set_column(table.column_names.index("income"), "income", pa.array(income))


BROKEN: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a column missing": (lambda t: t.drop_columns(["income"]), "missing 'income'"),
    "text for numbers": (
        lambda t: t.set_column(0, t.column_names[0], pa.array(["x"] * 500)), "must hold numbers"),
    "a number too large in a late batch": (broken, "begins at row 4"),
    "a score's name kept": (lambda t: t.append_column("points", t.column("id")), "rename"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_table_that_does_not_fit_stops_all_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    change, complaint = BROKEN[case]
    model = toy_model(0) if "late" not in case else toy_program(0)
    data = stored(change(applications(toy_model(0))), tmp_path / "in.parquet")
    keep = ["points"] if "kept" in case else []
    with pytest.raises(DataError, match=complaint):
        score(model, data, tmp_path / "out.parquet", keep=keep, batch_rows=50)
    assert files_in(tmp_path) == ["in.parquet"]


def test_arguments_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = toy_model(0)
    data, recipe = stored(applications(model, 9), tmp_path / "in.parquet"), recipe_of(model)
    with pytest.raises(DataError, match="one of local, ray"):
        cluster_of("spark", recipe)
    with pytest.raises(DataError, match="for the engine 'ray'"):
        cluster_of("local", recipe, workers=2)
    with pytest.raises(DataError, match="at least one worker"):
        Cluster(recipe, workers=0)
    with pytest.raises(DataError, match="no folder"):
        score(model, data, tmp_path / "no" / "out.parquet")
    with pytest.raises(DataError, match="of their own"):
        score(model, data, data)
    with pytest.raises(DataError, match="reasons need a credit model"):
        score(GOLDEN, data, tmp_path / "out.parquet", reasons=True)
    with pytest.raises(DataError, match="no references"):
        score(toy_model(0, references=()), data, tmp_path / "out.parquet", reasons=True)
    (tmp_path / "bad.bimetal").write_bytes(b"no model")
    with pytest.raises(FormatError, match=r"bad\.bimetal"):
        score(tmp_path / "bad.bimetal", data, tmp_path / "out.parquet")
    assert files_in(tmp_path) == ["bad.bimetal", "in.parquet"]


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    model = toy_model(0)
    data = stored(applications(model, 9), tmp_path / "in.parquet")
    with pytest.raises(MissingExtraError, match=r"bimetal\[scale\]"):
        score(model, data, tmp_path / "out.parquet", engine="ray")
    assert files_in(tmp_path) == ["in.parquet"]


def test_an_address_where_nothing_answers_is_said_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'bimetal[scale]'")
    model = toy_model(0)
    data = stored(applications(model, 9), tmp_path / "in.parquet")
    with pytest.raises(ConnectionError, match="no Ray cluster answers at"):
        score(model, data, tmp_path / "out.parquet", engine="ray", address="127.0.0.1:1")
    assert files_in(tmp_path) == ["in.parquet"]


# ---- Order and bounds of what is in flight, without Ray -------------------------------------------


class Rays:
    """What `in_order` asks of Ray, in one process; tasks end in an order of the test's choosing."""

    exceptions = types.SimpleNamespace(
        RayTaskError=type("RayTaskError", (Exception,), {"cause": None}),
        RayError=type("RayError", (Exception,), {}),
    )

    def __init__(self, seed: int, fails_at: int = -1) -> None:
        self.rng, self.fails_at = np.random.default_rng(seed), fails_at
        self.running: set[int] = set()
        self.most, self.n_submitted, self.cancelled = 0, 0, []  # type: ignore[var-annotated]

    def submit(self) -> int:
        number = self.n_submitted
        self.n_submitted += 1
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        return number

    def wait(self, running: list[int], num_returns: int) -> tuple[list[int], list[int]]:
        done = running[self.rng.integers(len(running))]
        self.running.discard(done)
        return [done], [task for task in running if task != done]

    def get(self, task: int) -> int:
        if task == self.fails_at:
            raise self.exceptions.RayError("the worker died")
        return task * 10

    def cancel(self, task: int) -> None:
        self.cancelled.append(task)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "workers"), [(0, 2), (1, 3), (40, 1), (40, 3)])
def test_results_come_in_order_and_few_are_in_flight(seed: int, n: int, workers: int) -> None:
    ray = Rays(seed)
    taken = 0
    for result in in_order(ray, [ray.submit] * n, workers):
        assert result == taken * 10
        taken += 1
        assert ray.n_submitted - taken <= 4 * workers
    assert taken == n and ray.most <= workers


def test_a_task_lost_for_good_ends_the_job_and_the_others_are_cancelled() -> None:
    ray = Rays(0, fails_at=3)
    results = in_order(ray, [ray.submit] * 50, 4)
    with pytest.raises(ConnectionError, match="lost a task 4 times"):
        list(results)
    assert sorted(ray.cancelled) == sorted(ray.running) and ray.n_submitted < 50


def test_a_worker_that_does_not_find_the_file_says_where_it_must_be(tmp_path: Path) -> None:
    job = Job("in.parquet", str(tmp_path / "in.parquet"), (), 10, pa.schema([]), (), ())
    with pytest.raises(FileNotFoundError) as caught:
        score_part(recipe_of(toy_model(0)), job, Part((0,), 0, 5), None)
    assert "shared disk" in " ".join(caught.value.__notes__)


# ---- On a Ray cluster of two workers ----------------------------------------------------------------


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster on this machine, started once."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'bimetal[scale]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 << 20,
        log_to_driver=False,
        logging_level="ERROR",
    )
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find tests/
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("source", [".parquet", ".feather", ".csv", ".arrow"])
@pytest.mark.parametrize("target", [".parquet", ".feather", ".csv"])
def test_a_cluster_writes_the_same_bytes(
    ray: Any, tmp_path: Path, source: str, target: str
) -> None:
    model = toy_model(0)
    data = stored(applications(model, 3000), tmp_path / f"in{source}", 100)
    here, there = tmp_path / f"here{target}", tmp_path / f"there{target}"
    options: dict[str, Any] = {"reasons": True, "keep": ["id"], "batch_rows": 256}
    local = score(model, data, here, **options)
    assert score(model, data, there, engine="ray", workers=2, **options) == local
    assert filecmp.cmp(here, there, shallow=False)


def on_cluster(cluster: Cluster, data: Path, out: Path) -> Tally:
    tally = Tally()
    for _ in score_file(
        cluster.recipe.scores(), data, out, batch_rows=64, cluster=cluster, tally=tally
    ):
        pass
    return tally


def dying(recipe: Any, folder: Path, n_deaths: int) -> Any:
    """A recipe whose workers die that often before they score."""

    class Dying(type(recipe)):  # type: ignore[misc]
        def scores(self) -> Any:
            if os.environ.get("RAY_JOB_ID") or "default_worker" in " ".join(sys.argv):
                for i in range(n_deaths):
                    try:
                        (folder / f"death-{i}").touch(exist_ok=False)
                    except FileExistsError:
                        continue
                    os._exit(1)
            return super().scores()

    return Dying(recipe.model, recipe.isa, recipe.with_reasons)


@pytest.mark.slow
def test_parts_of_a_worker_that_dies_are_scored_again(ray: Any, tmp_path: Path) -> None:
    model = toy_model(0)
    data = stored(applications(model, 2000), tmp_path / "in.parquet", 50)
    (tmp_path / "deaths").mkdir()
    score(model, data, tmp_path / "here.parquet", batch_rows=64)
    cluster = Cluster(dying(recipe_of(model), tmp_path / "deaths", 2), workers=2, part_rows=200)
    assert on_cluster(cluster, data, tmp_path / "there.parquet").n_rows == 2000
    assert len(files_in(tmp_path / "deaths")) == 2
    assert filecmp.cmp(tmp_path / "here.parquet", tmp_path / "there.parquet", shallow=False)


@pytest.mark.slow
def test_workers_that_die_for_ever_end_the_job_and_leave_nothing(ray: Any, tmp_path: Path) -> None:
    model = toy_model(0)
    data = stored(applications(model, 200), tmp_path / "in.parquet", 50)
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    cluster = Cluster(dying(recipe_of(model), deaths, 1000), workers=1)
    with pytest.raises(ConnectionError, match="lost a task 4 times"):
        on_cluster(cluster, data, tmp_path / "out.parquet")
    assert files_in(tmp_path) == ["deaths", "in.parquet"] and len(files_in(deaths)) >= 4


@pytest.mark.slow
def test_an_error_in_a_late_part_stops_the_cluster_and_leaves_nothing(
    ray: Any, tmp_path: Path
) -> None:
    program = toy_program(0)
    data = stored(broken(applications(toy_model(0))), tmp_path / "in.parquet", 50)
    cluster = Cluster(recipe_of(program), workers=2, part_rows=50)
    with pytest.raises(
        DataError, match=r"in\.parquet': column 'income'.*begins at row 4"
    ) as caught:
        on_cluster(cluster, data, tmp_path / "out.parquet")
    assert type(caught.value).__name__ == "NotFiniteError"
    assert files_in(tmp_path) == ["in.parquet"]


# ---- Larger than memory ------------------------------------------------------------------------------

GROWTH = """
import re, sys
from pathlib import Path
import pyarrow
from bimetal.scale import score
model, small, large, out, batch_rows = sys.argv[1:]
def peak():  # of this process alone, unlike ru_maxrss, which begins at its parent's
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10
score(model, small, out, batch_rows=int(batch_rows))
before = peak()
summary = score(model, large, out, batch_rows=int(batch_rows))
print(summary.n_rows, peak() - before, pyarrow.default_memory_pool().max_memory() >> 20)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Fifteen times the rows, 90 batches, some 75 MB of numbers: the peak may rise by a few batches."""
    model = toy_model(0)
    model.save(tmp_path / "model.bimetal")
    piece = applications(model, 20_000).drop_columns(["id"])
    for name, n in (("small", 5), ("large", 75)):
        with pyarrow.parquet.ParquetWriter(
            tmp_path / f"{name}.parquet", piece.schema, use_dictionary=False, compression="none"
        ) as writer:
            for _ in range(n):
                writer.write_table(piece)
    files = [
        tmp_path / name
        for name in ("model.bimetal", "small.parquet", "large.parquet", "out.parquet")
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GROWTH, *map(str, files), "16384"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    n_rows, growth_mb, arrow_mb = map(int, done.stdout.split())
    assert n_rows == 1_500_000 and files[2].stat().st_size > 60 << 20
    assert growth_mb < 48 and arrow_mb < 16
