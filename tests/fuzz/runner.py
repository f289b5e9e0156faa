"""What the fuzzers share: cases by number, in processes of their own, and a table of what became of them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        seed: its number.
        base: what was mutated.
        mutation: how.
        result: `refused`, `FAULT`, or the fuzzer's word for success.
        detail: why.
        took: seconds of processor time.
        peak: memory of the process at most, MB.
    """

    seed: int
    base: str
    mutation: str
    result: str
    detail: str = ""
    took: float = 0.0
    peak: float = 0.0


def run_fuzzer(
    module: str,
    description: str | None,
    cases: int,
    work: Callable[[int, int], None],
    describe: Callable[[int], tuple[str, str]],
    table: Callable[[Sequence[Outcome]], str],
    arguments: Sequence[str] | None = None,
) -> int:
    """The command of a fuzzer: run the cases, print those that failed and a table.

    Args:
        module: of the fuzzer, to be run as a worker.
        description: for its help.
        cases: how many by default.
        work: tries cases and prints a line of JSON when each begins and ends.
        describe: base and mutation of a case that ended its process.
        table: of the outcomes.
        arguments: in place of those of the process.

    Returns:
        exit code: 0, or 1 where a case failed.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(*options.worker)
        return 0
    outcomes = run_cases(module, options.seed, options.seed + options.cases, describe)
    for outcome in outcomes:
        if options.verbose or outcome.result == "FAULT":
            print(f"{outcome.seed:5} {outcome.base}, {outcome.mutation}: {outcome.result}, {outcome.detail}")
    print(table(outcomes))
    return 1 if any(outcome.result == "FAULT" for outcome in outcomes) else 0


def run_cases(module: str, first: int, last: int, describe: Callable[[int], tuple[str, str]]) -> list[Outcome]:
    """Try cases in a process of their own, and in another one where that ends."""
    outcomes: list[Outcome] = []
    while first < last:
        command = [sys.executable, "-m", module, "--worker", f"{first}", f"{last}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if not lines:
            raise RuntimeError(f"the worker process ended with {done.returncode} before its first case")
        outcomes += [Outcome(**line) for line in lines if "result" in line]
        if "begins" in lines[-1]:
            seed = lines[-1]["begins"]
            outcomes.append(Outcome(seed, *describe(seed), "FAULT", f"the process ended with {done.returncode}"))
        first = outcomes[-1].seed + 1
    return outcomes


def tabulate(outcomes: Sequence[Outcome], heading: str, bases: Sequence[str], success: str) -> list[str]:
    """A row of counts for each base, and the most that a case took."""
    counts = Counter((outcome.base, outcome.result) for outcome in outcomes)
    lines = [f"{heading:20}{success:>6}{'refused':>9}{'faults':>8}"]
    for base in bases:
        row = [counts[base, result] for result in (success, "refused", "FAULT")]
        lines.append(f"{base:20}{row[0]:6}{row[1]:9}{row[2]:8}")
    most = max(outcomes, key=lambda outcome: outcome.took)
    lines.append(f"slowest {most.took:.2f} s (seed {most.seed}), peak {max(one.peak for one in outcomes):.0f} MB")
    return lines
