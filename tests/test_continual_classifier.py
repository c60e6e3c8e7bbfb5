"""`ContinualClassifier`: chunks do not matter, the Program is the model, columns and classes emerge."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError

from bimetal import ContinualClassifier, reference
from bimetal.columns import Lists
from bimetal.continual.learners.nets import row_net
from bimetal.continual.oversight.snapshots import Snapshots
from bimetal.continual.stream import tensors
from bimetal.continual.stream.calibration import FLATTEST, STEEPEST, RunningCalibration
from bimetal.continual.stream.encoding import Encoding, ReachingEncoder, beyond
from bimetal.continual.stream.growing import add_inputs, add_output
from bimetal.continual.stream.incoming import RowReader, Source, known_rows, plain_value
from bimetal.continual.stream.labels import Labels, plain_label
from bimetal.continual.stream.pending import MAX_PENDING, Pending
from bimetal.encoders import CutPointEncoder, Encoder, QuantileEncoder, TreeEncoder
from bimetal.errors import (
    CheckpointError,
    ColumnError,
    DataError,
    NotFiniteError,
    TrainingError,
)
from bimetal.nn import Metaplastic
from bimetal.reference.tables import encode

Floats = NDArray[np.float64]
SMALL: dict[str, Any] = {"hidden": (16,), "warm_up": 40, "batch_size": 8, "random_state": 0}


@pytest.fixture(scope="module")
def data() -> tuple[Floats, NDArray[np.int64]]:
    X, y = make_classification(400, 6, n_informative=4, class_sep=1.5, random_state=1)
    return X, y


def fed(X: Any, y: Any, cuts: list[int], **params: Any) -> ContinualClassifier:
    model = ContinualClassifier(**SMALL | params)
    for start, stop in zip([0, *cuts], [*cuts, len(y)], strict=True):
        if stop > start:
            model.partial_fit(X[start:stop], y[start:stop])
    return model


@given(st.lists(st.integers(1, 89), max_size=4).map(sorted))
@settings(max_examples=5, deadline=None)
def test_where_a_stream_is_cut_does_not_matter(
    data: tuple[Floats, NDArray[np.int64]], cuts: list[int]
) -> None:
    X, y = data[0][:90], data[1][:90]
    assert fed(X, y, cuts).get_state() == fed(X, y, []).get_state()


def test_row_by_row_is_all_at_once_even_as_columns_and_classes_emerge() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"b": rng.normal(size=150), "a": rng.choice(["x", "y"], 150)})
    frame["late"] = np.where(np.arange(150) < 60, np.nan, rng.normal(size=150))
    y = np.where(np.arange(150) < 90, rng.integers(0, 2, 150), rng.integers(0, 3, 150))
    by_row, at_once = ContinualClassifier(**SMALL), ContinualClassifier(**SMALL)
    for i in range(150):
        by_row.partial_fit(frame.iloc[i : i + 1], y[i : i + 1])
    at_once.partial_fit(frame, y)
    assert by_row.get_state() == at_once.get_state()
    assert [c.name for c in at_once.program_.columns] == ["a", "b", "late"]
    assert at_once.classes_.tolist() == [0, 1, 2]


def test_a_mapping_is_the_same_row_as_a_frame() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"n": rng.normal(size=80), "c": rng.choice(["x", "y"], 80)})
    y = rng.integers(0, 2, 80)
    one = ContinualClassifier(**SMALL).begin()
    for x, label in zip(frame.to_dict("records"), y.tolist(), strict=True):
        one.stream_.learn_one(x, label)
    many = ContinualClassifier(**SMALL).partial_fit(frame, y)
    assert one.begin().get_state() == many.get_state()
    answer = one.stream_.answer_one(frame.iloc[3].to_dict())
    assert (answer == many.predict_proba(frame.iloc[3:4])[0]).all()


def test_the_program_answers_as_the_model_bit_for_bit_at_any_time(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL)
    for start in range(0, 200, 50):
        model.partial_fit(X[start : start + 50], y[start : start + 50])
        answers = model.predict_proba(X)
        assert (reference.run(model.program_, X.astype(np.float32)) == answers).all()
        assert (model.engine_.predict_proba(X) == answers).all()


def test_the_program_is_the_net_with_its_calibration(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL).partial_fit(X, y + 1)
    net, encoding = model.stream_.net, model.stream_.columns.encoding
    assert net is not None and encoding is not None
    bits = torch.from_numpy(encoding.bits(X.astype(np.float32)).astype(np.float32))
    with torch.no_grad():
        scores = net.net.eval()(bits).numpy()
    expected = net.calibration.probabilities(scores)[:, model.stream_.labels.order]
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)


def test_a_batch_is_answered_row_by_row(data: tuple[Floats, NDArray[np.int64]]) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL).partial_fit(X, y)
    alone = np.concatenate([model.predict_proba(X[i : i + 1]) for i in range(20)])
    assert (alone == model.predict_proba(X[:20])).all()


def test_it_learns_and_remembers_better_than_without_strength() -> None:
    """Regime A, regime B elsewhere in the inputs: what is left of A?"""
    left = {}
    for strength in (0.0, "auto"):
        kept = []
        for seed in (0, 1):
            rng = np.random.default_rng(seed)
            w, v = rng.normal(size=(2, 6))
            A, B = rng.normal(size=(600, 6)) - 1.5, rng.normal(size=(600, 6)) + 1.5
            ya, yb = (A + 1.5) @ w > 0, (B - 1.5) @ v > 0
            model = ContinualClassifier((48,), strength=strength, warm_up=64, random_state=seed)
            model.partial_fit(np.concatenate([A[:20], B[:20], A]), np.r_[ya[:20], yb[:20], ya])
            model.partial_fit(B, yb)
            kept.append(model.score(A, ya))
        left[strength] = np.mean(kept)
    assert left["auto"] > max(0.75, left[0.0])


def test_fit_goes_through_a_short_table_often_enough(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    model = ContinualClassifier(random_state=0).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.85
    assert model.n_waiting_ == 0 and model.stream_.n_updates >= 200
    in_order = ContinualClassifier((32,), random_state=0, shuffle=False).fit(X, y)
    assert in_order.score(X, y) > 0.8


def test_before_the_warm_up_is_full_the_answer_is_the_prior() -> None:
    model = ContinualClassifier(**SMALL).partial_fit(np.zeros((9, 2)), [0] * 6 + [1] * 3)
    np.testing.assert_allclose(model.predict_proba(np.ones((2, 2))), [[7 / 11, 4 / 11]] * 2)
    assert model.n_waiting_ == 9
    with pytest.raises(DataError, match="9 of 40 rows"):
        _ = model.program_
    model.flush()
    assert model.n_waiting_ == 0 and model.program_.classes == (0, 1)


def test_a_stream_that_has_only_begun_has_no_answer() -> None:
    model = ContinualClassifier(**SMALL)
    with pytest.raises(NotFittedError, match="seen no row"):
        model.predict([[1.0]])
    with pytest.raises(NotFittedError, match="no row has come"):
        model.begin().predict([[1.0]])
    assert model.partial_fit([[1.0, 2.0]], [1]).n_features_in_ == 2


def test_what_waits_changes_no_answer_until_its_mini_batch_is_complete(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL).partial_fit(X[:80], y[:80])
    before = model.program_.id
    assert model.partial_fit(X[80:87], y[80:87]).program_.id == before
    assert model.n_waiting_ == 7
    assert model.partial_fit(X[87:88], y[87:88]).program_.id != before


def test_a_column_that_disappears_is_missing_and_one_that_emerges_gets_bits() -> None:
    rng = np.random.default_rng(0)
    first = pl.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    y = (first["a"].to_numpy() > 0).astype(int)
    model = ContinualClassifier(**SMALL).partial_fit(first, y)
    n_bits = model.stream_.columns.encoding.n_bits
    without = model.predict_proba(first.select("a"))
    missing = first.with_columns(b=pl.lit(None, dtype=pl.Float64))
    assert (without == model.predict_proba(missing)).all()
    second = first.with_columns(c=pl.Series(rng.choice(["u", "v"], 60)))
    before = model.predict_proba(first)
    assert (model.predict_proba(second) == before).all()  # not known: not read
    model.partial_fit(second[:39], y[:39])
    assert model.stream_.columns.encoding.n_bits == n_bits
    model.partial_fit(second[39:40], y[39:40])
    assert model.program_.columns[-1].categories == ("u", "v")
    assert model.stream_.columns.encoding.n_bits == n_bits + 3  # u, v, missing
    assert model.feature_names_in_.tolist() == ["a", "b", "c"] and model.n_features_in_ == 3


def test_a_column_without_a_value_in_the_warm_up_comes_later() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    X[:50, 1] = np.nan
    model = ContinualClassifier(**SMALL).partial_fit(X, rng.integers(0, 2, 100))
    assert [c.name for c in model.program_.columns] == ["x0", "x2", "x1"]
    assert model.predict_proba(X).shape == (100, 2)


def test_rows_without_any_value_tell_of_classes_alone() -> None:
    model = ContinualClassifier(**SMALL).partial_fit(np.full((50, 2), np.nan), [0] * 49 + [1])
    assert model.n_waiting_ == 0 and model.predict_proba([[1.0, 2.0]])[0, 0] > 0.9


def test_fixed_columns_are_held_to() -> None:
    frame = pd.DataFrame({"a": range(50), "b": range(50)})
    model = ContinualClassifier(**SMALL, columns="fixed").partial_fit(frame, [0, 1] * 25)
    for bad in (frame[["a"]], frame.assign(c=1)):
        with pytest.raises(ColumnError, match="columns='fixed'"):
            model.predict(bad)
        with pytest.raises(ColumnError, match="columns='fixed'"):
            model.partial_fit(bad, [0, 1] * 25)
    with pytest.raises(ColumnError, match="columns='fixed'"):
        model.stream_.learn_one({"a": 1.0}, 0)
    with pytest.raises(ColumnError, match="none of the columns"):
        ContinualClassifier(**SMALL).partial_fit(frame, [0, 1] * 25).predict(
            pd.DataFrame({"z": [1]})
        )


def test_classes_emerge_and_stand_in_order() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(160, 2))
    model = ContinualClassifier(**SMALL).partial_fit(X[:60], ["m"] * 60)
    assert model.classes_.tolist() == ["m"] and (model.predict(X) == "m").all()
    assert (model.predict_proba(X) == 1).all() and model.program_.classes == ("m",)
    y = np.where(X[:, 0] > 0.5, "z", np.where(X[:, 0] < -0.5, "a", "m"))
    for _ in range(4):
        model.partial_fit(X, y)
    assert model.classes_.tolist() == ["a", "m", "z"] == list(model.program_.classes)
    assert model.score(X, y) > 0.8
    declared = ContinualClassifier(**SMALL).partial_fit(X[:3], [1, 1, 1], classes=[0, 1, 2])
    assert declared.predict_proba(X).shape == (160, 3)


def test_a_new_class_is_expected_as_rarely_as_it_has_come(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL).partial_fit(X[:200], y[:200])
    model.partial_fit(X[200:201], [2])
    assert model.predict_proba(X)[:, 2].mean() < 0.03


def test_state_goes_on_bit_for_bit(data: tuple[Floats, NDArray[np.int64]], tmp_path: Any) -> None:
    X, y = data
    for n in (10, 45, 203):  # in the warm-up, after it, in the middle of a mini-batch
        model = ContinualClassifier(**SMALL, class_weight={0: 2.0}).partial_fit(X[:n], y[:n])
        path = tmp_path / "state.safetensors"
        path.write_bytes(model.get_state())
        again = ContinualClassifier.from_state(path)
        pickled = pickle.loads(pickle.dumps(model))
        for other in (again, pickled):
            assert other.get_state() == model.get_state()
        for each in (model, again, pickled):
            each.partial_fit(X[n : n + 60], y[n : n + 60])
        assert model.get_state() == again.get_state() == pickled.get_state()
        assert again.get_params() == model.get_params()


def test_state_is_a_safetensors_file(data: tuple[Floats, NDArray[np.int64]]) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL).partial_fit(X[:100], y[:100])
    tensors = load_safetensors(model.get_state())
    assert (
        tensors["net.latent.0"] == model.stream_.net.net[0].latent_weight.detach().numpy()[0]
    ).all()


def test_a_damaged_state_is_refused(data: tuple[Floats, NDArray[np.int64]]) -> None:
    X, y = data
    state = ContinualClassifier(**SMALL).partial_fit(X[:60], y[:60]).get_state()
    rng = np.random.default_rng(0)
    length = int.from_bytes(state[:8], "little")
    for cut in (0, 5, 100, len(state) - 1):
        with pytest.raises(CheckpointError):
            ContinualClassifier.from_state(state[:cut])
    for place in [*rng.integers(0, 8 + length, 30), *rng.integers(0, len(state), 30)]:
        changed = bytearray(state)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(CheckpointError):
            ContinualClassifier.from_state(bytes(changed))
    text, arrays = tensors.loads(state)
    for old, new, message in (
        ('"version": 1', '"version": 7', "version 1 expected"),
        ('"first"', '"last"', "do not fit"),
    ):
        with pytest.raises(CheckpointError, match=message):
            ContinualClassifier.from_state(tensors.dumps(text.replace(old, new, 1), arrays))


def test_an_encoder_fitted_on_history_is_used_from_the_first_row(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    encoder = QuantileEncoder(max_bits_per_column=4).fit(X)
    model = ContinualClassifier(**SMALL, encoder=encoder).partial_fit(X[:8], y[:8])
    assert model.stream_.columns.encoding.n_bits == 6 * 5  # and a bit for missing values each
    assert model.predict_proba(np.full((1, 6), np.nan)).shape == (1, 2)
    assert clone(model).encoder is encoder
    assert fed(X[:90], y[:90], [3, 50], encoder=encoder).get_state() == (
        fed(X[:90], y[:90], [], encoder=encoder).get_state()
    )


@pytest.mark.parametrize(
    "encoder",
    [TreeEncoder(n_trees=4), CutPointEncoder(cut_points={"x0": [0.0], "x3": [-1, 1]})],
    ids=lambda encoder: type(encoder).__name__,
)
def test_an_encoder_of_any_kind_is_fitted_on_the_warm_up(
    data: tuple[Floats, NDArray[np.int64]], encoder: Encoder
) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL, encoder=encoder).partial_fit(X[:30], y[:30])
    again = ContinualClassifier.from_state(
        model.get_state()
    )  # its parameters are part of the state
    for each in (model, again):
        each.partial_fit(X[30:80], y[30:80])
    assert model.get_state() == again.get_state()
    assert not hasattr(encoder, "op_")


def test_an_encoder_of_your_own_must_be_fitted_before_a_state_is_taken() -> None:
    class Own(QuantileEncoder):
        pass

    model = ContinualClassifier(**SMALL, encoder=Own()).partial_fit(np.zeros((3, 1)), [0, 1, 0])
    with pytest.raises(DataError, match="fit it on history first"):
        model.get_state()


def test_weights_zero_is_not_there_and_class_weights_shift_probabilities(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    kept = np.arange(200) % 3 != 0
    weighted = ContinualClassifier(**SMALL).partial_fit(X[:200], y[:200], sample_weight=kept * 1.0)
    removed = ContinualClassifier(**SMALL).partial_fit(X[:200][kept], y[:200][kept])
    assert weighted.get_state() == removed.get_state()
    rare = np.where(np.arange(400) % 10 == 0, y, 0)
    plain, balanced = (
        ContinualClassifier(**SMALL, class_weight=w)
        .partial_fit(X, rare)
        .predict_proba(X)[:, 1]
        .mean()
        for w in (None, "balanced")
    )
    assert balanced > 2 * plain


def test_probabilities_follow_the_level_of_a_class() -> None:
    """Noise as rows: all there is to know is how frequent a class is today."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = rng.random(3000) < np.where(np.arange(3000) < 1500, 0.1, 0.5)
    model = ContinualClassifier((16,), random_state=0, n_epochs=1)
    model.partial_fit(X[:1500], y[:1500])
    assert abs(model.predict_proba(X)[:, 1].mean() - 0.1) < 0.06
    model.partial_fit(X[1500:], y[1500:])
    assert abs(model.predict_proba(X)[:, 1].mean() - 0.5) < 0.12


