"""The catalog's file: entering, striking out, finding, counting; damage, and other processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Conflict, NotFound, Unavailable
from tests.vault.catalog.assets import asset
from vault.assets import (
    LOCAL,
    Asset,
    AssetStatus,
    AssetType,
    Location,
    LocationStatus,
    StrongholdType,
    Transfer,
    ranked,
)
from vault.catalog import records
from vault.catalog.catalog import Catalog
from vault.catalog.records import metadata


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.opened(tmp_path / "vault" / "catalog.db", tmp_path / "base") as catalog:
        yield catalog


def test_the_schema_made_by_migrations_equals_the_records(catalog: Catalog) -> None:
    with catalog.db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_whole_ddl_equals_what_the_records_alone_make(catalog: Catalog) -> None:
    """`compare_metadata` does not see WITHOUT ROWID and foreign keys' actions."""

    def ddl(connection: sa.Connection) -> dict[str, str]:
        query = sa.text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL")
        return {row.name: "".join(row.sql.split()) for row in connection.execute(query)}

    plain = sa.create_engine("sqlite://")
    with plain.begin() as connection, catalog.db.read() as ours:
        metadata.create_all(connection)
        made = ddl(ours)
        made.pop("alembic_version")
        assert made == ddl(connection)
    plain.dispose()


def test_what_was_entered_is_found_by_its_id_and_name(catalog: Catalog) -> None:
    entered = asset(description="Step 7", created_at="2026-11-21T09:30:00+00:00", checksum="ab" * 32)
    catalog.put(entered)
    assert catalog.locate("checkpoint_7") == entered
    assert catalog.id_of_name("checkpoint-7") == "checkpoint_7"
    assert (catalog.locate("checkpoint_70"), catalog.locate("checkpoint_"), catalog.id_of_name("x")) == (None,) * 3
    assert catalog.locate("\udcff") is None


def test_it_goes_through_json_and_comes_back_the_same() -> None:
    entered = asset(checksum="ab" * 32)
    assert Asset.from_json(entered.to_json()) == entered


def test_a_realm_that_was_moved_finds_its_own_assets_at_their_new_place(tmp_path: Path) -> None:
    """A13: no path of an earlier place stands in the catalog."""
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "catalog.db"
    with Catalog.opened(file, old) as catalog:
        catalog.put(asset(path=str(old / "current_model" / "checkpoint-7")))
        catalog.put_location("checkpoint_7", Location("nas", str(old / "mirror")))
    with Catalog.opened(file, new) as catalog:
        found = catalog.locate("checkpoint_7")
    assert found is not None
    assert {each.path for each in found.locations} == {
        str(new / "current_model" / "checkpoint-7"), str(old / "mirror")
    }  # fmt: skip


def test_an_asset_leaves_with_its_last_location(catalog: Catalog) -> None:
    catalog.put(asset())
    catalog.put_location("checkpoint_7", Location("nas", "/nas/seven"))
    assert catalog.drop_location("checkpoint_7", LOCAL, "/x/other") == 0
    assert catalog.drop_location("checkpoint_7", LOCAL) == 1
    assert catalog.locate("checkpoint_7") is not None
    assert catalog.drop_location("checkpoint_7", "nas", "/nas/seven") == 1
    assert catalog.locate("checkpoint_7") is None
    with pytest.raises(NotFound):
        catalog.put_location("checkpoint_7", Location("nas", "/nas/seven"))


def test_other_bytes_under_a_known_id_are_refused(catalog: Catalog) -> None:
    """G15, A30: two histories have a step of the same number, and a copy is one of the same bytes."""
    catalog.put(asset(checksum="aa" * 32))
    with pytest.raises(Conflict, match="its hashes differ"):
        catalog.put_location("checkpoint_7", Location("nas", "/nas/seven", checksum="bb" * 32))
    changes = catalog.replace_stronghold("nas", [asset(stronghold="nas", path="/nas/seven", checksum="bb" * 32)])
    assert (changes.refused, changes.added) == (["checkpoint_7"], [])
    catalog.put_location("checkpoint_7", Location("nas", "/nas/seven", checksum="aa" * 32))


