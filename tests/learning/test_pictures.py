"""Pictures in class folders become one data set, whatever the file names; bombs, links and strangers are named."""

from __future__ import annotations

import io
import os
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from hefl_core.errors import DataError
from hefl_core.learning import pictures
from hefl_core.learning.base import LocalTraining
from hefl_core.learning.baselines import centralised
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import NumpyTrainer
from hefl_core.learning.pictures import put_pictures, read_pictures
from hefl_core.tables.doors import PICTURES

RNG = np.random.default_rng(9)


def encoded(pixels, kind="PNG", **how):
    file = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(file, kind, **how)
    return file.getvalue()


def bar(label, number):
    """An 8x8 picture of an upright or a lying bar, with some noise of its own."""
    pixels = RNG.integers(0, 40, (8, 8)).astype(np.uint8)
    at = 1 + number % 6
    if label == "lying":
        pixels[at, :] = 250
    else:
        pixels[:, at] = 250
    return pixels


FILES = {f"{label}/{number}.png": encoded(bar(label, number)) for label in ("lying", "upright") for number in range(15)}


def folder_of(path, files=FILES):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zip_of(files=FILES, top="", **how):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **how) as archive:
        for name, content in files.items():
            archive.writestr(top + name, content)
    return file.getvalue()


def test_folder_zip_and_other_file_names_are_one_data_set(tmp_path):
    """Identity and order come from the contents, so the same pictures train the same model through every door."""
    wanted = put_pictures(folder_of(tmp_path / "my secret ward"))
    assert wanted.name.startswith(PICTURES) and len(wanted.name) == len(PICTURES) + 64
    assert "secret" not in repr(wanted)
    renamed = {f"{name.split('/')[0]}/x{99 - at}.PNG": content for at, (name, content) in enumerate(FILES.items())}
    (tmp_path / "d.zip").write_bytes(zip_of(top="data/"))
    for other in (
        zip_of(),
        zip_of(dict(reversed(FILES.items()))),
        zip_of(renamed),
        tmp_path / "d.zip",
        str(tmp_path / "d.zip"),
    ):
        found = put_pictures(other)
        assert found.name == wanted.name
        assert np.array_equal(found.train.features, wanted.train.features)
        assert np.array_equal(found.test.labels, wanted.test.labels)


def test_pixels_classes_and_split(tmp_path):
    data = put_pictures(zip_of())
    assert data.classes == ("lying", "upright") and data.image_side == 8 and data.feature_names[9] == "pixel 1,1"
    assert (len(data.train), len(data.test)) == (24, 6) and np.bincount(data.test.labels).tolist() == [3, 3]
    pixels = np.rint(np.concatenate([data.scaling.restore(part.features) for part in (data.train, data.test)]))
    wanted = [np.asarray(Image.open(io.BytesIO(content))).reshape(-1) for content in FILES.values()]
    assert sorted(row.astype(np.uint8).tobytes() for row in pixels) == sorted(row.tobytes() for row in wanted)


def test_a_data_set_of_pictures_is_learned_by_a_cnn():
    data = put_pictures(zip_of())
    trainer = NumpyTrainer(model_for_dataset("cnn", data))
    how = LocalTraining(20, 4, 0.1, 7)
    assert (
        centralised(trainer, trainer.model.init(b"x"), [data.train], data.test, 3, how)[-1].metrics.balanced_accuracy
        == 1
    )


def test_another_picture_class_or_size_is_another_name():
    base = put_pictures(zip_of()).name
    changed = FILES | {"lying/0.png": encoded(bar("lying", 3))}
    moved = {name.replace("lying/0", "upright/99"): content for name, content in FILES.items()}
    renamed = {name.replace("lying", "flat"): content for name, content in FILES.items()}
    names = {base, *(put_pictures(zip_of(files)).name for files in (changed, moved, renamed))}
    names |= {put_pictures(zip_of(), 6).name, put_pictures(zip_of(), colour=True).name}
    assert len(names) == 6


def more(**files):
    return FILES | {name.replace("__", "/").replace("_", "."): content for name, content in files.items()}


def only(content, count=12, name="png"):
    """Two classes of the same kind of picture: ``content`` makes one from a number."""
    return {f"{label}/{at}.{name}": content(at) for label in "ab" for at in range(count)}


