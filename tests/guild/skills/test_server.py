"""The API of a skill: what it answers, to whom, and as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from core.paths import CHECKOUT, RealmPaths
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import problem_key
from guild.dojo.sources import source_of
from guild.dojo.static import static_problems
from guild.routes import MOST_AT_ONCE, skill_routes
from guild.server import api_port, skill_site
from guild.skills import SkillClient, get_skill
from guild.skills.loader import BuiltinTrainer
from guild.skills.types import SkillAPI
from tests.serving import Visitor, serving


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    trainer = BuiltinTrainer(get_skill("bin"))
    async with serving(skill_routes(trainer), service="skill_bin", health=lambda: {"status": "ok"}) as visitor:
        yield visitor


async def test_it_tells_what_it_teaches(visitor: Visitor) -> None:
    health = await visitor.get("/health")
    assert (health.status, health.body["status"]) == (200, "ok")
    info = (await visitor.get("/info")).body
    assert (info["id"], info["max_level"], info["version"]) == ("bin", 30, source_of("bin").version)
    levels = (await visitor.get("/levels")).body["levels"]
    assert [level["bits"] for level in levels] == [*range(2, 31), 32]
    assert all(0.05 < level["held_out"] < 0.15 for level in levels)


async def test_it_generates_what_the_client_reads(visitor: Visitor) -> None:
    skill = get_skill("bin").model_copy(update={"api": SkillAPI(url=visitor.site.url)})
    client = SkillClient(skill)
    batch = await asyncio.to_thread(client.sample, 8, 50, 7)
    assert await asyncio.to_thread(client.health)
    assert len(await asyncio.to_thread(client.levels)) == 30
    own = BuiltinTrainer(get_skill("bin")).sample(8, 50, 7)
    assert batch == own


async def test_the_eval_set_is_complete_and_never_taught(visitor: Visitor) -> None:
    """C23: evaluation problems came without their answers. C14: they had been taught."""
    problems = (await visitor.get("/eval")).body["problems"]
    assert list(problems) == [str(level) for level in range(1, 31)]
    for level, five in problems.items():
        assert [each["prompt"] for each in five] == [
            each.prompt for each in static_problems(source_of("bin"), int(level))
        ]
        assert all(each["answer"] and is_held_out(problem_key("bin", each["prompt"])) for each in five)
    assert (await visitor.get("/eval?level=3")).body["problems"] == {"3": problems["3"]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"level": 31}, 404),
        ({"level": 0}, 400),
        ({}, 400),
        ({"level": 1, "count": MOST_AT_ONCE + 1}, 400),
        ({"level": 1, "count": 0}, 400),
        ({"level": 1, "seed": -1}, 400),
        ({"level": 1, "seeed": 1}, 400),
        ({"level": "1"}, 400),
    ],
    ids=str,
)
async def test_a_wish_that_cannot_be_is_refused(visitor: Visitor, body: dict[str, object], status: int) -> None:
    """E1, E12: a level is never left out or guessed."""
    answer = await visitor.post("/generate", body)
    assert (answer.status, answer.body["error"]) == (status, "not_found" if status == 404 else "invalid_input")
    assert (await visitor.get("/eval?level=31")).status == 404


async def test_beyond_loopback_it_wants_the_token(paths: RealmPaths) -> None:
    """F15: a site in the network that anybody may use."""
    site = skill_site(get_skill("bin"), paths, "0.0.0.0", 0)
    await site.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{site.url}/health")).status_code == 200
            assert (await http.get(f"{site.url}/info")).status_code == 401
            token = paths.token_file.read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            assert (await http.get(f"{site.url}/info", headers=headers)).status_code == 200
    finally:
        await site.stop()


def test_the_port_is_that_of_the_file() -> None:
    assert (api_port(get_skill("bin")), api_port(get_skill("sy"))) == (8090, 8080)


def test_as_a_process_it_answers_until_a_signal_ends_it(paths: RealmPaths) -> None:
    """G21: it needs no torch, and no realm."""
    light = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'numpy'))); import realm; realm.main()"
    )
    command = [sys.executable, "-c", light, "skill", "serve", "binary", "--port", "0", "--base-dir", str(paths.base)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
    assert process.stderr is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found is not None
        assert httpx.get(f"{found[0]}/health", trust_env=False).json()["status"] == "ok"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stderr.close()
    assert not list(paths.status.iterdir())