def test_what_is_known_of_a_copy_ends_when_its_zone_tells_of_other_bytes(catalog: Catalog) -> None:
    """A verified copy counted that was no more: the zone had made the step anew."""
    catalog.put(asset(checksum="aa" * 32))
    ours = asset(stronghold="nas", path="/nas/seven", checksum="aa" * 32)
    synced = replace(ours, locations=(replace(ours.locations[0], synced_at="2026-11-21T09:30:00+00:00"),))
    catalog.put_location("checkpoint_7", synced.locations[0])
    # How it came there is known here alone, and stays.
    assert not catalog.replace_stronghold("nas", [ours])
    other = asset(stronghold="nas", path="/nas/seven", checksum="bb" * 32)
    changes = catalog.replace_stronghold("nas", [other])
    assert (changes.refused, changes.removed) == (["checkpoint_7"], ["checkpoint_7"])
    changes = catalog.replace_stronghold("nas", [other])
    assert (changes.refused, changes.removed) == (["checkpoint_7"], [])
    found = catalog.locate("checkpoint_7")
    assert found is not None
    assert [each.stronghold for each in found.locations] == [LOCAL]


def test_what_lies_at_a_path_is_found_by_an_index(catalog: Catalog) -> None:
    """A look-up in the event loop waits for it: it must not go through all that lies in a stronghold."""
    from vault.catalog import records

    with catalog.db.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {records.ID_AT}", ("nas", "/x")).all()
    assert "locations_by_path (stronghold=? AND path=?)" in str(plan)


def test_places_are_struck_out_by_their_paths(catalog: Catalog) -> None:
    for step in (7, 8):
        catalog.put(asset(f"checkpoint_{step}", stronghold="nas", path=f"/nas/{step}"))
    assert catalog.drop_places("nas", ["/nas/7", "/nas/9"]) == ["checkpoint_7"]
    assert (catalog.locate("checkpoint_7"), catalog.places("nas")) == (None, ["/nas/8"])


def test_a_new_listing_of_a_stronghold_replaces_the_old_one_and_nothing_else(catalog: Catalog) -> None:
    """A2, A4: what a zone no longer lists is gone, what it lists anew is there, and the others do not notice."""
    here = asset(path="/x/seven", description="ours")
    catalog.put(here)
    listing = [asset(f"checkpoint_{step}", stronghold="3090", path=f"/m/{step}") for step in (7, 8, 9)]
    changes = catalog.replace_stronghold("3090", listing)
    assert (changes.added, changes.changed, changes.removed) == (
        ["checkpoint_7", "checkpoint_8", "checkpoint_9"],
        [],
        [],
    )
    assert not catalog.replace_stronghold("3090", listing)
    moved = replace(listing[1], locations=(replace(listing[1].locations[0], path="/other/8"),))
    changes = catalog.replace_stronghold("3090", [moved])
    assert (changes.added, changes.changed, changes.removed) == ([], ["checkpoint_8"], ["checkpoint_7", "checkpoint_9"])
    assert catalog.locate("checkpoint_7") == here
    assert catalog.locate("checkpoint_9") is None
    assert catalog.stats()["locations_by_stronghold"] == {LOCAL: 1, "3090": 1}


def test_what_a_zone_says_of_its_own_assets_counts_and_of_ours_it_does_not(catalog: Catalog) -> None:
    catalog.put(asset("checkpoint_1", path="/x/1", description="ours"))

    def listing(folder: str, description: str) -> list[Asset]:
        return [
            asset(f"checkpoint_{step}", stronghold="3090", path=f"{folder}/{step}", description=description)
            for step in (1, 2)
        ]

    catalog.replace_stronghold("3090", listing("/early", "early"))
    catalog.replace_stronghold("3090", listing("/late", "late"))
    assert {each.asset_id: each.description for each in catalog.export()} == {
        "checkpoint_1": "ours", "checkpoint_2": "late"
    }  # fmt: skip


