"""Loaders of users' data: each reads a small file of its format, and says what is wrong with one
that is damaged.
"""

from __future__ import annotations

import gzip
import importlib
import re
import struct
import types
from pathlib import Path

import numpy as np
import pytest

from proxy_tasks.data import DataError, cifar10, cifar100, csv, huggingface, mnist, npz, text
from proxy_tasks.kit.parts import PARTS

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (30, 4, 3), np.uint8)
LABELS = np.arange(30, dtype=np.uint8) % 10
PIXELS = RNG.integers(0, 256, (10, 3, 32, 32), np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, ending: str = "") -> Path:
    pack = gzip.compress if ending else bytes
    for part, rows in (("train", slice(None, 24)), ("t10k", slice(24, None))):
        for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            (folder / f"{part}-{name}-ubyte{ending}").write_bytes(pack(idx(array[rows])))
    return folder


def cifar_rows(*labels: np.ndarray) -> bytes:
    return np.column_stack([*labels, PIXELS.reshape(10, -1)]).astype(np.uint8).tobytes()


def write_cifar10(folder: Path) -> Path:
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (folder / f"{name}.bin").write_bytes(cifar_rows(LABELS[:10]))
    return folder


def write_cifar100(folder: Path) -> Path:
    for name in ("train", "test"):
        (folder / f"{name}.bin").write_bytes(cifar_rows(LABELS[:10], 9 * LABELS[:10]))
    return folder


def write_npz(folder: Path) -> Path:
    np.savez(folder / "data.npz", x=IMAGES.astype(float), y=LABELS)
    return folder / "data.npz"


TABLE = np.column_stack([RNG.normal(5, 3, (40, 2)), np.full(40, 0.1)])


def write_csv(folder: Path) -> Path:
    kinds = ["oak", "ash", "yew"]
    rows = [f"{a!r},{kinds[n % 3]},{b!r},{c!r}" for n, (a, b, c) in enumerate(TABLE.tolist())]
    (folder / "t.csv").write_text("\n".join(["size, kind,weight,same", *rows, ""]))
    return folder / "t.csv"


def write_text(folder: Path) -> Path:
    (folder / "a.txt").write_text("ab" * 60)
    (folder / "b.txt").write_text("aé" * 60)
    return folder


def all_rows(parts: dict, name: str) -> np.ndarray:
    return np.concatenate([parts[part][name] for part in PARTS])


