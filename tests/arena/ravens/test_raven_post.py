"""News by apprise: each event once to each target, summed up, and never in the way of anything."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from arena.ravens.kinds import NEWS, news_of
from arena.ravens.letters import AGAIN, Letter, Pile
from arena.ravens.raven_post import Patience, RavenPost, Send
from arena.ravens.routes import raven_routes
from core.errors import Unavailable
from core.masking import masked, without_addresses
from core.paths import CHECKOUT, RealmPaths
from core.saga import Event, Saga, open_saga
from core.settings import NotificationSettings
from core.settings_reading import load_settings
from tests.arena.ravens.one_target import Target, listening
from tests.serving import serving
from tests.waiting import wait_until_async

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
QUICK = Patience(tries=3, first_pause=0.01, longest_pause=0.02)

KILLED_AT = {"write.notices.json:2": 1, "notice.sending": 1, "notice.sent": 2}
"""Crash points of this room, and how often the message arrives that a kill there cuts off. The second write says that
it is under way."""


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with listening() as target:
        yield target


class Mailbox:
    """Takes letters in place of apprise."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, Letter]] = []
        self.refusals: list[str | Exception] = []

    async def send(self, address: str, letter: Letter) -> str | None:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return refusal
        self.letters.append((address, letter))
        return None

    @property
    def told(self) -> str:
        return "\n".join(letter.body for _, letter in self.letters)


@asynccontextmanager
async def flying(paths: RealmPaths, saga: Saga, send: Send | None, **settings: Any) -> AsyncIterator[RavenPost]:
    """A post at work; `settings` of `notifications`."""
    wanted = NotificationSettings(**{"gather_seconds": 0, "targets": ("ntfy://garden",), **settings})
    post = RavenPost(paths.notices, saga, lambda: wanted, send=send, patience=QUICK)
    task = asyncio.create_task(post.run())
    await wait_until_async(lambda: not wanted.targets or paths.notices.exists(), message="it never began")
    try:
        yield post
    finally:
        task.cancel()
        await asyncio.wait({task})


def tell(saga: Saga, kind: str, message: str) -> Event:
    return saga.append(kind, message, now=NOW)


def booked(paths: RealmPaths) -> dict[str, Any]:
    found = json.loads(paths.notices.read_text())["targets"]
    return next(iter(found.values()))  # type: ignore[no-any-return]


async def settled(paths: RealmPaths, event: Event) -> None:
    await wait_until_async(lambda: booked(paths)["settled"] >= event.id and booked(paths)["sending"] is None)


async def test_what_was_asked_for_is_told_and_nothing_else(paths: RealmPaths, saga: Saga) -> None:
    tell(saga, "quest_sealed", "before anybody was to be told")
    box = Mailbox()
    async with flying(paths, saga, box.send, events=("quest_complete", "trouble")):
        tell(saga, "checkpoint_saved", "nobody asked for this")
        tell(saga, "level_mastered", "nor for this")
        await settled(paths, tell(saga, "quest_sealed", "a.jsonl is sealed"))
        await settled(paths, tell(saga, "disk_full", "the disk is full"))
    assert box.told == "a.jsonl is sealed\nthe disk is full"
    assert [letter.is_trouble for _, letter in box.letters] == [False, True]


