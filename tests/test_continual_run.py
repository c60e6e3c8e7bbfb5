"""Running methods of continual learning: on equal terms, told no more than they say, and measured purely."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from continual_streams import N_IN, PATTERNS, PatternMaker, Spy, spy_method
from sklearn.metrics import roc_auc_score
from torch import Tensor

from bimetal import format as bimetal_format
from bimetal.continual.harness import asking
from bimetal.continual.harness.asking import TestRows, mark
from bimetal.continual.harness.compare import compare
from bimetal.continual.harness.jobs import Failure, Job, carry_out
from bimetal.continual.harness.record import Run
from bimetal.continual.harness.run import batches, middle, run
from bimetal.continual.harness.study import Study
from bimetal.continual.harness.tuning import Trial, best_of, tune
from bimetal.continual.harness.workers import done, one_thread
from bimetal.continual.learners.learner import Learner, Method, Setting, Uses
from bimetal.continual.learners.methods import METHODS
from bimetal.continual.sequence import Task
from bimetal.errors import DataError, TrainingError
from bimetal.reference import run as reference_run

SMALL: dict[str, Any] = {"hidden": (16,), "n_epochs": 2, "batch_size": 20}
PLAIN = METHODS["plain"]


def learned(name: str = "plain", **changes: Any) -> Run:
    return run(PATTERNS.make(), name, **{**SMALL, **changes})


# ---- what is shown ----------------------------------------------------------------------------------


@pytest.mark.parametrize("uses", [Uses(), Uses(stored_data=True)])
def test_a_method_that_uses_nothing_is_never_told_anything(uses: Uses) -> None:
    found: list[Spy] = []
    run(PATTERNS.make(), spy_method(uses, found), **SMALL)
    assert {(what, said) for what, said in found[0].told if what != "observe"} == {("scores", None)}


def test_a_method_that_uses_boundaries_is_told_each_once_and_in_order() -> None:
    found: list[Spy] = []
    run(PATTERNS.make(), spy_method(Uses(boundaries=True), found), **SMALL)
    told = [(what, said) for what, said in found[0].told if what in ("begin", "end")]
    assert told == [
        (w, n if w == "begin" else f"patterns {n}") for n in range(3) for w in ("begin", "end")
    ]
    assert {said for what, said in found[0].told if what == "scores"} == {None}


def test_a_method_that_uses_task_ids_is_told_the_task_of_each_test_row() -> None:
    found: list[Spy] = []
    run(PATTERNS.make(), spy_method(Uses(task_ids=True), found), **SMALL)
    asked = [said for what, said in found[0].told if what == "scores"]
    assert asked == [0, 0, 1, 0, 1, 2]
    assert not {what for what, _ in found[0].told} & {"begin", "end"}


def shown(seed: int, method: Method | None = None, **changes: Any) -> list[Tensor]:
    found: list[Spy] = []
    method = replace(method or spy_method(), make=spy_method(found=found).make)
    run(PATTERNS.make(), method, seed=seed, **{**SMALL, **changes})
    return [rows for what, said in found[0].told if what == "observe" for rows in said]


def test_all_methods_see_the_same_rows_in_the_same_order_and_another_seed_another() -> None:
    one, told = shown(3), shown(3, spy_method(Uses(True, True, True)), evaluates="all")
    assert len(one) == len(told) and all(map(torch.equal, one, told))
    assert not all(map(torch.equal, one, shown(4)))


def test_the_order_of_a_task_depends_on_the_seed_and_its_number_and_nothing_before() -> None:
    setting = Setting(1, 2, seed=5)
    before = [list(batches(90, setting, n)) for n in (0, 1, 2)][2]
    again = list(batches(90, setting, 2))
    assert all(map(torch.equal, before, again))
    assert not torch.equal(again[0], next(batches(90, setting, 1)))


@pytest.mark.parametrize(("n_rows", "batch_size"), [(1, 100), (101, 100), (250, 100), (7, 1)])
def test_each_pass_shows_every_row_once_in_batches_of_nearly_equal_size(
    n_rows: int, batch_size: int
) -> None:
    setting = Setting(1, 2, batch_size=batch_size, n_epochs=2)
    parts = list(batches(n_rows, setting, 0))
    sizes = {len(part) for part in parts}
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    places = torch.cat(parts)
    assert (
        sorted(places[:n_rows].tolist()) == sorted(places[n_rows:].tolist()) == list(range(n_rows))
    )


def test_rows_reach_the_learner_as_bytes() -> None:
    x, y = shown(0)[:2]
    assert x.dtype == torch.uint8 and y.dtype == torch.int64 and x.shape == (20, N_IN)


# ---- what is measured -------------------------------------------------------------------------------


class Kept:
    """Makes learners of a method, and keeps them."""

    def __init__(self, method: Method) -> None:
        self.make, self.found = method.make, list[Any]()

    def __call__(self, setting: Setting, strength: float) -> Learner:
        self.found.append(self.make(setting, strength))
        return self.found[-1]  # type: ignore[no-any-return]


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_asking_changes_nothing_in_a_learner(method: Method) -> None:
    """Weights (or, for a head without any, answers) are the same whether it was asked in between or not."""
    kept = Kept(method)
    runs = [
        run(
            PATTERNS.make(n_tasks=2), replace(method, make=kept), evaluates=evaluates, checks=checks, **SMALL
        )
        for evaluates, checks in (("all", "each"), ("last", "never"))
    ]  # fmt: skip
    often, once = kept.found
    if hasattr(often, "net"):
        states = [learner.net.state_dict() for learner in kept.found]
        assert all(torch.equal(v, states[1][name]) for name, v in states[0].items())
    x = torch.tensor(PATTERNS.make().task(0).x_test)
    told = 0 if method.uses.task_ids else None
    assert torch.equal(often.scores(x, told), once.scores(x, told))
    assert np.array_equal(runs[0].scores[-1], runs[1].scores[-1])
    assert runs[0].state_bytes == runs[1].state_bytes


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_the_same_seed_gives_the_same_matrix(method: Method) -> None:
    first, second = (run(PATTERNS.make(n_tasks=2), method, seed=1, **SMALL) for _ in range(2))
    assert np.array_equal(first.scores, second.scores, equal_nan=True)
    assert [p.id for p in first.lowered] == [p.id for p in second.lowered]
    assert first.setting.seed == 1 and first.strength == middle(method)


def test_a_run_leaves_the_random_state_of_torch_as_it_was() -> None:
    before = torch.get_rng_state()
    learned()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("evaluates", "rows"),
    [
        ("all", ["111", "111", "111"]),
        ("seen", ["100", "110", "111"]),
        ("last", ["100", "010", "111"]),
        (2, ["100", "110", "111"]),
        (3, ["100", "010", "111"]),
    ],
)
def test_what_is_asked_after_each_task(evaluates: Any, rows: list[str]) -> None:
    found = learned(evaluates=evaluates)
    asked = ["".join("01"[int(known)] for known in row) for row in ~np.isnan(found.scores)]
    assert asked == rows
    assert np.isnan(found.baseline).all() == (evaluates != "all")


@pytest.mark.parametrize("evaluates", ["some", 0, -1, True, 1.5])
def test_what_is_asked_must_be_known(evaluates: Any) -> None:
    with pytest.raises(DataError, match="evaluates must be"):
        learned(evaluates=evaluates)
    with pytest.raises(DataError, match="evaluates must be"):
        compare(PATTERNS, ["plain"], [0], evaluates=evaluates)


def test_checks_must_be_known() -> None:
    with pytest.raises(DataError, match="checks must be"):
        learned(checks="often")


def test_an_auc_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores, y = torch.tensor(rng.integers(0, 5, (80, 2))).float(), rng.integers(0, 2, 80)
    expected = roc_auc_score(y, scores[:, 1] - scores[:, 0])
    assert mark(scores, y, "auc") == pytest.approx(expected, abs=1e-12)
    found = run(replace_metric("auc"), "plain", **SMALL)
    assert found.scores[-1].min() >= 0 and found.matrix.metric == "auc"


def replace_metric(metric: str) -> Any:
    return PatternMaker(metric=metric).make()


def test_an_auc_needs_two_classes_and_the_task_is_named() -> None:
    with pytest.raises(DataError, match="between two classes; there are 3"):
        mark(torch.zeros(2, 3), np.array([0, 1]), "auc")
    sequence = replace_metric("auc")
    one_sided = replace(
        sequence, make=lambda n: replace(sequence.make(n), y_test=np.zeros(60, np.int64))
    )
    with pytest.raises(DataError, match="task 1 of 'patterns': labels must be 0 and 1"):
        run(one_sided, "plain", **SMALL)


def test_accuracy_takes_the_lower_class_of_equal_scores() -> None:
    assert mark(torch.zeros(4, 3), np.array([0, 0, 1, 2])) == 0.5


def test_costs_are_those_of_learning_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only ticks when a learner is asked shows no time; steps and bytes are counted."""
    ticks = [0.0]
    monkeypatch.setattr("time.process_time", lambda: ticks[0])

    def slow(self: Spy, x: Tensor, task: int | None = None) -> Tensor:
        ticks[0] += 1
        return torch.zeros(len(x), 2)

    monkeypatch.setattr(Spy, "scores", slow)
    found = run(PATTERNS.make(), spy_method(), **SMALL)
    assert ticks[0] > 0 and found.cpu_seconds == 0 and len(found.task_seconds) == 3
    assert found.n_steps == 3 * 2 * 5
    assert found.state_bytes == max(found.state_bytes, 4 * 2 * N_IN)


