"""The realm's bearer token: made once as a private file, read by its sites and by the programs that talk to them.

A site believes the file `.realm.token` of its base directory alone. A program shows `REALM_TOKEN`, else that file when
it talks to the realm of a base directory, else `~/.config/realm/token`. No token is ever logged.
"""

from __future__ import annotations

import os
import re
import secrets
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from core.errors import InvalidInput
from core.files import DISK, Files

SHORTEST = 16
"""Characters of a token that nobody guesses."""
HEADER_SAFE = re.compile(r"[!-~]{1,256}")
PRIVATE = 0o600
NEW_TOKEN = "Delete the file, and a new token is made when it is wanted."


def ensure_token(path: Path, *, files: Files = DISK) -> str:
    """The token in `path`, made on the spot when there is no such file.

    Raises `InvalidInput` when the file holds no token, others may read it, or the file system cannot keep it private
    (law 6: no private token, no entry); a token that was made for nothing is gone again then.
    """
    made = not path.exists() and _create(path, files)
    try:
        if path.stat().st_mode & 0o077:
            raise InvalidInput(
                f"Others may read the token in {path}.",
                hint=f"{NEW_TOKEN} A file system without permissions cannot hold a token.",
            )
        if len(token := _read(path)) < SHORTEST:
            raise InvalidInput(f"The token in {path} is shorter than {SHORTEST} characters.", hint=NEW_TOKEN)
        return token
    except InvalidInput:
        if made:
            files.unlink(path)
        raise
    except OSError as error:
        raise InvalidInput(f"The token in {path} cannot be read: {error.strerror}.") from error


def client_token(own: Path | None = None, env: Mapping[str, str] = os.environ) -> str | None:
    """What a program shows to a site: see above; `own` is the token file of the realm it talks to, None for a realm
    elsewhere, which the token of this one is none of the business of. None when there is no token at all."""
    if token := env.get("REALM_TOKEN"):
        return _checked(token, "REALM_TOKEN")
    home = env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "~").expanduser() / ".config"
    for path in filter(None, (own, Path(home) / "realm" / "token")):
        # Somebody else's file, or none: the next place may have one.
        with suppress(OSError):
            return _read(path)
    return None


def bearer(token: str | None) -> dict[str, str]:
    """The header that shows `token`; no header without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _create(path: Path, files: Files) -> bool:
    """Make the file, whole or not at all; False when another process was quicker, whose token counts."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        try:
            files.write(descriptor, secrets.token_urlsafe(32).encode() + b"\n")
            files.fsync(descriptor)
        finally:
            os.close(descriptor)
        files.move_new(temporary, path)
    except FileExistsError:
        temporary.unlink(missing_ok=True)
        return False
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInput(f"The token file {path} cannot be made: {error.strerror}.") from error
    return True


def _read(path: Path) -> str:
    return _checked(path.read_text(encoding="utf-8", errors="replace").strip(), str(path))


def _checked(token: str, source: str) -> str:
    if not HEADER_SAFE.fullmatch(token):
        # What was found stays untold: it may be half a token.
        raise InvalidInput(f"{source} holds no token.", hint="A token is plain ASCII without spaces.")
    return token
