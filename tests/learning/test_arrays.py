"""Arrays of any real type become the same data set; objects, gaps, wrong shapes and measured labels are named."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hefl_core.errors import DataError
from hefl_core.learning import arrays
from hefl_core.learning.arrays import put_arrays, read_arrays
from hefl_core.learning.base import LocalTraining
from hefl_core.learning.baselines import centralised
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import NumpyTrainer
from hefl_core.tables.doors import ARRAYS

RNG = np.random.default_rng(5)
FEATURES = RNG.integers(-100, 100, (60, 4)).astype(np.float64)
LABELS = np.arange(60) % 3


def npz(**named):
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def npy(array, **how):
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


TYPES = ("<f8", ">f8", "<f4", "f2", "i1", "<i2", ">i4", "<i8", "g")


@pytest.mark.parametrize("kind", TYPES)
def test_numbers_of_any_real_type_are_one_data_set(kind):
    """Type, byte order, column order, container and compression are no content."""
    wanted = put_arrays(npz(features=FEATURES, labels=LABELS))
    found = put_arrays(npz(X=np.asfortranarray(FEATURES.astype(kind)), y=LABELS.astype(">u2").reshape(-1, 1)))
    assert found.name == wanted.name and np.array_equal(found.train.features, wanted.train.features)
    assert np.array_equal(found.test.labels, wanted.test.labels)
    table = put_arrays(npy(np.column_stack([FEATURES, LABELS]).astype(kind)))
    assert table.name == wanted.name


def test_a_data_set_of_arrays_is_named_by_content_split_scaled_and_restored(tmp_path):
    path = tmp_path / "secret-folder" / "a.npz"
    path.parent.mkdir()
    path.write_bytes(npz(features=FEATURES, labels=LABELS))
    data = put_arrays(path)
    assert data.name.startswith(ARRAYS) and len(data.name) == len(ARRAYS) + 64 and "secret" not in repr(data)
    assert (len(data.train), len(data.test), data.classes) == (48, 12, ("0", "1", "2"))
    assert np.bincount(data.test.labels).tolist() == [4, 4, 4]
    assert np.allclose(data.train.features.mean(axis=0), 0, atol=1e-6) and data.image_side is None
    every = np.concatenate([data.scaling.restore(part.features) for part in (data.train, data.test)])
    assert np.allclose(sorted(every[:, 0]), sorted(FEATURES[:, 0]), atol=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        data.train.features[0, 0] = 1
    path.write_bytes(npz(features=FEATURES + 1, labels=LABELS))
    assert put_arrays(path).name != data.name  # the same path, another content


def test_another_label_class_name_or_shape_is_another_name():
    pictures = FEATURES.reshape(60, 2, 2)
    names = {
        put_arrays(npz(features=FEATURES, labels=LABELS)).name,
        put_arrays(npz(features=FEATURES, labels=np.roll(LABELS, 1))).name,
        put_arrays(npz(features=FEATURES, labels=LABELS, classes=np.array(["a", "b", "c"]))).name,
        put_arrays(npz(features=pictures, labels=LABELS)).name,
    }
    assert len(names) == 4


def test_pictures_in_bytes_are_divided_by_255_and_a_cnn_takes_them():
    pictures = RNG.integers(0, 256, (60, 8, 8)).astype(np.uint8)
    data = put_arrays(npz(images=pictures, labels=LABELS))
    assert data.image_side == 8 and data.train.features.max() <= 1 and data.feature_names[9] == "feature 1,1"
    assert model_for_dataset("cnn", data).features == 64
    colour = put_arrays(npz(images=RNG.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8), labels=LABELS))
    assert colour.image_side is None and colour.train.features.shape[1] == 192
    flat = put_arrays(npz(images=pictures[..., None], labels=LABELS))
    assert flat.image_side == 8


def test_test_arrays_of_the_file_are_the_hold_out():
    x, y = FEATURES[:45], LABELS[:45]
    data = put_arrays(npz(x_train=x, y_train=y, x_test=FEATURES[45:], y_test=LABELS[45:]))
    assert (len(data.train), len(data.test)) == (45, 15) and np.array_equal(data.test.labels, LABELS[45:])
    assert np.allclose(data.scaling.restore(data.test.features), FEATURES[45:], atol=1e-4)


def test_text_and_yes_or_no_labels_are_classes():
    words = np.array(["sick", "well"])[LABELS % 2]
    assert put_arrays(npz(X=FEATURES, y=words)).classes == ("sick", "well")
    assert put_arrays(npz(X=FEATURES, y=words.astype("S"))).classes == ("sick", "well")
    assert put_arrays(npz(X=FEATURES, y=LABELS == 1)).classes == ("0", "1")
    assert put_arrays(npz(X=FEATURES, y=LABELS.astype(float))).classes == ("0", "1", "2")


def test_a_column_whose_spread_is_tiny_beside_its_mean_keeps_it_and_a_constant_one_becomes_0():
    ids = 1e15 + np.arange(60.0)
    data = put_arrays(npz(X=np.column_stack([ids, np.full(60, 0.1), FEATURES[:, 0]]), y=LABELS))
    assert np.std(data.train.features[:, 0]) == pytest.approx(1, abs=1e-3)
    assert not data.train.features[:, 1].any() and not data.test.features[:, 1].any()


def test_a_data_set_of_arrays_is_learned():
    centres = np.array([[0, 9], [9, 0], [9, 9]])
    data = put_arrays(npz(X=centres[LABELS] + RNG.normal(0, 1, (60, 2)), y=LABELS))
    model = model_for_dataset("logistic", data)
    how = LocalTraining(5, 8, 0.1, 7)
    assert centralised(NumpyTrainer(model), model.init(b"x"), [data.train], data.test, 4, how)[-1].accuracy == 1


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def with_header(header, body=b""):
    text = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


def gaps(value, at=(7, 2)):
    rows = FEATURES.copy()
    rows[at] = value
    return rows


BAD = {
    "objects": (npz(X=np.array([[Bomb()] * 2] * 60, object), y=LABELS), "Python objects; .* objects would run code"),
    "a pickle": (pickle.dumps(FEATURES), "another kind of file"),
    "object labels": (npz(X=FEATURES, y=np.array(list(LABELS), object)), "array 'y': .*Python objects"),
    "dates": (npz(X=FEATURES.astype("M8[s]"), y=LABELS), "found dates; convert"),
    "durations": (npz(X=FEATURES.astype("m8[s]"), y=LABELS), "found durations"),
    "complex": (npz(X=FEATURES + 1j, y=LABELS), "complex numbers"),
    "text": (npz(X=FEATURES.astype(str), y=LABELS), "features: expected real numbers, found text"),
    "named columns": (npy(np.zeros(60, [("a", "f4"), ("b", "i4")])), "named columns"),
    "NaN": (npz(X=gaps(np.nan), y=LABELS), r"row 7, column 2 \(from 0\): .*found NaN \(1 such values\)"),
    "infinity": (npz(X=gaps(-np.inf), y=LABELS), "row 7, column 2 .*found infinity"),
    "beyond 1e30": (npz(X=gaps(1e31), y=LABELS), r"found 1e\+31"),
    "longdouble": (npz(X=gaps(1).astype("g") * np.longdouble("1e400"), y=LABELS), "found infinity"),
    "regression": (npz(X=FEATURES, y=LABELS + 0.5), "measured value 0.5 .*regression target.*--label-above X"),
    "regression in integers": (npz(X=FEATURES, y=np.arange(60)), "at most 50 classes, found 60"),
    "regression in one .npy": (npy(np.column_stack([FEATURES, LABELS / 7])), "regression target"),
    "a label NaN": (npz(X=FEATURES, y=np.where(LABELS == 1, np.nan, LABELS)), r"labels, row 1 .*found NaN"),
    "one class": (npz(X=FEATURES, y=LABELS * 0), "2 classes or more, found 1"),
    "one-hot": (npz(X=FEATURES, y=np.eye(3)[LABELS]), r"one-hot: save labels.argmax"),
    "two columns of labels": (npz(X=FEATURES, y=np.zeros((60, 2))), r"shape \(n,\), found \(60, 2\)"),
    "a label too few": (npz(X=FEATURES, y=LABELS[:-1]), "one row for each of 59 labels"),
    "flat features": (npz(X=FEATURES[:, 0], y=LABELS), r"found shape \(60,\)"),
    "one column": (npy(FEATURES[:, :1]), "rows and columns"),
    "no columns": (npz(X=FEATURES[:, :0], y=LABELS), "1 to 20,000 features, found 0"),
    "too few rows": (npz(X=FEATURES[:19], y=LABELS[:19]), "at least 20 rows, found 19"),
    "no rows": (npz(X=FEATURES[:0], y=LABELS[:0]), "at least 20 rows, found 0"),
    "other names": (npz(P=FEATURES, Q=LABELS), "expected features and labels; .*found 'P', 'Q'"),
    "one more": (npz(X=FEATURES, y=LABELS, z=LABELS), "leave out the others"),
    "an empty archive": (b"PK\x05\x06" + bytes(18), "another kind of file"),
    "a broken archive": (npz(X=FEATURES, y=LABELS)[:-40], "a broken or encrypted archive"),
    "an archive of text": (None, "plain .npy array"),
    "a short body": (npy(FEATURES)[:-8], "bytes for shape"),
    "a long body": (npy(FEATURES) + b"x", "bytes for shape"),
    "a giant shape": (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 9999), }"), "bytes for"),
    "code in a header": (with_header("{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (2, 3), }"), "plain"),
    "a test set without rows": (
        npz(x_train=FEATURES, y_train=LABELS, x_test=FEATURES[:0], y_test=LABELS[:0]), "test arrays: expected 1 to"
    ),
    "test rows of another shape": (
        npz(x_train=FEATURES, y_train=LABELS, x_test=FEATURES[:, :2], y_test=LABELS), r"rows of shape \(4,\)"
    ),
    "too few names": (npz(X=FEATURES, y=LABELS, classes=np.array(["a", "b"])), "0 to 1, a place among the class names"),
    "a name twice": (npz(X=FEATURES, y=LABELS, classes=np.array(["a", "b", "a"])), "different names"),
    "a name with an escape": (npz(X=FEATURES, y=LABELS, classes=np.array(["a", "b", "\x1b[2J"])), "visible characters"),
    "an empty label": (npz(X=FEATURES, y=np.array(["", "a"])[LABELS % 2]), "leave out the rows without label"),
    "a label -999": (npz(X=FEATURES, y=np.where(LABELS == 1, -999, LABELS)), r"labels, row 1 .*found -999, a usual code"),
    "a label -9.0": (npz(X=FEATURES, y=np.where(LABELS == 1, -9.0, LABELS)), r"labels, row 1 .*found -9, a usual code"),
    "a label #NV": (npz(X=FEATURES, y=np.array(["#NV", "1", "2"])[LABELS]), r"labels, row 0 .*found '#NV', which means missing"),
    "a last column 99": (npy(np.column_stack([FEATURES, np.where(LABELS == 2, 99, LABELS)])), r"labels, row 2 .*found 99,"),
    "text labels and names": (npz(X=FEATURES, y=LABELS.astype(str), classes=np.array(["a", "b", "c"])), "found text"),
}  # fmt: skip


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_from_is_named(case):
    content, match = BAD[case]
    with pytest.raises(DataError, match=match):
        put_arrays(archive(X="1,2", y="3") if content is None else content)


def test_codes_among_features_are_warned_of_and_signs_are_classes():
    features = np.abs(FEATURES) % 5
    features[3, 2] = -999
    (warning,) = read_arrays(npz(X=features, y=LABELS)).warnings
    assert str(warning).startswith("features: -999 stands far from all others in column 2 (from 0)")
    assert not read_arrays(npz(X=FEATURES, y=LABELS)).warnings, "99 among -100 to 100 is a number"
    assert not read_arrays(npz(X=(features * (features > 0)).astype(np.uint8) + 95, y=LABELS)).warnings, "pixels"
    assert read_arrays(npz(X=FEATURES, y=np.array(["-", "+"])[LABELS % 2])).given.classes == ("+", "-")


def test_a_cut_takes_no_code_for_a_value():
    labels = np.where(LABELS == 1, -999.0, 120 + np.arange(60))
    with pytest.raises(DataError, match="found -999, a usual code"):
        put_arrays(npz(X=FEATURES, y=labels), above=140.0)


def test_pickled_objects_would_run_without_the_rule():
    """The control: NumPy's own reader, told to allow pickles, runs what the file says."""
    with pytest.raises(SystemExit, match="unpickled"):
        np.load(io.BytesIO(BAD["objects"][0]), allow_pickle=True)["X"]


