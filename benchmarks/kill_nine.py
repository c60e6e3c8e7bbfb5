"""Kill -9 under load: is every acknowledged decision in the log, and does its chain hold?

    python benchmarks/kill_nine.py                       # a hundred kills of a writer, SQLite, about a minute
    python benchmarks/kill_nine.py --serve               # the same of the whole service, over HTTP
    python benchmarks/kill_nine.py --log postgresql+psycopg://user@host/database

A child appends decisions, 16 at a time, and prints the id of each one that the log acknowledged; with --serve it is
`bimetal serve`, and what was acknowledged is what 16 clients were answered. It is killed at a random moment. Then the
log is opened again: acknowledged ids that are not in it are counted, the whole chain is verified, and in the end the
service's decisions are replayed. What this does not show is a loss of power: there the promise rests on the sync
before each answer.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bimetal.service.audit import replay
from bimetal.service.log import Record, open_log
from bimetal.service.log.verifying import verify

MODEL = b"a model"
HASH = hashlib.sha256(MODEL).hexdigest()
CLIENTS = 16


@dataclass(frozen=True)
class Counts:
    n_kills: int = 0
    n_acknowledged: int = 0
    n_missing: int = 0  # acknowledged, and not in the log
    n_unheard: int = 0  # in the log, and killed before it was acknowledged: allowed
    n_broken: int = 0  # kills after which the chain did not hold
    n_entries: int = 0
    n_other_bits: int = 0  # decisions of the service that do not come out again


Kill = Callable[[str, str, random.Random], list[str]]


def record(request_id: str) -> Record:
    number = int(request_id.rpartition("-")[2])
    row = struct.pack("<20f", *range(number, number + 20))
    return Record(
        request_id, "toy", "ab" * 32, None, HASH, "champion", row, number, 0.25, "decline"
    )


async def load(url: str, name: str) -> None:
    """Append for ever and say what was acknowledged."""
    log = open_log(url)

    async def client(c: int) -> None:
        for i in range(c, 10**9, CLIENTS):
            request_id = f"{name}-{i}"
            await log.append([record(request_id)])
            os.write(1, f"{request_id}\n".encode())  # a short line goes into a pipe whole

    await asyncio.gather(*(client(c) for c in range(CLIENTS)))


def killed(url: str, name: str, rng: random.Random) -> list[str]:
    """Start a child, kill it at a random moment, and return what it said was acknowledged."""
    words = [sys.executable, __file__, "--load", name, "--log", url]
    child = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(rng.uniform(0, 0.12))
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return (first + rest).decode().split()


def served(models: Path, bodies: list[bytes]) -> Kill:
    """Return what starts `bimetal serve`, kills it under load, and returns the ids that were answered."""

    def kill(url: str, name: str, rng: random.Random) -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        script = "import typer; from bimetal.cli.serve import serve; typer.run(serve)"
        options = ["--no-keys", "--port", str(port), "--log", url, "--rate", "0"]
        words = [sys.executable, "-c", script, str(models), *options]
        child = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        answered = asyncio.run(ask(port, name, bodies, child, rng.uniform(0, 0.4)))
        assert child.wait() == -signal.SIGKILL
        return answered

    return kill


async def ask(
    port: int, name: str, bodies: list[bytes], child: "subprocess.Popen[bytes]", seconds: float
) -> list[str]:
    """Ask from `CLIENTS` connections until the service is killed; return what was answered."""
    answered: list[str] = []
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        assert child.poll() is None, "the service ended by itself"
        await asyncio.sleep(0.02)

    async def client(c: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError, asyncio.IncompleteReadError):
            for i in range(c, 10**9, CLIENTS):
                request_id = f"{name}-{i}"
                body = bodies[i % len(bodies)][:-1] + f',"request_id":"{request_id}"}}'.encode()
                writer.write(
                    b"POST /v1/models/cards/score HTTP/1.1\r\nHost: bank\r\n"
                    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split()[0])
                answer = json.loads(await reader.readexactly(length))
                assert head.split()[1] == b"200", answer
                assert answer["request_id"] == request_id
                answered.append(request_id)
        writer.close()

    clients = [asyncio.create_task(client(c)) for c in range(CLIENTS)]
    while not answered:
        await asyncio.sleep(0.01)
        assert not any(c.done() for c in clients), "a client was refused"
    await asyncio.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    await asyncio.gather(*clients)
    return answered


def rounds(url: str, n_kills: int, seed: int, kill: Kill = killed) -> Counts:
    """Kill `n_kills` times, and look at the log after each."""
    rng, counts = random.Random(seed), Counts()
    known: set[str] = set()
    with closing(open_log(url)) as log:
        log.archive_model(HASH, MODEL)
    for k in range(n_kills):
        known.update(kill(url, f"{seed}-{k}", rng))
        with closing(open_log(url, creates=False)) as log:
            verdict = verify(log)
            logged = {row[2] for row in log.rows()}
        counts = replace(
            counts, n_kills=k + 1, n_acknowledged=len(known), n_missing=len(known - logged),
            n_unheard=len(logged - known), n_broken=counts.n_broken + (not verdict.is_sound),
            n_entries=verdict.n_entries,
        )  # fmt: skip
        if counts.n_missing or counts.n_broken:
            break
    return counts


def rounds_of_the_service(url: str, n_kills: int, seed: int, folder: Path) -> Counts:
    """Kill the service `n_kills` times, then make every decision again."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from credit_models import toy_model
    from service_home import applications

    model, models = toy_model(0), folder / "models"
    models.mkdir()
    model.save(models / "cards.bimetal")
    bodies = [json.dumps({"application": a}).encode() for a in applications(model, 200)]
    counts = rounds(url, n_kills, seed, served(models, bodies))
    with closing(open_log(url, creates=False)) as log:
        return replace(counts, n_other_bits=len(replay(log, log.entries()).differences))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", help="a file or URL; by default a new file")
    parser.add_argument("--serve", action="store_true", help="kill the whole service")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        asyncio.run(load(given.log, given.load))
    with tempfile.TemporaryDirectory() as folder:
        url = given.log or str(Path(folder) / "decisions.db")
        if given.serve:
            counts = rounds_of_the_service(url, given.kills, given.seed, Path(folder))
        else:
            counts = rounds(url, given.kills, given.seed)
    for name, value in vars(counts).items():
        print(f"{name:16}{value:>9,}")
    sys.exit(1 if counts.n_missing or counts.n_broken or counts.n_other_bits else 0)


if __name__ == "__main__":
    main()