def test_colour_gray_palettes_16_bits_and_transparency():
    gray = RNG.integers(0, 256, (8, 8)).astype(np.uint8)

    def first(picture, colour=None):
        return read_pictures(zip_of(only(lambda _: encoded(picture))), colour=colour).pixels[0]

    assert np.array_equal(first(gray)[..., 0], gray)
    assert np.array_equal(first(np.stack([gray] * 3, -1))[..., 0], gray)  # gray in three channels is gray
    assert np.array_equal(first(gray.astype(np.uint16) * 257)[..., 0], gray)
    assert np.array_equal(first(Image.fromarray(gray).convert("P"))[..., 0], gray)
    rgb = RNG.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert np.array_equal(first(rgb), rgb) and first(rgb, colour=False).shape == (8, 8, 1)
    assert first(gray, colour=True).shape == (8, 8, 3)
    mixed = only(lambda _: encoded(gray)) | {"a/0.png": encoded(rgb)}
    assert read_pictures(zip_of(mixed)).pixels.shape == (24, 8, 8, 3)
    clear = np.dstack([rgb, np.zeros((8, 8), np.uint8)])
    assert (first(clear) == 255).all()  # a clear ground is white, not the colour hidden below it
    data = put_pictures(zip_of(only(lambda _: encoded(rgb))))
    assert data.image_side is None and data.feature_names[:2] == ("pixel 0,0 red", "pixel 0,0 green")