def test_nothing_is_learned_from_a_table_that_is_refused(
    data: tuple[Floats, NDArray[np.int64]],
) -> None:
    X, y = data
    model = ContinualClassifier(**SMALL).partial_fit(X[:60], y[:60])
    state = model.get_state()
    bad = X[60:120].copy()
    bad[50, 2] = np.inf
    for table, error in ((bad, NotFiniteError), (X[60:120, :4], DataError)):
        with pytest.raises(error):
            model.partial_fit(table, y[60:120])
    mixed = pd.DataFrame({f"x{j}": X[60:120, j] for j in range(6)}).assign(new=[1, "a"] * 30)
    with pytest.raises(ColumnError, match="mixes text and numbers"):
        model.partial_fit(mixed, y[60:120])
    with pytest.raises(DataError, match="sample_weight"):
        model.partial_fit(X[:5], y[:5], sample_weight=[1, 1])
    assert model.get_state() == state


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden": ()}, "hidden"),
        ({"batch_size": 0}, "batch_size"),
        ({"n_epochs": 0}, "n_epochs"),
        ({"warm_up": 0}, "warm_up"),
        ({"memory_half_life": -1.0}, "memory_half_life"),
        ({"memory_half_life": "long"}, "'auto'"),
        ({"strength": "strong"}, "'auto'"),
        ({"columns": "some"}, "columns"),
        ({"class_weight": "even"}, "class_weight"),
    ],
)
def test_an_option_that_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ContinualClassifier(**SMALL | params).fit(np.arange(8.0)[:, None], [0, 1] * 4)