def test_test_rows_beyond_the_limit_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "KEPT_BYTES", 60 * N_IN + 60 * 8)
    tests = TestRows(PATTERNS.make())
    assert tests[0].x is tests[0].x and tests[1].x is not tests[1].x
    assert torch.equal(tests[1].x, tests[1].x) and tests[1].key == tests[1].key != tests[0].key


def test_pieces_of_a_stream_share_their_test_rows_and_nobody_is_asked_twice() -> None:
    sequence = PATTERNS.make()
    first = sequence.task(0)

    def piece(number: int) -> Task:
        return replace(sequence.make(number), x_test=first.x_test, y_test=first.y_test)

    found: list[Spy] = []
    stream = run(replace(sequence, make=piece, scenario="stream"), spy_method(found=found), **SMALL)
    assert [what for what, _ in found[0].told].count("scores") == 3
    known = np.tril(np.ones((3, 3), bool))
    rows = np.where(known, stream.scores[:, :1], np.nan)
    assert np.array_equal(stream.scores, rows, equal_nan=True)


# ---- Programs ---------------------------------------------------------------------------------------


def test_programs_answer_all_test_rows_as_the_net_does() -> None:
    found = learned(checks="each")
    assert found.checks == (0, 0, 0) and found.n_differ == 0
    assert (
        len(found.lowered) == 3 == len(found.programs)
    )  # a norm for each task, a Program for each
    assert sum(p.n_rows for p in found.lowered) == 3 * 60
    assert [p.id for p in found.lowered] == [program.id for program in found.programs]
    assert found.n_packed_bytes == sum(p.cost().bytes for p in found.programs)


