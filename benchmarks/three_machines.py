"""Three machines with real addresses carry a checkpoint to and fro while cables are pulled: part of `make soak`.

    python -m benchmarks.three_machines --carries 20 --megabytes 40

Trainer, inference host and NAS are network namespaces (`benchmarks/machines.py`), and each finds by its own address
which host of the registry it is. Beyond loopback everything wants the token. Each checkpoint that was carried is read
and compared; a machine that is away must be told of within seconds.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import typer
import yaml

from benchmarks.launching import end_with, run_benchmark
from benchmarks.machines import Machine, machines
from benchmarks.transfer import NAME, make_checkpoint
from core.errors import RealmError
from core.http.tokens import ensure_token
from core.paths import RealmPaths
from tests.waiting import wait_until
from vault.manifest import check_manifest

ROLES = {"4090": "trainer", "3090": "inference", "nas": "storage"}
TRAINER = "4090"
SECONDS = 4.0
"""That a carry takes at the least: there must be time to pull a cable."""
START_SECONDS = 1.0
"""For a verb to load, at least: cut off before, it says that the other is away."""
LONGEST_CUT = 8.0
AWAY_SECONDS = 20.0
"""For a verb to say that a machine is away, its own start included, on two busy cores."""
WHO = "import sys; from core.hosts import get_registry; from core.paths import RealmPaths; from pathlib import Path; "
WHO += "print(get_registry(RealmPaths(Path(sys.argv[1]))).local_id)"
STRANGER = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"


def main(
    carries: Annotated[int, typer.Option(min=1, help="How often it is carried.")] = 20,
    megabytes: Annotated[int, typer.Option(min=1, help="Of the checkpoint.")] = 40,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
) -> None:
    """Print what was carried through which cuts; exit code 1 when anything is wrong."""
    with tempfile.TemporaryDirectory(prefix="three-machines-") as folder:
        faults = three_machines(Path(folder), carries=carries, megabytes=megabytes, seed=seed)
    end_with(faults)


def three_machines(folder: Path, *, carries: int, megabytes: int, seed: int) -> list[str]:
    """Everything that was wrong."""
    dice = random.Random(seed)
    with machines(folder, list(ROLES)) as three:
        source = furnish(three, folder, megabytes)
        open_all(three, folder)
        faults = looks(three)
        for number in range(carries):
            faults += carry(three, source, dice, megabytes, number)
        return faults + away(three)


def base_of(machine: Machine) -> RealmPaths:
    return RealmPaths(machine.home.parent / "realm")


def furnish(three: dict[str, Machine], folder: Path, megabytes: int) -> Path:
    """A registry and a token on each, and a checkpoint on the trainer."""
    service = {"trainer": {"vault": {"port": 8767, "path": "/api"}}}
    hosts = {
        name: {"name": name, "host": machine.address, "role": ROLES[name], "base_dir": str(base_of(machine).base),
               "services": service.get(ROLES[name], {"branch": 8768})}
        for name, machine in three.items()
    }  # fmt: skip
    token = ensure_token(folder / "token")
    for machine in three.values():
        paths = base_of(machine)
        paths.create()
        # Nobody is told which of them he is.
        paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts}))
        paths.token_file.write_text(token)
        paths.token_file.chmod(0o600)
    return make_checkpoint(base_of(three[TRAINER]), megabytes * 1_000_000)


def open_all(three: dict[str, Machine], folder: Path) -> None:
    """Start a vault and two officers, on the ports that they have by default."""
    for name, machine in three.items():
        base, log = str(base_of(machine).base), folder / f"{name}.log"
        if name == TRAINER:
            words = ["realm.py", "--base-dir", base, "serve", "vault", "--host", machine.address]
        else:
            words = ["-m", "vault.branch_officer", "--zone", name, "--base-dir", base, "--host", machine.address]
        machine.start(sys.executable, *words, log=log)
    wait_until(lambda: set(states(three[TRAINER]).values()) == {"online"}, 60, "not all of them came up")


def states(machine: Machine) -> dict[str, str]:
    """How the zones are, as one machine sees them."""
    done = vault(machine, "zones", "--json")
    return {zone["zone_id"]: zone["status"] for zone in json.loads(done.stdout)["zones"]} if done.stdout else {}


def vault(machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb of `realm vault` there."""
    return machine.run(sys.executable, "realm.py", "--base-dir", str(base_of(machine).base), "vault", *words)


