"""Hot swaps under load: no request fails, and every answer is of exactly one model."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from credit_models import toy_model
from service_home import Client, Home, applications, in_service

from bimetal.service.log import Record


def rows_of(model: Any, many: list[dict[str, Any]]) -> Any:
    values = np.empty((len(many), 6), object)
    values[:] = [[a[c.name] for c in model.program.columns] for a in many]
    return model.rows(values)


def test_no_request_fails_and_none_mixes_two_models(tmp_path: Path) -> None:
    home = Home(tmp_path)
    models = [toy_model(seed) for seed in range(4)]
    many = applications(models[0], 30)
    expected = {}
    for model in models:
        found, reasons = model.assess(rows_of(model, many)), model.reasons(rows_of(model, many))
        for k, points in enumerate(found.points.tolist()):
            expected[model.file_hash, k] = (
                points, str(found.decision[k]), model.id, model.policy_id,
                [reason.text for reason in reasons[k]], model.policy.cutoff / 100,
            )  # fmt: skip
    seen: set[str] = set()

    async def ask(client: Client) -> None:
        is_over = asyncio.Event()

        async def load(start: int) -> int:
            n = 0
            while not is_over.is_set():
                k = (start + n) % len(many)
                response = await client.score(many[k])
                assert response.status_code == 200, response.text
                shown = response.json()
                told = shown["model"]
                seen.add(told["file_hash"])
                assert expected[told["file_hash"], k] == (
                    shown["points"], shown["decision"], told["id"], told["policy_id"],
                    [reason["text"] for reason in shown["reasons"]], shown["cutoff"],
                )  # fmt: skip
                n += 1
            return n

        async def swap() -> None:
            for round_ in range(16):
                if round_ % 4 == 3:  # a corrupt one in between: the one before goes on
                    (home.models / "cards.bimetal").write_bytes(b"\0" * 500)
                else:
                    home.put("cards", round_ % 4)
                await client.service.reload()
                await asyncio.sleep(0.02)
            is_over.set()

        *counts, _ = await asyncio.gather(*(load(7 * k) for k in range(8)), swap())
        assert all(counts)
        n_entries = client.service.log.head()[0]
        assert n_entries == sum(counts)
        for entry in client.service.log.entries():
            assert isinstance(entry.record, Record)
            assert client.service.log.model(entry.record.file_hash)

    in_service(home, ask)
    assert len(seen) == 3


def test_a_request_that_began_on_a_model_ends_on_it(tmp_path: Path) -> None:
    home = Home(tmp_path)

    async def ask(client: Client) -> None:
        service, one = client.service, applications(home.model, 1)[0]
        log, gate = service.log, asyncio.Event()

        class Held:
            def __getattr__(self, name: str) -> Any:
                return getattr(log, name)

            async def append(self, records: Any) -> Any:
                await gate.wait()
                return await log.append(records)

        service.desk._log = Held()  # type: ignore[assignment]
        begun = asyncio.create_task(client.score(one))
        await asyncio.sleep(0.05)
        new = home.put("cards", 2)
        assert await service.reload()
        gate.set()
        assert (await begun).json()["model"]["file_hash"] == home.model.file_hash
        after = await client.score(one)
        assert after.json()["model"]["file_hash"] == new.file_hash

    in_service(home, ask)


def test_requests_that_come_together_share_calls_and_syncs_and_get_their_own_answers(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)

    async def ask(client: Client) -> None:
        service, many = client.service, applications(home.model, 40)
        scorer, sizes = service.registry.models["cards"].scorer, []
        real = scorer.score

        def counted(rows: Any) -> Any:
            sizes.append(len(rows))
            return real(rows)

        scorer.score = counted  # type: ignore[method-assign]
        answers = await asyncio.gather(*(client.score(a) for a in many))
        expected = home.model.points(rows_of(home.model, many)).tolist()
        assert [a.json()["points"] for a in answers] == expected
        assert sum(sizes) == 40
        assert len(sizes) < 40

    in_service(home, ask)


def test_a_client_who_leaves_does_not_disturb_those_who_came_with_him(tmp_path: Path) -> None:
    home = Home(tmp_path)

    async def ask(client: Client) -> None:
        many = applications(home.model, 10)
        tasks = [
            asyncio.create_task(client.score(a, request_id=f"r{k}")) for k, a in enumerate(many)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[3].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        codes = [r.status_code for k, r in enumerate(found) if k != 3]  # type: ignore[union-attr]
        assert codes == [200] * 9

    in_service(home, ask)


def test_a_decision_in_flight_is_finished_when_the_service_stops(tmp_path: Path) -> None:
    home = Home(tmp_path)

    async def ask(client: Client) -> Any:
        task = asyncio.create_task(client.score(applications(home.model, 1)[0], request_id="last"))
        await asyncio.sleep(0.01)
        return await task, client.service

    response, service = in_service(home, ask)
    assert response.status_code == 200
    assert service.is_stopping