def test_the_programs_of_a_run_have_the_accuracy_of_its_last_row() -> None:
    found = learned()
    for number, program in enumerate(found.programs):
        task = PATTERNS.make().task(number)
        right = reference_run(program, task.x_test.astype(np.float32)).argmax(1) == task.y_test
        assert right.mean() == found.scores[-1, number]


def test_a_program_that_answers_otherwise_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_classes", lambda engine, x: np.full(len(x), 7))
    assert learned().n_differ == 180


def test_a_learner_without_programs_says_so() -> None:
    found = run(PATTERNS.make(), spy_method(), checks="each", **SMALL)
    assert found.n_differ is None and found.checks == (None,) * 3 and found.not_lowered


# ---- Ctrl-C -----------------------------------------------------------------------------------------


def stopping(at: str) -> Callable[[str], None]:
    """Return a progress that presses Ctrl-C when it is told this."""

    def progress(text: str) -> None:
        if at in text:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("at", ["task 2 of 3, step 1 ", "task 2 of 3, asking", "task 2 of 3"])
def test_ctrl_c_keeps_the_finished_tasks_and_says_so(at: str) -> None:
    found, whole = learned(progress=stopping(at)), learned()
    assert found.was_interrupted and not found.is_whole and found.n_finished == 1
    assert np.array_equal(found.scores, whole.scores[:1], equal_nan=True)
    assert found.task_names == whole.task_names[:1] and len(found.task_seconds) == 1
    assert found.n_steps == whole.n_steps / 3 and not found.programs