def test_a_rare_part_of_a_name_and_a_frequent_one_are_found_alike(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search fits all that is given, whichever way through the catalog is the shorter one."""
    for step in range(30):
        stronghold = "nas" if step % 3 else "attic"
        catalog.put(asset(f"checkpoint_{step}", stronghold=stronghold, path=f"/models/checkpoint-{step}"))
    asked = [
        (kind, name, stronghold, offset)
        for kind in (None, AssetType.CHECKPOINT, AssetType.MODEL)
        for name in ("checkpoint-1", "-2", "CHECK", "", "nowhere", "_", "%")
        for stronghold in (None, "nas", "nobody")
        for offset in (0, 3)
    ]
    pages = {}
    for most in (0, 5, 500):
        monkeypatch.setattr("vault.catalog.catalog.RARE", most)
        pages[most] = [catalog.search(kind, name, place, limit=4, offset=start) for kind, name, place, start in asked]
    assert pages[0] == pages[5] == pages[500]
    assert pages[0][asked.index((AssetType.CHECKPOINT, "-2", "nas", 0))].total == 8


def test_search_fits_all_that_is_given_page_by_page(catalog: Catalog) -> None:
    for step in (9, 70, 100):
        catalog.put(asset(f"checkpoint_{step}", path=f"/x/{step}"))
    sealed = Location("nas", "/nas/backups/a%b-20261121T093000Z/a%b")
    model = Asset("model_a%b", AssetType.MODEL, "a%b", locations=(sealed,))
    catalog.put(model)
    assert [each.step for each in catalog.search(AssetType.CHECKPOINT).assets] == [100, 70, 9]
    page = catalog.search(AssetType.CHECKPOINT, limit=1, offset=1)
    assert ([each.step for each in page.assets], page.total) == ([70], 3)
    assert [each.asset_id for each in catalog.search(name="%").assets] == ["model_a%b"]
    assert catalog.search(stronghold="nas").assets == [model]
    assert catalog.search(status=AssetStatus.ARCHIVED).total == 1
    assert catalog.search(AssetType.CHECKPOINT, status=AssetStatus.ARCHIVED).total == 0
    assert (catalog.search(status=AssetStatus.ACTIVE).total, catalog.search(status=AssetStatus.MISSING).total) == (3, 0)
    assert catalog.search(AssetType.MODEL, stronghold=LOCAL).total == 0
    assert (catalog.search(limit=0).total, catalog.newest_checkpoint()) == (4, "checkpoint_100")
    assert [each.asset_id for each in catalog.export()] == sorted(
        ["checkpoint_100", "checkpoint_70", "checkpoint_9", "model_a%b"]
    )


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop", "list"]),
        st.integers(1, 4),
        st.sampled_from([LOCAL, "nas", "3090"]),
        st.one_of(st.none(), st.integers(0, 10**12)),
    ),
    max_size=25,
)


def test_counters_are_true_whatever_was_done(catalog: Catalog) -> None:
    @given(moves=MOVES)
    def holds(moves: list[tuple[str, int, str, int | None]]) -> None:
        for stronghold in (LOCAL, "nas", "3090"):
            catalog.replace_stronghold(stronghold, [])
        for what, number, stronghold, size in moves:
            one = asset(f"checkpoint_{number}", stronghold=stronghold, size_bytes=size)
            if what == "put":
                catalog.put(one)
            elif what == "drop":
                catalog.drop_location(one.asset_id, stronghold)
            else:
                catalog.replace_stronghold(stronghold, [one])
        told, all_of_them = catalog.stats(), list(catalog.export())
        assert told["total_assets"] == len(all_of_them)
        assert round(told["total_size_gb"] * 1e9) == sum(each.size_bytes or 0 for each in all_of_them)
        held = [location.stronghold for each in all_of_them for location in each.locations]
        assert told["locations_by_stronghold"] == {name: held.count(name) for name in sorted(set(held))}
        catalog.recount()
        assert catalog.stats() == told

    holds()


def test_what_an_asset_is_told_with_is_what_the_table_of_locations_has(catalog: Catalog) -> None:
    """Triggers keep a copy of the locations in the row of their asset; one that is not equal is a lie."""

    @given(moves=MOVES)
    def holds(moves: list[tuple[str, int, str, int | None]]) -> None:
        for stronghold in (LOCAL, "nas", "3090"):
            catalog.replace_stronghold(stronghold, [])
        for what, number, stronghold, size in moves:
            place = Location(stronghold, f'/x/\u202e"{number}\n{size}', size_bytes=size, is_primary=bool(number % 2))
            one = replace(asset(f"checkpoint_{number}"), locations=(place,))
            if what == "put":
                catalog.put(one)
            elif what == "drop":
                catalog.drop_location(one.asset_id, stronghold, place.path)
            else:
                catalog.replace_stronghold(stronghold, [one])
        columns = ", ".join(records.LOCATION_COLUMNS[1:])
        for each in catalog.export():
            held = catalog.db.peek(f"SELECT {columns} FROM locations WHERE asset_id = ?", (each.asset_id,))
            assert set(each.locations) == {Location(*row) for row in held}
            assert catalog.locate(each.asset_id) == each

    holds()


def test_a_look_up_reads_the_row_of_the_asset_and_nothing_else(catalog: Catalog) -> None:
    """Of a million assets, each further page is one that is in no memory."""
    (step,) = catalog.db.peek(f"EXPLAIN QUERY PLAN {records.LOCATE}", (1, "checkpoint_7"))
    assert step[-1] == "SEARCH assets USING INTEGER PRIMARY KEY (rowid=?)"
    catalog.put(asset("checkpoint_7"))
    assert catalog.db.peek("SELECT number FROM assets") == [(records.number_of("checkpoint_7"),)]


def test_assets_whose_numbers_are_the_same_are_all_found(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of an id says where to look first; a million of them may have two alike."""
    names = ["checkpoint_7", "checkpoint_07", "checkpoint_1234567890", "data_x", "data_" + "9" * 200, "7", "", "é7"]
    assert len({records.number_of(name) for name in names}) == len(names)
    assert all(0 <= records.number_of(name) < 1 << 63 for name in names)
    monkeypatch.setattr(records, "number_of", lambda asset_id: 7)
    all_of_them = [asset(f"checkpoint_{step}", path=f"/x/{step}") for step in range(4)]
    catalog.replace_stronghold(LOCAL, all_of_them)
    for one in (*all_of_them, replace(all_of_them[2], description="again")):
        catalog.put(one)
        assert catalog.locate(one.asset_id) == one
    assert catalog.locate("checkpoint_9") is None
    assert catalog.stats()["total_assets"] == len(list(catalog.export())) == 4


def test_a_rare_status_is_found_by_its_index(catalog: Catalog) -> None:
    """Of a million assets nearly all are active."""
    wanted = records.matching(asset_type="checkpoint", name=None, stronghold=None, status="corrupted")
    counting = sa.select(sa.func.count()).select_from(records.assets).where(wanted)
    with catalog.db.read() as connection:
        asked = counting.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {asked}")).all()
    assert "assets_by_rare_status (status=?)" in plan[0].detail


PLACES = (
    "/x/seven",
    "/nas/backups/seven-20261121T093000Z/seven",
    "backups/seven-20261121T093000Z-2/seven",
    "/my/backups/seven",
)
STATES = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop"]),
        st.integers(1, 2),
        st.sampled_from([LOCAL, "nas"]),
        st.sampled_from(PLACES),
        st.sampled_from(LocationStatus),
    ),
    max_size=10,
)


