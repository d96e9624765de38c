"""Figures: medians, targets, the table, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import benchmarks.all_figures
from benchmarks.figures import Figure, percentile, read_results, table, write_results

FIGURES = [
    Figure("tokens/s", "TRL", [4.5, 3.9, 4.2], at_least=4.0),
    Figure("gap, p99", None, [61.2], unit="ms", at_most=50),
    Figure("100 files", None, [123.4, 99.9], unit="s"),
]


def test_a_figure_is_its_median_and_says_whether_it_keeps_its_target() -> None:
    assert [(figure.median, figure.met) for figure in FIGURES] == [
        (4.2, True), (61.2, False), (pytest.approx(111.65), None),
    ]  # fmt: skip


def test_the_table_has_median_spread_and_target() -> None:
    head, _, *lines = table(FIGURES).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["tokens/s", "TRL", "4.2 ×", "3.9 – 4.5", "≥ 4 ×", "yes"],
        ["gap, p99", "–", "61.2 ms", "", "≤ 50 ms", "no"],
        ["100 files", "–", "112 s", "99.9 – 123", "", ""],
    ]
    assert {len(line) for line in lines} == {len(head)}


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (51.0, 100.0, 7.0)


def test_what_was_found_out_is_kept_and_shown_again_with_machine_and_versions(tmp_path: Path) -> None:
    path = write_results("training", FIGURES, details={"laps": []}, folder=tmp_path)
    found, figures = read_results(path)
    assert figures == FIGURES
    assert found["versions"]["torch"].startswith("2.13.0")
    app = CliRunner()
    command = typer.Typer()
    command.command()(benchmarks.all_figures.main)
    shown = app.invoke(command, ["--folder", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert table(FIGURES) in shown.output
    assert found["machine"]["processor"] in shown.output
    assert app.invoke(command, ["--folder", str(tmp_path / "none")]).exit_code == 1
