"""Arrays and pictures that this process was given, by content, as shelf.py keeps tables: the name holds no data and no path."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import msgspec

from hefl_core.errors import DataError
from hefl_core.learning.base import Dataset
from hefl_core.tables.decision import Decision, refused, shown
from hefl_core.tables.doors import NPY, NPZ, PICTURES
from hefl_core.tables.reading import content_at

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class GivenSource:
    """Arrays (``.npz``, ``.npy``) or a ``.zip`` of pictures before they are read: bytes, never a path.

    ``label``: the array that holds the labels; None: by the usual names. ``above``: cut measured labels in two there.
    ``side``: make every picture side x side.
    """

    form: Literal["arrays", "pictures"]
    content: bytes = field(repr=False)  # a client's values stay out of logs
    label: str | None = None
    side: int | None = None
    above: float | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def typed(
        cls, text: str, label: str | None = None, above: float | msgspec.UnsetType = msgspec.UNSET
    ) -> GivenSource:
        """Read what a typed ``npz:FILE[#LABEL]``, ``npy:FILE`` or ``pictures:FOLDER[#SIDE]`` names, now.

        The longest prefix that exists is the path. Raises: DataError for what cannot be read.
        """
        from hefl_core.learning import arrays, pictures  # Pillow and NumPy's formats: a run on other data needs neither

        prefix = next(one for one in (NPZ, NPY, PICTURES) if text.startswith(one))
        path, mark = _path_and_mark(text.removeprefix(prefix))
        if prefix == PICTURES:
            if above is not msgspec.UNSET:
                raise refused("label", "no cut beside pictures: folders are the classes", f"{above:g}", "leave it out")
            if label is not None:
                raise refused("label", "none beside pictures: folders are the classes", shown(label), "leave it out")
            return cls("pictures", pictures.packed(path), side=_side(mark))
        if mark is not None and label not in (None, mark):
            raise refused("label", "one label", f"{shown(mark)} and {shown(label or '')}", "name one of them")
        return cls("arrays", content_at(path, arrays.MAX_BYTES), label or mark, above=above)

    def read(self) -> OwnSet:
        """Read, check, split and scale. Raises: DataError naming what was found and what to do."""
        if self.form == "arrays":
            from hefl_core.learning import arrays

            found = arrays.read_arrays(self.content, self.label, self.above)
            return OwnSet(self, arrays.as_dataset(found), found.warnings)
        from hefl_core.learning.pictures import as_dataset, read_pictures

        pictured = read_pictures(self.content, self.side)
        return OwnSet(self, as_dataset(pictured), pictured.warnings)

    def to_bytes(self) -> bytes:
        """For another process of this run. Leaks: the data; it travels sealed."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> GivenSource:
        """Read :meth:`to_bytes` back. Raises: DataError."""
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise DataError(f"data: expected a source, found other bytes ({error}); send it again") from error


@dataclass(frozen=True, eq=False)
class OwnSet:
    """What was given, as read. ``warnings``: what the reader should know, as of copies among pictures."""

    source: GivenSource
    dataset: Dataset
    warnings: tuple[Decision, ...] = ()


class Kept(Generic[Thing]):
    """Things by name, counted: two sessions may hold one. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: dict[str, Thing] = {}
        self._holders: Counter[str] = Counter()

    def put(self, name: str, thing: Thing) -> str:
        """Keep it once more, as it is now. Returns its name."""
        with self._lock:
            self._things[name] = thing
            self._holders[name] += 1
        return name

    def known(self, name: str) -> Thing | None:
        """What was put under this name, or None."""
        with self._lock:
            return self._things.get(name)

    def forget(self, name: str) -> bool:
        """Take it down once. Returns whether it is gone."""
        with self._lock:
            self._holders[name] -= 1
            if self._holders[name] > 0:
                return False
            del self._holders[name]
            self._things.pop(name, None)
            return True


_SETS: Final = Kept[OwnSet]()


def put(source: GivenSource) -> str:
    """Read and keep it until it is forgotten as often as it was put. Returns its name. Raises: DataError."""
    found = source.read()
    return _SETS.put(found.dataset.name, found)


def known(name: str) -> OwnSet | None:
    """What was given under this name, or None: a party that holds no data knows none."""
    return _SETS.known(name)


def find(name: str) -> OwnSet:
    """What was given under this name. Raises: DataError when this process does not have it."""
    found = known(name)
    if found is None:
        raise DataError(
            f"dataset: expected arrays or pictures that this process was given, found {name[:80]!r}; a name holds no data: "
            "give them again (npz:FILE, npy:FILE or pictures:FOLDER)"
        )
    return found


def forget(name: str) -> bool:
    """Take it down once. Returns whether it is gone."""
    return _SETS.forget(name)


def _path_and_mark(text: str) -> tuple[Path, str | None]:
    """PATH or PATH#MARK taken apart, so that either may contain a hash."""
    ends = [len(text), *(at for at in range(len(text) - 1, 0, -1) if text[at] == "#")]
    for end in ends:
        path = Path(text[:end]).expanduser()
        if path.exists():
            return path, text[end + 1 :] or None
    nothing, _, mark = text.partition("#")
    return Path(nothing).expanduser(), mark or None


def _side(mark: str | None) -> int | None:
    if mark is not None and not (mark.isdecimal() and len(mark) < 5):
        raise refused("pictures", "a side in pixels after #", shown(mark), "write pictures:FOLDER#28")
    return None if mark is None else int(mark)