async def test_each_event_is_told_once_over_all_lives(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    for life in range(3):
        async with flying(paths, saga, box.send):
            await settled(paths, tell(saga, "quest_sealed", f"quest {life}"))
        tell(saga, "trainer_died", f"between lives {life}")
    async with flying(paths, saga, box.send):
        await wait_until_async(lambda: "between lives 2" in box.told)
    assert sorted(box.told.split("\n")) == sorted(
        [f"quest {life}" for life in range(3)] + [f"between lives {life}" for life in range(3)]
    )


async def test_a_burst_is_one_message(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    async with flying(paths, saga, box.send, gather_seconds=0.3):
        for number in range(1200):
            last = tell(saga, "quest_sealed", f"quest {number}") if number % 2 else tell(saga, "went_back", "x" * 999)
        await settled(paths, last)
    ((_, letter),) = box.letters
    assert letter.title.endswith(": 600 trouble, 600 quests complete")
    assert letter.body.endswith("and 1190 more")
    assert len(letter.body) < 4000


async def test_a_refused_message_is_tried_again_and_dropped_with_an_event(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    box.refusals = ["the service is away"] * 2
    async with flying(paths, saga, box.send) as post:
        await settled(paths, tell(saga, "quest_sealed", "one"))
        assert box.told == "one"
        box.refusals = ["the service is away"] * QUICK.tries
        await settled(paths, tell(saga, "quest_sealed", "two"))
        (target,) = (await post.view())["targets"]
        assert target["trouble"] == "the service is away"
        await settled(paths, tell(saga, "quest_sealed", "three"))
        assert (await post.view())["targets"][0]["trouble"] is None
    assert box.told == "one\nthree"
    (dropped,) = [event for event in saga.latest_events(20) if event.kind == "notification_dropped"]
    assert "ntfy://… in 3 tries" not in dropped.message
    assert "(ntfy://…)" in dropped.message
    assert news_of(dropped.kind) is None, "what cannot be sent must not make more to be sent"


async def test_a_target_that_is_away_holds_up_no_other(paths: RealmPaths, saga: Saga) -> None:
    box, hanging = Mailbox(), asyncio.Event()

    async def send(address: str, letter: Letter) -> str | None:
        if "slow" in address:
            await hanging.wait()
        return await box.send(address, letter)

    async with flying(paths, saga, send, targets=("ntfy://slow", "ntfy://quick")):
        for number in range(3):
            tell(saga, "quest_sealed", f"quest {number}")
            await wait_until_async(lambda wanted=f"quest {number}": wanted in box.told)  # type: ignore[misc]
        assert {address for address, _ in box.letters} == {"ntfy://quick"}
        hanging.set()
        slow = [letter.body for address, letter in box.letters if "slow" in address]
        await wait_until_async(lambda: sum("slow" in address for address, _ in box.letters) >= 1, message=str(slow))


async def test_who_asks_for_more_is_not_told_of_the_past(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    async with flying(paths, saga, box.send, events=("quest_complete",)):
        tell(saga, "trainer_died", "old trouble")
        await settled(paths, tell(saga, "quest_sealed", "one"))
        tell(saga, "trainer_died", "more old trouble")
    async with flying(paths, saga, box.send):
        await wait_until_async(lambda: len(booked(paths)["names"]) == 3)
        await settled(paths, tell(saga, "quest_sealed", "two"))
    async with flying(paths, saga, box.send, targets=()):
        await wait_until_async(lambda: json.loads(paths.notices.read_text())["targets"] == {})
    assert box.told == "one\ntwo"


async def test_a_message_of_which_nobody_knows_is_sent_again_and_says_so(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    async with flying(paths, saga, box.send):
        await settled(paths, tell(saga, "quest_sealed", "one"))
    event = tell(saga, "quest_sealed", "two")
    body = json.loads(paths.notices.read_text())
    next(iter(body["targets"].values()))["sending"] = event.id
    paths.notices.write_text(json.dumps(body))
    last = tell(saga, "quest_sealed", "three")
    async with flying(paths, saga, box.send):
        await settled(paths, last)
    assert [letter.body for _, letter in box.letters] == ["one", f"two\n{AGAIN}", "three"]


@pytest.mark.parametrize("refusal", [None, "the service is away"])
async def test_a_message_that_leaves_while_the_realm_ends_is_not_sent_again(
    paths: RealmPaths, saga: Saga, refusal: str | None
) -> None:
    """A clean stop waits for what is under way: what it hears of it counts. Refused, it comes as if for the first."""
    box, leaving = Mailbox(), asyncio.Event()
    box.refusals = [refusal] if refusal else []

    async def send(address: str, letter: Letter) -> str | None:
        leaving.set()
        await asyncio.sleep(0.05)  # the end comes meanwhile
        return await box.send(address, letter)

    async with flying(paths, saga, send):
        event = tell(saga, "quest_sealed", "one")
        await asyncio.wait_for(leaving.wait(), 10)
    assert (booked(paths)["settled"], booked(paths)["sending"]) == (0 if refusal else event.id, None)
    async with flying(paths, saga, box.send):
        await settled(paths, tell(saga, "quest_sealed", "two"))
    assert box.told == "one\ntwo"
    assert AGAIN not in box.told


async def test_a_new_history_of_events_begins_at_its_beginning(paths: RealmPaths, saga: Saga) -> None:
    """A lost database: its ids were told once, and stood for other events."""
    box = Mailbox()
    async with flying(paths, saga, box.send):
        await settled(paths, tell(saga, "quest_sealed", "one"))
    body = json.loads(paths.notices.read_text())
    next(iter(body["targets"].values())).update(settled=900, at="2026-01-01T00:00:00+00:00")
    paths.notices.write_text(json.dumps(body))
    async with flying(paths, saga, box.send):
        await wait_until_async(lambda: box.told == "one\none")


async def test_bookings_that_are_damaged_begin_with_what_happens_next(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    tell(saga, "quest_sealed", "old")
    paths.notices.write_text('{"targets": {"x": {"settled": "no"}')
    async with flying(paths, saga, box.send):
        await wait_until_async(lambda: '"names"' in paths.notices.read_text())
        await settled(paths, tell(saga, "quest_sealed", "new"))
    assert box.told == "new"


async def test_apprise_brings_it_to_a_real_server_and_nothing_loads_it_here(
    paths: RealmPaths, saga: Saga, target: Target
) -> None:
    target.letters.clear()
    async with flying(paths, saga, None, targets=(target.address,)) as post:
        target.refusals = 1
        await settled(paths, tell(saga, "quest_sealed", "<b>a</b>.jsonl is sealed"))
        assert target.bodies == ["<b>a</b>.jsonl is sealed"]
        assert target.letters[0]["title"].endswith(": 1 quest complete")
        async with serving(raven_routes(post)) as visitor:
            shown = (await visitor.get("/api/notifications")).body
            assert [each["shown"] for each in shown["targets"]] == ["json://…"]
            assert shown["targets"][0]["sent_at"] is not None
            tried = await visitor.post("/api/notifications/test", {"target": shown["targets"][0]["id"]})
            assert [each["taken"] for each in tried.body["results"]] == [True]
            target.refusals = 1
            address = f"json://127.0.0.1:{target.port}"
            refused = (await visitor.post("/api/notifications/test", {"address": address})).body["results"][0]
            assert (refused["taken"], refused["id"] != shown["targets"][0]["id"]) == (False, True)
            assert "500" in refused["why"]
            unknown = (await visitor.post("/api/notifications/test", {"address": "bamboo://x"})).body["results"][0]
            assert "cannot use this bamboo:// address" in unknown["why"]
            assert (await visitor.post("/api/notifications/test", {"target": "0" * 16})).status == 404
            assert "hunter2" not in json.dumps([shown, tried.body, refused, unknown])
        assert await post.check("bamboo://x")
        assert await post.check("ntfy://garden") is None
    assert "apprise" not in sys.modules


async def test_a_process_that_dies_at_it_is_no_end(paths: RealmPaths, saga: Saga) -> None:
    box = Mailbox()
    box.refusals = [Unavailable("the worker was killed")]
    async with flying(paths, saga, box.send):
        await settled(paths, tell(saga, "quest_sealed", "one"))
    assert box.told == "one"


@pytest.mark.parametrize("place", KILLED_AT)
def test_killed_at_any_moment_everything_arrives(paths: RealmPaths, target: Target, place: str) -> None:
    """Exactly once; but what was under way may come twice, and says so then."""
    target.letters.clear()
    command = [sys.executable, "-m", "tests.arena.ravens.mortal_post", str(paths.base), target.address]
    dying = {**os.environ, "REALM_CRASH_AT": place}
    killed = subprocess.run([*command, "first"], cwd=CHECKOUT, env=dying, timeout=60, check=False)
    assert killed.returncode == -9
    done = subprocess.run(command, cwd=CHECKOUT, timeout=60, check=False)
    assert done.returncode == 0
    copies = [body for body in target.bodies if body.startswith("first")]
    assert len(copies) == KILLED_AT[place]
    assert copies[-1] == ("first" if place.startswith("write.") else f"first\n{AGAIN}")


def test_the_kinds_of_news_are_kinds_that_are_told() -> None:
    """G20: a kind that was renamed would never be told of again."""
    code = "".join(file.read_text() for room in ("arena", "core", "vault") for file in (CHECKOUT / room).rglob("*.py"))
    for kind in frozenset[str]().union(*NEWS.values()):
        words = kind.removesuffix("_blocked")
        pattern = rf'Blockade\([\w.]+, "{words}"\)' if kind.endswith("_blocked") else rf'"{kind}"'
        outcome = rf"quest_\{{ended.outcome\}}.*{kind.removeprefix('quest_')}|{kind.removeprefix('quest_')}"
        assert re.search(pattern, code) or (kind.startswith("quest_") and re.search(outcome, code)), kind


def test_targets_are_addresses_and_are_not_shown(paths: RealmPaths) -> None:
    env = {"REALM_NOTIFICATIONS__TARGETS": "ntfy://a mailto://x?to=b,c"}
    assert load_settings(paths.config_file, env).notifications.targets == ("ntfy://a", "mailto://x?to=b,c")
    assert masked("discord://id/token") == "discord://…"
    assert without_addresses("targets: ['discord://id/token', \"slack:\\/\\/x\"]") == (
        "targets: ['discord://…', \"slack://…\"]"
    )
    for secret in ("mailto://u:pa,ss@h", "mailto://u:pa'ss@h", 'mailto://u:pa"]ss@h', "_mailto://u:pa}ss@h"):
        assert "ss" not in without_addresses(f"targets: ['{secret}'] is wrong"), secret
        assert without_addresses(f"['{secret}']").endswith("mailto://…']")


def test_one_line_for_each_event() -> None:
    pile = Pile()
    pile.add(Event(1, "", "quest_sealed", "two\nlines"), tuple(NEWS))
    assert pile.letter().body == "two lines"
