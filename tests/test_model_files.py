"""Laws of the model folder: what was written comes back equal; what was changed is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import wilsonian
from wilsonian.support import files, model_files
from wilsonian.support.files import FileError
from wilsonian.support.model_files import ModelFileError, check_folder, read_folder, write_folder

DOCUMENT = {
    "name": "größe 0.1 \U0001f600",
    "ridge": 0.1,
    "tiny": 5e-324,
    "zero": -0.0,
    "whole": 3.0,
    "seed": 2**127,
    "missing": None,
    "flags": [True, False],
    "nested": {"": [], "b": {}},
}
ARRAYS = {
    "modes": np.random.default_rng(0).normal(size=(7, 3)),
    "weights": np.array([np.nan, np.inf, -np.inf, -0.0], np.float32),
    "kept": np.array([True, False, True]),
    "counts": np.arange(5),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(2.5),
}
AGAIN = "restore it from a copy, or save it again."
OTHER = "give a folder that wilsonian saved, which holds model.json and arrays.safetensors."


@pytest.fixture
def saved(tmp_path):
    return write_folder(tmp_path / "saved", "model", DOCUMENT, ARRAYS)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def complaint(folder, kind="model"):
    """What is said about a folder that must be refused, without its path."""
    with pytest.raises(ModelFileError) as caught:
        read_folder(folder, kind)
    sentence = str(caught.value)
    start = f"Cannot load {str(folder)!r}: "
    assert sentence.startswith(start)
    assert sentence.endswith(".")
    return sentence.removeprefix(start)


def rewrite(folder, **changes):
    """Change entries of model.json, with the checksum that makes them look genuine."""
    content = json.loads((folder / "model.json").read_bytes()) | changes
    content = {k: v for k, v in content.items() if v is not ... and k != "checksum"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(content, indent=1) + "\n")


def disguise(folder, data):
    """Put `data` in place of the arrays as if it had been there when the folder was saved."""
    (folder / "arrays.safetensors").write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    rewrite(folder, arrays={"file": "arrays.safetensors", **entry})


# What was written comes back.


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_document_and_arrays_come_back(tmp_path, kind):
    path = write_folder(tmp_path / "a", kind, DOCUMENT, ARRAYS)
    assert path == tmp_path / "a"
    document, arrays = read_folder(str(path), kind)
    assert repr(document) == repr(DOCUMENT)  # types, order and the sign of zero included
    assert_same_bits(arrays, ARRAYS)
    arrays["modes"][0] = 0  # free to be changed


def test_the_folder_is_as_documented(saved):
    assert sorted(contents(saved)) == ["arrays.safetensors", "model.json"]
    content = json.loads((saved / "model.json").read_text("ascii"))
    arrays = (saved / "arrays.safetensors").read_bytes()
    checksum = content.pop("checksum")
    assert content == {
        "format": "wilsonian",
        "kind": "model",
        "format_version": 2,
        "library_version": wilsonian.__version__,
        "document": DOCUMENT,
        "arrays": {
            "file": "arrays.safetensors",
            "bytes": len(arrays),
            "sha256": hashlib.sha256(arrays).hexdigest(),
        },
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert checksum == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize("name", ["a" * length for length in range(8)])
def test_the_arrays_file_is_that_of_the_safetensors_library(tmp_path, name):
    arrays = ARRAYS | {name: np.arange(3, dtype=np.int16)}
    folder = write_folder(tmp_path / "a", "model", {}, arrays)
    data = (folder / "arrays.safetensors").read_bytes()
    assert_same_bits(safetensors.numpy.load(data), arrays)
    length, end = struct.unpack("<Q", data[:8])[0], 0
    for entry in json.loads(data[8 : 8 + length]).values():
        assert entry["data_offsets"][0] == end
        end = entry["data_offsets"][1]
    assert 8 + length + end == len(data)
    assert length % 8 == 0  # so that the widest arrays, which come first, are aligned


def test_equal_content_gives_equal_bytes(saved, tmp_path):
    again = write_folder(tmp_path / "again", "model", DOCUMENT, dict(reversed(ARRAYS.items())))
    assert contents(again) == contents(saved)


dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
)
arrays_of_any_kind = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name != "__metadata__"),
    st.tuples(
        dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
        st.sampled_from(["as it is", "transposed", "every second", "backwards"]),
    ),
    max_size=4,
)
VIEWS = {
    "as it is": lambda a: a,
    "transposed": np.transpose,
    "every second": lambda a: a[..., ::2] if a.ndim else a,
    "backwards": lambda a: a[::-1] if a.ndim else a,
}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), json_values), arrays_of_any_kind)
def test_round_trip(document, drawn):
    arrays = {name: VIEWS[view](array) for name, (array, view) in drawn.items()}
    with tempfile.TemporaryDirectory() as folder:
        write_folder(folder, "model", document, arrays)
        found, found_arrays = read_folder(folder, "model")
    assert repr(found) == repr(document)
    assert_same_bits(found_arrays, arrays)


# What cannot be held is refused before anything is written.


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (float("nan"), "document['a'][1] is not a finite float; store None, or use `arrays`."),
        (float("inf"), "document['a'][1] is not a finite float; store None, or use `arrays`."),
        (10**5000, "document['a'][1] is not a finite float; store None, or use `arrays`."),
        (np.float32(1), "document['a'][1] is of type float32; convert it to dict, list, str, int,"),
        ((1, 2), "document['a'][1] is of type tuple; convert it to dict, list, str, int, float,"),
        (np.ones(2), "document['a'][1] is of type ndarray; convert it to dict, list, str, int,"),
        ({1: 2}, "document['a'][1] has the key 1; use keys of type str."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_documents_that_json_would_change(tmp_path, value, sentence):
    with pytest.raises(ModelFileError) as caught:
        write_folder(tmp_path / "a", "model", {"a": [0, value]}, {})
    assert str(caught.value).startswith(sentence)
    assert contents(tmp_path) == {}


def test_documents_too_deep_or_too_large(tmp_path, monkeypatch):
    circular = {}
    circular["a"] = circular
    with pytest.raises(ModelFileError, match="is nested deeper than 100 levels; flatten it"):
        write_folder(tmp_path / "a", "model", circular, {})
    monkeypatch.setattr(model_files, "LARGEST_DOCUMENT", 2000)
    write_folder(tmp_path / "b", "model", {"a": "b" * 1000}, {})
    with pytest.raises(ModelFileError, match="above the limit of 2,000; move long lists of num"):
        write_folder(tmp_path / "a", "model", {"a": "b" * 2000}, {})
    assert [child.name for child in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("a", np.array(["text"]), "arrays['a'] is of type <U4; use bool, float16, float32, float"),
        ("a", np.array([None]), "arrays['a'] is of type object; use bool, float16, float32, "),
        ("a", np.ones(2, complex), "arrays['a'] is of type complex128; use bool, float16, "),
        ("a", [1.0], "arrays['a'] is of type list; use bool, float16, float32, float64, int8, "),
        ("__metadata__", np.ones(1), "arrays['__metadata__'] has a name that cannot be stored; "),
        ("\udce4", np.ones(1), "arrays['\\udce4'] has a name that cannot be stored; rename it."),
        (1, np.ones(1), "arrays[1] has a name that cannot be stored; rename it."),
    ],
)
def test_arrays_that_cannot_be_held(tmp_path, name, array, sentence):
    with pytest.raises(ModelFileError) as caught:
        write_folder(tmp_path / "a", "model", {}, {name: array})
    assert str(caught.value).startswith(sentence)
    assert contents(tmp_path) == {}


def test_unknown_kinds_are_a_mistake_of_the_caller(saved):
    for call in (lambda: read_folder(saved, "Model"), lambda: write_folder(saved, "", {}, {})):
        with pytest.raises(ValueError, match="`kind` must be one of model, checkpoint, flow, got"):
            call()


# Nothing of the user is lost.


def test_a_folder_of_the_same_kind_and_an_empty_one_are_replaced(saved, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "opened").mkdir()
    for path in (saved, tmp_path / "empty", tmp_path / "opened"):
        if path != tmp_path / "empty":
            (path / ".DS_Store").write_bytes(b"")  # no work of the user's
        check_folder(path, "model")
        write_folder(path, "model", {"a": 1}, {})
        assert read_folder(path, "model") == ({"a": 1}, {})
    assert sorted(child.name for child in tmp_path.iterdir()) == ["empty", "opened", "saved"]


def of_another_kind(folder):
    write_folder(folder, "checkpoint", {}, {})
    return "that folder holds a 'checkpoint', not a 'model'; choose a new name."


def of_the_user(folder):
    folder.mkdir()
    (folder / "thesis.tex").write_text("")
    return "that folder holds other things, such as 'thesis.tex'; choose a new name."


def with_a_note(folder):
    write_folder(folder, "model", {}, {})
    (folder / "notes").mkdir()
    return "that folder holds other things, such as 'notes'; choose a new name."


def with_foreign_json(folder):
    folder.mkdir()
    (folder / "model.json").write_text('{"layers": []}')
    return (
        "that folder was not saved by wilsonian, or is damaged; choose a new name, or delete it "
        "yourself."
    )


def without_json(folder):
    write_folder(folder, "model", {}, {})
    (folder / "model.json").unlink()
    return (
        "that folder was not saved by wilsonian, or is damaged; choose a new name, or delete it "
        "yourself."
    )


def that_is_a_file(folder):
    folder.write_text("old")
    return "a file has that name; choose another name, or move the file away."


def with_missing_parent(folder):
    folder.parent.rmdir()
    return (
        f"the folder {str(folder.parent)!r} does not exist; create it first, or choose a folder "
        "that exists."
    )


@pytest.mark.parametrize(
    "place",
    [
        of_another_kind,
        of_the_user,
        with_a_note,
        with_foreign_json,
        without_json,
        that_is_a_file,
        with_missing_parent,
    ],
    ids=lambda place: place.__name__,
)
def test_places_that_are_left_alone(tmp_path, place):
    path = tmp_path / "parent" / "a"
    path.parent.mkdir()
    sentence = place(path)
    before = sorted(tmp_path.rglob("*"))
    for call in (
        lambda: check_folder(path, "model"),
        lambda: write_folder(path, "model", {}, {}),
    ):
        with pytest.raises(FileError) as caught:
            call()
        assert str(caught.value) == f"Cannot write {str(path)!r}: {sentence}"
    assert sorted(tmp_path.rglob("*")) == before


def test_what_appears_during_the_writing_is_left_alone(saved, monkeypatch):
    usual = model_files.write_arrays

    def slow(*arguments):
        (saved / "notes.txt").write_text("mine")
        return usual(*arguments)

    monkeypatch.setattr(model_files, "write_arrays", slow)
    with pytest.raises(FileError, match=r"holds other things, such as 'notes\.txt'"):
        write_folder(saved, "model", {}, {})
    assert (saved / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_failed_save_keeps_the_earlier_one(saved, monkeypatch, call, error):
    def fail(*_):
        raise error

    before = contents(saved)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(FileError if isinstance(error, OSError) else KeyboardInterrupt):
            write_folder(saved, "model", {}, {"a": np.ones(3)})
    assert contents(saved) == before
    assert list(saved.parent.iterdir()) == [saved]
    assert_same_bits(read_folder(saved, "model")[1], ARRAYS)


def test_a_full_disk_keeps_the_earlier_one(saved):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = contents(saved)

    def write_within_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        try:
            write_folder(saved, "model", {}, {"a": np.ones(10_000)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(FileError, match="the file is too large for that disk or your limits"):
        write_within_limit()
    assert contents(saved) == before
    assert list(saved.parent.iterdir()) == [saved]


# Every way to be damaged has its sentence.


def test_missing_folders_and_files(saved, tmp_path):
    assert complaint(tmp_path / "b") == f"there is no such folder; {OTHER}"
    assert complaint(tmp_path / "b" / "c") == f"there is no such folder; {OTHER}"
    assert complaint(tmp_path / "null\0") == f"there is no such folder; {OTHER}"
    assert complaint(saved / "model.json") == f"it is a file, not a folder; {OTHER}"
    assert complaint(tmp_path) == f"it holds no model.json; {OTHER}"
    too_long = tmp_path / ("a" * 256)
    assert "cannot be read (File name too long); check its" in complaint(too_long)
    (saved / "arrays.safetensors").unlink()
    assert complaint(saved) == f"it holds no arrays.safetensors; {AGAIN}"
    (saved / "model.json").unlink()
    assert complaint(saved) == f"it holds no model.json; {OTHER}"
    (saved / "model.json").mkdir()
    assert complaint(saved) == f"it holds no model.json; {OTHER}"


def test_a_save_that_was_killed_between_the_renames(saved):
    aside = files._beside(saved, ".old")
    saved.rename(aside)
    assert complaint(saved) == (
        f"it is gone, but an interrupted save left an earlier one in {str(aside)!r}; rename that "
        "folder back."
    )
    assert_same_bits(read_folder(aside, "model")[1], ARRAYS)


def test_files_that_may_not_be_read(saved, monkeypatch):
    usual = Path.open

    def refuse(path, *arguments, **options):
        if path.name == "arrays.safetensors":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert complaint(saved) == (
        "arrays.safetensors cannot be read (Permission denied); check its permissions and the disk."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"hello", "model.json is not JSON (Expecting value: line 1 column 1 (char 0)); give a"),
        (b"\x80\x04\x95", "model.json is not JSON ('utf-8' codec can't decode byte 0x80 in pos"),
        (b'{"a": NaN}', "model.json is not JSON (NaN is not JSON); give a folder that wilsonian"),
        (b'{"a": -Infinity}', "model.json is not JSON (-Infinity is not JSON); give a folder"),
        (b'{"a": 1, "a": 1}', "model.json is not JSON (a key appears twice); give a folder that"),
        (b"[" * 100_000, "model.json is not JSON (it is nested too deeply); give a folder that"),
        (b"1" * 5000, "model.json is not JSON (Exceeds the limit (4300 digits) for integer"),
        (b"{}", "model.json was not saved by wilsonian; give a folder that wilsonian saved, which"),
        (b"[1]", "model.json was not saved by wilsonian; give a folder that wilsonian saved"),
        (b'{"format": "gguf"}', "model.json was not saved by wilsonian; give a folder that wil"),
        (b'{"format": "wilsonian"}', "model.json was not saved by wilsonian; give a folder that"),
        (b"", "model.json is cut short or damaged (Expecting value: line 1 column 1 (char 0)); "),
    ],
)
def test_foreign_documents(saved, text, sentence):
    (saved / "model.json").write_bytes(text)
    assert complaint(saved).startswith(sentence)


def test_a_document_too_large_to_be_ours_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(model_files, "LARGEST_DOCUMENT", 100)
    size = (saved / "model.json").stat().st_size
    assert complaint(saved) == f"model.json has {size:,} bytes, too many to be ours; {OTHER}"


def test_a_truncated_document(saved):
    text = (saved / "model.json").read_bytes()
    (saved / "model.json").write_bytes(text[: len(text) // 2])
    assert complaint(saved).startswith("model.json is cut short or damaged (")
    assert complaint(saved).endswith(AGAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ridge": 0.1', b'"ridge": 0.2'),
        (b'"ridge": 0.1', b'"ridge":  0.1'),
        (b'"ridge": 0.1', b'"ridge": 1e999'),
        (b'"ridge": 0.1', b'"ridge": 1.0e-1'),
        (b'"checksum": "', b'"checksum": "0'),
        (b'"checksum": "', b'"further": "'),
        (b"}\n", b"}"),
    ],
)
def test_a_changed_document(saved, old, new):
    text = (saved / "model.json").read_bytes()
    assert old in text
    (saved / "model.json").write_bytes(text.replace(old, new))
    assert complaint(saved) == (
        f"model.json was changed after it was saved (its checksum differs); {AGAIN}"
    )


def test_a_newer_format(saved):
    rewrite(saved, format_version=3, library_version="3.1.4", checksum="of another kind")
    assert complaint(saved) == (
        f"it has format 3 of wilsonian 3.1.4, and this is wilsonian {wilsonian.__version__}, "
        "which reads up to format 2; upgrade with 'pip install --upgrade wilsonian'."
    )


def test_the_wrong_kind(saved):
    sentence = "it holds a 'model', not a 'checkpoint'; give a checkpoint."
    assert complaint(saved, "checkpoint") == sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 0},
        {"format_version": "1"},
        {"format_version": ...},
        {"document": ...},
        {"document": []},
        {"arrays": ...},
        {"arrays": {}},
        {"arrays": {"file": "../arrays.safetensors", "bytes": 1, "sha256": ""}},
        {"arrays": {"file": "arrays.safetensors", "bytes": "1", "sha256": ""}},
    ],
)
def test_entries_that_make_no_sense_though_the_checksum_is_right(saved, changes):
    rewrite(saved, **changes)
    assert complaint(saved) == f"model.json lacks entries of its format; {OTHER}"


def test_truncated_grown_and_changed_arrays(saved):
    file = saved / "arrays.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    assert complaint(saved) == (
        f"arrays.safetensors is cut short: it has {len(data) - 1} bytes instead of {len(data)}; "
        f"{AGAIN}"
    )
    file.write_bytes(data + b"\0")
    assert complaint(saved) == (
        f"arrays.safetensors has {len(data) + 1} bytes instead of {len(data)}; {AGAIN}"
    )
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert complaint(saved) == (
        f"arrays.safetensors was changed after it was saved (its checksum differs); {AGAIN}"
    )


class Trap:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return (os.mkdir, (self.file,))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("disguised", [False, True])
def test_a_pickle_is_never_opened(saved, tmp_path, protocol, disguised):
    data = pickle.dumps([Trap(tmp_path / "sprung"), bytes(10_000)], protocol)
    if disguised:
        disguise(saved, data)
        assert complaint(saved).startswith("arrays.safetensors is damaged (")
    else:
        (saved / "arrays.safetensors").write_bytes(data)
        assert complaint(saved) == (
            "arrays.safetensors is a pickle, which can run programs and is never opened; " + AGAIN
        )
    assert not (tmp_path / "sprung").exists()
    pickle.loads(data)
    assert (tmp_path / "sprung").exists()  # the trap does work


def tensors(**entry):
    header = json.dumps({"a": entry}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(100),
        tensors(dtype="F64", shape=[2], data_offsets=[0, 8]),
        tensors(dtype="F64", shape=[1], data_offsets=[8, 16]),
        tensors(dtype="F64", shape=[2**62, 8], data_offsets=[0, 8]),
        tensors(dtype="F64", shape=[0, 2**63], data_offsets=[0, 0]),
        tensors(dtype="F8_E4M3", shape=[8], data_offsets=[0, 8]),
        tensors(dtype="O", shape=[1], data_offsets=[0, 8]),
    ],
)
def test_broken_tensors_though_the_checksum_is_right(saved, data):
    disguise(saved, data)
    assert complaint(saved).startswith("arrays.safetensors is damaged (")


# And any damage at all is noticed.


@pytest.fixture(scope="module")
def spare(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spare")
    whole = write_folder(folder / "whole", "model", DOCUMENT, ARRAYS)
    return whole, folder / "broken"


def assert_refused(spare, name, data):
    whole, broken = spare
    shutil.copytree(whole, broken)
    try:
        (broken / name).write_bytes(data)
        with pytest.raises(ModelFileError) as caught:
            read_folder(broken, "model")
        assert "\n" not in str(caught.value)
    finally:
        shutil.rmtree(broken)


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors"])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed(spare, name, data):
    raw = bytearray((spare[0] / name).read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    assert_refused(spare, name, raw)


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors"])
def test_any_white_space_that_becomes_other_white_space_is_noticed(spare, name):
    raw = (spare[0] / name).read_bytes()
    for place in [i for i, byte in enumerate(raw) if byte in b" \n"][::5]:
        assert_refused(spare, name, raw[:place] + b"\t" + raw[place + 1 :])


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors"])
@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
@example(0.0)
@example(1 - 1e-9)
def test_any_truncation_is_noticed(spare, name, fraction):
    raw = (spare[0] / name).read_bytes()
    assert_refused(spare, name, raw[: int(fraction * len(raw))])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["model.json", "arrays.safetensors"]), st.binary(max_size=200))
def test_any_other_content_is_refused(spare, name, data):
    assert_refused(spare, name, data)