def test_a_half_life_lets_memory_fade(data: tuple[Floats, NDArray[np.int64]]) -> None:
    X, y = data
    lasting = ContinualClassifier(**SMALL, memory_half_life=None).partial_fit(X, y)
    assert ContinualClassifier().begin().stream_.options.net.half_life == 10_000
    fading = ContinualClassifier(**SMALL, memory_half_life=50).partial_fit(X, y)
    sizes = [m.stream_.net.net[0].latent_weight.detach().abs().mean() for m in (lasting, fading)]
    assert sizes[1] < sizes[0] / 2


def test_labels_are_plain_and_a_loss_that_is_not_finite_stops() -> None:
    assert type(plain_label(np.bool_(True))) is bool
    for odd in (None, float("nan"), [1]):
        with pytest.raises(DataError, match="DelayedLabels"):
            plain_label(odd)
    labels = Labels()
    labels.add("b"), labels.add(1), labels.add("a")
    assert labels.sorted().tolist() == [1, "a", "b"]
    model = ContinualClassifier(**SMALL, class_weight={0: float("nan")})
    with pytest.raises(TrainingError, match="loss is"):
        model.partial_fit(np.arange(80.0)[:, None], [0, 1] * 40)


# ----- the parts


def test_cut_points_reach_beyond_the_rows_they_were_found_on() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(100, 10, size=(256, 1))
    encoder = ReachingEncoder().fit(X)
    counts = encoder.transform([[90.0], [110.0], [150.0], [200.0], [1000.0], [10.0]]).sum(axis=1)
    assert sorted(set(counts.tolist())) == sorted(counts[[5, 0, 1, 2, 3, 4]].tolist())
    assert len(set(counts.tolist())) == 6
    assert all(cut > 0 for cut in beyond(np.array([0.0, 1.0, 2.0], np.float32)))
    assert len(beyond(np.array([0.0, 1.0], np.float32))) == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_bits_are_what_the_operation_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = {
        "n": rng.normal(size=30).round(1).tolist(),
        "c": rng.choice(["x", "y", "z"], 30).tolist(),
        "s": rng.choice([-9.0, 1.0, 2.0, 3.0], 30).tolist(),
    }
    frame["n"][3] = None
    fitted = QuantileEncoder(special_codes={"s": [-9]}).fit(Lists(frame))
    encoding = Encoding.of(fitted).with_columns(fitted)
    rows = np.hstack([known_rows(Source.of(Lists(frame)), fitted.columns_)] * 2)
    assert (encoding.bits(rows) == encode(encoding.op, rows)).all()


