"""What exported Programs take and give elsewhere: rows that agree, instructions, bytes, area, accuracy.

Instruction counts are exact (emulators count them); what nextpnr says of an FPGA is an estimate. Parts
whose tools are not here are left out aloud. CMSIS_NN names a checkout of CMSIS-NN to compare with, NODE_PATH
a folder with onnxruntime-web, BIMETAL_DATA one with Taiwan's card data.
"""

from _credit_on_chips import credit
from _frame import options, report
from _in_pages import pages
from _in_places import executed
from _on_chips import constant_time, cores
from _on_fpga import fpga

PARTS = {
    "executed": executed,
    "cores": cores,
    "constant_time": constant_time,
    "credit": credit,
    "pages": pages,
    "fpga": fpga,
}


def main() -> None:
    """Run the parts that were asked for, and report them."""
    args = options(__doc__.splitlines()[0], only={"default": ",".join(PARTS), "help": "parts: a,b"})
    rows = []
    for part in args.only.split(","):
        print(f"\n== {part}", flush=True)
        rows += PARTS[part](args.quick)
    report(rows, args.json)


if __name__ == "__main__":
    main()