def same_rows(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same rows, in whatever order."""
    one, two = (sorted(row.tobytes() for row in np.ascontiguousarray(x)) for x in (a, b))
    return one == two


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_gives_the_published_images_with_their_labels(tmp_path, ending):
    parts = mnist(write_mnist(tmp_path, ending))
    assert np.array_equal(parts["test"]["x"], IMAGES[24:])
    assert np.array_equal(parts["test"]["y"], LABELS[24:])
    assert [len(parts[part]["y"]) for part in PARTS] == [18, 6, 6], "as many as the test part has"
    for part in PARTS:
        for image, label in zip(parts[part]["x"], parts[part]["y"], strict=True):
            (row,) = np.flatnonzero((image == IMAGES).all(axis=(1, 2)))
            assert LABELS[row] == label
    other = mnist(tmp_path, seed=1)
    assert not np.array_equal(other["train"]["x"], parts["train"]["x"])
    assert same_rows(all_rows(other, "x"), IMAGES)


def test_cifar_gives_pixels_by_line_column_and_colour(tmp_path):
    parts = cifar10(write_cifar10(tmp_path))
    assert parts["train"]["x"].shape == (40, 32, 32, 3)
    assert parts["test"]["x"][3, 5, 7].tolist() == PIXELS[3, :, 5, 7].tolist()
    assert parts["test"]["y"].tolist() == LABELS[:10].tolist()

    write_cifar100(tmp_path)
    fine, coarse = cifar100(tmp_path), cifar100(tmp_path, coarse=True)
    assert fine["test"]["y"].tolist() == (9 * LABELS[:10]).tolist()
    assert coarse["test"]["y"].tolist() == LABELS[:10].tolist()
    assert fine["test"]["x"][3, 5, 7].tolist() == PIXELS[3, :, 5, 7].tolist()


def test_npz_gives_one_set_cut_or_the_published_parts(tmp_path):
    parts = npz(write_npz(tmp_path))
    assert [len(parts[part]["y"]) for part in PARTS] == [18, 6, 6]
    assert parts["train"]["x"].dtype == np.float32
    assert same_rows(all_rows(parts, "x"), IMAGES.astype(np.float32))

    three = {f"{n}_{p}": a[:6] for p in PARTS for n, a in (("x", IMAGES), ("y", LABELS / 10))}
    np.savez(tmp_path / "three.npz", **three)
    assert npz(tmp_path / "three.npz")["validation"]["x"].tolist() == IMAGES[:6].tolist()
    assert npz(tmp_path / "three.npz")["test"]["y"].dtype == np.float32

    two = {name: array for name, array in three.items() if "validation" not in name}
    np.savez(tmp_path / "two.npz", **two)
    parts = npz(tmp_path / "two.npz")
    assert [len(parts[part]["y"]) for part in PARTS] == [3, 3, 6]
    np.savez(tmp_path / "named.npz", a=IMAGES, b=LABELS)
    assert len(npz(tmp_path / "named.npz", x="a", y="b")["train"]["y"]) == 18


def test_csv_gives_columns_in_deviations_of_the_train_part(tmp_path):
    parts = csv(write_csv(tmp_path), target="kind", classes=True)
    assert parts["train"]["x"].shape == (24, 3)
    np.testing.assert_allclose(parts["train"]["x"][:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(parts["train"]["x"][:, :2].std(axis=0), 1, rtol=1e-6)
    assert not all_rows(parts, "x")[:, 2].any(), "what is constant is 0"
    size = all_rows(parts, "x")[:, 0]
    slope = np.polyfit(np.sort(TABLE[:, 0]), np.sort(size), 1)
    np.testing.assert_allclose(np.polyval(slope, np.sort(TABLE[:, 0])), np.sort(size), atol=1e-5)
    counts = np.bincount(all_rows(parts, "y"))
    assert counts.tolist() == [13, 14, 13], "ash, oak, yew"

    (tmp_path / "n.csv.gz").write_bytes(gzip.compress(b"a;b\n1;10\n2;20\n3;30\n4;40\n5;60\n"))
    number = csv(tmp_path / "n.csv.gz", target="b", delimiter=";")
    assert number["train"]["y"].dtype == np.float32
    np.testing.assert_allclose(number["train"]["y"].std(), 1, rtol=1e-6)


def test_text_gives_symbols_by_how_common_they_are_or_bytes(tmp_path):
    parts = text(write_text(tmp_path), alphabet=3, block=12)
    assert [len(parts[part]) for part in PARTS] == [192, 24, 24]
    assert parts["train"][:4].tolist() == [0, 1, 0, 1], "a is the commonest, b the next"
    assert parts["test"].tolist() == [0, 1] * 6 + [0, 2] * 6, "é is one of the others"
    raw = text(tmp_path, symbols="bytes", block=12)
    assert sum(map(len, raw.values())) == 300, "an é has two"
    assert set(np.concatenate(list(raw.values()))) == {*b"ab", *"é".encode()}
    assert text(tmp_path / "a.txt", block=12)["train"].dtype == np.int32


def fake_datasets(opened: object) -> types.SimpleNamespace:
    """The part of Hugging Face's library that is used."""
    return types.SimpleNamespace(load_from_disk=lambda path: opened)


class Columns:
    """A data set of Hugging Face's, as far as it is used."""

    def __init__(self, **columns: np.ndarray):
        self.columns, self.column_names = columns, list(columns)

    def select_columns(self, names):
        return Columns(**{name: self.columns[name] for name in names})

    def with_format(self, kind):
        assert kind == "numpy"
        return self

    def __getitem__(self, rows):
        return {name: column[rows] for name, column in self.columns.items()}


@pytest.mark.filterwarnings("ignore")  # of theirs, while they save
def test_a_data_set_of_hugging_face_is_read_as_it_lies_on_the_disk(tmp_path):
    library = pytest.importorskip("datasets", reason="an extra: huggingface")
    rows = {"image": IMAGES.tolist(), "label": LABELS.tolist()}
    table = pytest.importorskip("pyarrow").table(rows)
    whole = library.Dataset(table, fingerprint="rows")  # their own hash of it asks for a pickle
    whole.save_to_disk(str(tmp_path / "whole"))
    parts = huggingface(tmp_path / "whole", x="image", y="label")
    assert same_rows(all_rows(parts, "x"), IMAGES.astype(np.float32))
    library.DatasetDict(train=whole, test=whole).save_to_disk(str(tmp_path / "split"))
    parts = huggingface(tmp_path / "split", x="image", y="label")
    assert [len(parts[part]["y"]) for part in PARTS] == [15, 15, 30]


def test_splits_of_hugging_face_are_parts(tmp_path, monkeypatch):
    whole = Columns(image=IMAGES, label=LABELS, name=np.array(["n"] * 30))
    few = Columns(image=IMAGES[:5], label=LABELS[:5])
    for name, opened, rows in (
        ("whole", whole, [18, 6, 6]),
        ("two", {"train": whole, "test": few}, [25, 5, 5]),
        ("three", {"train": whole, "validation": few, "test": few}, [30, 5, 5]),
    ):
        (tmp_path / name).mkdir()
        monkeypatch.setitem(importlib.sys.modules, "datasets", fake_datasets(opened))
        parts = huggingface(tmp_path / name, x="image", y="label")
        assert [len(parts[part]["y"]) for part in PARTS] == rows
        assert parts["train"]["x"].dtype == np.uint8
    for opened, said in (
        (whole, "expected a column 'x', found image, label and name"),
        ({"train": whole}, "expected splits train and test, found train"),
        ({}, "expected splits train and test, found none"),
        (Columns(x=np.array([[1], [2, 3]], object), label=LABELS[:2]), "expected numbers as x"),
    ):
        monkeypatch.setitem(importlib.sys.modules, "datasets", fake_datasets(opened))
        with pytest.raises(DataError, match=re.escape(said)):
            huggingface(tmp_path, x="x", y="label")
    monkeypatch.setitem(importlib.sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'pride-optimizers\[huggingface\]'\.$"):
        huggingface(tmp_path, x="x", y="label")


READ = {
    "mnist": (write_mnist, mnist),
    "mnist.gz": (lambda folder: write_mnist(folder, ".gz"), mnist),
    "cifar10": (write_cifar10, cifar10),
    "cifar100": (write_cifar100, cifar100),
    "npz": (write_npz, npz),
    "csv": (write_csv, lambda path: csv(path, target="kind", classes=True)),
    "text": (write_text, lambda path: text(path, block=12)),
}
"""Loaders by format, with what writes a small one."""


@pytest.mark.parametrize("format", READ)
def test_data_are_read_only_arrays_of_32_bits_and_the_same_at_every_call(format, tmp_path):
    write, read = READ[format]
    where = write(tmp_path)
    parts = read(where)
    assert list(parts) == list(PARTS)
    assert read(where) is parts, "they are read once a process"
    for part in PARTS:
        arrays = parts[part].values() if isinstance(parts[part], dict) else [parts[part]]
        for array in arrays:
            assert len(array)
            assert not array.flags.writeable
            assert array.dtype in (np.float32, np.int32, np.uint8)


def complaint(read, where: Path) -> str:
    """What a loader says about damaged data: one sentence that begins with the file."""
    with pytest.raises(DataError) as caught:
        read(where)
    said = str(caught.value)
    assert said.startswith(str(where))
    assert re.search(r"expected .*found ", said), said
    assert "\n" not in said
    assert said.endswith(".")
    return said


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("format", READ)
def test_a_file_that_is_missing_empty_or_a_folder_is_said(format, tmp_path):
    write, read = READ[format]
    where = write(tmp_path)
    for file in files(tmp_path):
        whole = file.read_bytes()
        file.write_bytes(b"")
        if format != "mnist.gz":  # as gzip, nothing is nothing
            assert "empty" in complaint(read, where) or format == "npz"
        file.unlink()
        if format != "text":  # where another file is as good
            assert "expected it here, found nothing" in complaint(read, where)
        file.mkdir()
        if format != "text":
            assert "expected a file, found a folder" in complaint(read, where)
        file.rmdir()
        file.write_bytes(whole)
    complaint(read, tmp_path / "nowhere")
    assert "a relative path counts" not in str(read(where)), "whole again"


@pytest.mark.parametrize("format", ["mnist", "mnist.gz", "cifar10", "cifar100", "npz", "csv"])
def test_a_file_that_was_cut_off_anywhere_is_said(format, tmp_path):
    write, read = READ[format]
    where = write(tmp_path)
    for file in files(tmp_path)[:2]:
        whole = file.read_bytes()
        for length in {*range(1, 24), *np.linspace(1, len(whole) - 2, 25).astype(int).tolist()}:
            if length >= len(whole):
                continue
            if format.startswith("cifar") and length % (3073 if format == "cifar10" else 3074) == 0:
                continue
            if format == "csv" and length > 30 and length - whole.rindex(b"\n", 0, length) > 12:
                continue  # a cell may be shorter, and the table still be one
            file.write_bytes(whole[:length])
            try:
                complaint(read, where)
            except pytest.fail.Exception:
                assert format == "csv", length
        file.write_bytes(whole)


def flipped(whole: bytes, at: int, bits: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :]


@pytest.mark.parametrize("at", range(16))
@pytest.mark.parametrize("name", ["images-idx3", "labels-idx1"])
def test_a_header_of_idx_that_is_not_its_own_is_said(name, at, tmp_path):
    file = write_mnist(tmp_path) / f"t10k-{name}-ubyte"
    whole = file.read_bytes()
    for bits in (1, 8, 255):
        if name == "labels-idx1" and at >= 8:
            bits = 0x80 | bits  # the labels themselves
        file.write_bytes(flipped(whole, min(at, len(whole) - 1), bits))
        assert complaint(mnist, tmp_path)


def test_damage_within_gzip_or_zip_is_said(tmp_path):
    write_mnist(tmp_path, ".gz")
    file = tmp_path / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    for at in range(12, len(whole), 9):
        file.write_bytes(flipped(whole, at, 0x55))
        complaint(mnist, tmp_path)
    archive = write_npz(tmp_path)
    whole = archive.read_bytes()
    for at in range(60, 400, 11):  # the beginning of the first array
        archive.write_bytes(flipped(whole, at, 0x55))
        complaint(npz, archive)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": IMAGES, "y": LABELS[:9]}, r"inputs \[30, 4, 3\] and targets \[9\]"),
        ({"x": IMAGES, "y": LABELS[:, None]}, "one number each"),
        ({"x": IMAGES, "y": LABELS.astype(str)}, "expected numbers as y, found <U3"),
        ({"x": IMAGES * 1j, "y": LABELS}, "expected numbers as x, found complex"),
        ({"x": np.array([{}] * 30), "y": LABELS}, "allow_pickle=False"),
        ({"x": np.where(IMAGES[7] == IMAGES, np.nan, 1.0), "y": LABELS}, "found nan in row 8 of x"),
        ({"x": IMAGES, "y": LABELS * 1e39}, "found 1e[+]39 in row 2 of y"),
        ({"x": IMAGES, "y": LABELS.astype(int) - 1}, "labels from 0 .*, found -1 in row 1"),
        ({"x": IMAGES, "y": 10**9 * (LABELS == 4)}, "found 1000000000 in row 5"),
        ({"x": IMAGES[:2], "y": LABELS[:2]}, "at least 3 rows, found 2"),
        ({"x": IMAGES[:, :0], "y": LABELS}, "numbers in every row"),
        ({"x": IMAGES}, "expected arrays x and y, .* found x; say with"),
        ({}, "found none; say with"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "an array y_test beside"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :2], "y_test": LABELS},
            r"found uint8\[2, 3\] and int32\[\] in test",
        ),
    ],
)  # fmt: skip
def test_arrays_that_are_no_rows_of_numbers_are_said(arrays, said, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    assert re.search(said, complaint(npz, tmp_path / "data.npz"))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a,b\n1,2\n3,four\n5,6\n", "row 3, column 'b': expected a finite number, found 'four'"),
        ("a,b\n1,2\n3,\n5,6\n", "row 3, column 'b': expected a finite number, found ''"),
        ("a,b\n1,2\n3,4\ninf,6\n", "row 4, column 'a': expected a finite number, found 'inf'"),
        ("a,b\n1,2\n3\n", "row 3: expected 2 cells, as many as the first line names, found 1"),
        ("a,c\n1,2\n", "expected a column 'b', found a and c"),
        ("a;b\n1;2\n", "with delimiter="),
        ("b\n1\n2\n3\n", "expected a column of inputs beside 'b'"),
        ("a,a,b\n1,2,3\n", "found 'a' twice"),
        ("a,b\n1,2\n", "expected at least 3 rows, found 1"),
        ("a,b\n", "expected at least 3 rows, found 0"),
        ("\n\n", "found empty lines"),
        ('a,b\n1,"2\n', "found a line that is none"),
        ("a,b\n1,\xe9\n", "found the byte e9 at 6"),
    ],
)
def test_a_table_that_is_none_is_said_with_row_and_column(written, said, tmp_path):
    (tmp_path / "t.csv").write_text(written, encoding="latin-1")
    assert said in complaint(lambda path: csv(path, target="b"), tmp_path / "t.csv")


