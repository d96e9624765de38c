"""How fast our trainer learns against TRL, the stock Trainer and loops written by hand, and whether it learns the same.

    make bench
    python -m benchmarks.training --vocabulary 4096 --rounds 5

All learn the same chats with the same model, tokenizer, optimizer, rate, rows a step, threads and loss (answers only),
in fp32. Each is a process of its own, loaded and warmed up before anything counts; then they run in turns, one lap of
each in each round. Where a library leaves open how many rows go through the model at once, a trial takes what is
quickest for it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import psutil
import typer
from transformers import AutoTokenizer

from arena.trainer.stream.row_order import RowOrder
from benchmarks.figures import Figure, columns, table, write_results
from benchmarks.launching import run_benchmark
from benchmarks.racing import Contestant, RaceFailed, Runner, Stable, race
from benchmarks.stopwatch import Course, Lap
from benchmarks.workload import MAX_LENGTH, Workload, make_workload, token_count
from core.paths import CHECKOUT

PEERS = CHECKOUT / ".venv-peers"
SMALL_VOCABULARY = 4096
"""The targets of DESIGN section 10 are for the model with this one."""
SAME_LOSS = 0.005
"""Nats by which the mean loss of a lap over the same rows may differ: sums in another order, step after step."""

FILES_OF_COURSE = ("model", "chats", "ordered")
"""Fields that mean something during a race only."""

_HERE = "benchmarks.contestants"
OURS = Contestant("realm", "the realm's trainer", f"{_HERE}.realm_trainer", same_rows=True)
OTHERS = (
    Contestant("realm-compiled", "the realm's trainer, trainer.compile", f"{_HERE}.realm_trainer", "compiled",
               micro_rows=(1,), optional=True, same_rows=True),
    Contestant("trl", "TRL SFTTrainer, default (padding, 8 rows)", f"{_HERE}.trl_sft", "padded", peers=True,
               micro_rows=(8,), same_rows=True, target=4.0),
    Contestant("trl-rebalanced", "TRL, batch_rebalance, best batch", f"{_HERE}.trl_sft", "rebalanced", peers=True,
               micro_rows=(1, 2, 4, 8)),
    Contestant("trl-packed", "TRL, packing (bfd)", f"{_HERE}.trl_sft", "packed", peers=True, packs=True,
               micro_rows=(1, 2, 4), target=2.0),
    Contestant("trl-padding-free", "TRL, padding_free", f"{_HERE}.trl_sft", "padding_free", peers=True,
               micro_rows=(2, 4, 8, 16), same_rows=True, optional=True),
    Contestant("stock", "stock Trainer (padding, 8 rows)", f"{_HERE}.stock_trainer", "padded", micro_rows=(8,),
               same_rows=True),
    Contestant("stock-grouped", "stock Trainer, group_by_length", f"{_HERE}.stock_trainer", "grouped",
               micro_rows=(8,)),
    Contestant("stock-rebalanced", "stock Trainer, batch_rebalance, best batch", f"{_HERE}.stock_trainer", "rebalanced",
               micro_rows=(1, 2, 4, 8)),
    Contestant("hand-blocks", "hand-written, packed blocks, all logits", f"{_HERE}.hand_written", "blocks", packs=True,
               micro_rows=(1, 2, 4), target=1.25),
    Contestant("hand-batches", "hand-written, exactly our batches", f"{_HERE}.hand_written", "batches",
               same_rows=True, target=0.95),
)  # fmt: skip


def main(
    vocabulary: Annotated[
        list[int] | None, typer.Option(help="Tokens of the model; several run after another.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Counted laps of each.")] = 5,
    steps: Annotated[int, typer.Option(help="Steps of a lap.")] = 10,
    rows_per_step: Annotated[int, typer.Option(help="Rows of a step.")] = 16,
    threads: Annotated[int | None, typer.Option(help="Of torch; as many as there are cores if not given.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Names of those who run against ours; all if none.")] = None,
    peers: Annotated[Path, typer.Option(help="The peers' environment, as `make bench` sets it up.")] = PEERS,
) -> None:
    """Print speeds, ratios and losses; exit code 1 when somebody who had the same rows did not learn the same."""
    chosen = [other for other in OTHERS if only is None or other.name in only]
    peers_python = peers.absolute() / "bin" / "python"
    if any(other.peers for other in chosen) and not peers_python.exists():
        sys.exit(f"There is no {peers_python}; `make bench` sets it up.")
    for size in vocabulary or [SMALL_VOCABULARY, 32_768]:
        with tempfile.TemporaryDirectory(prefix="race-") as name:
            folder = Path(name)
            workload = make_workload(folder / "model", vocabulary=size)
            course = lay_out(workload, folder, rows_per_step=rows_per_step, steps=steps, rounds=rounds, threads=threads)
            laps, runners = run(Stable(Path(sys.executable), peers_python, folder), course, chosen, rounds)
        report(size, course, runners, laps)
        if different := unlike_ours(runners, laps):
            sys.exit("\n".join(different))


def lay_out(
    workload: Workload, folder: Path, *, rows_per_step: int, steps: int, rounds: int, threads: int | None
) -> Course:
    """Write the chats, in both orders, and say what all have in common."""
    rows, laps, seed = len(workload.chats), rounds + 1, 1
    if steps * laps >= rows // rows_per_step:
        # The last lap ends where one more step begins, and a step that is short would be another at each contestant's.
        raise typer.BadParameter(f"{laps} laps of {steps} steps of {rows_per_step} rows are more than {rows} rows.")
    order = RowOrder(rows, seed=seed, ordinal=1, epoch=0)
    tokenizer = AutoTokenizer.from_pretrained(workload.model)
    tokens = statistics.fmean(token_count(tokenizer, chat) for chat in workload.chats)
    ordered = [workload.chats[order.position_to_row(position)] for position in range(rows)]
    return Course(
        model=str(workload.model),
        chats=str(workload.write(folder / "chats.jsonl")),
        ordered=str(workload.write(folder / "ordered.jsonl", ordered)),
        rows_per_step=rows_per_step,
        blocks_per_step=max(1, round(rows_per_step * tokens / MAX_LENGTH)),
        micro_rows=1,
        micro_tokens=0,
        pass_tokens=0,
        attention="",
        learning_rate=1e-3,
        threads=threads or psutil.cpu_count(logical=False) or 1,
        steps_per_lap=steps,
        laps=laps,
        max_length=MAX_LENGTH,
        variant="",
        seed=seed,
    )


def run(
    stable: Stable, course: Course, others: list[Contestant], rounds: int
) -> tuple[list[dict[str, Lap]], list[Runner]]:
    """Find everybody's best settings, then let them run; the laps of each round by name, and who ran."""
    courses = {}
    course = settled(stable, course)
    for contestant in [OURS, *others]:
        own = replace(course, variant=contestant.variant, micro_rows=next(iter(contestant.micro_rows), 1))
        try:
            courses[contestant] = stable.quickest(contestant, own) if contestant.is_tried else own
        except RaceFailed as failure:
            if not contestant.optional:
                raise
            typer.echo(f"Left out: {failure}")
    with stable.running(courses) as runners:
        return race(runners, rounds), runners


