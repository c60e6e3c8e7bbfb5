"""Java: one class without dependencies, for the services that banks and brokers run on a JVM."""

from bimetal.export.java.places import PLACES
from bimetal.export.java.writer import JavaOptions, check, write
from bimetal.export.target import Target
from bimetal.ops import Dense, Encode, Link, Lut, Readout, RowThreshold, Rules

__all__ = ["TARGET", "JavaOptions"]

TARGET = Target(
    "java",
    "one Java class without dependencies",
    ".java",
    (Encode, Dense, Rules, Lut, Readout, RowThreshold, Link),
    JavaOptions,
    write,
    PLACES,
    language="java",
    check=check,
)