def test_ctrl_c_in_a_comparison_keeps_what_is_finished_and_resuming_does_the_rest(
    tmp_path: Path,
) -> None:
    def compared(**changes: Any) -> Study:
        return compare(
            PATTERNS, ["row_plain", "plain"], [0, 1], folder=tmp_path, **SMALL, **changes
        )

    part = compared(progress=stopping("plain, seed 1: task 2"))
    assert part.was_interrupted and part.methods == ("row_plain",)
    assert [(r.method, r.setting.seed, r.n_finished) for r in part.runs] == [
        ("row_plain", 0, 3), ("row_plain", 1, 1),
    ]  # fmt: skip
    assert [row.seeds for row in part.rows()] == [(0,)]
    said: list[str] = []
    whole = compared(resumes=True, progress=said.append)
    assert not any("row_plain, seed 0" in text for text in said)
    fresh = compared()
    assert not whole.was_interrupted and scores(whole) == scores(fresh)


def scores(study: Study) -> list[Any]:
    return [
        (r.method, r.setting.seed, r.values()["scores"], [p.id for p in r.lowered])
        for r in study.runs
    ]


def test_a_run_of_other_options_is_not_taken_for_finished(tmp_path: Path) -> None:
    job = Job(PATTERNS, PLAIN, 0.0, 0, options=SMALL, folder=str(tmp_path))
    first = carry_out(job, lambda text: None)
    said: list[str] = []
    other = replace(job, options={**SMALL, "n_epochs": 1}, resumes=True)
    carry_out(other, said.append)
    assert isinstance(first, Run) and said
    said.clear()
    assert isinstance(carry_out(replace(other), said.append), Run) and not said


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    job = Job(PATTERNS, PLAIN, 0.0, 0, options=SMALL, folder=str(tmp_path), resumes=True)
    assert job.path is not None
    job.path.parent.mkdir(parents=True)
    job.path.write_text("{")
    with pytest.raises(DataError, match="cannot be taken up again"):
        carry_out(job, lambda text: None)


def test_programs_are_written_beside_the_runs(tmp_path: Path) -> None:
    found = compare(PATTERNS, ["plain"], [0], folder=tmp_path, **SMALL).runs[0]
    paths = sorted((tmp_path / "programs").iterdir())
    assert [bimetal_format.load(path).id for path in paths] == [p.id for p in found.lowered]


# ---- JSON -------------------------------------------------------------------------------------------


def test_a_run_and_a_study_go_through_json_unchanged() -> None:
    found = learned(evaluates="last")
    again = Run.from_values(json.loads(json.dumps(found.values(), allow_nan=False)))
    assert again.values() == found.values() and again.setting == found.setting
    study = compare(PATTERNS, ["plain", "published"], [0], tunes=True, **SMALL)
    assert Study.from_json(study.to_json()).values() == study.values()
    assert Study.from_json(study.to_json()).rows() == study.rows()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": [{}]}'])
def test_other_text_is_no_study(text: str) -> None:
    with pytest.raises(DataError, match=r"no study|no run"):
        Study.from_json(text)


# ---- tuning -----------------------------------------------------------------------------------------


def test_tuning_never_makes_the_test_stream() -> None:
    guarded = PatternMaker(forbidden="test")
    found = tune(guarded, "published", seeds=(0, 1), n_tasks=2, **SMALL)
    assert found is not None and found.best in METHODS["published"].strengths
    assert [(t.strength, t.seed) for t in found.trials] == [
        (s, seed) for s in METHODS["published"].strengths for seed in (0, 1)
    ]
    with pytest.raises(AssertionError, match="test stream"):
        guarded.make()


def test_the_table_is_made_on_the_test_stream_alone() -> None:
    assert compare(PatternMaker(forbidden="validation"), ["plain"], [0], **SMALL).runs


def test_the_best_strength_has_the_highest_average_and_is_used() -> None:
    study = compare(PATTERNS, ["published"], [0], tunes=True, tuning_tasks=2, **SMALL)
    (tuning,) = study.tunings
    averages = {s: tuning.average(s) for s in tuning.strengths}
    assert averages[tuning.best] == max(filter(None, averages.values()))
    assert study.runs[0].strength == tuning.best and study.rows()[0].is_tuned


def test_a_method_of_one_strength_is_not_tuned() -> None:
    assert tune(PatternMaker(forbidden="validation"), "plain") is None


def test_all_methods_that_have_a_strength_have_the_same_number_to_try() -> None:
    assert len({len(m.strengths) for m in METHODS.values() if len(m.strengths) > 1}) == 1


