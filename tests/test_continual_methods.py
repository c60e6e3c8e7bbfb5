"""The methods of continual learning by their laws, each against its formula worked out slowly."""

import itertools
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from continual_state import kept, same, state
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bimetal import reference
from bimetal.continual.harness.run import batches, middle, run
from bimetal.continual.learners import methods
from bimetal.continual.learners.analytic import make_analytic
from bimetal.continual.learners.bimu import Bimu, BimuLearner
from bimetal.continual.learners.ewc import Ewc, fisher, make_ewc_row, protected_layers
from bimetal.continual.learners.gradient import GradientLearner
from bimetal.continual.learners.joint import Archive, make_joint
from bimetal.continual.learners.learner import Learner, Setting
from bimetal.continual.learners.nets import batch_net, row_net
from bimetal.continual.learners.replay import Reservoir, make_replay
from bimetal.continual.learners.rivals import on_batch_net, on_row_net
from bimetal.continual.learners.si import Si, make_si_row
from bimetal.continual.sequence import Sequence, Task
from bimetal.errors import DataError, TrainingError
from bimetal.nn import Binarizer, BinaryLinear, Sign, latent_weights

N_TASKS = 2
SMALL = {
    "analytic": replace(methods.METHODS["analytic"], make=partial(make_analytic, n_features=300))
}
METHODS = methods.METHODS | SMALL
each_method = pytest.mark.parametrize("name", list(METHODS))
each_keeps = pytest.mark.parametrize("keeps", ["separate", "online"])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def permuted_digits(number: int) -> Task:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(number).permutation(64)
    x = x.astype(np.uint8)[:, order]
    return Task(f"digits {number}", x[:1200], y[:1200], x[1200:], y[1200:])


DIGITS = Sequence("digits", "permuted digits", N_TASKS, 64, 10, "domain", cache(permuted_digits))


def setting_of(name: str, **changes: Any) -> Setting:
    given = {"hidden": (64,), "batch_size": 60, "n_epochs": 3, **changes}
    return METHODS[name].setting(DIGITS, **given)


def taught(name: str, n_tasks: int = N_TASKS, strength: float | None = None) -> Any:
    """Return a learner of that name after some tasks."""
    method, setting = METHODS[name], setting_of(name)
    learner = method.make(setting, middle(method) if strength is None else strength)
    for number in range(n_tasks):
        task = DIGITS.task(number)
        x, y = torch.tensor(task.x_train), torch.tensor(task.y_train)
        if method.uses.boundaries:
            learner.begin_task(number)
        for places in batches(len(x), setting, number):
            learner.observe(x[places], y[places])
        if method.uses.boundaries:
            learner.end_task(task)
    return learner


@cache
def known(name: str) -> Any:
    """Return the same, made once; whoever asks must not change it."""
    return taught(name)


def test_rows(task: int = 0) -> tuple[Tensor, Tensor]:
    made = DIGITS.task(task)
    return torch.tensor(made.x_test), torch.tensor(made.y_test)


test_rows.__test__ = False  # type: ignore[attr-defined]


def told(name: str, task: int) -> int | None:
    return task if METHODS[name].uses.task_ids else None


def accuracy(learner: Learner, name: str, task: int) -> float:
    x, y = test_rows(task)
    return float((learner.scores(x, told(name, task)).argmax(1) == y).float().mean())


# ---- what all methods have in common ----------------------------------------------------------------


@each_method
def test_every_method_learns_a_task_after_another(name: str) -> None:
    last, first = accuracy(known(name), name, 1), accuracy(known(name), name, 0)
    assert last > 0.45 and (first + last) / 2 > 0.5  # a tenth is chance; strengths are not tuned


@each_method
def test_the_same_seed_gives_the_same_weights_whatever_else_is_random(name: str) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - nobody may look at it
    assert same(state(taught(name, 1)), state(taught(name, 1)))


@each_method
def test_evaluation_changes_no_state(name: str) -> None:
    learner = known(name)
    before, random = state(learner), torch.get_rng_state()
    x, _ = test_rows()
    one = learner.scores(x, told(name, 0))
    learner.programs(), learner.insight(), learner.state_bytes()
    assert torch.equal(one, learner.scores(x, told(name, 0)))
    assert same(before, state(learner)) and torch.equal(random, torch.get_rng_state())