def test_a_new_column_moves_each_sum_by_one_at_most() -> None:
    rng = np.random.default_rng(0)
    old = Encoding.of(ReachingEncoder().fit(rng.normal(size=(50, 2))))
    new = ReachingEncoder().fit(Lists({"new": rng.normal(size=50).tolist()}))
    grown = old.with_columns(new)
    net = row_net(old.n_bits, 2, (16,), seed=0)
    optimizer = Metaplastic(net.parameters())
    before = net[0].binary_weight.detach()[0]
    add_inputs(net, optimizer, grown.thermometer_first(old.n_bits), seed=3)
    after = net[0].binary_weight.detach()[0]
    assert (after[:, : old.n_bits] == before).all()
    rows = np.c_[rng.normal(size=(40, 2)), np.r_[np.nan, rng.normal(0, 5, size=39)]]
    bits = grown.bits(rows.astype(np.float32))[:, old.n_bits :]
    moved = bits.astype(np.float32) @ after[:, old.n_bits :].numpy().T
    assert np.abs(moved).max() <= 1
    assert (after[:, old.n_bits :] == 1).float().mean() not in (0.0, 1.0)


def test_a_net_that_grows_keeps_its_moments_and_its_answers() -> None:
    net = row_net(6, 2, (8,), seed=0)
    optimizer = Metaplastic(net.parameters(), m=2.0, relative=True)
    x, y = torch.randint(0, 2, (32, 6)).float(), torch.randint(0, 2, (32,))
    torch.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
    before, mean = net(x).detach(), optimizer.state[net[0].latent_weight]["mean"]
    add_inputs(net, optimizer, [6, 7], seed=0)
    add_output(net, optimizer, seed=0)
    assert (net(torch.nn.functional.pad(x, (0, 2)))[:, :2] == before).all()
    assert (optimizer.state[net[0].latent_weight]["mean"][..., :6] == mean).all()
    torch.nn.functional.cross_entropy(net(torch.ones(4, 8)), torch.tensor([0, 1, 2, 2])).backward()
    optimizer.step()
    for wrong in ([9], [8, 8], []):
        if wrong:
            with pytest.raises(DataError, match="inputs from 8 on"):
                add_inputs(net, optimizer, wrong, seed=0)
    with pytest.raises(DataError, match="begin with"):
        add_inputs(torch.nn.Sequential(torch.nn.ReLU()), optimizer, [0], seed=0)
    with pytest.raises(DataError, match="end with"):
        add_output(net[:2], optimizer, seed=0)


