"""Keys: random, hashed at rest, compared in constant time, scoped, expiring, rotated, revoked."""

import stat
from pathlib import Path

import pytest

from bimetal.errors import DataError
from bimetal.service.gate import Gate
from bimetal.service.keys import SCOPES, ForwardClock, KeyFile, Keyring
from bimetal.service.limits import Buckets, Limits
from bimetal.service.problem import Problem


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.db")


def asked(gate: Gate, token: str, scope: str | None = "score") -> int:
    try:
        gate.admit({b"authorization": f"Bearer {token}".encode()}, scope)
    except Problem as problem:
        return problem.status
    return 200


def test_only_a_hash_is_kept_and_only_the_owner_may_read_it(file: KeyFile) -> None:
    _, token = file.create("shop", ["score"])
    kept = file.path.read_bytes()
    assert token[17:].encode() not in kept
    assert token.encode() not in kept
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_two_keys_share_nothing_and_each_has_256_random_bits(file: KeyFile) -> None:
    (_, first), (_, second) = file.create("a", ["score"]), file.create("a", ["score"])
    assert first != second
    assert len(first) == len("bmk_") + 12 + 1 + 43  # 43 letters of base64 are 258 bits


def test_a_key_is_found_by_itself_and_by_nothing_like_it(file: KeyFile) -> None:
    key, token = file.create("shop", ["score"])
    ring = Keyring(file.entries())
    assert ring.find(token) == key
    last = "A" if token[-1] != "A" else "B"
    for wrong in ("", "bmk_", token[:-1], token[:-1] + last, token + "x", token.upper(),
                  token.replace(key.id, "0" * 12), "ключ", "\ud800"):  # fmt: skip
        assert ring.find(wrong) is None


def test_scopes_are_held_to(file: KeyFile) -> None:
    _, token = file.create("shop", ["score"])
    gate = Gate(file.path, Limits())
    assert [asked(gate, token, scope) for scope in SCOPES] == [200, 403, 403, 403]
    assert asked(gate, token, None) == 200


def test_an_expired_key_stays_expired_when_the_clock_is_set_back(tmp_path: Path) -> None:
    now = [1_000_000.0]
    file = KeyFile(tmp_path / "keys.db", clock=lambda: now[0])
    _, token = file.create("shop", ["score"], days=1)
    gate = Gate(file.path, Limits(), clock=lambda: now[0])
    assert asked(gate, token) == 200
    now[0] += 86_400
    assert asked(gate, token) == 401
    now[0] -= 80_000
    assert asked(gate, token) == 401


def test_a_rotated_key_overlaps_with_its_successor_and_then_ends(tmp_path: Path) -> None:
    now = [1_000_000.0]
    file = KeyFile(tmp_path / "keys.db", clock=lambda: now[0])
    old, first = file.create("shop", ["score", "batch"], rate=7)
    gate = Gate(file.path, Limits(), clock=lambda: now[0])
    new, second = file.rotate(old.id, overlap_hours=2)
    assert (new.name, new.scopes, new.rate, new.replaces) == ("shop", old.scopes, 7, old.id)
    gate.refresh()
    assert (asked(gate, first), asked(gate, second)) == (200, 200)
    now[0] += 2 * 3_600
    assert (asked(gate, first), asked(gate, second)) == (401, 200)


def test_an_overlap_never_prolongs_a_key(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.db", clock=lambda: 0.0)
    old, _ = file.create("shop", ["score"], days=1)
    file.rotate(old.id, overlap_hours=1_000)
    assert next(key for key in file.entries() if key.id == old.id).expires == 86_400


def test_a_revoked_key_ends_at_the_next_look_and_cannot_be_rotated(file: KeyFile) -> None:
    key, token = file.create("shop", ["score"])
    gate = Gate(file.path, Limits())
    assert file.revoke(key.id).state(1e12) == "revoked"
    gate.refresh()
    assert asked(gate, token) == 401
    with pytest.raises(DataError, match="is revoked"):
        file.rotate(key.id)
    with pytest.raises(DataError, match="is unknown"):
        file.revoke("0" * 12)


def test_keys_that_cannot_be_read_again_stay_as_they_were(file: KeyFile) -> None:
    _, token = file.create("shop", ["score"])
    gate = Gate(file.path, Limits())
    file.path.chmod(0o644)
    gate.refresh()
    assert gate.failure is not None
    assert asked(gate, token) == 200
    file.path.chmod(0o600)
    gate.refresh()
    assert gate.failure is None


@pytest.mark.parametrize(
    ("content", "mode", "match"),
    [
        (None, 0o600, "keys create"),
        (b"no keys" * 99, 0o600, "a file of keys"),
        (b"", 0o644, "chmod"),
    ],
)
def test_what_is_no_safe_file_of_keys_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, match: str
) -> None:
    path = tmp_path / "keys.db"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(DataError, match=match):
        Gate(path, Limits())


@pytest.mark.parametrize(
    ("name", "scopes", "days", "rate"),
    [("", ["score"], None, None), ("a\n", ["score"], None, None), ("a", ["root"], None, None),
     ("a", [], None, None), ("a", ["score"], 0, None), ("a", ["score"], None, -1)],
)  # fmt: skip
def test_a_key_that_makes_no_sense_is_not_made(
    file: KeyFile, name: str, scopes: list[str], days: float | None, rate: float | None
) -> None:
    with pytest.raises(DataError, match="expected"):
        file.create(name, scopes, days=days, rate=rate)


def test_a_key_may_come_in_either_header_and_in_no_other_form(file: KeyFile) -> None:
    _, token = file.create("shop", ["score"])
    gate, raw = Gate(file.path, Limits()), token.encode()
    assert gate.find({b"x-api-key": raw}).name == "shop"
    assert gate.find({b"authorization": b"bearer " + raw}).name == "shop"
    for wrong in (
        {},
        {b"authorization": b"Basic " + raw},
        {b"authorization": raw},
        {b"cookie": raw},
    ):
        with pytest.raises(Problem, match="key"):
            gate.find(wrong)


def test_a_rate_is_per_key_and_says_when_to_come_back(file: KeyFile) -> None:
    _, slow = file.create("slow", ["score"], rate=0.001)
    _, other = file.create("other", ["score"])
    gate = Gate(file.path, Limits(requests_per_second=1_000, burst=2))
    assert [asked(gate, slow) for _ in range(3)] == [200, 200, 429]
    assert asked(gate, other) == 200
    with pytest.raises(Problem) as caught:
        gate.admit({b"x-api-key": slow.encode()}, "score")
    assert int(caught.value.headers[b"retry-after"]) >= 900


def test_a_batch_is_paid_for_by_the_requests_after_it() -> None:
    now = [0.0]
    buckets = Buckets(10, 10, clock=lambda: now[0])
    buckets.charge("a", 30)
    assert buckets.take("a") == pytest.approx(2.1)
    now[0] = 2.2
    assert buckets.take("a") == 0


def test_no_rate_is_no_limit_and_time_never_runs_backwards() -> None:
    assert {Buckets(0, 1).take("a") for _ in range(99)} == {0.0}
    times = iter([5.0, 3.0])
    clock = ForwardClock(lambda: next(times))
    assert [clock(), clock()] == [5.0, 5.0]


def test_limits_that_allow_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="body_bytes"):
        Limits(body_bytes=0)
