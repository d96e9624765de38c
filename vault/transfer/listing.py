"""What another host says that an asset is made of, believed only as far as it cannot do harm here.

Names lead nowhere but below the asset's own directory, nothing is a link, sizes are sane, and the digest of the
manifest covers all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from core.errors import Conflict, InvalidInput
from vault.chunks import CHUNK_BYTES
from vault.manifest import MANIFEST, QUARANTINE_NOTE, digest_of, manifest_text

MOST_FILES = 100_000
LONGEST_NAME = 255
LONGEST_PATH = 1024
LARGEST_FILE = 1 << 50
HASH = re.compile(r"[0-9a-f]{64}")
OF_NOTHING = blake3().hexdigest()

Json = Mapping[str, Any]


@dataclass(frozen=True)
class ListedFile:
    """One file of an asset."""

    name: str
    """Below the asset's directory, with slashes."""
    size: int
    blake3: str
    """In hex, of the whole file."""
    first_chunk: int
    """Number of its first chunk among those of the asset."""

    @property
    def chunks(self) -> int:
        return -(-self.size // CHUNK_BYTES)


@dataclass(frozen=True)
class Listing:
    """An asset on another host, checked."""

    asset_id: str
    asset_type: str
    name: str
    """Of its directory, or of the file that it is."""
    is_directory: bool
    files: tuple[ListedFile, ...]
    text: bytes
    """`MANIFEST.json`, byte for byte."""

    @property
    def digest(self) -> str:
        """Of its manifest; two assets with the same one have the same bytes."""
        return digest_of(json.loads(self.text))

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def chunks(self) -> int:
        return sum(file.chunks for file in self.files)

    @property
    def key(self) -> str:
        """Tells this content from any other."""
        return blake3(self.text).hexdigest()[:16]


def read_listing(asset_id: str, answer: Any) -> Listing:
    """The listing in an answer to `GET /api/assets/{id}/manifest`; raises `InvalidInput` saying what is wrong in it."""
    try:
        if not isinstance(answer, dict):
            raise InvalidInput("the answer is no JSON object.")
        kind, name = answer.get("kind"), answer.get("name")
        if kind not in ("directory", "file") or not isinstance(name, str) or not is_plain_name(name):
            raise InvalidInput(f"it is to be called {name!r}, a {kind!r}.")
        text = manifest_text(answer.get("manifest"))
        files = _files(answer["manifest"]["files"])
        if kind == "file" and [file.name for file in files] != [name]:
            raise InvalidInput("a single file has to be all that its manifest names.")
    except InvalidInput as error:
        raise InvalidInput(f"What the other host says of {asset_id} cannot be believed: {error.message}") from error
    # Asked for by a name such as `latest`, it is called by its id from here on: the next chunk must be of the same one.
    told_id = answer.get("asset_id")
    own_id = told_id if isinstance(told_id, str) and 0 < _bytes_in(told_id) <= LONGEST_NAME else asset_id
    return Listing(own_id, str(answer.get("asset_type") or "unknown"), name, kind == "directory", files, text)


def is_plain_name(name: str) -> bool:
    """Whether this can be the name of one directory or file of ours: no path, nothing hidden, no control characters."""
    return (
        not name.startswith(".")
        and name.isprintable()
        and not set(name) & set("/\\\0")
        and 0 < len(name.encode("utf-8", "replace")) <= LONGEST_NAME - 64
    )


def _files(entries: Json) -> tuple[ListedFile, ...]:
    if len(entries) > MOST_FILES:
        raise InvalidInput(f"it has {len(entries)} files; {MOST_FILES} are possible.")
    found: list[ListedFile] = []
    folders: set[str] = set()
    chunk = 0
    for name, entry in entries.items():
        if not _is_safe_path(name):
            raise InvalidInput(f"{name!r} is no name of a file in it.")
        # A link, or whatever else a later version may put there, is nothing that this one can keep whole.
        if not isinstance(entry, dict) or set(entry) != {"size", "blake3"}:
            raise InvalidInput(f"{name!r} is not told of as a regular file.")
        size, digest = entry["size"], entry["blake3"]
        if type(size) is not int or not 0 <= size <= LARGEST_FILE:
            raise InvalidInput(f"{name!r} cannot have {size!r} bytes.")
        if not isinstance(digest, str) or not HASH.fullmatch(digest):
            raise InvalidInput(f"{name!r} has no BLAKE3 hash.")
        if not size and digest != OF_NOTHING:
            raise InvalidInput(f"{name!r} is empty, and has the hash of something.")
        found.append(ListedFile(name, size, digest, chunk))
        chunk += found[-1].chunks
        parts = name.split("/")
        folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    if both := folders & entries.keys():
        raise InvalidInput(f"{min(both)!r} cannot be both a file and a directory.")
    return tuple(found)


def _is_safe_path(name: str) -> bool:
    parts = name.split("/")
    return (
        0 < _bytes_in(name) <= LONGEST_PATH
        and "\0" not in name
        and "\\" not in name
        and all(part not in ("", ".", "..") and _bytes_in(part) <= LONGEST_NAME for part in parts)
        and parts[0] not in (MANIFEST, QUARANTINE_NOTE)
    )


def _bytes_in(name: str) -> int:
    """How long a name is on a disk; 0 for one that no disk can have."""
    try:
        return len(name.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return 0


def refuse_other(listing: Listing, digest: str | None) -> None:
    """Raises `Conflict` when another asset has the id of the one that is meant."""
    if digest is not None and listing.digest != digest:
        raise Conflict(
            f"{listing.asset_id} is another one there: the digest of its manifest is {listing.digest}, not {digest}.",
            hint="It was made anew, or two have one name: have it scanned there, then ask again.",
        )