def test_calibration_finds_slope_and_offsets_and_follows_them() -> None:
    rng = np.random.default_rng(0)
    calibration = RunningCalibration(2, half_life=500)
    for slope, offset in ((2.0, -1.0), (0.5, 1.5)):
        for _ in range(150):
            s = rng.normal(size=(32, 2))
            p = 1 / (1 + np.exp(-(slope * (s[:, 1] - s[:, 0]) + offset)))
            codes = (rng.random(32) < p).astype(np.intp)
            calibration.update(s, codes, np.ones(32))
        assert abs(calibration.slope - slope) < 0.35
        assert abs(calibration.offsets[1] - calibration.offsets[0] - offset) < 0.4
    for _ in range(300):  # all right by far: the slope ends somewhere
        s = np.array([[5.0, -5.0], [-5.0, 5.0]])
        calibration.update(s, np.array([0, 1]), np.ones(2))
    assert FLATTEST <= calibration.slope <= STEEPEST


def test_calibration_makes_room_for_a_class() -> None:
    calibration = RunningCalibration(2)
    calibration.offsets = np.array([1.0, -1.0])
    before = calibration.probabilities(np.zeros((1, 2)))
    calibration.add_class(0.25)
    after = calibration.probabilities(np.zeros((1, 3)))
    np.testing.assert_allclose(after[0, 2], 0.25)
    np.testing.assert_allclose(after[0, :2], before[0] * 0.75)