def test_a_strength_that_came_to_nothing_is_not_chosen() -> None:
    method = METHODS["published"]
    trials = [
        Trial(1.0, 0, None, note="nan"),
        Trial(1.0, 1, 0.9),
        Trial(2.0, 0, 0.3),
        Trial(2.0, 1, 0.4),
    ]
    assert best_of(method, trials).best == 2.0 and best_of(method, trials).is_at_an_end
    with pytest.raises(TrainingError, match="no strength of 'published'"):
        best_of(method, trials[:1])


def test_tuning_without_seeds_says_so() -> None:
    with pytest.raises(DataError, match="one seed at least"):
        tune(PATTERNS, "published", seeds=())


# ---- comparing --------------------------------------------------------------------------------------


def test_any_number_of_workers_gives_the_same_and_ctrl_c_keeps_what_they_have(
    tmp_path: Path,
) -> None:
    def compared(**changes: Any) -> Study:
        return compare(PATTERNS, ["plain", "row_plain"], [0, 1], n_tasks=2, **SMALL, **changes)

    one = compared()
    two = compared(workers=2, folder=tmp_path, progress=stopping("3 of 4 done"))
    assert two.was_interrupted
    expected = scores(one)
    found = [
        kept for kept, run in zip(scores(two), two.runs, strict=True) if not run.was_interrupted
    ]
    assert len(found) >= 3 and all(run in expected for run in found)
    rest = compared(folder=tmp_path, resumes=True)
    assert scores(rest) == expected


def test_a_job_that_no_other_process_can_import_is_refused() -> None:
    local = replace(PLAIN, make=lambda setting, strength: Spy(setting))
    with pytest.raises(DataError, match="top level of a module"):
        compare(PATTERNS, [local], [0, 1], workers=2, **SMALL)
    with pytest.raises(DataError, match="workers must be"):
        compare(PATTERNS, [local], [0], workers=0, **SMALL)


def test_jobs_compute_on_one_thread_and_the_rest_is_as_before() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        counted = [n for _, n in done(lambda job, progress: torch.get_num_threads(), [0])]
        assert counted == [1] and torch.get_num_threads() == 2
        with one_thread():
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_deviations_need_two_seeds() -> None:
    one, two = (compare(PATTERNS, ["plain"], seeds, **SMALL).rows()[0] for seeds in ([0], [0, 1]))
    assert one.measures["average_accuracy"].sd is None and "±" not in one.percent(
        "average_accuracy"
    )
    averages = [run.scores[-1].mean() for run in compare(PATTERNS, ["plain"], [0, 1], **SMALL).runs]
    assert two.mean("average_accuracy") == pytest.approx(np.mean(averages))
    assert two.measures["average_accuracy"].sd == pytest.approx(np.std(averages, ddof=1))


def _fails(setting: Setting, strength: float) -> Learner:
    raise TrainingError("the loss is nan")


def test_a_method_that_fails_is_left_out_with_its_reason_and_the_others_stay() -> None:
    bad = replace(spy_method(), name="bad", make=_fails)
    study = compare(PATTERNS, [bad, PLAIN], [0], **SMALL)
    assert study.methods == ("plain",) and "loss is nan" in study.skipped[0].reason
    assert "bad: left out" in study.table() and "plain" in study.table()
    with pytest.raises(TrainingError, match="no method came to anything: bad"):
        compare(PATTERNS, [bad], [0], **SMALL)
    failed = carry_out(Job(PATTERNS, bad, 0.0, 0), lambda text: None)
    assert failed == Failure("bad", 0, "the loss is nan")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"methods": []}, "methods must be one or more"),
        ({"methods": ["plain", "plain"]}, "each once"),
        ({"methods": ["plane"]}, "Did you mean 'plain'"),
        ({"seeds": []}, "seeds must be one or more"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": [-1]}, "from 0"),
        ({"tuning_seeds": []}, "tuning_seeds must be"),
        ({"strengths": {"ewc": 1.0}}, "not among the methods"),
        ({"resumes": True}, "folder must be named"),
        ({"hidden": ()}, "hidden must name"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_learned(
    changes: dict[str, Any], why: str
) -> None:
    given = {"methods": ["plain"], "seeds": [0], **SMALL, **changes}
    with pytest.raises(DataError, match=why):
        compare(PATTERNS, progress=lambda text: pytest.fail(text), **given)
