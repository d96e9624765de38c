"""One table of what the benchmarks have found out last, from `benchmarks/results/`.

python -m benchmarks.all_figures
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.figures import RESULTS, read_results, table


def main(folder: Annotated[Path, typer.Option(help="Where the results lie.")] = RESULTS) -> None:
    """Print the table, and under it when and where each part was measured."""
    found = [read_results(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        sys.exit(f"There are no results in {folder}; `make bench` makes them.")
    typer.echo(table([figure for _, figures in found for figure in figures]))
    for record, _ in found:
        machine = record["machine"]
        packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        typer.echo(f"\n{record['benchmark']}: {record['at']}, {machine['processor']}, {machine['cores']} cores")
        typer.echo(f"  load {machine['load'][0]}; Python {machine['python']}, {packages}")


if __name__ == "__main__":
    typer.run(main)