def test_an_asset_has_the_status_that_its_copies_come_to_and_is_found_by_it(catalog: Catalog) -> None:
    """It was `active` whatever had become of it."""

    @given(states=STATES, is_archive=st.booleans())
    def holds(states: list[tuple[str, int, str, str, LocationStatus]], is_archive: bool) -> None:
        for stronghold in (LOCAL, "nas"):
            catalog.replace_stronghold(stronghold, [])
        for what, number, stronghold, path, status in states:
            one = asset(f"checkpoint_{number}", stronghold=stronghold, path=path, status=status)
            if what == "put":
                catalog.put(replace(one, asset_type=AssetType.BACKUP) if is_archive else one)
            else:
                catalog.drop_location(one.asset_id, stronghold, path)
        known = list(catalog.export())
        for wanted in AssetStatus:
            page = catalog.search(status=wanted)
            assert [each.asset_id for each in page.assets] == [each.asset_id for each in known if each.status == wanted]
            assert page.total == len(page.assets)

    holds()
    gone, whole = asset(status=LocationStatus.MISSING), asset()
    sealed = asset(path=PLACES[1])
    damaged = asset(status=LocationStatus.CORRUPTED)
    assert [each.status for each in (gone, whole, sealed, damaged)] == ["missing", "active", "archived", "corrupted"]
    both = replace(whole, locations=(*sealed.locations, *damaged.locations))
    assert (both.status, replace(both, locations=(*both.locations, *whole.locations)).status) == ("archived", "active")
    # A directory of that name is none of ours.
    assert asset(path=PLACES[3]).status == "active"