def settled(stable: Stable, course: Course) -> Course:
    """The course with the passes that our trainer finds best, so that its batches can be made by others, too."""
    trial = stable.start(OURS, replace(course, steps_per_lap=1, laps=1))
    try:
        found = trial.warm_up().settled
    finally:
        trial.end()
    if found is None:
        raise RaceFailed("our trainer has not said what it goes by")
    return replace(course, **found)


def report(vocabulary: int, course: Course, runners: list[Runner], laps: list[dict[str, Lap]]) -> None:
    """Print what came of it, and keep it."""
    figures = ratios(vocabulary, runners, laps)
    typer.echo(f"\nVocabulary {vocabulary}, {course.rows_per_step} rows a step, {course.threads} threads, "
               f"{len(laps)} rounds of {course.steps_per_lap} steps")  # fmt: skip
    for text in (speeds(runners, laps), table(figures), losses(runners, laps)):
        typer.echo(f"\n{text}")
    write_results(
        f"training-{vocabulary}", figures,
        details={
            "course": {name: value for name, value in asdict(course).items() if name not in FILES_OF_COURSE},
            "micro_rows": {runner.contestant.name: runner.course.micro_rows for runner in runners},
            "versions": {runner.contestant.name: runner.versions for runner in runners},
            "laps": [{name: asdict(lap) for name, lap in laps_of_round.items()} for laps_of_round in laps],
        },
    )  # fmt: skip


