"""Mutation coverage: how many small faults in a unit's netlist its bench notices.

Every mutant inverts or fixes one bit of one cell. Its bench's tests run on it until one fails. A survivor that cannot
be told from the unit, by a proof, does not count. What was found goes to docs/mutation.json and, as a table, to
docs/verification.md. What is known of a unit that has not changed is not run again.
"""

import argparse
import sys

from sim.cocotb.runner import BenchFailure
from tests.mutation.campaign import Outcome, run_unit
from tests.mutation.equivalence import prove_equivalent
from tests.mutation.netlist import Netlist
from tests.mutation.page import coverage, read_results, record, update_page
from tests.mutation.units import UNITS


def proofs(netlist: Netlist, outcomes: list[Outcome], induction: bool) -> dict[int, str]:
    """Of each survivor, the proof that it is equivalent, "" where there is none."""
    return {o.mutant.number: prove_equivalent(netlist, o.mutant, induction) for o in outcomes if not o.killed}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("units", nargs="*", metavar="UNIT", help=f"all by default: {', '.join(UNITS)}")
    parser.add_argument("--mutants", type=int, default=200, metavar="N", help="of a unit (200)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which mutants (1)")
    parser.add_argument("--quick", action="store_true", help="no proofs by induction, which take up to a minute each")
    parser.add_argument("--dry", action="store_true", help="say what is found, and leave docs/ as it is")
    arguments = parser.parse_args()
    for name in arguments.units:
        if name not in UNITS:
            parser.error(f"there is no unit {name!r}; choose among {', '.join(UNITS)}.")
    if not 1 <= arguments.mutants < 3000:
        parser.error(f"--mutants must be between 1 and 2999, not {arguments.mutants}.")
    for name in arguments.units or UNITS:
        try:
            netlist, outcomes = run_unit(UNITS[name], arguments.mutants, arguments.seed)
        except BenchFailure as failure:
            sys.exit(f"{name}: the bench does not pass on the unit as it is: {failure}")
        proven = proofs(netlist, outcomes, not arguments.quick)
        # Read as late as possible: another process may have written another unit's results meanwhile.
        results = {} if arguments.dry else read_results()
        record(results, name, arguments.seed, outcomes, proven)
        result = results[name]
        print(
            f"{name}: {result['killed']} of {result['mutants']} killed, {sum(result['equivalent'].values())} proven "
            f"equivalent, {coverage(result):.1f} % of the others killed",
            flush=True,
        )
        for survivor in result["survivors"]:
            print(f"  {survivor['number']}: {survivor['mutant']}, {survivor['source']}: {survivor['why'] or '?'}")
        if not arguments.dry:
            update_page(results)


if __name__ == "__main__":
    main()