def test_only_the_last_transfers_are_kept(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A21: nothing grows without bound."""
    monkeypatch.setattr("vault.catalog.catalog.TRANSFERS_KEPT", 3)
    for number in range(5):
        told = Transfer(f"checkpoint_{number}", "3090", LOCAL, "/a", "/b", success=number != 4, created_at="2026-11-21")
        catalog.note_transfer(told)
    assert [each.asset_id for each in catalog.recent_transfers()] == ["checkpoint_4", "checkpoint_3", "checkpoint_2"]
    assert not catalog.recent_transfers(1)[0].success


def test_a_damaged_catalog_is_set_aside_and_what_can_be_read_is_kept(tmp_path: Path) -> None:
    """STYLE 17; the counters count what was saved, not what was lost."""
    file = tmp_path / "catalog.db"
    with Catalog.opened(file, tmp_path) as catalog:
        for step in range(300):
            catalog.put(asset(f"checkpoint_{step}", path=f"/x/{step}"))
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\xff" * 8192
    file.write_bytes(content)
    with Catalog.opened(file, tmp_path) as catalog:
        assert catalog.db.was_corrupt is not None
        assert catalog.stats()["total_assets"] == len(list(catalog.export()))
        catalog.recount()
        left = list(catalog.export())
        assert 0 < len(left) <= 300
        assert catalog.stats()["total_assets"] == len(left)
        with catalog.db.read() as connection:
            there = connection.execute(sa.select(sa.func.count()).select_from(records.locations)).scalar_one()
        assert sum(len(each.locations) for each in left) == there


def test_a_second_process_reads_what_the_first_has_just_written(tmp_path: Path) -> None:
    """A3: nobody answers from memory."""
    file = tmp_path / "catalog.db"
    with Catalog.opened(file, tmp_path) as ours, Catalog.opened(file, tmp_path, owner=False) as theirs:
        assert theirs.locate("checkpoint_7") is None
        ours.put(asset())
        assert theirs.locate("checkpoint_7") is not None
        assert theirs.stats()["total_assets"] == 1
        with pytest.raises(Unavailable):
            theirs.put(asset("checkpoint_8"))


def test_the_door_is_closed_behind_a_closed_catalog(tmp_path: Path) -> None:
    with Catalog.opened(tmp_path / "catalog.db", tmp_path) as catalog:
        catalog.locate("checkpoint_7")
    with pytest.raises(Unavailable, match="closed"):
        catalog.locate("checkpoint_7")


def test_a_look_up_waits_for_no_writer(tmp_path: Path) -> None:
    """G12: a write that goes on keeps nobody from reading."""
    file = tmp_path / "catalog.db"
    with Catalog.opened(file, tmp_path) as catalog, closing(sqlite3.connect(file, isolation_level=None)) as other:
        catalog.put(asset())
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM locations")
        found = catalog.locate("checkpoint_7")
        assert found is not None
        assert len(found.locations) == 1
        other.execute("ROLLBACK")


def test_verified_comes_before_unverified_and_then_the_nearer_one() -> None:
    """DESIGN section 6; what is missing or damaged is never the best, however near."""
    kinds = {LOCAL: StrongholdType.LOCAL, "nas": StrongholdType.NAS}
    order = [
        Location(LOCAL, "/1", LocationStatus.VERIFIED),
        Location("nas", "/2", LocationStatus.VERIFIED),
        Location("3090", "/3", LocationStatus.VERIFIED),
        Location(LOCAL, "/4", is_primary=True),
        Location(LOCAL, "/5"),
        Location("nas", "/6"),
        Location(LOCAL, "/7", LocationStatus.CORRUPTED),
    ]
    found = ranked(reversed(order), lambda name: kinds.get(name, StrongholdType.REMOTE))
    assert [each.path for each in found] == [each.path for each in order]
