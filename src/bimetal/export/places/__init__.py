"""Where an exported C header is built and run on this machine: compilers, emulators, simulators.

Each place compiles the header behind one harness (``templates/``), sends raw rows in and takes int32
points (and float32 answers, where the chip's C has a float64) out. What a chip's simulator can count
is counted exactly; `measure` reads sizes off the built file.
"""

from bimetal.export.places.avr import AVR_PLACES
from bimetal.export.places.cortex_m import CORTEX_M_PLACES
from bimetal.export.places.host import HOST_PLACES
from bimetal.export.places.linux import LINUX_PLACES
from bimetal.export.places.mcs51 import MCS51_PLACES
from bimetal.export.places.riscv import RISCV_PLACES

__all__ = ["C_PLACES"]

C_PLACES = (
    *HOST_PLACES,
    *LINUX_PLACES,
    *CORTEX_M_PLACES,
    *RISCV_PLACES,
    *AVR_PLACES,
    *MCS51_PLACES,
)
"""Every place of the target ``c``."""
