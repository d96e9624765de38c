"""The CLI verb `prove-resume`: whether ends and kills change what the hero learns, tried out on a copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import run_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena.rehearsal.proof import Proof
    from core.paths import RealmPaths


def prove_resume(
    ctx: typer.Context,
    steps: Annotated[
        int, typer.Option(min=2, max=10_000, help="Steps before and after the interruption; twice as many in all.")
    ] = 5,
    dataset: Annotated[
        Path | None, typer.Option(help="File whose first rows are learned; else those of the last completed quest.")
    ] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Where the copies lie meanwhile; else in the base directory."),
    ] = None,
) -> None:
    """Train a copy of the hero twice, straight on and with an end and a kill -9 in between, and compare the two."""
    from dataclasses import asdict

    from arena.hall.standing import standing_still

    paths = ctx.obj.paths
    with standing_still(paths, "prove-resume"):
        proof = _prove(
            paths, steps, dataset, (work_dir or paths.base).resolve(),
            lambda text: None if ctx.obj.as_json else typer.echo(text),
        )  # fmt: skip
    ctx.obj.tell({"equal": proof.equal, "holds": proof.holds, **asdict(proof)}, "\n".join(proof.lines()))
    if not proof.holds:
        raise typer.Exit(1)


def _prove(paths: RealmPaths, half: int, dataset: Path | None, work_dir: Path, tell: Callable[[str], None]) -> Proof:
    from arena.hall.errands import compare_checkpoints
    from arena.rehearsal.ground import rehearsal_ground
    from arena.rehearsal.material import choose_source, gather_rows
    from arena.rehearsal.needs import check_room, forecast
    from arena.rehearsal.proof import Proof
    from arena.rehearsal.rehearsal import Rehearsal
    from arena.start_check import read_setup
    from vault.checkpoints import CheckpointStore

    setup = read_setup(paths)
    start = CheckpointStore(paths.current_model).resolve("latest")
    source = choose_source(paths) if dataset is None else dataset.resolve()
    needs = forecast(paths, setup, start)
    tell(f"From {start.name if start else 'the base model'}, with rows of {source}. This takes {needs.told};")
    tell("four starts of the trainer and twice the steps: the first of them will tell how long the rest takes.")
    with rehearsal_ground(work_dir) as ground:
        check_room(needs, ground)
        quest = gather_rows(paths, setup, source, ground / "rows", steps=2 * half, tell=tell)
        rehearsal = Rehearsal(paths, setup, start, quest, half=half, ground=ground, tell=tell)
        rehearsal.prepare()
        lives = run_async(rehearsal.run())
        compared = compare_checkpoints(paths, lives.straight, lives.disturbed)
    return Proof(
        from_step=start.step if start else 0, checkpoint=start.name if start else None, steps=2 * half,
        dataset=str(source), needs=needs, device=lives.device, lives=lives.told, **compared,
    )  # fmt: skip
