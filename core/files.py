"""Every durable write of the realm goes through here, so that tests can make any of them fail.

`Files` holds the few calls that touch the disk; tests pass a subclass whose `fsync`, `replace`, `link` …
raise ENOSPC, EIO or EACCES. Nothing is ever overwritten by a move, and a file is either old or new, never half.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, cast

from core.crash_points import crash_point

logger = logging.getLogger(__name__)

MOST_COMPLAINTS = 1000
"""Damaged files that are remembered as told of (law 9)."""
_complained: set[Path] = set()

NO_HARD_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


DISK_TROUBLE = {
    errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOTCONN,
    errno.ETIMEDOUT, errno.EREMOTEIO, errno.ENODEV, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
}  # fmt: skip
"""Errors that say nothing about what is in a file: the same file may be read once the disk, or its owner, lets it."""

UNREADABLE = {errno.EIO, errno.EBADMSG, errno.EUCLEAN}
"""How a disk answers for what has rotted, and also where it only fails for a while. A file is given up for one of these
by those alone who have asked twice or have something else to go on with; everybody else waits."""

WRONG_PLACE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors that tell of a path: nothing lies there that could be read, however often one asks."""


class Files:
    """Calls into the file system, one method each so that a test can replace it."""

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def rename_dir(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def statvfs(self, folder: Path) -> os.statvfs_result:
        return os.statvfs(folder)

    def allocate(self, fd: int, size: int) -> None:
        """Take `size` bytes of the disk for a file now; raises `OSError` (ENOSPC) when there are not so many."""
        os.posix_fallocate(fd, 0, size)

    def write(self, fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def write_through(self, path: Path, pages: memoryview, *, size: int) -> None:
        """Make the new file `path` of the first `size` bytes, durably, and where possible past the page cache.

        `pages` are aligned in memory and in number: the disk takes them from where they lie, without a copy that costs
        processor time and displaces what other programs want to read again.
        """
        flags, past_cache = os.O_WRONLY | os.O_CREAT, getattr(os, "O_DIRECT", 0)
        try:
            fd = os.open(path, flags | os.O_EXCL | past_cache, 0o644)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            fd = os.open(path, flags, 0o644)  # which Linux has made all the same
        try:
            whole = cast(bytes, pages)  # as much of them as `write` makes use of
            try:
                self.write(fd, whole)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # Some file systems say only now that they cannot, or what is left over ends within one of their pages.
                fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~past_cache)
                os.lseek(fd, 0, os.SEEK_SET)
                self.write(fd, whole)
            self.truncate(fd, size)
            self.fsync(fd)
        finally:
            os.close(fd)

    def write_at(self, fd: int, data: memoryview, offset: int) -> None:
        """Write to one place in a file, whatever others write to elsewhere in it."""
        while data:
            count = os.pwrite(fd, data, offset)
            data, offset = data[count:], offset + count

    def fsync_dir(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.fsync(fd)
        finally:
            os.close(fd)

    def write_atomic(self, path: Path, data: bytes, *, durable: bool, mode: int | None = None) -> None:
        """Replace `path` by `data` in one step; with `durable`, it survives a power cut once this returns.

        `mode` is its permission bits, of any new file else.
        """
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            try:
                if mode is not None:
                    os.fchmod(fd, mode)
                self.write(fd, data)
                if durable:
                    self.fsync(fd)
            finally:
                os.close(fd)
            crash_point(f"write.{path.name}")
            self.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            self.fsync_dir(path.parent)

    def write_json(self, path: Path, value: Any, *, durable: bool) -> None:
        """`write_atomic` of indented JSON; NaN and Infinity are refused."""
        text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
        self.write_atomic(path, text.encode("utf-8", errors="surrogatepass") + b"\n", durable=durable)

    def append_line(
        self, path: Path, line: bytes, *, durable: bool, create: bool = True, cut_to: int | None = None
    ) -> None:
        """Append `line` and a newline; when that fails, what was written of it is taken back.

        Without `create`, a file that is gone raises `FileNotFoundError` and is not begun anew. A torn last line is left
        by a kill in mid-write, which is for the reader to cut off, and by a disk that refuses to take it back: whoever
        tries again after a failure gives the length in bytes that was good as `cut_to`. One writer per file.
        """
        fd = os.open(path, os.O_WRONLY | (os.O_CREAT if create else 0) | os.O_APPEND, 0o644)
        try:
            if cut_to is not None:
                self.truncate(fd, cut_to)
            whole = os.fstat(fd).st_size
            try:
                crash_point(f"append.torn.{path.name}", last_act=lambda: self.write(fd, line[: len(line) // 2]))
                self.write(fd, line + b"\n")
                if durable:
                    self.fsync(fd)
            except OSError:
                # Half a line that stays joins the next one into a line that nobody can read.
                self.truncate(fd, whole)
                raise
        finally:
            os.close(fd)

    def move_new(self, source: Path, target: Path) -> None:
        """Move a file to a name that must be free; raises `FileExistsError` and changes nothing otherwise.

        Link + unlink, so that a name is never overwritten. Killed in between, the file stands under both
        names with one inode: `same_file` tells, and the sweep at start drops the source. Without hard links
        or across file systems: copy to a temporary name, fsync, claim the name with `O_EXCL`, unlink.
        """
        self.link_new(source, target)
        self.unlink(source)
        if source.parent != target.parent:
            self.fsync_dir(source.parent)

    def link_new(self, source: Path, target: Path) -> None:
        """The first half of `move_new`: `source` stands durably under `target` too, or nothing has changed."""
        try:
            self.link(source, target)
        except OSError as error:
            if isinstance(error, FileExistsError) or error.errno not in NO_HARD_LINKS:
                raise
            self._copy_new(source, target)
        try:
            self.fsync_dir(target.parent)
        except OSError:
            target.unlink(missing_ok=True)
            raise

    def copy_unless_linkable(self, source: Path, place: Path) -> bool:
        """Copy `source` to the unused name `place`, if no hard link of it can be made there; tells whether it was.

        Lets gigabytes be copied before `link_new`, which cannot be waited for under a lock.
        """
        try:
            self.link(source, place)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
        else:
            self.unlink(place)
            return False
        try:
            self.copy(source, place)
        except OSError:
            place.unlink(missing_ok=True)
            raise
        return True

    def copy(self, source: Path, target: Path) -> None:
        """A durable copy with the times of the source, under a name that is not used; half of it may stay."""
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            self.fsync(writer.fileno())
        shutil.copystat(source, target)

    def _copy_new(self, source: Path, target: Path) -> None:
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self.copy(source, temporary)
            crash_point("copy.written")
            # The claim is an empty file of our own making: replacing it overwrites nobody.
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            crash_point("copy.claimed")
            try:
                self.replace(temporary, target)
            except OSError:
                target.unlink(missing_ok=True)
                raise
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


DISK = Files()
"""The real disk; the default of every `files=` argument."""


def read_json(path: Path) -> Any:
    """The JSON value in `path`, or None when the file is missing, torn, not JSON or nested beyond all reason.

    One that is there and cannot be used is told of in the log, once until it can be used again.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _complain(path, error)
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        _complain(path, error)
        return None
    _complained.discard(path)
    return value


def _complain(path: Path, error: Exception) -> None:
    # Status files are read again and again.
    if path in _complained:
        return
    if len(_complained) >= MOST_COMPLAINTS:
        _complained.clear()
    _complained.add(path)
    logger.warning("%s cannot be used: %s", path, error, extra={"event": "file_damaged", "path": str(path)})


def same_file(first: Path, second: Path) -> bool:
    """True when both names lead to one inode (a move that was cut between link and unlink)."""
    try:
        return os.path.samestat(first.lstat(), second.lstat())
    except OSError:
        return False
