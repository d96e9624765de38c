"""The CLI verb `doctor`: what might keep this realm from working, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from watchtower.doctor.checkup import Check, Finding

CHECKS = (
    "python",
    "packages",
    "settings",
    "hero",
    "permissions",
    "disk",
    "filesystem",
    "inotify",
    "ports",
    "clock",
    "databases",
    "checkpoints",
    "trainer",
    "torch_device",
    "computing",
    "memory",
)
"""Modules of `watchtower.doctor.checks`, in the order in which they are told."""

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "red")}


def doctor(ctx: typer.Context) -> None:
    """Look for whatever may keep the realm from working. Exit code 1 when something does; warnings do not count."""
    from core.instance import living_realm
    from watchtower.doctor.checkup import Patient, examine

    realm = living_realm(ctx.obj.paths.lock)
    pid = realm.get("pid") if realm else None
    patient = Patient.at(ctx.obj.paths, running_pid=pid, now=datetime.now(UTC))
    findings = examine(patient, _checks())
    healthy = all(finding.verdict != "failure" for finding in findings.values())
    if ctx.obj.as_json:
        body: dict[str, Any] = {"healthy": healthy, "base_dir": str(ctx.obj.paths.base)}
        ctx.obj.tell({**body, "checks": {name: asdict(finding) for name, finding in findings.items()}}, "")
    else:
        _show(findings)
    if not healthy:
        raise typer.Exit(1)


def _checks() -> list[tuple[str, Check]]:
    from importlib import import_module

    return [(name, import_module(f"watchtower.doctor.checks.{name}").check) for name in CHECKS]


def _show(findings: dict[str, Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    width = max(map(len, findings))
    for name, finding in findings.items():
        sign, colour = SIGNS[finding.verdict]
        console.print(Text.assemble((f"{sign} {name:<{width}}  ", colour), finding.message))
        if finding.hint and finding.verdict != "ok":
            console.print(Text(f"  {'':<{width}}  {finding.hint}", "dim"))
