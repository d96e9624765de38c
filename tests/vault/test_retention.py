"""What goes and what stays: the policy on made-up holdings, and what must be true of it whatever there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.retention import (
    PRECEDENCE,
    Holding,
    Kind,
    Limit,
    Limits,
    Pin,
    Protection,
    Tally,
    Verdict,
    make_way,
    pin_down,
    weigh,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
KINDS: list[Kind] = list(PRECEDENCE)
UNLIMITED = Limits({kind: Limit(10**6) for kind in KINDS}, total_bytes=10**18)
PINNED = Pin(Protection.PROTECTED, "A test holds it.")


def holding(kind: Kind, order: int, size: int = 10, *, since: datetime = LONG_AGO, hero: str | None = None) -> Holding:
    name = f"{kind}-{order}"
    return Holding(
        kind, name, Path("/vault") / name, (order,), since, {(1, hash(name)): size},
        step=order if kind in ("branch", "weights_only", "resumable") else None, hero=hero,
    )  # fmt: skip


def limited(kind: Kind, count: int, days: float | None = None) -> Limits:
    return replace(UNLIMITED, kinds={**UNLIMITED.kinds, kind: Limit(count, days)})


def going(verdict: Verdict) -> list[str]:
    return [each.holding.name for each in verdict.deletions]


def pins_of(*holdings: Holding, head: str | None = None, given: dict[Path, Pin] | None = None) -> dict[str, Pin]:
    pins = pin_down(holdings, given or {}, head=head, min_age=timedelta(hours=36), now=NOW)
    return {path.name: pin for path, pin in pins.items()}


# --- what holds something ------------------------------------------------------------------------------------------


def test_head_the_newest_and_what_stands_in_for_head_are_protected() -> None:
    """A10, D17: the newest is the one with the greatest number."""
    steps = [99_000, 100_000, 9_000]
    pins = pins_of(*(holding("resumable", step) for step in steps), head="resumable-9000")
    assert pins["resumable-9000"].reason.startswith("HEAD")
    assert pins["resumable-100000"].reason == "It is the newest checkpoint."
    assert "resumable-99000" not in pins
    pins = pins_of(*(holding("resumable", step) for step in steps), head="resumable-100000")
    assert pins["resumable-99000"].reason == "Training falls back to it, should HEAD be torn."
    assert "resumable-9000" not in pins


def test_what_stands_in_for_head_is_older_than_head() -> None:
    """What is newer was taken back, and no start ever falls back to it."""
    pins = pins_of(
        *(holding("resumable", step) for step in (5_000, 7_000, 9_000, 99_000, 100_000)), head="resumable-9000"
    )
    assert set(pins) == {"resumable-7000", "resumable-9000", "resumable-100000"}
    gone = pins_of(holding("resumable", 5_000), holding("resumable", 9_000), head="checkpoint-6000")
    assert gone["resumable-5000"].reason == "Training falls back to it, should HEAD be torn."


def test_weights_alone_do_not_stand_in_for_head() -> None:
    held = [holding("resumable", 1), holding("resumable", 2), holding("weights_only", 3), holding("weights_only", 4)]
    assert set(pins_of(*held, head="resumable-2")) == {"resumable-1", "resumable-2", "weights_only-4"}


def test_what_is_younger_than_36_hours_is_guarded_also_when_the_clock_was_wrong() -> None:
    hours = {1: 35.9, 2: 36.1, 3: -24.0, 4: -40.0}
    held = [holding("branch", order, since=NOW - timedelta(hours=age)) for order, age in hours.items()]
    pins = pins_of(*held)
    assert set(pins) == {"branch-1", "branch-3"}
    assert pins["branch-1"] == Pin(Protection.GUARDED, "It is younger than 36 h.")


def test_the_snapshots_of_today_and_yesterday_and_the_newest_stay() -> None:
    today = NOW.astimezone().date().toordinal()
    held = [holding("snapshot", today - days) for days in (0, 1, 2, 9)]
    assert {int(name.partition("-")[2]) - today for name in pins_of(*held)} == {0, -1}
    assert {int(name.partition("-")[2]) - today for name in pins_of(*held[2:])} == {-2}


def test_the_latest_model_of_each_hero_stays_and_so_does_what_the_realm_did_not_make() -> None:
    heroes = [("dio", 1), ("dio", 2), ("mira", 3), (None, 0)]
    pins = pins_of(*(holding("archive", order, hero=hero) for hero, order in heroes))
    assert set(pins) == {"archive-2", "archive-3", "archive-0"}
    assert "`realm hero use dio` brings it back" in pins["archive-2"].reason


def test_of_several_pins_the_strongest_is_told() -> None:
    base = holding("resumable", 5)
    sacred = Pin(Protection.SACRED, "It is the base model of the hero dio.")
    assert pins_of(base, head=base.name, given={base.path: sacred, Path("/elsewhere"): PINNED}) == {base.name: sacred}
    assert pins_of(base, head=base.name, given={base.path: PINNED})[base.name].reason.startswith("HEAD")
    older = holding("resumable", 4, since=NOW)
    assert pins_of(older, base, head=base.name, given={older.path: PINNED})[older.name].reason.startswith("Training")
    oldest = holding("resumable", 3, since=NOW)
    assert pins_of(oldest, older, base, given={oldest.path: PINNED})[oldest.name] == PINNED


# --- what goes -----------------------------------------------------------------------------------------------------


def test_each_kind_keeps_to_a_limit_of_its_own() -> None:
    held = [holding(kind, order) for kind in KINDS for order in range(4)]
    for kind in KINDS:
        verdict = weigh(held, {}, limited(kind, 3), now=NOW)
        assert going(verdict) == [f"{kind}-0"]
        assert verdict.deletions[0].reason.startswith("It is not one of the 3 newest")


def test_what_lay_too_long_on_a_branch_goes() -> None:
    held = [holding("branch", 1), holding("branch", 2, since=NOW - timedelta(days=5))]
    verdict = weigh(held, {}, limited("branch", 9, days=20), now=NOW)
    assert [(each.holding.order, each.reason) for each in verdict.deletions] == [
        ((1,), "It has lain there for more than 20 days.")
    ]


def test_over_the_cap_branches_go_first_then_the_oldest_checkpoints_then_snapshots_then_models() -> None:
    held = [holding(kind, order, 10) for kind in reversed(KINDS) for order in (2, 1)]
    everything = [
        "branch-1", "branch-2", "resumable-1", "weights_only-1", "resumable-2", "weights_only-2",
        "snapshot-1", "snapshot-2", "archive-1", "archive-2", "backup-1", "copy-1", "backup-2", "copy-2",
    ]  # fmt: skip
    for count in range(len(everything) + 1):
        verdict = weigh(held, {}, replace(UNLIMITED, total_bytes=140 - 10 * count), now=NOW)
        assert sorted(going(verdict)) == sorted(everything[:count])
    told = "All that is kept takes 1.4e-07 GB, more than retention.total_gigabytes allows."
    assert verdict.deletions[0].reason == told


def test_a_file_that_a_snapshot_shares_counts_once_and_is_not_deleted_in_vain() -> None:
    """A hard link frees nothing as long as the other one is there."""
    checkpoint, snapshot, other = holding("resumable", 1), holding("snapshot", 1), holding("resumable", 2)
    snapshot = replace(snapshot, files=checkpoint.files)
    held = [checkpoint, snapshot, other]
    assert Tally(held).total_bytes == 20
    assert going(make_way(held, {snapshot.path: PINNED}, 10)) == [other.name]
    both = make_way(held, {other.path: PINNED}, 10)
    assert [(each.holding.name, each.frees_bytes) for each in both.deletions] == [
        (checkpoint.name, 0),
        (snapshot.name, 10),
    ]


# --- whatever there is ---------------------------------------------------------------------------------------------


FILES = 6
"""Files of 10 bytes each, of which every holding has some."""

Vault = tuple[list[Holding], dict[Path, Pin]]


def vault_of(lines: list[tuple[Kind, int, int, int, bool]]) -> Vault:
    """Holdings of (kind, order, age in hours, which files, pinned)."""
    held = {}
    pins = {}
    for kind, order, hours, mask, pinned in lines:
        files = {(1, number): 10 for number in range(FILES) if mask >> number & 1}
        each = replace(holding(kind, order, since=NOW - timedelta(hours=hours)), files=files)
        held[each.path] = each
        if pinned:
            pins[each.path] = PINNED
    return list(held.values()), pins


vaults = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.integers(0, 9), st.integers(-50, 5000), st.integers(0, 2**FILES - 1), st.booleans()
    ),
    max_size=12,
).map(vault_of)

unhurried = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

limits = st.builds(
    Limits,
    st.fixed_dictionaries({kind: st.builds(Limit, st.integers(0, 5), st.none() | st.floats(1, 300)) for kind in KINDS}),
    st.integers(0, 70),
)


def left_of(held: list[Holding], verdict: Verdict) -> list[Holding]:
    gone = {each.holding.path for each in verdict.deletions}
    return [each for each in held if each.path not in gone]


@given(vaults, limits)
@unhurried
def test_no_pin_is_ever_deleted_and_everything_is_accounted_for(vault: Vault, limits: Limits) -> None:
    """A24: what somebody refers to is there when he comes for it."""
    held, pins = vault
    for verdict in (weigh(held, pins, limits, now=NOW), make_way(held, pins, 60)):
        gone = [each.holding for each in verdict.deletions]
        assert not {each.path for each in gone} & pins.keys()
        assert sorted(each.path for each in (*gone, *(kept.holding for kept in verdict.kept))) == sorted(
            each.path for each in held
        )
        freed = sum(each.frees_bytes for each in verdict.deletions)
        assert freed == Tally(held).total_bytes - Tally(left_of(held, verdict)).total_bytes
        assert all(each.reason.endswith(".") for each in verdict.deletions)


@given(vaults, limits)
@unhurried
def test_what_was_pruned_once_is_within_its_limits_as_far_as_the_pins_allow(vault: Vault, limits: Limits) -> None:
    """Law 9, and a second round finds nothing to do."""
    held, pins = vault
    left = left_of(held, weigh(held, pins, limits, now=NOW))
    assert weigh(left, pins, limits, now=NOW).deletions == []
    for kind, limit in limits.kinds.items():
        mine = sorted((each for each in left if each.kind == kind), key=lambda each: each.order)
        assert all(each.path in pins for each in mine[: max(len(mine) - limit.count, 0)])
    loose = [each for each in left if each.path not in pins]
    held_fast = Tally([each for each in left if each.path in pins])
    if Tally(left).total_bytes > limits.total_bytes:
        assert all(held_fast.holds_all_of(each) for each in loose)


@given(vaults, st.integers(0, 150))
@unhurried
def test_no_more_room_is_made_than_was_asked_for(vault: Vault, wanted: int) -> None:
    """The last deletion was needed: without it there is too little."""
    held, pins = vault
    verdict = make_way(held, pins, wanted)
    before, after = Tally(held).total_bytes, Tally(left_of(held, verdict)).total_bytes
    if verdict.deletions:
        spared = [*left_of(held, verdict), verdict.deletions[-1].holding]
        assert before - Tally(spared).total_bytes < wanted
    if before - after < wanted:
        still = Tally([each for each in held if each.path in pins])
        assert after == still.total_bytes


@given(vaults, limits, st.integers(0, 60), st.integers(0, 3), st.sampled_from(KINDS))
@unhurried
def test_a_larger_limit_never_deletes_more(vault: Vault, limits: Limits, more: int, count: int, kind: Kind) -> None:
    held, pins = vault

    def gone(limits: Limits) -> set[str]:
        return set(going(weigh(held, pins, limits, now=NOW)))

    assert gone(replace(limits, total_bytes=limits.total_bytes + more)) <= gone(limits)
    uncapped = replace(limits, total_bytes=10**18)
    wider = {**limits.kinds, kind: Limit(limits.kinds[kind].count + count, limits.kinds[kind].days)}
    assert gone(replace(uncapped, kinds=wider)) <= gone(uncapped)
    assert set(going(make_way(held, pins, more))) <= set(going(make_way(held, pins, more + 10)))