def test_an_archive_that_unpacks_to_more_than_allowed_is_refused_before_it_is_unpacked(monkeypatch):
    bomb = io.BytesIO()
    np.savez_compressed(bomb, X=np.zeros((1000, 1000)), y=np.zeros(1000))
    monkeypatch.setattr(arrays, "MAX_UNPACKED", 10**6)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    assert len(bomb.getvalue()) < 50_000
    with pytest.raises(DataError, match="at most 1,000,000 bytes unpacked"):
        put_arrays(bomb.getvalue())


def test_a_file_that_says_less_than_it_unpacks_to_is_refused():
    """The second fault: the archive's own directory lies about the size."""
    content = bytearray(archive(X=npy(FEATURES), y=npy(LABELS)))
    size = len(npy(FEATURES)).to_bytes(4, "little")
    assert bytes(content).count(size) >= 2
    lied = bytes(content).replace(size, (10).to_bytes(4, "little"))
    with pytest.raises(DataError):
        put_arrays(lied)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_is_named_or_changes_the_name(place, value):
    good = npz(X=FEATURES, y=LABELS)
    content = bytearray(good)
    content[place % len(content)] = value
    try:
        found = read_arrays(bytes(content))
    except DataError:
        return
    assert (found.digest == read_arrays(good).digest) == (
        np.array_equal(found.given.rows, FEATURES) and np.array_equal(found.given.labels, LABELS)
    )


def test_no_file_is_named():
    with pytest.raises(DataError, match="expected a file at"):
        put_arrays("/nowhere/a.npz")
