"""Paths in requests stay inside the roots, however they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.paths import RealmPaths
from vault.roots import OutOfBounds, Roots


def test_a_path_in_a_root_is_given_back_as_it_really_is(
    paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nas = tmp_path_factory.mktemp("nas")
    roots = Roots.of(paths, [str(nas)])
    assert roots.to_read("models/x") == paths.models / "x"
    assert roots.to_read(str(nas / "a" / ".." / "b")) == nas / "b"
    assert roots.to_write(str(nas)) == nas
    (nas / "link").symlink_to(paths.models)
    assert roots.to_read(str(nas / "link" / "x")) == paths.models / "x"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "\0",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "models/../../x",
        "out/x",
        ".realm.token",
        "status/.hidden",
        "x" * 256,
        "x/" * 1025,
    ],
)
def test_a_path_out_of_all_roots_or_to_something_hidden_is_refused(
    paths: RealmPaths, path: str, tmp_path: Path
) -> None:
    """Spec 1.11: `destination: "../../x"` once led out of the base directory."""
    (paths.base / "out").symlink_to(tmp_path.parent)
    with pytest.raises(OutOfBounds):
        Roots.of(paths).to_read(path)
    with pytest.raises(OutOfBounds):
        Roots.of(paths).to_write(path)


@pytest.mark.parametrize("path", ["queue/high/x.jsonl", "inbox/x.jsonl", "current_model/x", "configs/heroes", "."])
def test_what_has_gates_cannot_be_written_to(paths: RealmPaths, path: str) -> None:
    """Law 6: a fetch is no way around the inbox."""
    with pytest.raises(OutOfBounds, match="outside of what may be named here"):
        Roots.of(paths).to_write(path)