def looks(three: dict[str, Machine]) -> list[str]:
    """Each knows who it is, and sees the others; without the token nobody is let in."""
    faults = []
    for name, machine in three.items():
        found = machine.run(sys.executable, "-c", WHO, str(base_of(machine).base)).stdout.strip()
        if found != name:
            faults.append(f"{name} takes itself for {found or 'nobody'}")
        if set(states(machine).values()) != {"online"}:
            faults.append(f"{name} sees {states(machine)}")
    done = three["nas"].run(sys.executable, "-c", STRANGER, f"http://{three[TRAINER].address}:8767/api/stats")
    if "401" not in done.stderr:
        faults.append(f"a stranger was let in: {done.stderr[-200:]}")
    return faults


def carry(three: dict[str, Machine], source: Path, dice: random.Random, megabytes: int, number: int) -> list[str]:
    """Fetch or send it once, with a cable pulled in the middle; what arrived is compared."""
    other = dice.choice(["3090", "nas"])
    fetches = dice.random() < 0.5
    begins, lasts = dice.uniform(START_SECONDS, START_SECONDS + SECONDS), dice.uniform(0.2, LONGEST_CUT)
    victim, at_the_switch = three[dice.choice([TRAINER, other])], dice.random() < 0.5
    place = base_of(three[other]).models / f"carry-{number}" / NAME
    place.parent.mkdir(parents=True)
    limit = str(megabytes / SECONDS)
    if fetches:
        asker, words = three[other], ["fetch", NAME, "--zone", TRAINER, "--to", str(place), "--limit", limit]
    else:
        asker, words = three[TRAINER], ["transfer", str(source), other, "--to", str(place), "--limit", limit]
    puller = threading.Timer(begins, lambda: victim.pull_cable(at_the_switch=at_the_switch))
    plugger = threading.Timer(begins + lasts, victim.plug_cable)
    begun = time.monotonic()
    for timer in (puller, plugger):
        timer.start()
    done = vault(asker, *words)
    seconds = time.monotonic() - begun
    for timer in (puller, plugger):
        timer.join()
    where = f"{victim.name}{' at the switch' if at_the_switch else ''}"
    told = (
        f"{words[0]} {'by' if fetches else 'to'} {other}, {where} cut off from {begins:.1f} to {begins + lasts:.1f} s"
    )
    typer.echo(f"  {told}: {seconds:.1f} s{', said so' if 'Nothing has come' in done.stderr else ''}")
    if "is away" in done.stderr:
        typer.echo("  it was away, and is asked again")
        done = vault(asker, *words)
    if done.returncode != 0:
        return [f"{told}: {done.stderr.strip()[-300:]}"]
    faults = [f"{told}: {problem}" for problem in check_manifest(place)]
    shutil.rmtree(place.parent)
    return faults


def away(three: dict[str, Machine]) -> list[str]:
    """One that is switched off is told of at once."""
    three["nas"].pull_cable(at_the_switch=True)
    faults = []
    for words in (["fetch", NAME, "--zone", "nas"], ["verify", NAME, "--zone", "nas"]):
        begun = time.monotonic()
        done = vault(three[TRAINER], *words)
        seconds = time.monotonic() - begun
        typer.echo(f"  {words[0]} from one that is away: told after {seconds:.1f} s")
        if done.returncode != 1 or "nas is away" not in done.stderr or seconds > AWAY_SECONDS:
            faults.append(f"{words[0]} from one that is away took {seconds:.1f} s: {done.stderr.strip()[-300:]}")
    if (seen := states(three[TRAINER])) != {TRAINER: "online", "3090": "online", "nas": "offline"}:
        faults.append(f"with the NAS away, the zones are {seen}")
    three["nas"].plug_cable()
    return faults


if __name__ == "__main__":
    try:
        run_benchmark(main)
    except RealmError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from error