def test_a_row_is_read_as_a_table_reads_it() -> None:
    frame = pd.DataFrame({"n": [1.5, None], "c": ["x", "new"], "b": [True, False]})
    columns = (
        ReachingEncoder()
        .fit(pd.DataFrame({"n": [1.0, 2.0], "c": ["x", "y"], "b": [0, 1]}))
        .columns_
    )
    reader = RowReader(columns)
    rows = known_rows(Source.of(frame), columns)
    for i in range(2):
        row, further = reader.read(frame.iloc[i].to_dict() | {"more": 1})
        np.testing.assert_array_equal(row, rows[i])
        assert further == {"more": 1}
    assert (
        RowReader(Encoding.of(ReachingEncoder().fit([[1.0], [2.0]])).columns).read({"x0": 3})[0]
        == 3
    )
    for value, error in ((1e300, NotFiniteError), (10**400, NotFiniteError), ("text", ColumnError)):
        with pytest.raises(error):
            reader.read({"n": value})
    with pytest.raises(ColumnError, match="text"):
        reader.read({"c": 3.5})
    for value, error in ((float("inf"), NotFiniteError), ([1], ColumnError)):
        with pytest.raises(error):
            plain_value("new", value)
    with pytest.raises(ColumnError, match="got an array with 2"):
        Source.of(np.zeros((1, 2)), ["a"])