@each_method
def test_the_answer_for_a_row_does_not_depend_on_the_other_rows(name: str) -> None:
    x, _ = test_rows()
    x, learner = x[:40], known(name)
    for task in range(N_TASKS):
        alone = torch.cat([learner.scores(row, told(name, task)) for row in torch.split(x, 1)])
        assert torch.equal(alone, learner.scores(x, told(name, task)))


@each_method
def test_state_bytes_count_all_that_is_kept(name: str) -> None:
    learner = known(name)
    held = [v for _, v in kept(learner) if isinstance(v, Tensor | np.ndarray)]
    n_bytes = sum(v.nbytes for v in held)
    counts = 8 * len(learner.head.classes) if name == "analytic" else 0
    assert learner.state_bytes() == n_bytes + counts


@each_method
def test_what_a_method_says_it_uses_is_what_it_is_told_and_keeps(name: str) -> None:
    uses, heard = METHODS[name].uses, set()

    def spied(setting: Setting, strength: float) -> Learner:
        learner = METHODS[name].make(setting, strength)
        begin, end, scores = learner.begin_task, learner.end_task, learner.scores
        learner.begin_task = lambda n: (heard.add("boundary"), begin(n))[1]  # type: ignore
        learner.end_task = lambda t: (heard.add("boundary"), end(t))[1]  # type: ignore
        learner.scores = lambda x, task=None: (  # type: ignore
            heard.add("id" if task is not None else "no id"),
            scores(x, task),
        )[1]
        made.append(learner)
        return learner

    made: list[Learner] = []
    run(DIGITS, replace(METHODS[name], make=spied), hidden=(16,), batch_size=400, n_epochs=1)
    assert ("boundary" in heard) == uses.boundaries
    assert heard - {"boundary"} == ({"id"} if uses.task_ids else {"no id"})
    holds_rows = any(isinstance(v, Tensor) and v.dtype == torch.uint8 for _, v in kept(made[0]))
    assert holds_rows == uses.stored_data


@each_method
def test_programs_answer_with_the_class_of_the_learner(name: str) -> None:
    learner, (x, _) = known(name), test_rows(1)
    programs = learner.programs()
    assert len(programs) == (N_TASKS if METHODS[name].uses.task_ids else 1)
    ours = learner.scores(x[:100], told(name, 1)).numpy()
    theirs = reference.run(programs[-1], x[:100].numpy().astype(np.float32))
    assert (ours.argmax(1) == theirs.argmax(1)).all()


@each_method
def test_methods_list_five_strengths_or_have_nothing_to_tune(name: str) -> None:
    strengths = METHODS[name].strengths
    assert len(strengths) in (1, 5) and list(strengths) == sorted(set(strengths))


# ---- elastic weight consolidation -------------------------------------------------------------------


def nets() -> list[nn.Module]:
    learned = Binarizer(surrogate="identity", scale="learned")
    grouped = nn.Sequential(BinaryLinear(6, 8, groups=2), Sign(), BinaryLinear(8, 3, 1, learned))
    nn.init.uniform_(grouped[2].scale, 0.5, 2.0)
    told_net, free = batch_net(6, 3, (8,), seed=0), row_net(6, 3, (8, 8), 0.5, seed=0)
    for _ in range(20):
        told_net(torch.randint(0, 256, (9, 6)).float())
    return [told_net, free, grouped]


def rows(n: int = 12) -> tuple[Tensor, Tensor]:
    return torch.randint(0, 9, (n, 6), dtype=torch.uint8), torch.randint(0, 3, (n,))


