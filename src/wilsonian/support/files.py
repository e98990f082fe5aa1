"""Files and folders written whole or not at all; everything the library writes goes through here.

What is new is built beside its final place and renamed onto it once it is on the disk, so an
earlier file survives a full disk, an exception, Ctrl-C and a power cut. Links are followed.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

StrPath = str | os.PathLike[str]


class FileError(OSError):
    """A place that cannot be written to: one sentence with the path, the cause and what to try."""


def refusal(path: StrPath, cause: str, advice: str) -> FileError:
    """The one sentence of every failed write, to be raised."""
    return FileError(f"Cannot write {os.fspath(path)!r}: {cause}; {advice}.")


# {folder} is the parent folder.
_EXPLANATIONS = {
    errno.ENOENT: (
        "the folder {folder} does not exist",
        "create it first, or choose a folder that exists",
    ),
    errno.ENOTDIR: ("a part of that path is a file, not a folder", "choose a folder that exists"),
    errno.EISDIR: ("a folder has that name", "add a file name to it, or choose another name"),
    errno.EACCES: ("you may not write in {folder}", "choose another, or change its permissions"),
    errno.EROFS: ("{folder} is on a read-only disk", "choose a folder on another disk"),
    errno.ENOSPC: ("the disk or your share of it is full", "free space, or choose another disk"),
    errno.EFBIG: ("the file is too large for that disk or your limits", "choose another disk"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
}
_EXPLANATIONS[errno.EPERM] = _EXPLANATIONS[errno.EACCES]
_EXPLANATIONS[errno.EDQUOT] = _EXPLANATIONS[errno.ENOSPC]


def _explained(path: Path, folder: Path, error: OSError) -> FileError:
    number = error.errno or 0
    if number == errno.ENOENT and folder.is_dir():
        number = errno.EACCES  # folders such as /proc take no new files and say this
    if number in _EXPLANATIONS:
        cause, advice = _EXPLANATIONS[number]
        return refusal(path, cause.format(folder=repr(str(folder))), advice)
    return refusal(path, error.strerror or str(error), "choose another folder")


def _is_working_folder(status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.stat("."))
    except OSError:  # removed, or not ours to look at: then nobody can be working there through us
        return False


def _place(path: Path, *, folder: bool = False) -> tuple[Path, int | None]:
    """Where `path` leads, and the permissions of what is there, which must be replaceable."""
    target = path
    try:
        target = Path(os.path.realpath(path))
        status = target.stat()
    except FileNotFoundError:
        return target, None
    except ValueError as error:  # a null character, for example
        raise refusal(path, "no name can hold such characters", "choose another name") from error
    except OSError as error:
        raise _explained(path, path.parent, error) from error
    if not folder and stat.S_ISDIR(status.st_mode):
        raise refusal(path, *_EXPLANATIONS[errno.EISDIR])
    if folder and not stat.S_ISDIR(status.st_mode):
        raise refusal(path, "a file has that name", "choose another name, or move the file away")
    if folder and _is_working_folder(status):
        raise refusal(path, "you are working in that folder", "choose a name inside it")
    if not folder and not stat.S_ISREG(status.st_mode):
        # A rename would turn /dev/null into a file.
        raise refusal(path, "that is a device or a pipe, not a file", "choose another name")
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise refusal(
            path, "what is there is write-protected", "choose another name, or lift the protection"
        )
    return target, stat.S_IMODE(status.st_mode) & 0o777


def _beside(path: Path, ending: str) -> Path:
    """A new hidden name in the same folder; short, so that it fits wherever `path` fits."""
    return path.parent / f".{path.name[:40]}.{secrets.token_hex(4)}{ending}"


@contextlib.contextmanager
def _one_sentence(path: Path, temporary: Path) -> Iterator[None]:
    """Explain errors of the file system, save those about files that are not ours."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(temporary)):
            raise
        raise _explained(path, temporary.parent, error) from error


def _sync(file: Path) -> None:
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    # Makes names durable. Windows cannot, and at this point a failure must not lose the file.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """A temporary file to fill, which takes the name `path` when the block ends without error.

    It lies in the same folder and has the same ending. Permissions are those of the file that is
    replaced, else what the umask gives.
    """
    path = Path(path)
    target, mode = _place(path)
    temporary = _beside(target, ".tmp" + (target.suffix if len(target.suffix) <= 16 else ""))
    with _one_sentence(path, temporary):
        try:
            # Not tempfile.mkstemp: its files stay private to their owner whatever the umask.
            temporary.touch(0o666 if mode is None else 0o600, exist_ok=False)
            yield temporary
            _sync(temporary)
            if mode is not None:
                temporary.chmod(mode)
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    _sync_folder(target.parent)


def atomic_write(path: StrPath, content: str | bytes) -> Path:
    """Write `content` to `path`, whole or not at all, and return where it is; raises FileError
    where that is impossible.

    Text becomes UTF-8 with its line ends as they are; what UTF-8 cannot hold becomes "?".
    """
    data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


@contextlib.contextmanager
def atomic_folder(path: StrPath) -> Iterator[Path]:
    """A temporary folder to fill with files, which becomes `path` when the block ends.

    A folder at `path` is deleted with all it holds, after the new one has taken its place: the
    caller first makes sure that it may go. A crash between the two renames leaves the earlier
    folder beside, where `set_aside` finds it.
    """
    path = Path(path)
    target, mode = _place(path, folder=True)
    temporary = _beside(target, ".tmp")
    with _one_sentence(path, temporary):
        try:
            temporary.mkdir(0o777 if mode is None else 0o700)
            yield temporary
            for file in temporary.iterdir():
                _sync(file)
            _sync_folder(temporary)
            if mode is not None:
                temporary.chmod(mode)
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    _sync_folder(target.parent)


def _swap(temporary: Path, target: Path) -> None:
    if not target.exists():
        os.rename(temporary, target)
        return
    earlier = _beside(target, ".old")
    try:
        os.rename(target, earlier)
        os.rename(temporary, target)
    finally:
        if target.exists():
            shutil.rmtree(earlier, ignore_errors=True)
        elif earlier.exists():
            os.rename(earlier, target)


def set_aside(path: StrPath) -> Path | None:
    """The earlier folder that a crash left beside the missing `path`, if there is one."""
    with contextlib.suppress(ValueError):  # a null character
        path = Path(os.path.realpath(path))
        return next(path.parent.glob(f".{glob.escape(path.name[:40])}.????????.old"), None)
    return None


def check_writable(path: StrPath, *, folder: bool = False) -> None:
    """Raise now, before long work, the FileError that writing a file or folder there would raise.

    Tries it with a small file beside `path`, gone again on return.
    """
    path = Path(path)
    target, _ = _place(path, folder=folder)
    probe = _beside(target, ".tmp")
    with _one_sentence(path, probe):
        try:
            probe.write_bytes(bytes(4096))  # not empty: an empty file fits on a full disk
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
