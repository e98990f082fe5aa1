"""Laws of writing: whole or not at all, no trace of a failure, one sentence with what to try."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from wilsonian.support import files
from wilsonian.support.files import (
    FileError,
    atomic_folder,
    atomic_path,
    atomic_write,
    check_writable,
)

CONTENT = {"file": b"new" * 5000}


def write_file(path):
    atomic_write(path, CONTENT["file"])


def write_folder(path):
    with atomic_folder(path) as folder:
        (folder / "a").write_bytes(b"new" * 5000)
        (folder / "b").write_bytes(b"")


WRITERS = {
    "atomic_write": write_file,
    "atomic_folder": write_folder,
    "check a file": check_writable,
    "check a folder": lambda path: check_writable(path, folder=True),
}


def contents(folder):
    """Every file below `folder` with what it holds, and every folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@contextlib.contextmanager
def no_trace(folder):
    before = contents(folder)
    yield
    assert contents(folder) == before


@contextlib.contextmanager
def umask(mask):
    earlier = os.umask(mask)
    try:
        yield
    finally:
        os.umask(earlier)


@contextlib.contextmanager
def as_ordinary_user():
    """chmod does not stop root, so root becomes somebody else for a while."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def shared_folder():
    # Not tmp_path, whose parents only their owner may enter.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.fixture(params=["atomic_write", "atomic_folder"])
def write_and_path(request, tmp_path):
    """A writer and a place where something earlier stands already."""
    path = tmp_path / "result"
    if request.param == "atomic_write":
        path.write_text("old")
    else:
        path.mkdir()
        (path / "a").write_text("old")
    return WRITERS[request.param], path


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    for content, expected in [
        ("größe\r\n\n", "größe\r\n\n".encode()),
        (b"\x00\xff\r\n", b"\x00\xff\r\n"),
        ("", b""),
        ("a\udce4", b"a?"),
    ]:
        atomic_write(tmp_path / "a.txt", content)
        assert contents(tmp_path) == {"a.txt": expected}
    atomic_write(str(tmp_path / "a.txt"), "text")
    assert contents(tmp_path) == {"a.txt": b"text"}


def test_the_temporary_file_is_empty_beside_the_last_and_has_its_ending(tmp_path):
    for name in ("plot.png", "a", ".hidden", f"a.{'b' * 200}", "ä" * 127):
        with atomic_path(tmp_path / name) as temporary:
            assert temporary.read_bytes() == b""
            assert temporary.parent == tmp_path
            assert temporary.suffix in (Path(name).suffix, ".tmp")
            temporary.write_text(name)
        assert contents(tmp_path) == {name: name.encode()}
        (tmp_path / name).unlink()


def test_what_was_there_is_replaced_whole(write_and_path):
    write, path = write_and_path
    write(path)
    written = contents(path.parent)
    assert sorted(written) in (["result"], ["result", "result/a", "result/b"])
    assert b"new" * 5000 in written.values()
    write(path)
    assert contents(path.parent) == written


def test_a_new_file_follows_the_umask_and_a_replaced_one_keeps_its_permissions(tmp_path):
    def mode(name):
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    with umask(0o027):
        write_file(tmp_path / "file")
        write_folder(tmp_path / "folder")
    assert (mode("file"), mode("folder"), mode("folder/a")) == (0o640, 0o750, 0o640)
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "folder").chmod(0o700)
    with umask(0o000):
        with atomic_path(tmp_path / "file") as temporary:
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600  # private from the start
        write_folder(tmp_path / "folder")
    assert (mode("file"), mode("folder")) == (0o600, 0o700)


@pytest.mark.parametrize("name", ["atomic_write", "atomic_folder"])
def test_links_are_followed(tmp_path, name):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "target")
    for _ in range(2):  # the target is new, then replaced
        WRITERS[name](tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert [child.name for child in (tmp_path / "there").iterdir()] == ["target"]


def test_a_relative_path_is_written_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a.txt", "./a.txt"):
        check_writable(path)
        atomic_write(path, path)
        assert contents(tmp_path) == {"a.txt": path.encode()}
    write_folder("folder")
    assert (tmp_path / "folder" / "a").exists()


# Every way to fail, with its sentence.


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "missing/deeper/result",
            "the folder '{folder}/missing/deeper' does not exist; create it first, or choose a "
            "folder that exists.",
        ),
        (
            "file/result",
            "a part of that path is a file, not a folder; choose a folder that exists.",
        ),
        ("a" * 256, "the name is too long; choose a shorter one."),
        (
            "null\0",
            "no name can hold such characters; choose another name.",
        ),
        (
            "circle",
            "Too many levels of symbolic links; choose another folder.",
        ),
        (
            "astray",
            "the folder '{folder}/nowhere' does not exist; create it first, or choose a folder "
            "that exists.",
        ),
    ],
)
def test_impossible_places(tmp_path, name, place, sentence):
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere" / "result")
    path = tmp_path / place
    with no_trace(tmp_path), pytest.raises(FileError) as caught:
        WRITERS[name](path)
    expected = f"Cannot write {str(path)!r}: {sentence.format(folder=tmp_path)}"
    assert str(caught.value) == expected
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["atomic_write", "check a file"])
def test_a_file_does_not_replace_a_folder_or_a_device(tmp_path, name):
    with no_trace(tmp_path), pytest.raises(FileError) as caught:
        WRITERS[name](tmp_path)
    assert str(caught.value) == (
        f"Cannot write {str(tmp_path)!r}: a folder has that name; add a file name to it, or "
        "choose another name."
    )
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(FileError, match="is a device or a pipe, not a file; choose another"):
            WRITERS[name](path)
        assert not path.is_file()


@pytest.mark.parametrize("name", ["atomic_folder", "check a folder"])
def test_a_folder_does_not_replace_a_file_or_the_working_folder(tmp_path, name, monkeypatch):
    (tmp_path / "file").write_text("old")
    with no_trace(tmp_path), pytest.raises(FileError) as caught:
        WRITERS[name](tmp_path / "file")
    assert str(caught.value) == (
        f"Cannot write {str(tmp_path / 'file')!r}: a file has that name; choose another name, or "
        "move the file away."
    )
    monkeypatch.chdir(tmp_path)
    for path in (".", tmp_path, ""):
        with no_trace(tmp_path), pytest.raises(FileError, match="working in that folder; choose"):
            WRITERS[name](path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_may_not_be_written_to(shared_folder, name):
    shared_folder.chmod(0o555)
    path = shared_folder / "result"
    with no_trace(shared_folder), as_ordinary_user(), pytest.raises(FileError) as caught:
        WRITERS[name](path)
    assert str(caught.value) == (
        f"Cannot write {str(path)!r}: you may not write in {str(shared_folder)!r}; choose "
        "another, or change its permissions."
    )


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_write_protected_stays(shared_folder, name):
    path = shared_folder / "result"
    path.mkdir() if "folder" in name else path.write_text("old")
    path.chmod(0o555)
    with no_trace(shared_folder), as_ordinary_user(), pytest.raises(FileError) as caught:
        WRITERS[name](path)
    assert str(caught.value) == (
        f"Cannot write {str(path)!r}: what is there is write-protected; choose another name, or "
        "lift the protection."
    )


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_takes_no_files_even_from_root(name):
    with pytest.raises(FileError, match="'/proc/result': you may not write in '/proc'; choose"):
        WRITERS[name]("/proc/result")


# A full disk: a real one, a limit on the size of files, and each call that may report it.


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_a_real_full_disk(tmp_path, name, disk):
    script = textwrap.dedent(f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("files", {files.__file__!r})
        files = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(files)
        from pathlib import Path
        disk, name = Path("disk"), {name!r}
        if {disk!r} == "full":
            with (disk / "large").open("wb", 0) as large:
                try:
                    while large.write(bytes(512)):
                        pass
                except OSError:
                    pass
        before = sorted(disk.iterdir())
        try:
            if name == "atomic_write":
                files.atomic_write(disk / "result", bytes(50_000))
            elif name == "atomic_folder":
                with files.atomic_folder(disk / "result") as folder:
                    (folder / "a").write_bytes(bytes(50_000))
            else:
                files.check_writable(disk / "result", folder="folder" in name)
        except files.FileError as error:
            print(error)
        assert sorted(disk.iterdir()) == before
    """)
    (tmp_path / "disk").mkdir()
    (tmp_path / "script.py").write_text(script)
    options = "size=64k" if disk == "full" else "ro"
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare")
    mount = f'mount -t tmpfs -o {options} tmpfs disk || exit 77; exec "$0" script.py'
    ran = subprocess.run(
        [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", mount, sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if ran.returncode == 77 or "unshare failed" in ran.stderr:
        pytest.skip("may not mount a disk here")
    assert ran.stderr == ""
    assert ran.stdout == "Cannot write 'disk/result': " + {
        "full": "the disk or your share of it is full; free space, or choose another disk.\n",
        "read-only": "'disk' is on a read-only disk; choose a folder on another disk.\n",
    }[disk].replace("'disk'", repr(str(tmp_path / "disk")))


def test_a_limit_on_the_size_of_files(write_and_path):
    resource = pytest.importorskip("resource")
    write, path = write_and_path
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write_within_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # Python ignores SIGXFSZ
        try:
            write(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with no_trace(path.parent), pytest.raises(FileError) as caught:
        write_within_limit()
    assert str(caught.value) == (
        f"Cannot write {str(path)!r}: the file is too large for that disk or your limits; choose "
        "another disk."
    )


@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_errors_of_the_last_steps(write_and_path, monkeypatch, call, number):
    write, path = write_and_path
    if call == "rename" and path.is_file():
        call = "replace"

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    expected = {
        errno.ENOSPC: "the disk or your share of it is full; free space, or choose another disk.",
        errno.EDQUOT: "the disk or your share of it is full; free space, or choose another disk.",
        errno.EIO: f"{os.strerror(errno.EIO)}; choose another folder.",
    }[number]
    with no_trace(path.parent), pytest.raises(FileError) as caught:
        write(path)
    assert str(caught.value) == f"Cannot write {str(path)!r}: {expected}"


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("error", [PermissionError(13, "no"), KeyboardInterrupt()])
def test_a_folder_is_restored_when_a_rename_fails(tmp_path, monkeypatch, failing, error):
    path = tmp_path / "result"
    path.mkdir()
    (path / "a").write_text("old")
    usual, calls = os.rename, []

    def rename(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise error
        usual(source, target)

    monkeypatch.setattr(os, "rename", rename)
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
    with no_trace(tmp_path), pytest.raises(expected):
        write_folder(path)
    assert len(calls) == (1 if failing == 1 else 3)


def test_a_folder_that_was_renamed_aside_is_found(tmp_path):
    path = tmp_path / ("[result] " + 9 * "long ")
    assert files.set_aside(path) is None
    aside = files._beside(path, ".old")
    aside.mkdir()
    files._beside(tmp_path / "other", ".old").mkdir()
    assert files.set_aside(path) == aside


# Interruptions.


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit, GeneratorExit])
@pytest.mark.parametrize("earlier", [True, False])
def test_an_exception_in_the_block_leaves_what_was_there(tmp_path, error, earlier):
    if earlier:
        (tmp_path / "file").write_text("old")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "a").write_text("old")

    def half_a_file():
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise error

    def half_a_folder():
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "b").write_text("half")
            raise error

    for half in (half_a_file, half_a_folder):
        with no_trace(tmp_path), pytest.raises(error):
            half()


