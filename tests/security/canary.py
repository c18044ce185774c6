"""Known secrets of a run, and where text and bytes are searched for them."""

import base64
import traceback
from collections.abc import Iterator

import numpy as np

from hefl_core.keys.sum_tag import expose_tag_key
from hefl_core.schemes.base import expose_secret
from hefl_core.wire.canonical import decode

CHUNK = 16
MOST = 200_000


def secrets_of(run):
    """Name -> bytes: shares, tag keys, private keys of every party, and each client's update, as the run has them."""
    parties, found = run.parties, {}
    for client in parties.clients:
        found[f"share of {client.name}"] = expose_secret(client.enrolment.share)
        found[f"tag key of {client.name}"] = expose_tag_key(client.enrolment.tag_key)
        update = client._update[1]
        found[f"update of {client.name}"] = update.tobytes()
        found[f"float32 update of {client.name}"] = update.astype(np.float32).tobytes()
    everybody = (parties.coordinator, parties.auditor, *parties.clients)
    for identity in (*(party.identity for party in everybody), parties.kms._identity):
        _, _, signing, sealing = decode(identity._export(), tuple[str, str, bytes, bytes])
        found[f"signing key of {identity.name}"] = signing
        found |= {f"sealing key of {identity.name}": sealing} if sealing else {}
    for client in parties.clients:
        epoch = client.enrolment.record.epoch
        found[f"sealing key of {client.name}"] = client.enrolment.sealing_key(epoch)._export()
    return found


def needles(secrets) -> dict[str, bytes]:
    """Each secret's first rich bytes, raw and as text usually shows bytes: repr, hex, base64, and numbers as decimals."""
    made = {}
    for name, secret in secrets.items():
        middle = len(secret) // 16 * 8  # past headers, which are no secret
        start = next(n for n in (*range(middle, len(secret), 8), 0) if _rich(secret[n : n + CHUNK]) or n == 0)
        piece = secret[start : start + CHUNK]
        made[name] = piece
        made[f"{name}, repr"] = repr(piece)[2:-1].encode()
        made[f"{name}, hex"] = piece.hex().encode()
        aligned = secret[start + (-start) % 3 :][:15]
        made[f"{name}, base64"] = base64.b64encode(aligned)
        if name.startswith("update"):
            number = np.frombuffer(secret[start : start + 8], dtype=np.float64)[0]
            made[f"{name}, decimal"] = repr(float(number)).encode()
    return made


def _rich(piece) -> bool:
    """Not to be met by chance; without the characters that a repr writes in two ways."""
    return len(set(piece)) > CHUNK // 2 and not set(piece) & set(b"'\"\\")


def hits(text, wanted) -> list[str]:
    """Names of the needles in a text or in bytes."""
    data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    return [name for name, piece in wanted.items() if piece in data]


def reachable(*roots) -> Iterator[object]:
    """Every object that attributes, slots and containers lead to, once each, up to a large number."""
    seen, queue = set(), list(roots)
    while queue and len(seen) < MOST:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, type | str | bytes | int | float | np.ndarray):
            continue
        seen.add(id(thing))
        yield thing
        if isinstance(thing, dict):
            queue += [*thing.keys(), *thing.values()]
        elif isinstance(thing, list | tuple | set | frozenset):
            queue += list(thing)
        elif type(thing).__module__.split(".")[0] in ("hefl_core", "pages", "tests"):
            slots = [_mangled(kind, name) for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
            names = [*getattr(thing, "__dict__", {}), *slots]
            queue += [getattr(thing, name) for name in names if hasattr(thing, name)]


def _mangled(kind, name):
    return f"_{kind.__name__}{name}" if name.startswith("__") and not name.endswith("__") else name


def shown(thing) -> str:
    """What a log line, a debugger or an error page would print of it."""
    return f"{thing!r} {thing}"


def traced(error, package="hefl_core/") -> str:
    """A traceback with the locals of every frame below the first one of the package: the test's own hold the needles."""
    frame = error.__traceback__
    while frame is not None and package not in frame.tb_frame.f_code.co_filename:
        frame = frame.tb_next
    assert frame is not None, "the package raised nothing"
    shown_of = traceback.TracebackException(type(error), error, frame, capture_locals=True)
    return "".join(shown_of.format())