def test_a_photo_is_turned_upright_as_its_camera_says():
    lying = np.zeros((8, 16), np.uint8)
    lying[:, 12:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter to the right
    turned = read_pictures(zip_of(only(lambda _: encoded(lying, "JPEG", exif=exif, quality=95), name="jpg"))).pixels[0]
    assert turned.shape == (16, 8, 1) and turned[14, :, 0].min() > 200 and turned[2, :, 0].max() < 50
    plain = read_pictures(zip_of(only(lambda _: encoded(lying, "JPEG", quality=95), name="jpeg"))).pixels[0]
    assert plain.shape == (8, 16, 1)  # the control


def test_pictures_of_several_sizes_are_refused_or_made_one():
    sizes = only(lambda at: encoded(np.full((8, 8 + at % 2), 200, np.uint8)))
    with pytest.raises(DataError, match=r"found (8|9) x 8 pixels; ask for one size"):
        put_pictures(zip_of(sizes))
    found = read_pictures(zip_of(sizes), 28)
    assert found.pixels.shape == (24, 28, 28, 1) and found.pixels[:, 14, 14].min() > 150
    with pytest.raises(DataError, match="a side of 1 to 256"):
        put_pictures(zip_of(sizes), 100_000)


def test_copies_and_contradictions_are_warned_of():
    assert read_pictures(zip_of()).warnings == ()
    twice = FILES | {"lying/copy.png": FILES["lying/1.png"], "upright/strange.png": FILES["lying/2.png"]}
    said = [str(one) for one in read_pictures(zip_of(twice)).warnings]
    assert said[0] == "pictures: 1 are in two classes at once (lying, upright)" and "2 are copies" in said[1]


def test_what_file_managers_leave_behind_is_left_out(tmp_path):
    litter = {".DS_Store": b"x", "__MACOSX/lying/._0.png": b"x", "lying/Thumbs.db": b"x", "upright/.hidden.png": b"x"}
    assert put_pictures(zip_of(FILES | litter)).name == put_pictures(zip_of()).name
    assert put_pictures(folder_of(tmp_path, FILES | litter)).name == put_pictures(zip_of()).name


def png_header(width, height):
    """A PNG of some bytes that says it is this large."""
    data = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", data), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def frames():
    one, other = (Image.fromarray(RNG.integers(0, 256, (8, 8)).astype(np.uint8)) for _ in range(2))
    return encoded(one, save_all=True, append_images=[other])


GIF = encoded(Image.new("L", (8, 8)), "GIF")
BAD = {
    "a text": (more(lying__a_txt=b"x"), "lying/a.txt'.*PNG or JPEG picture, found another file"),
    "a text named png": (
        more(lying__a_png=b"hello"),
        "lying/a.png': expected a PNG or JPEG picture, found a broken file",
    ),
    "a GIF named png": (more(lying__a_png=GIF), "a broken file, or one of another kind"),
    "half a picture": (more(lying__a_png=FILES["lying/0.png"][:-30]), "found a broken file"),
    "no bytes": (more(lying__a_png=b""), "found a broken file"),
    "an animation": (more(lying__a_png=frames()), "an animation of 2"),
    "a bomb of 30000 x 30000": (more(lying__a_png=png_header(30_000, 30_000)), "broken file|at most 25,000,000 pixels"),
    "a bomb of 10000 x 10000": (
        more(lying__a_png=png_header(10_000, 10_000)),
        "at most 25,000,000 pixels, found 10000 x 10000",
    ),
    "a picture outside": (
        FILES | {"a.png": FILES["lying/0.png"]},
        "'a.png': expected CLASS/PICTURE, found a file outside",
    ),
    "a folder too deep": (more(lying__more__a_png=FILES["lying/0.png"]), "expected CLASS/PICTURE, found another place"),
    "a way out": (FILES | {"../a.png": FILES["lying/0.png"]}, "expected CLASS/PICTURE"),
    "an absolute path": (FILES | {"/etc/a.png": FILES["lying/0.png"]}, "expected CLASS/PICTURE"),
    "a path of Windows": (FILES | {"lying/..\\a.png": FILES["lying/0.png"]}, "expected CLASS/PICTURE"),
    "a name that reverses": (FILES | {"ly\u202eing/a.png": FILES["lying/0.png"]}, "visible characters"),
    "one class": ({name: content for name, content in FILES.items() if name < "m"}, "2 classes or more, found 1"),
    "51 classes": ({f"{at}/0.png": FILES["lying/0.png"] for at in range(51)}, "at most 50 classes"),
    "too few": (only(lambda _: FILES["lying/0.png"], 9), "at least 20 rows, found 18"),
    "nothing": ({}, "another file|2 classes or more, found 0"),
    "too large": (only(lambda _: encoded(np.zeros((300, 300), np.uint8))), "1 to 20,000 features, found 90,000"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_named_in_a_zip(case):
    files, match = BAD[case]
    with pytest.raises(DataError, match=match):
        put_pictures(zip_of(files))


@pytest.mark.parametrize("case", ["a text", "half a picture", "a picture outside", "a folder too deep", "one class"])
def test_and_in_a_folder(case, tmp_path):
    files, match = BAD[case]
    with pytest.raises(DataError, match=match):
        put_pictures(folder_of(tmp_path, files))


def test_a_bomb_is_judged_by_its_header(monkeypatch):
    """The control: with a larger limit the same header would have been loaded."""
    loaded = []
    monkeypatch.setattr(Image.Image, "load", lambda *_: loaded.append(1))
    with pytest.raises(DataError, match="at most 25,000,000"):
        pictures._upright(pictures._File("x", "a", png_header(6000, 6000), b""), None)
    assert not loaded
    monkeypatch.setattr(pictures, "MAX_PIXELS", 10**9)
    with pytest.raises(Exception):  # noqa: B017  whatever comes after the limit
        pictures._upright(pictures._File("x", "a", png_header(6000, 6000), b""), None)


@pytest.mark.parametrize("what", ["a file", "a folder", "the outside"])
def test_links_are_refused(what, tmp_path):
    base = folder_of(tmp_path / "data")
    outside = tmp_path / "secret.png"
    outside.write_bytes(FILES["lying/0.png"])
    target = {"a file": base / "lying/0.png", "a folder": base / "upright", "the outside": outside}[what]
    os.symlink(target, base / "lying" / "link.png")
    with pytest.raises(DataError, match="expected files and folders, found a link"):
        put_pictures(base)


def test_a_link_in_an_archive_is_refused():
    file = io.BytesIO(zip_of())
    with zipfile.ZipFile(file, "a") as archive:
        link = zipfile.ZipInfo("lying/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="found a link"):
        put_pictures(file.getvalue())


def test_an_empty_class_is_named(tmp_path):
    (folder_of(tmp_path) / "nothing").mkdir()
    with pytest.raises(DataError, match=r"'nothing': expected pictures in each folder, found none"):
        put_pictures(tmp_path)
    file = io.BytesIO(zip_of())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("nothing/", "")
    with pytest.raises(DataError, match="found none"):
        put_pictures(file.getvalue())


def test_archives_that_lie_are_named():
    good = zip_of(compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="a broken archive"):
        put_pictures(good[:-30])
    damaged = bytearray(good)
    damaged[60:90] = bytes(30)
    with pytest.raises(DataError, match="found a broken one|found a broken file"):
        put_pictures(bytes(damaged))
    locked = bytearray(good)
    at = locked.index(b"PK\x01\x02")
    locked[at + 8] |= 1
    with pytest.raises(DataError, match="an encrypted one"):
        put_pictures(bytes(locked))


def test_limits_of_files_and_bytes(monkeypatch, tmp_path):
    folder_of(tmp_path)
    for name, limit, match in (
        ("MAX_FILES", 10, "at most 10 files"),
        ("MAX_FILE_BYTES", 40, "at most 40 bytes"),
        ("MAX_BYTES", 2000, "at most 2,000 bytes"),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(pictures, name, limit)
            for source in (tmp_path, zip_of()):
                with pytest.raises(DataError, match=match):
                    put_pictures(source)


def test_neither_a_folder_nor_an_archive(tmp_path):
    (tmp_path / "a.png").write_bytes(FILES["lying/0.png"])
    with pytest.raises(DataError, match=r"a folder with a folder for each class, or a \.zip"):
        put_pictures(tmp_path / "a.png")
    with pytest.raises(DataError, match="expected a file at"):
        put_pictures(tmp_path / "nowhere")
    shutil.rmtree(folder_of(tmp_path / "gone"))
    with pytest.raises(DataError, match="expected a file at"):
        put_pictures(tmp_path / "gone")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    closed = folder_of(tmp_path) / "lying"
    closed.chmod(0)
    try:
        with pytest.raises(DataError):
            put_pictures(tmp_path)
    finally:
        closed.chmod(0o700)