def slow_fisher(net: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Square the gradient of each row by itself, as the published code does.

    All of these nets pass gradients straight through, so that those of latent weights are those of
    binary ones.
    """
    net.eval()
    total = [torch.zeros_like(w) for w in latent_weights(net)]
    for row, c in zip(torch.split(x, 1), torch.split(y, 1), strict=True):
        loss = cross_entropy(net(row.float()), c)
        for t, g in zip(total, torch.autograd.grad(loss, latent_weights(net)), strict=True):
            t += g.square()
    return [t / len(x) for t in total]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("n_at_once", [5, 500])
def test_fisher_is_the_mean_square_of_the_gradient_of_each_row(which: int, n_at_once: int) -> None:
    net, (x, y) = nets()[which], rows()
    for fast, slow in zip(fisher(net, x, y, n_at_once), slow_fisher(net, x, y), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("which", range(3))
def test_fisher_is_positive_where_inputs_are(which: int) -> None:
    net, (x, y) = nets()[which], rows(60)
    for f in fisher(net, x + 1, y):
        assert bool((f >= 0).all()) and float((f > 0).float().mean()) > 0.2


@pytest.mark.parametrize("which", range(3))
def test_computing_it_leaves_the_net_as_it_was(which: int) -> None:
    net, (x, y) = nets()[which], rows()
    net.train()
    net[1].eval()
    net(x.float()).sum().backward()
    before, random = state(net), torch.get_rng_state()
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes = [module.training for module in net.modules()]
    with torch.no_grad():
        fisher(net, x, y)
    assert same(before, state(net)) and torch.equal(random, torch.get_rng_state())
    assert modes == [module.training for module in net.modules()]
    assert not any(module._forward_hooks for module in net.modules())
    for g, p in zip(gradients, net.parameters(), strict=True):
        assert g is p.grad is None or torch.equal(g, p.grad)  # type: ignore[arg-type]


def task_of(x: Tensor, y: Tensor) -> Task:
    return Task("t", x.numpy(), y.numpy(), x.numpy(), y.numpy())


def after_tasks(guard: Ewc, n: int = 3) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """End tasks, weights moving between them; return the F and the weights of each."""
    importances, anchors = [], []
    for _ in range(n):
        x, y = rows(30)
        for w in latent_weights(guard.net):
            w.data = torch.randn_like(w)
        importances.append(fisher(guard.net, x, y))
        anchors.append([guard._weight(layer).clone() for layer in guard.layers])
        guard.end_task(task_of(x, y))
    for w in latent_weights(guard.net):
        w.data = torch.randn_like(w)
        w.grad = torch.randn_like(w)
    return importances, anchors


@each_keeps
@pytest.mark.parametrize("protects", ["binary", "latent"])
def test_ewc_pulls_as_a_fisher_and_an_anchor_of_each_task_would(keeps: Any, protects: Any) -> None:
    net = row_net(6, 3, (8,), 0.5, seed=0)
    guard = Ewc(net, 7.0, keeps=keeps, gamma=0.5, protects=protects, n_samples=30)
    importances, anchors = after_tasks(guard)
    if keeps == "online":
        running = [torch.zeros_like(f) for f in importances[0]]
        for found in importances:
            running = [0.5 * r + f for r, f in zip(running, found, strict=True)]
        importances, anchors = [running], anchors[-1:]
    penalty = torch.tensor(0.0)
    for found, ends in zip(importances, anchors, strict=True):
        for layer, f, end in zip(guard.layers, found, ends, strict=True):
            w = layer.binary_weight if protects == "binary" else layer.latent_weight
            penalty = penalty + 7.0 / 2 * (f * (w - end) ** 2).sum()
    latent = latent_weights(net)
    expected = [
        w.grad + g for w, g in zip(latent, torch.autograd.grad(penalty, latent), strict=True)
    ]
    guard.before_step()
    for w, e in zip(latent, expected, strict=True):
        torch.testing.assert_close(w.grad, e, rtol=1e-4, atol=1e-5)


@each_keeps
def test_of_binary_weights_only_those_whose_sign_has_changed_are_pulled(keeps: Any) -> None:
    net = row_net(6, 3, (8,), 0.5, seed=0)
    guard = Ewc(net, 5.0, keeps=keeps)
    x, y = rows(30)
    guard.end_task(task_of(x + 1, y))
    guard.end_task(task_of(x + 1, y))
    w = latent_weights(net)[0]
    before = w.detach().clone()
    flips = torch.rand_like(w) < 0.3
    w.data = torch.where(flips, -3 * w.data, 5 * w.data)
    w.grad = torch.zeros_like(w)
    guard.before_step()
    assert bool((w.grad[~flips] == 0).all())
    pulled = flips & (guard.importance[0] > 0)
    assert bool((w.grad * before < 0)[pulled].all()) and int(pulled.sum())  # a step goes back


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("ewc", on_batch_net), ("ewc_online", on_batch_net), ("si", on_batch_net),
        ("ewc_row", on_row_net), ("ewc_online_row", on_row_net), ("si_row", on_row_net),
    ],
)  # fmt: skip
def test_without_strength_a_guard_is_as_if_it_were_not_there(name: str, plain: Any) -> None:
    guarded, method = taught(name, strength=0.0), METHODS[name]
    learner, setting = plain(setting_of(name)), setting_of(name)
    for number, task in enumerate(DIGITS):
        x, y = torch.tensor(task.x_train), torch.tensor(task.y_train)
        if method.uses.boundaries:
            learner.begin_task(number)
        for places in batches(len(x), setting, number):
            learner.observe(x[places], y[places])
    assert same(state(guarded.net), state(learner.net))


@pytest.mark.parametrize(("name", "strength"), [("ewc", 1e4), ("ewc_row", 1e4), ("si_row", 300.0)])
def test_a_guard_keeps_what_is_forgotten_without_it(name: str, strength: float) -> None:
    kept_well = accuracy(taught(name, strength=strength), name, 0)
    assert kept_well > accuracy(taught(name, strength=0.0), name, 0) + 0.05


def test_the_published_code_s_optimizer_starts_anew_and_ours_does_not() -> None:
    for name, starts_anew in (("ewc", True), ("si", True), ("ewc_row", False), ("si_row", False)):
        learner = METHODS[name].make(setting_of(name), 1.0)
        learner.begin_task(0)
        optimizer = learner.optimizer
        learner.begin_task(1)
        assert (learner.optimizer is not optimizer) == starts_anew


def test_ewc_and_si_on_the_row_net_also_take_signs() -> None:
    for make in (make_ewc_row, make_si_row):
        learner = make(setting_of("ewc_row"), 1.0, threshold=0)
        x, _ = test_rows()
        hidden = learner.net[1](learner.net[0](x[:5].float()))
        assert set(hidden.unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": -1.0}, {"strength": float("nan")}, {"gamma": 1.5}, {"n_samples": 0}, {"keeps": "all"},
        {"protects": "norms"},
    ],
)  # fmt: skip
def test_ewc_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="must be"):
        Ewc(row_net(6, 3, (8,)), **{"strength": 1.0, **wrong})


def test_there_must_be_weights_to_protect_and_rows_to_look_at() -> None:
    with pytest.raises(DataError, match="BinaryLinear layers expected"):
        protected_layers(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(DataError, match="one row at least"):
        fisher(row_net(6, 3, (8,)), torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))


# ---- synaptic intelligence --------------------------------------------------------------------------


@pytest.mark.parametrize("along", ["latent", "binary"])
def test_si_sums_what_steps_have_done_and_makes_importances_of_it(along: Any) -> None:
    net = nn.Sequential(BinaryLinear(5, 4, binarizer=Binarizer(surrogate="identity", clip=None)))
    (w,), guard = latent_weights(net), Si(net, 3.0, along=along, damping=0.1)
    view = (
        torch.Tensor.numpy if along == "latent" else lambda t: np.where(t.numpy() >= 0, 1.0, -1.0)
    )
    rng = np.random.default_rng(0)
    omega, anchor = np.zeros(w.shape), None
    for _ in range(2):
        path, start = np.zeros(w.shape), view(w.detach()).copy()
        for _ in range(6):
            g = rng.normal(size=w.shape)
            w.grad = torch.tensor(g, dtype=torch.float32)
            before = view(w.detach()).copy()
            guard.before_step()
            pulled = np.zeros(w.shape)
            if anchor is not None:
                pulled = 2 * 3.0 * omega * (np.where(w.detach().numpy() >= 0, 1, -1) - anchor)
            np.testing.assert_allclose(w.grad.numpy(), g + pulled, rtol=1e-4, atol=1e-5)
            w.data -= 0.05 * w.grad
            guard.after_step()
            path += -g * (view(w.detach()) - before)  # of the loss's own gradient
        guard.end_task(task_of(*rows()))
        end = view(w.detach()).copy()
        omega += np.maximum(path, 0) / ((end - start) ** 2 + 0.1)
        anchor = np.where(end >= 0, 1, -1)
        np.testing.assert_allclose(guard.importance[0].numpy(), omega, rtol=1e-4, atol=1e-6)
    assert omega.max() > 0 and float(guard.importance[0].min()) >= 0


def test_si_keeps_nothing_of_a_step() -> None:
    assert known("si_row").guard._step == []


@pytest.mark.parametrize(
    "wrong", [{"strength": -1.0}, {"damping": 0.0}, {"along": "norms"}], ids=str
)
def test_si_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="must be"):
        Si(row_net(6, 3, (8,)), **{"strength": 1.0, **wrong})


# ---- replay and joint training ----------------------------------------------------------------------


def numbered(n: int) -> tuple[Tensor, Tensor]:
    """Return rows that tell their own number."""
    y = torch.arange(n)
    return torch.stack([y % 256, y // 256], 1).to(torch.uint8), y


def filled(capacity: int, n: int, piece: int, seed: int = 0) -> Reservoir:
    reservoir, (x, y) = Reservoir(capacity, seed), numbered(n)
    for part in torch.split(torch.arange(n), piece):
        reservoir.add(x[part], y[part])
    return reservoir


def test_a_reservoir_holds_rows_with_their_classes_and_never_more_than_its_capacity() -> None:
    for n in (1, 5, 6, 400):
        x, y = filled(5, n, 3).rows
        assert len(y) == min(5, n) and len(set(y.tolist())) == len(y) and int(y.max()) < n
        assert torch.equal(x, numbered(n)[0][y])


def test_how_the_stream_is_cut_makes_no_difference_to_a_reservoir() -> None:
    for one, other in itertools.pairwise(filled(9, 300, piece).rows for piece in (1, 7, 300)):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_each_row_of_a_stream_is_as_likely_to_be_kept() -> None:
    n_tries, n, capacity = 600, 20, 5
    kept_rows = torch.cat([filled(capacity, n, n, seed).rows[1] for seed in range(n_tries)])
    counts = np.bincount(kept_rows.numpy(), minlength=n)
    p = capacity / n
    assert np.abs(counts - n_tries * p).max() < 4.5 * np.sqrt(n_tries * p * (1 - p))


def test_a_draw_shows_no_row_twice() -> None:
    reservoir = filled(30, 100, 10)
    for n in (0, 10, 30, 99):
        drawn = reservoir.draw(n)[1].tolist()
        assert len(drawn) == min(n, 30) == len(set(drawn))
        assert set(drawn) <= set(reservoir.rows[1].tolist())


def batch_sizes(learner: GradientLearner, n_steps: int = 4) -> list[int]:
    found: list[int] = []
    learner.net[0].register_forward_hook(lambda layer, args, out: found.append(len(args[0])))
    x, y = test_rows()
    for step in range(n_steps):
        learner.observe(x[: 10 + step], y[: 10 + step])
    return found


def test_a_step_of_replay_shows_as_many_old_rows_as_new_ones() -> None:
    assert batch_sizes(make_replay(setting_of("replay"), 25)) == [10, 21, 24, 26]
    assert batch_sizes(make_replay(setting_of("replay"), 11)) == [10, 21, 23, 24]


def test_joint_training_keeps_every_row_of_ended_tasks_once_and_shows_as_many_as_new_ones() -> None:
    learner = make_joint(setting_of("joint"), 0.0)
    assert batch_sizes(learner) == [10, 11, 12, 13]
    for number in range(N_TASKS):
        learner.end_task(DIGITS.task(number))
    assert len(learner.memory) == 1200 * N_TASKS
    assert torch.equal(learner.memory._x[1200:], torch.tensor(DIGITS.task(1).x_train))
    assert batch_sizes(learner) == [20, 22, 24, 26]


def test_an_archive_draws_rows_with_their_own_classes() -> None:
    archive, (x, y) = Archive(), numbered(50)
    assert len(archive.draw(3)[0]) == 0
    archive.end_task(task_of(x, y))
    drawn_x, drawn_y = archive.draw(20)
    assert torch.equal(drawn_x, x[drawn_y]) and len(archive.draw(99)[1]) == 50


def test_a_reservoir_needs_room_for_a_row() -> None:
    with pytest.raises(DataError, match="one row at least"):
        Reservoir(0)


# ---- BiMU -------------------------------------------------------------------------------------------

NUMBERS = {"lr": 2.0, "n_memory": 50.0, "likelihood": 30.0, "prior": 3.0, "lr_max": 0.01}


def test_a_step_of_bimu_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    odds = nn.Parameter(torch.tensor(rng.normal(size=(7, 5))))
    optimizer, x = Bimu([odds], **NUMBERS), odds.detach().numpy().copy()
    for _ in range(5):
        g = rng.normal(size=x.shape)
        odds.grad = torch.tensor(g)
        optimizer.step()
        s, big = 1 - np.tanh(x) ** 2, 30.0 * g
        below = 3.0 * s + 2 * big * np.tanh(x) + 2 * np.abs(big) + 1 / 0.01
        x = x - (2.0 * big + x * s / 50.0) / below
        np.testing.assert_allclose(odds.detach().numpy(), x, rtol=1e-12)
    assert not optimizer.state


def step_of(odds: float, gradient: float, **changes: float) -> float:
    p = nn.Parameter(torch.tensor([odds], dtype=torch.float64))
    p.grad = torch.tensor([gradient], dtype=torch.float64)
    Bimu([p], **{**NUMBERS, **changes}).step()
    return float(p.detach()) - odds


def test_of_certain_odds_a_step_that_makes_them_less_certain_is_the_smaller_but_never_nothing() -> (
    None
):
    for odds in (1.0, 3.0, 9.0):
        more, less = abs(step_of(odds, -50.0)), abs(step_of(odds, 50.0))
        assert 0 < less < more
        assert less > 0.3 * 2.0 / 4  # bounded below by lr / 4 of a large gradient


def test_what_nothing_renews_is_forgotten_over_the_window() -> None:
    assert -2.0 < step_of(2.0, 0.0) < 0 < step_of(-2.0, 0.0) < 2.0
    assert abs(step_of(1.0, 0.0, n_memory=1e9)) < 1e-9


def coins(n_samples: int) -> BimuLearner:
    setting = Setting(6, 3, hidden=(64,))
    net = row_net(6, 3, (64,), seed=0)
    return BimuLearner(setting, net, lambda net: Bimu(latent_weights(net)), n_samples)


def test_drawn_weights_are_signs_with_the_mean_of_their_odds() -> None:
    learner = coins(1)
    odds = torch.linspace(-1.5, 1.5, 7, requires_grad=True)
    drawn = torch.stack([learner._sides(odds) for _ in range(4000)])
    assert set(drawn.detach().unique().tolist()) == {-1.0, 1.0}
    assert float((drawn.mean(0) - odds.tanh()).detach().abs().max()) < 0.06
    (g,) = torch.autograd.grad(drawn.mean(0).sum(), odds)
    assert bool((g > 0).all())


def test_without_draws_weights_are_the_likelier_sides_and_gradients_those_of_the_mean() -> None:
    odds = torch.tensor([-2.0, -0.1, 0.0, 0.7], requires_grad=True)
    sides = coins(0)._sides(odds)
    (g,) = torch.autograd.grad(sides.sum(), odds)
    assert sides.tolist() == [-1.0, -1.0, 1.0, 1.0]
    torch.testing.assert_close(g, 1 - odds.detach().tanh() ** 2)


def test_a_step_averages_the_gradients_of_drawn_nets() -> None:
    x, y = rows(20)
    one, many = coins(1), coins(3)
    total = [torch.zeros_like(w) for w in latent_weights(one.net)]
    for _ in range(3):  # the same draws, one at a time, no step between them
        one.net.zero_grad()
        drawn = torch.func.functional_call(one.net, one._drawn(), (x.float(),))
        cross_entropy(drawn, y).backward()
        for t, w in zip(total, latent_weights(one.net), strict=True):
            t += w.grad / 3
    many.observe(x, y)
    for t, w in zip(total, latent_weights(many.net), strict=True):
        torch.testing.assert_close(w.grad, t, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(NUMBERS))
def test_numbers_of_bimu_must_be_positive(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} must be above 0"):
        Bimu([nn.Parameter(torch.zeros(1))], **{**NUMBERS, name: 0.0})


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    learner = coins(1)
    learner.net[-1].scale.data.fill_(float("inf"))
    with pytest.raises(TrainingError, match="loss is"):
        learner.observe(*rows())