def speeds(runners: list[Runner], laps: list[dict[str, Lap]]) -> str:
    """How fast everybody was."""
    rows = [["contestant", "tokens/s", "min – max", "tokens/CPU s", "rows a step", "rows at once"]]
    for runner in runners:
        own = [lap[runner.contestant.name] for lap in laps]
        per_second = sorted(lap.speed for lap in own)
        rows_per_step = sum(lap.rows for lap in own) / (len(own) * runner.course.steps_per_lap)
        rows.append([
            runner.contestant.title, f"{statistics.median(per_second):.0f}",
            f"{per_second[0]:.0f} – {per_second[-1]:.0f}",
            f"{statistics.median(lap.tokens / lap.cpu_seconds for lap in own):.0f}", f"{rows_per_step:.1f}",
            str(runner.course.micro_rows) if runner.contestant.micro_rows else f"{runner.course.micro_tokens} tokens",
        ])  # fmt: skip
    return columns(rows)


def ratios(vocabulary: int, runners: list[Runner], laps: list[dict[str, Lap]]) -> list[Figure]:
    """Our speed as a multiple of each other's, round by round."""
    what = f"tokens/s, vocabulary {vocabulary}"
    return [
        Figure(
            what, runner.contestant.title,
            [lap[OURS.name].speed / lap[runner.contestant.name].speed for lap in laps],
            at_least=runner.contestant.target if vocabulary == SMALL_VOCABULARY else None,
        )
        for runner in runners if runner.contestant is not OURS
    ]  # fmt: skip


def losses(runners: list[Runner], laps: list[dict[str, Lap]]) -> str:
    """The curves side by side."""
    head = ["contestant", *(f"lap {number}" for number in range(1, len(laps) + 1)), "same rows"]
    rows = [
        [runner.contestant.title, *(f"{lap[runner.contestant.name].loss:.3f}" for lap in laps),
         "yes" if runner.contestant.same_rows else "no"]
        for runner in runners
    ]  # fmt: skip
    return columns([head, *rows])


def unlike_ours(runners: list[Runner], laps: list[dict[str, Lap]]) -> list[str]:
    """What those who were given the same rows in each step did otherwise."""
    faults = []
    for contestant in (runner.contestant for runner in runners if runner.contestant.same_rows):
        for number, lap in enumerate(laps, start=1):
            ours, theirs = lap[OURS.name], lap[contestant.name]
            if (ours.rows, ours.tokens) != (theirs.rows, theirs.tokens):
                faults.append(f"{contestant.title} had {theirs.rows} rows of {theirs.tokens} tokens in lap {number}, "
                              f"ours {ours.rows} of {ours.tokens}")  # fmt: skip
            elif abs(ours.loss - theirs.loss) > SAME_LOSS:
                faults.append(
                    f"{contestant.title} has a loss of {theirs.loss:.4f} in lap {number}, ours {ours.loss:.4f}"
                )
    return faults


if __name__ == "__main__":
    run_benchmark(main)
