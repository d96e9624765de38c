"""The last whole copy of something that is held: who is believed, and that nothing a realm does ever deletes it.

The machine below plays three hosts and a share that two of them mount, with real directories, treasuries and witnesses;
only the network between them is played, so that a host can be down, or act in the middle of an answer.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.checkpoint_ledger import CheckpointLedger
from core.errors import RealmError
from core.files import Files
from core.hosts import get_registry
from core.paths import RealmPaths
from core.settings import RetentionSettings
from tests.serving import serving
from tests.vault.making import publish
from tests.vault.playing_hosts import HOSTS, MOUNTING, NOW, STEPS, Host, Network, name_of
from vault import StorageRegistry, StrongholdType, VaultKeeper
from vault.archivist import Archivist
from vault.assets import LOCAL, AssetType
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.budgets import Purge
from vault.catalog.catalog import Catalog
from vault.checkpoints import CheckpointStore
from vault.copies import here
from vault.front_routes import vault_routes
from vault.last_copies import Part
from vault.manifest import check_manifest, read_manifest
from vault.parts import copy_asset, staging_of
from vault.pin_book import AssetPin, PinBook
from vault.retention import Protection
from vault.routes import treasury_routes
from vault.seals import NOTE, SealNote, problems_of_seal
from vault.storage_registry import StorageProfile
from vault.treasury import Treasury
from vault.whole_copies import WholeCopies, leaving, place_of
from vault.witness import Witness
from vault.zone_witnesses import ZoneWitnesses
from vault.zones import Zones


def copy_whole(source: Path, place: Path, manifest: Mapping[str, Any]) -> None:
    copy_asset(here, source, place, manifest, staging_of(place, manifest))


class Machine(RuleBasedStateMachine):
    """No sequence of retention, host failures, transfers, verifications and kills deletes the last whole copy."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="realm-last-"))
        self.share = self.root / "share"
        (self.share / "backups").mkdir(parents=True)
        self.hosts: dict[str, Host] = {}

    @initialize(
        spread=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from((*HOSTS[1:], *MOUNTING))), max_size=5),
        pins=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(HOSTS)), min_size=1, max_size=2),
        rotten=st.booleans(),
    )
    def begin(self, spread: list[tuple[int, str]], pins: list[tuple[int, str]], rotten: bool) -> None:
        """A few copies lie about already, something is held, and who holds it may have lost its own."""
        for name in HOSTS:
            self.hosts[name] = Host(name, self.root / name, self.hosts)
        for name in MOUNTING:
            StorageRegistry(self.hosts[name].paths.base).register_stronghold(
                "share", StrongholdType.NAS, base_path=self.share, profile=StorageProfile(auto_cleanup=True)
            )
        trainer = self.hosts["trainer"]
        store = CheckpointStore(trainer.paths.current_model, trainer.files)
        for step in (*STEPS, 9000):
            publish(store, name_of(step), f"weights {step}", more={"optimizer.pt": "m"}, milestone=True, ordinal=1)
        self.digests = {step: str((read_manifest(store.root / name_of(step)) or {})["digest"]) for step in STEPS}
        for number, (step, host) in enumerate(spread):
            if host in MOUNTING and number % 2:
                self.transfer("trainer", host, step)
                self.back_up(host, step)
            elif host != "trainer":
                self.transfer("trainer", host, step)
        for step, host in pins:
            self.pin(host, step)
            if rotten:
                self.rot(host, step)

    # --- what is checked ----------------------------------------------------------------------------------

    def whole(self, step: int) -> list[Path]:
        """Every whole copy there is, on hosts that are up or down."""
        found = [copy for host in self.hosts.values() for copy in host.copies(step) if not check_manifest(copy)]
        seals = [
            each for each in (self.share / "backups").glob(f"{name_of(step)}-*") if not problems_of_seal(here, each)
        ]
        return found + seals

    def held(self) -> set[int]:
        """What any host has pinned, and the others have heard of."""
        return {step for host in self.hosts.values() for step in host.pinned}

    def guarded(self, act: Callable[[], object]) -> None:
        before = {step: self.whole(step) for step in self.held()}
        act()
        lost = [step for step, copies in before.items() if copies and not self.whole(step)]
        assert not lost, f"the last whole copy of {lost} is gone: {before}"

    def tell_pins(self) -> None:
        """Every zone that is up tells the others, as the round of ten minutes does it."""
        for host in self.hosts.values():
            for other in self.hosts.values():
                if other is not host and other.is_up:
                    told = [
                        AssetPin(name_of(step), self.digests[step], Protection.SACRED, "Mira.") for step in other.pinned
                    ]
                    PinBook(host.paths.pins).write(other.name, told)

    # --- what happens -------------------------------------------------------------------------------------

    hosts_names = st.sampled_from(HOSTS)
    steps = st.sampled_from(STEPS)
    deaths = st.none() | st.integers(0, 6)

    @rule(host=hosts_names, dies_in=deaths)
    def prune(self, host: str, dies_in: int | None) -> None:
        me = self.hosts[host]
        self.guarded(lambda: me.do(lambda: me.treasury.prune(NOW), dies_in))

    @rule(host=st.sampled_from(MOUNTING), dies_in=deaths)
    def purge_the_share(self, host: str, dies_in: int | None) -> None:
        me = self.hosts[host]
        self.guarded(lambda: me.do(lambda: me.treasury.purge(Purge(keep=0), NOW + timedelta(days=9)), dies_in))

    @rule(first=hosts_names, second=hosts_names)
    def prune_two_at_once(self, first: str, second: str) -> None:
        """The second one prunes while the first one waits for its word."""
        one, two = self.hosts[first], self.hosts[second]
        if one is not two:
            two.meddle = lambda: two.do(lambda: two.treasury.prune(NOW))
            self.guarded(lambda: one.do(lambda: one.treasury.prune(NOW)))
            two.meddle = None

    @rule(source=hosts_names, to=hosts_names, step=steps)
    def transfer(self, source: str, to: str, step: int) -> None:
        if source == to:
            return
        copies = self.hosts[source].copies(step)
        place = self.hosts[to].paths.models / name_of(step)
        if copies and not place.exists():
            try:
                copy_whole(copies[0], place, read_manifest(copies[0]) or {"files": {}, "digest": ""})
            except RealmError:  # a damaged source does not arrive
                assert not place.exists()

    @rule(host=st.sampled_from(MOUNTING), step=steps)
    def back_up(self, host: str, step: int) -> None:
        copies = [each for each in self.hosts[host].copies(step) if not check_manifest(each)]
        manifest = read_manifest(copies[0]) if copies else None
        folder = self.share / "backups" / f"{name_of(step)}-{host}"
        if manifest is not None and not folder.exists():
            note = SealNote(
                version=1, asset_id=f"checkpoint_{step}", asset_type=AssetType.CHECKPOINT, name=name_of(step),
                sealed_at=NOW, verified_at=NOW, reason=None, host=self.hosts[host].treasury._host, came_from="",
                base_dir=str(self.hosts[host].paths.base), manifest=manifest,
            )  # fmt: skip
            copy_whole(copies[0], folder / name_of(step), manifest)
            times = {"sealed_at": NOW.isoformat(), "verified_at": NOW.isoformat()}
            Files().write_json(folder / NOTE, {**vars(note), **times}, durable=False)

    @rule(host=hosts_names, step=steps)
    def pin(self, host: str, step: int) -> None:
        """A host makes a hero of something that it holds."""
        if self.hosts[host].is_up and self.hosts[host].copies(step):
            self.hosts[host].pinned.add(step)
            self.tell_pins()

    @rule(host=hosts_names, step=steps)
    def unpin(self, host: str, step: int) -> None:
        self.hosts[host].pinned.discard(step)

    @rule(host=hosts_names)
    def fail_or_come_back(self, host: str) -> None:
        self.hosts[host].is_up = not self.hosts[host].is_up
        self.hosts[host].start()
        self.tell_pins()

    @rule(one=hosts_names, other=hosts_names)
    def cut_or_mend_a_link(self, one: str, other: str) -> None:
        for first, second in ((one, other), (other, one)):
            self.hosts[first].cut_off ^= {second}

    @rule(host=hosts_names, step=steps)
    def rot(self, host: str, step: int) -> None:
        """A disk forgets a byte, or all of a copy; no policy is to blame for that, and none may count on it."""
        for copy in self.hosts[host].copies(step)[:1]:
            (copy / "model.safetensors").write_text("x" * (copy / "model.safetensors").stat().st_size)

    @rule(host=hosts_names, step=steps)
    def lose(self, host: str, step: int) -> None:
        for copy in self.hosts[host].copies(step)[:1]:
            shutil.rmtree(copy)

    @rule()
    @precondition(lambda self: self.hosts)
    def tell_each_other(self) -> None:
        self.tell_pins()

    @invariant()
    def nothing_half_has_a_name(self) -> None:
        """Law 2: what has its name is whole, unless it has rotted."""
        for host in self.hosts.values():
            for step in STEPS:
                assert all((copy / "MANIFEST.json").exists() for copy in host.copies(step))

    def teardown(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


Machine.TestCase.settings = settings(
    max_examples=24, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestNoSequenceDeletesTheLastWholeCopy = Machine.TestCase


# --- two at once, each of which would rely on the other ------------------------------------------------------------


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, Host]:
    """The box and the lab each hold a fetched copy of what the trainer holds dear and has lost."""
    hosts: dict[str, Host] = {}
    for name in HOSTS:
        hosts[name] = Host(name, tmp_path / name, hosts)
    store = CheckpointStore(hosts["trainer"].paths.current_model)
    publish(store, name_of(1000))
    manifest = dict(read_manifest(store.root / name_of(1000)) or {})
    for name in ("box", "lab"):
        copy_whole(store.root / name_of(1000), hosts[name].paths.models / name_of(1000), manifest)
        pin = AssetPin(name_of(1000), str(manifest["digest"]), Protection.PROTECTED, "It is the best by train_loss.")
        PinBook(hosts[name].paths.pins).write("trainer", [pin])
    shutil.rmtree(store.root / name_of(1000))
    return hosts


def test_of_two_hosts_that_rely_on_each_other_at_most_one_deletes(hosts: dict[str, Host]) -> None:
    """Each has been told by the other that it has one before either has deleted its own."""
    box, lab = hosts["box"], hosts["lab"]
    asked: list[str] = []

    def meanwhile() -> None:
        asked.append("lab")
        lab.treasury.prune(NOW)

    # Once for the plan, which marks nothing; the second question is that of the deletion itself.
    lab.meddle = lambda: setattr(lab, "meddle", meanwhile)
    box.treasury.prune(NOW)
    assert asked == ["lab"]
    assert len(box.copies(1000) + lab.copies(1000)) == 1
    for host in (box, lab):
        host.treasury.prune(NOW)
    assert len(box.copies(1000) + lab.copies(1000)) == 1


def test_what_is_held_stays_while_nobody_else_answers_and_says_why(hosts: dict[str, Host]) -> None:
    """A24: retention deleted what others referred to, and they waited for ever."""
    box, lab = hosts["box"], hosts["lab"]
    lab.is_up = hosts["trainer"].is_up = False
    verdict = box.treasury.verdict(NOW)
    (kept,) = verdict.kept
    assert (verdict.deletions, kept.protection) == ([], Protection.PROTECTED)
    assert kept.pin is not None
    assert kept.pin.reason == "It is the best by train_loss. (trainer) No other whole copy of it answers now."
    lab.is_up = True
    weights = lab.copies(1000)[0] / "model.safetensors"
    weights.write_text("x" * weights.stat().st_size)
    (kept,) = box.treasury.verdict(NOW).kept
    assert kept.pin is not None
    assert kept.pin.reason.endswith("lab: The copy here is not whole.")
    assert box.treasury.prune(NOW) == []


def test_a_checkpoint_that_another_host_relies_on_goes_only_while_that_one_has_it_whole(
    hosts: dict[str, Host],
) -> None:
    """A17, A24: beyond the limits here, and the base of a hero there."""
    trainer, lab = hosts["trainer"], hosts["lab"]
    store = CheckpointStore(trainer.paths.current_model)
    for step in (1000, 2000, 3000, 9000):
        publish(store, name_of(step), more={"optimizer.pt": "m"}, milestone=True, ordinal=1)
    digest = str((read_manifest(store.root / name_of(1000)) or {})["digest"])
    hero = AssetPin(name_of(1000), digest, Protection.SACRED, "Mira is made of it.")
    PinBook(trainer.paths.pins).write("lab", [hero])
    (held,) = [each for each in trainer.treasury.verdict(NOW).kept if each.holding.step == 1000]
    assert held.protection is Protection.PROTECTED
    assert [each.holding.step for each in trainer.treasury.prune(NOW)] == [2000]
    shutil.rmtree(lab.copies(1000)[0])
    copy_whole(store.root / name_of(1000), lab.paths.models / name_of(1000),
               dict(read_manifest(store.root / name_of(1000)) or {}))  # fmt: skip
    assert [each.holding.step for each in trainer.treasury.prune(NOW)] == [1000]
    assert len(lab.copies(1000)) == 1


def test_a_fetched_copy_goes_once_another_host_has_it_whole_even_when_nobody_holds_it(hosts: dict[str, Host]) -> None:
    """A16: nothing pruned what had been fetched, until the inference host's disk was full."""
    box, lab = hosts["box"], hosts["lab"]
    PinBook(box.paths.pins).write("trainer", [])
    lab.is_up = False
    assert box.treasury.prune(NOW) == []
    lab.is_up = True
    assert [each.reason for each in box.treasury.prune(NOW)] == ["It is not one of the 0 newest fetched checkpoints."]
    assert (box.copies(1000), len(lab.copies(1000))) == ([], 1)


def test_a_backup_that_a_deletion_relies_on_is_not_deleted_meanwhile(hosts: dict[str, Host], tmp_path: Path) -> None:
    """Two hosts that mount one share: the lock in it is what both can see."""
    box = hosts["box"]
    share = tmp_path / "share"
    share.mkdir()
    registry = StorageRegistry(box.paths.base)
    registry.register_stronghold("share", StrongholdType.NAS, base_path=share)
    with VaultKeeper(box.paths.base) as keeper:
        seal = Archivist(keeper).seal(name_of(1000), "share")
    for name in ("trainer", "lab"):
        hosts[name].is_up = False
    store = box.treasury.stores.get("share")
    with box.treasury.stores.locked(store):
        pytest.MonkeyPatch().setattr("vault.stores.LOCK_SECONDS", 0.1)
        assert box.treasury.purge(Purge(names=(seal.name,)), NOW).deletions == []
        assert box.treasury.prune(NOW) == []
    pytest.MonkeyPatch().undo()
    assert [each.holding.kind for each in box.treasury.prune(NOW)] == ["copy"]
    (kept,) = [
        each for each in box.treasury.purge(Purge(names=(seal.name,)), NOW).kept if each.holding.kind == "backup"
    ]
    assert kept.protection is Protection.PROTECTED
    assert problems_of_seal(here, seal.path) == []


# --- pins that outlive what they hold ------------------------------------------------------------------------------


def realm_with_backup(paths: RealmPaths, **limits: object) -> tuple[Treasury, Path]:
    """A checkpoint that is HEAD and the best, with a backup here."""
    publish(CheckpointStore(paths.current_model), name_of(1000), train_loss=0.5)
    CheckpointLedger.of(paths).reconcile()
    with VaultKeeper(paths.base) as keeper:
        seal = Archivist(keeper).seal("1000", now=NOW - timedelta(days=300))
    settings = RetentionSettings.model_validate(limits)
    return Treasury(paths, CheckpointLedger.of(paths), lambda: settings), seal.path


def test_the_backup_of_what_was_lost_stays_although_nothing_here_refers_to_it_any_more(paths: RealmPaths) -> None:
    """The disk of `current_model/` is gone, and with it all that says what was dear."""
    treasury, seal = realm_with_backup(paths)
    assert treasury.purge(Purge(keep=0), NOW, dry_run=True).deletions != []
    shutil.rmtree(paths.current_model)
    paths.current_model.mkdir()
    (kept,) = treasury.purge(Purge(keep=0), NOW).kept
    assert kept.pin is not None
    assert kept.pin.reason.startswith("HEAD: the next start resumes from it. (this realm) No other whole copy")
    anew = Treasury(paths, CheckpointLedger.of(paths), RetentionSettings)
    assert anew.prune(NOW) == []
    assert seal.exists()


def test_the_backup_of_what_has_rotted_here_stays(paths: RealmPaths) -> None:
    """A30: that a directory has its name says nothing about what is in it."""
    treasury, seal = realm_with_backup(paths)
    weights = paths.current_model / name_of(1000) / "model.safetensors"
    weights.write_text("x" * weights.stat().st_size)
    assert treasury.purge(Purge(names=(seal.name,)), NOW).deletions == []
    assert seal.exists()


def test_what_retention_keep_names_is_kept_in_backups_too_until_it_is_not_named_any_more(paths: RealmPaths) -> None:
    treasury, seal = realm_with_backup(paths, keep=["1000"])
    publish(CheckpointStore(paths.current_model), name_of(2000), train_loss=0.1)
    shutil.rmtree(paths.current_model / name_of(1000))
    CheckpointLedger.of(paths).reconcile()
    (kept,) = [each for each in treasury.verdict(NOW).kept if each.holding.kind == "backup"]
    assert kept.pin is not None
    assert kept.pin.reason.startswith("retention.keep names it.")
    plain = Treasury(paths, CheckpointLedger.of(paths), RetentionSettings)
    assert [each.holding.path for each in plain.prune(NOW)] == [seal]


def test_a_damaged_book_of_pins_holds_everything_where_there_are_zones_and_is_begun_anew_where_not(
    paths: RealmPaths,
) -> None:
    treasury, seal = realm_with_backup(paths)
    treasury.verdict(NOW)
    paths.pins.write_text("{")
    hosts: dict[str, Host] = {}
    treasury.last_copies.others = Network(hosts, "trainer")
    (kept,) = [each for each in treasury.verdict(NOW).kept if each.holding.kind == "backup"]
    assert kept.pin is not None
    assert "pins.json is damaged" in kept.pin.reason
    alone = Treasury(paths, CheckpointLedger.of(paths), RetentionSettings)
    assert [each.holding.path for each in alone.prune(NOW)] == [seal]
    assert PinBook(paths.pins).read()[LOCAL] != []


# --- over real sockets ---------------------------------------------------------------------------------------------


def register_hosts(paths: RealmPaths, **services: dict[str, int]) -> None:
    hosts = {
        name: {"name": name, "host": "127.0.0.1", "role": "storage", "services": each}
        for name, each in services.items()
    }
    here = {"name": "here", "host": "127.0.0.2", "role": "inference", "services": {}}
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": {**hosts, "here": here}, "local_host": "here"}))


def zones_of(paths: RealmPaths) -> ZoneWitnesses:
    return ZoneWitnesses(paths, Zones(lambda: get_registry(paths, {}), lambda: None))


async def test_a_vault_tells_what_it_holds_and_testifies_to_its_copies(
    paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A4, A24: what one host relies on, the others know, also while it is away."""
    away = RealmPaths(tmp_path_factory.mktemp("away"))
    away.create()
    folder = publish(CheckpointStore(away.current_model), name_of(1000), train_loss=0.5)
    CheckpointLedger.of(away).reconcile()
    digest = str((read_manifest(folder) or {})["digest"])
    book, part = PinBook(paths.pins), Part(name_of(1000), digest, folder)
    treasury = Treasury(away, CheckpointLedger.of(away), RetentionSettings)
    treasury.verdict(NOW)
    with VaultKeeper(away.base) as keeper:
        routes = [*vault_routes(away, keeper, CheckpointLedger.of(away), ()), *treasury_routes(treasury)]
        async with serving(routes, service="vault_keeper") as visitor:
            register_hosts(paths, away={"vault": visitor.site.port})
            zones = zones_of(paths)
            await asyncio.to_thread(zones.take_over_pins, book)
            told = await asyncio.to_thread(lambda: list(zones.witnesses(part, timedelta(days=1))))
            other = {"name": name_of(1000), "checksum": "0" * 64}
            assert (await visitor.post("/api/witness", other)).body["reason"] == "The copy here holds other bytes."
            with leaving(folder):
                refused = await visitor.post("/api/witness", {"name": name_of(1000), "checksum": digest})
            assert refused.body["holds"] is False
        assert [(pin.name, pin.checksum) for pin in book.read()["away"]] == [(name_of(1000), digest)]
        ((zone, said),) = told
        assert (zone, said["holds"], said["place"], said["reason"]) == ("away", True, place_of(folder), None)
        # Down by now: it says nothing, and what it holds is still known.
        await asyncio.to_thread(zones.take_over_pins, book)
        assert book.read()["away"] != []
        assert await asyncio.to_thread(lambda: list(zones.witnesses(part, timedelta(days=1)))) == []
    register_hosts(paths)
    await asyncio.to_thread(zones.take_over_pins, book)
    assert book.read() == {}


async def test_an_officer_of_the_same_directory_is_no_second_copy(paths: RealmPaths) -> None:
    """A realm and a branch officer may look after one directory: the word of one is no proof for the other."""
    folder = publish(CheckpointStore(paths.current_model), name_of(1000))
    brought = paths.models / name_of(1000)
    shutil.move(folder, brought)
    treasury = Treasury(paths, CheckpointLedger.of(paths), lambda: RetentionSettings(copies=0))
    with Catalog.opened(paths.base / ".branch_catalog.db", paths.base) as catalog:
        officer = BranchOfficer("twin", paths.base, catalog, lambda: get_registry(paths, {}), lambda: None)
        officer.scan()
        async with serving(branch_routes(officer), service="branch_officer") as visitor:
            register_hosts(paths, twin={"branch": visitor.site.port})
            treasury.last_copies.others = zones_of(paths)
            (kept,) = (await asyncio.to_thread(treasury.verdict, NOW)).kept
            assert kept.pin is not None
            assert kept.pin.reason.endswith("twin: that is this very copy")
    assert brought.exists()


def test_what_lies_in_a_backup_or_a_share_is_no_testimony(paths: RealmPaths) -> None:
    """It may be the very copy that whoever asks is about to delete by another mount."""
    folder = publish(CheckpointStore(paths.current_model), name_of(1000))
    digest = str((read_manifest(folder) or {})["digest"])
    with VaultKeeper(paths.base) as keeper:
        Archivist(keeper).seal("1000")
        shares = Witness(keeper.find, paths.base, WholeCopies(), own_disk=lambda path: False)
        assert shares.testify(name_of(1000), digest, timedelta(days=1), NOW)["holds"] is False
        own = Witness(keeper.find, paths.base, WholeCopies(), own_disk=lambda path: True)
        assert own.testify(name_of(1000), digest, timedelta(days=1), NOW)["holds"] is True
        shutil.rmtree(folder)
        keeper.reconcile()
        assert own.testify(name_of(1000), digest, timedelta(days=1), NOW)["holds"] is False


def test_pins_of_a_zone_that_cannot_be_believed_are_not_taken_over(paths: RealmPaths) -> None:
    from vault.pin_book import read_pins

    odd: list[Any] = [{}, [], {"pins": 7}, {"pins": [{"name": ""}]}, {"pins": [{"name": "x", "checksum": "y" * 65}]}]
    for told in odd:
        with pytest.raises(ValueError, match=r".+"):
            read_pins(told)
