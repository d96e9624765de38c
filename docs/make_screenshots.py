"""Takes the README's pictures from a realm that learns the sample quests: `python -m docs.make_screenshots [FOLDER]`.

Nothing is staged: a hero is trained meanwhile, which takes a minute or two. The moving picture is an animated PNG, put
together from what the browser gives, so that no library for pictures is needed. Needs the dev extra and Chromium.
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.launching import run_benchmark
from core.paths import CHECKOUT
from tests.acceptance.living_realm import LivingRealm
from tests.chromium import ARGUMENTS, find_chromium

OUTPUT = CHECKOUT / "docs" / "images"
SAMPLES = sorted((CHECKOUT / "examples" / "quests").glob("*.jsonl"))
SCREENS: dict[str, dict[str, Any]] = {
    "battle-day": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "battle-night": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "battle-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 1.5},
}
MOVING = {"viewport": {"width": 520, "height": 620}, "color_scheme": "light"}
FRAMES = 20
FRAME_MS = 120
BEGUN_XP = 60
EPOCHS = 40
"""The samples are small: each lasts long enough to be looked at."""
PATIENCE_SECONDS = 300
SIGNATURE = b"\x89PNG\r\n\x1a\n"


async def take_pictures(browser: Browser, url: str, folder: Path) -> None:
    """While a quest is fought."""
    page = await _open(browser, url, MOVING)
    await _until(page, lambda shown: shown["hero"]["xp"] >= BEGUN_XP and _is_in_the_midst(shown["quest"]))
    frames = []
    for _ in range(FRAMES):
        frames.append(await page.locator("#stage").screenshot())
        await page.wait_for_timeout(FRAME_MS)
    (folder / "battle.png").write_bytes(animated(frames, FRAME_MS * 2))
    for name, options in SCREENS.items():
        page = await _open(browser, url, options)
        await _until(page, lambda shown: _is_in_the_midst(shown["quest"]))
        await page.wait_for_timeout(1500)
        await page.screenshot(path=folder / f"{name}.png")


def animated(frames: list[bytes], milliseconds: int) -> bytes:
    """An animated PNG, without end, of PNGs that are of one size and kind."""
    made = [SIGNATURE, _chunk(b"IHDR", _chunks(frames[0])[b"IHDR"])]
    made.append(_chunk(b"acTL", struct.pack(">II", len(frames), 0)))
    width, height = struct.unpack(">II", _chunks(frames[0])[b"IHDR"][:8])
    number = 0
    for index, frame in enumerate(frames):
        made.append(_chunk(b"fcTL", struct.pack(">5I2H2B", number, width, height, 0, 0, milliseconds, 1000, 0, 0)))
        number += 1
        # Packed more tightly than the browser does it.
        pixels = zlib.compress(zlib.decompress(_chunks(frame)[b"IDAT"]), 9)
        if index == 0:
            made.append(_chunk(b"IDAT", pixels))
        else:
            made.append(_chunk(b"fdAT", struct.pack(">I", number) + pixels))
            number += 1
    return b"".join([*made, _chunk(b"IEND", b"")])


def _chunks(png: bytes) -> dict[bytes, bytes]:
    """The content of each kind of chunk."""
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind = png[at + 4 : at + 8]
        found[kind] = found.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += length + 12
    return found


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


async def _open(browser: Browser, url: str, options: dict[str, Any]) -> Page:
    page = await browser.new_page(**options)
    await page.goto(url)
    return page


async def _until(page: Page, holds: Callable[[dict[str, Any]], bool]) -> None:
    for _ in range(PATIENCE_SECONDS * 5):
        if holds(await (await page.request.get(f"{page.url}api/game")).json()):
            return
        await page.wait_for_timeout(200)
    raise SystemExit("The realm did not come to what the pictures are to show.")


def _is_in_the_midst(quest: dict[str, Any] | None) -> bool:
    return quest is not None and 0.1 < quest["rows_done"] / quest["rows_total"] < 0.6


async def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="screenshots-") as base:
        realm = LivingRealm(
            Path(base) / "realm", hero="seedling", trainer={"device": "cpu"}, hyperparams={"epochs": EPOCHS}
        )
        try:
            await asyncio.to_thread(realm.up)
            realm.cli("quest", "add", *map(str, SAMPLES))
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
                await take_pictures(browser, realm.services()["tavern"]["url"], folder)
        finally:
            await asyncio.to_thread(realm.close)


def main(folder: Annotated[Path, typer.Argument(help="Where to put them.")] = OUTPUT) -> None:
    """Tell what was made."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_make(folder))
    for made in sorted(folder.glob("*.png")):
        typer.echo(f"{made.name}: {made.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    run_benchmark(main)