def test_labels_that_no_class_has_are_said(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(cifar_rows(LABELS[:10] + 5))
    assert "expected labels from 0 to 9, found 10 in row 6" in complaint(cifar10, tmp_path)
    write_mnist(tmp_path)
    file = tmp_path / "train-labels-idx1-ubyte"
    file.write_bytes(idx(LABELS[:24] + 7))
    assert "expected labels from 0 to 9, found 10 in row 4" in complaint(mnist, tmp_path)
    file.write_bytes(idx(LABELS[:20]))
    assert "a label for each of the 24 images" in complaint(mnist, tmp_path)


def test_what_is_pickled_is_refused_and_not_read(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x04}.")
    assert "could execute anything" in complaint(cifar10, tmp_path)
    (tmp_path / "train").write_bytes(b"\x80\x04}.")
    assert "cifar-100-binary.tar.gz" in complaint(cifar100, tmp_path)


def test_text_that_is_short_or_none_is_said(tmp_path):
    write_text(tmp_path)
    assert "at least 5,000 characters, ten blocks of 500, found 240" in complaint(text, tmp_path)
    (tmp_path / "b.txt").write_bytes(b"ok \xff")
    assert "the byte ff at 3" in complaint(text, tmp_path)
    assert "expected files *.md" in complaint(lambda p: text(p, pattern="*.md"), tmp_path)


def test_a_relative_path_counts_from_where_the_command_is_run(tmp_path, monkeypatch):
    where = write_npz(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert npz("data.npz") is npz(where)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert npz("~/data.npz") is npz(where)
    with pytest.raises(DataError, match="a relative one counts from the folder where the command"):
        npz("other.npz")