def test_columns_that_wait_are_few() -> None:
    pending = Pending(2)
    for i in range(MAX_PENDING):
        pending.add(f"c{i}", 1.0)
    assert pending.room("one more") == 0 and not pending.add("one more", 1.0)
    pending.drop("c0")
    assert pending.room("one more") == 2


def test_lists_are_a_table() -> None:
    table = Lists({"a": [1, None], "b": ["x", "y"]})
    model = ContinualClassifier(**SMALL).partial_fit(table, [0, 1])
    assert model.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ColumnError, match="one length"):
        Lists({"a": [1], "b": []})
    with pytest.raises(DataError, match="at least one column"):
        Lists({})


def test_a_rollback_by_snapshots_learns_on_as_if_it_had_never_left(tmp_path):
    X, y = make_classification(400, random_state=0)
    model = ContinualClassifier(hidden=(16,), warm_up=64, random_state=0).partial_fit(
        X[:200], y[:200]
    )
    snapshots = Snapshots(tmp_path, model)
    snapshots.snapshot("approved")
    straight = ContinualClassifier.from_state(model.get_state()).partial_fit(X[300:], y[300:])
    model.partial_fit(X[200:300], 1 - y[200:300])
    snapshots.rollback("approved")
    model.partial_fit(X[300:], y[300:])
    assert model.get_state() == straight.get_state()
    assert model.program_.id == straight.program_.id


def test_a_damaged_state_leaves_the_classifier_as_it_was():
    X, y = make_classification(200, random_state=0)
    model = ContinualClassifier(hidden=(16,), warm_up=64, random_state=0).partial_fit(X, y)
    before = model.get_state()
    with pytest.raises(CheckpointError):
        model.set_state(before[:-7])
    assert model.get_state() == before
