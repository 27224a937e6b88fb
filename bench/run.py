"""Run the scenarios and print tables: ``python -m bench.run [SCENARIO...]``; exit 1 when a bound is missed."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bench import (
    bring_up,
    daemon_restart,
    edit,
    flash,
    idle,
    machine,
    probe_cost,
    probe_leaks,
    probe_scale,
    restart_latency,
    signals,
    soak,
)
from bench.rows import Options, Scenario, show

SCENARIOS: dict[str, Scenario] = {
    "restart": restart_latency,
    "bring-up": bring_up,
    "daemon-restart": daemon_restart,
    "idle": idle,
    "flash": flash,
    "edit": edit,
    "signals": signals,
    "probe-cost": probe_cost,
    "probe-leaks": probe_leaks,
    "probe-scale": probe_scale,
    "soak": soak,
}


def main() -> int:
    """Run what was asked for, all of it by default."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--podsupd", default=str(Path(sys.executable).with_name("podsupd")), help="the program")
    parser.add_argument("--url", default="unix:///run/podman/podman.sock", help="Podman's API")
    parser.add_argument("--prefix", default="podsupd-bench", help="of the names of all pods that are made and removed")
    parser.add_argument("--repeats", type=int, default=10, help="samples of what varies")
    parser.add_argument("--pods", type=int, default=20, help="how many pods of two containers")
    parser.add_argument("--window", type=float, default=60.0, help="seconds for which idleness is measured")
    parser.add_argument("--plots", type=Path, help="directory to write SVGs to (docs/benchmarks)")
    parser.add_argument("--minutes", type=float, default=20.0, help="length of the soak")
    parser.add_argument("--seed", type=int, default=1, help="of the soak's accidents; the same one replays them")
    parser.add_argument("--keep", type=Path, help="directory of the soak's logs and files; default: kept when wrong")
    given = parser.parse_args()
    if unknown := set(given.scenarios) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    options = Options(
        given.podsupd,
        given.url,
        given.prefix,
        given.repeats,
        given.pods,
        given.window,
        given.plots,
        given.minutes,
        given.seed,
        given.keep,
    )
    console = Console(width=None if sys.stdout.isatty() else 160)
    for key, value in machine.describe(options.url):
        console.print(f"{key:>10}  {value}", highlight=False)
    missed = 0
    for chosen in given.scenarios or SCENARIOS:
        scenario = SCENARIOS[chosen]
        console.print(f"\nmeasuring {scenario.name} ...", highlight=False)
        rows = scenario.run(options)
        show(console, scenario.name, rows)
        missed += sum(row.good is False for row in rows)
    console.print(f"\n{missed} bounds missed" if missed else "\nall bounds met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