def test_errors_about_other_files_are_not_explained_as_ours(tmp_path):
    with no_trace(tmp_path):
        with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
            (tmp_path / "input").read_text()
        with pytest.raises(FileError, match="full"), atomic_path(tmp_path / "a"):
            raise OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(FileError, match=r"\{odd\}; choose"), atomic_path(tmp_path / "a"):
            raise OSError("{odd}")
        with pytest.raises(FileError, match="inner"), atomic_path(tmp_path / "a"):
            atomic_write(tmp_path / "inner" / "b", "")


@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_process_leaves_what_was_there(tmp_path, wanted):
    (tmp_path / "result").write_text("old")
    script = textwrap.dedent(f"""
        import importlib.util
        import signal
        # What a shell runs behind its back ignores interrupts, and so would this.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        spec = importlib.util.spec_from_file_location("files", {files.__file__!r})
        files = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(files)
        with files.atomic_path("result") as temporary, temporary.open("wb", 0) as file:
            while True:
                file.write(bytes(100))
                print("writing", flush=True)
    """)
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        process.send_signal(wanted)
        process.stdout.read()
    assert (tmp_path / "result").read_text() == "old"
    if wanted == signal.SIGINT:  # nothing can be done about a kill
        assert list(contents(tmp_path)) == ["result"]


def test_readers_meanwhile_see_one_whole_file(tmp_path):
    path = tmp_path / "result"
    atomic_write(path, b"0" * 100_000)
    for digit in b"123456789":
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            for _ in range(10):
                file.write(bytes([digit]) * 10_000)
                seen = path.read_bytes()
                assert seen == bytes([digit - 1]) * 100_000
        assert path.read_bytes() == bytes([digit]) * 100_000


@pytest.mark.parametrize("name", ["check a file", "check a folder"])
def test_a_check_that_passes_leaves_no_trace(tmp_path, name):
    path = tmp_path / "result"
    with no_trace(tmp_path):
        WRITERS[name](path)
    WRITERS["atomic_folder" if "folder" in name else "atomic_write"](path)
    with no_trace(tmp_path):
        WRITERS[name](path)
