"""The plan of a header: which operations are written, and in which buffer each value lies.

Buffers are few: a value's buffer is free again once its last reader has run, so a chain of layers
plays ping-pong between two. Values of one kind share buffers; the points of the answer, which the
link reads, go straight to where the caller wants them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any, TypeVar

from bimetal.export.c.cores import Core, core_named
from bimetal.export.c.options import COptions
from bimetal.export.form import link_of, live, reads
from bimetal.export.target import Job
from bimetal.ops import Link, Op, Value
from bimetal.program import Program

__all__ = ["Buffer", "Part", "Plan", "n_words", "plan_for"]

AnOp = TypeVar("AnOp", bound=Op)
STACK = 2**18
"""The most bytes of values that are put on the stack."""
C_TYPES = {"bits": "uint32_t", "bytes": "uint8_t", "ints": "int32_t", "floats": "float"}


def n_words(n_bits: int) -> int:
    """Return how many 32-bit words hold `n_bits` bits."""
    return -(-n_bits // 32)


@dataclass(frozen=True)
class Part:
    """What one operation adds to a header.

    Attributes
    ----------
    call : str
        Statements in `NAME_points`.
    tables : str
        Its constants.
    shared : tuple of str
        Functions that it calls; each text is written once.
    """

    call: str
    tables: str = ""
    shared: tuple[str, ...] = ()


@dataclass
class Buffer:
    """An array on the stack that holds one value after the other."""

    name: str
    kind: str
    size: int = 0  # elements of its C type
    values: list[int] = field(default_factory=list)
    free_from: int = 0  # the first operation that may write here again

    @property
    def bytes(self) -> int:
        """Its size in bytes."""
        return self.size * (1 if self.kind == "bytes" else 4)

    def declaration(self, storage: str = "") -> str:
        """Return its declaration in C."""
        return f"{storage}{C_TYPES[self.kind]} {self.name}[{self.size}];"


@dataclass(frozen=True)
class Plan:
    """What all parts of the writer look at.

    Attributes
    ----------
    job : Job
        What was asked for.
    core : Core
        The chip.
    live : list of int
        The operations that are written, in order, the link last.
    buffers : list of Buffer
        All arrays on the stack of `NAME_points`.
    places : dict of int to str
        For each value that is written, the C expression of its first element's address.
    """

    job: Job
    core: Core
    live: list[int]
    buffers: list[Buffer]
    places: dict[int, str]

    @property
    def program(self) -> Program:
        """What is written."""
        return self.job.program

    @property
    def options(self) -> COptions:
        """The options of the target."""
        options = self.job.options
        assert isinstance(options, COptions)
        return options

    @property
    def n_buffer_bytes(self) -> int:
        """Bytes of all values that lie neither in the row nor in the points."""
        return sum(buffer.bytes for buffer in self.buffers)

    @property
    def is_large(self) -> bool:
        """Whether the values are too much for a stack."""
        return self.n_buffer_bytes > STACK

    @property
    def link(self) -> Link:
        """The last operation."""
        return link_of(self.program)

    def value(self, index: int) -> Value:
        """Return what a value is."""
        return self.program.values[index]

    def all(self, kind: type[AnOp]) -> Iterator[tuple[int, AnOp]]:
        """Yield the operations of one type that are written, each with its value."""
        for i in self.live:
            op: Any = self.program.ops[i]
            if isinstance(op, kind):
                yield i + 1, op


def plan_for(job: Job) -> Plan:
    """Return the plan of a job."""
    program, written = job.program, live(job.program)
    last_read = {v: i for i in written for v in reads(program.ops[i])}
    points = link_of(program).input
    places, buffers = {0: "row", points: "points"}, list[Buffer]()
    for i in written[:-1]:
        if i + 1 != points:
            value = program.values[i + 1]
            size = n_words(value.n) if value.kind == "bits" else value.n
            buffer = _buffer(buffers, value.kind, size, i)
            buffer.size, buffer.free_from = max(size, buffer.size), last_read[i + 1] + 1
            buffer.values.append(i + 1)
            places[i + 1] = buffer.name
    return Plan(job, core_named(job.options.core), written, buffers, places)


def _buffer(buffers: list[Buffer], kind: str, size: int, now: int) -> Buffer:
    """Return the buffer for a value: the tightest that is free, else the largest, else a new one."""
    alike = [b for b in buffers if b.kind == kind]
    free = [b for b in alike if b.free_from <= now]
    if not free:
        letter = ascii_lowercase[len(alike)] if len(alike) < 26 else f"a{len(alike)}"
        buffers.append(Buffer(f"{kind}_{letter}", kind))
        return buffers[-1]
    fits = [b for b in free if b.size >= size]
    return min(fits, key=lambda b: b.size) if fits else max(free, key=lambda b: b.size)
