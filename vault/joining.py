"""Makes a directory a host of a realm that runs elsewhere: its registry and its token, and nothing else.

All hosts of a realm share one token: what one of them shows, the others believe.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.host_models import read_hosts
from core.http.tokens import PRIVATE
from core.paths import RealmPaths
from vault.zone_calls import answer_of

SECONDS = 10.0


def join(
    paths: RealmPaths, url: str, host_id: str, token: str, *, env: Mapping[str, str] = os.environ, files: Files = DISK
) -> dict[str, Any]:
    """Take the registry of the realm at `url` over, as its host `host_id`, and keep `token`, if it is believed there.

    Raises `NotFound` for a host that the registry does not name, and `Conflict` for another registry or token that is
    here already: nothing is overwritten, and nothing is written unless all of it can be.
    """
    summary = _ask(url.rstrip("/"), token)
    known = summary.get("hosts")
    if not isinstance(known, dict) or host_id not in known:
        names = ", ".join(known) if isinstance(known, dict) else "none"
        raise NotFound(f"The realm at {url} has no host {host_id!r} (there are: {names}).",
                       hint="Name it in configs/hosts.yaml there first.")  # fmt: skip
    text = yaml.safe_dump({**summary, "local_host": host_id}, sort_keys=False, allow_unicode=True)
    _refuse_unread(text, url)
    as_json = paths.hosts_file.with_suffix(".json")
    if as_json.exists():
        raise Conflict(f"{as_json} is there already.", hint="Move it away, then join again.")
    _refuse_other(paths.hosts_file, text)
    kept = [paths.token_file, _home_token(env)]
    for file in kept:
        _refuse_other(file, token)
    paths.configs.mkdir(parents=True, exist_ok=True)
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(file, token.encode() + b"\n", durable=True, mode=PRIVATE)
    files.write_atomic(paths.hosts_file, text.encode(), durable=True)
    hosts, _ = read_hosts(paths.hosts_file)
    return {"local_host": host_id, "hosts": list(hosts), "hosts_file": str(paths.hosts_file),
            "token_files": [str(file) for file in kept]}  # fmt: skip


def _ask(url: str, token: str) -> dict[str, Any]:
    status, told = answer_of("GET", url, "/api/hosts", token, SECONDS)
    if status == 401:
        raise InvalidInput(f"The realm at {url} does not believe this token.", hint="It is in .realm.token there.")
    if status != 200 or not isinstance(told, dict):
        raise Unavailable(f"{url} does not answer like a realm.", hint="It looks like http://192.168.1.10:8767.")
    return told


def _refuse_unread(text: str, url: str) -> None:
    """Raises `InvalidInput` for a registry that this version cannot read."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hosts.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            read_hosts(file)
        except RealmError as error:
            said = str(error).replace(str(file), f"the registry of {url}")
            raise InvalidInput(
                f"It cannot be used here: {said}", hint="Is the realm there of another version?"
            ) from error


def _home_token(env: Mapping[str, str]) -> Path:
    home = env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "~").expanduser() / ".config"
    return Path(home) / "realm" / "token"


def _refuse_other(file: Path, text: str) -> None:
    try:
        found = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise Conflict(f"{file} is there already, and cannot be read: {error}.") from error
    if found.strip() != text.strip():
        raise Conflict(f"{file} is there already, and says something else.", hint="Move it away, then join again.")
