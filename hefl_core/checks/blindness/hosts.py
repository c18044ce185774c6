"""Hosts for the blindness test: one lists what Ray hands to its process, one breaks the rules on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hefl_core.errors import RuntimeUnavailable
from hefl_core.probes.inputs import Blob
from hefl_core.probes.private_forms import mean_forms
from hefl_core.runtime.ray.actors import PartyHost, PartySpec
from hefl_core.runtime.ray.cluster import ray
from hefl_core.schemes.base import Vector
from hefl_core.schemes.private_forms import share_forms
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme
from hefl_core.wire.envelope import Envelope
from hefl_core.wire.fingerprint import Fingerprint, Form, Salt

CONTROL = "control"
KEY_GIVEN, DECRYPTS, KEPT, STORED = "key given", "decrypts", "update kept", "update in the object store"
PIECES = 2
CONTROL_ENTRIES = 1 << 15
"""256 KiB as float64: an object of this size lies in Ray's store, not in a message."""


class WatchedHost(PartyHost):
    """A host with a tap on Ray's deserialiser, through which every object passes that Ray hands to this process.

    Ray has no public hook for that; if its private one moves, the tap raises an error instead of seeing nothing.
    """

    def __init__(self, home: str, specs: Sequence[PartySpec]) -> None:
        self._handed: list[tuple[int, object]] = [
            (0, (spec.name, spec.maker, *map(_public, spec.args))) for spec in specs
        ]
        self._tap()
        super().__init__(home, specs)

    def _tap(self) -> None:
        context = ray._private.serialization.SerializationContext
        original: Callable[..., Any] | None = getattr(context, "_deserialize_object", None)
        if original is None:
            raise RuntimeUnavailable("tap: this Ray deserialises elsewhere; adapt checks/blindness/hosts.py")
        handed = self._handed

        def tapped(this: object, data: Any, *rest: Any, **named: Any) -> Any:
            value = original(this, data, *rest, **named)
            handed.append((0 if data is None else len(data), _public(value)))
            return value

        context._deserialize_object = tapped

    def handed(self) -> list[tuple[int, object]]:
        """(bytes, value) of every object handed over so far; bodies as their digests."""
        return list(self._handed)


def _public(value: object) -> object:
    if isinstance(value, bytes):
        return Blob(hashlib.sha256(value).digest(), len(value))
    if isinstance(value, Envelope):
        return (value.signed_header, _public(value.body))
    if isinstance(value, tuple | list):
        return tuple(map(_public, value))
    return value


class Suspect(PartyHost):
    """A coordinator's host that breaks each rule in turn, for the positive controls.

    It uses its own key and numbers, none of any run. Only fingerprints leave it.
    """

    def __init__(self, home: str, specs: Sequence[PartySpec]) -> None:
        super().__init__(home, specs)
        self._kept: dict[str, Any] = {}

    def misbehave(self, preset: str, quorum: Quorum, salt: Salt, seed: int) -> list[Fingerprint]:
        """Hold a key, decrypt a sum with it, and keep an update. Returns fingerprints of all three."""
        rng = np.random.default_rng(seed)
        scheme = open_scheme(preset)
        public, shares = scheme.keygen(quorum)
        a, b = (rng.normal(0, 0.01, 500) for _ in range(2))
        by = shares[0] if scheme.preset.symmetric else public
        sent = [scheme.encrypt(by, x, bound=0.5, max_terms=3) for x in (a, b)]
        active = tuple(share.index for share in shares[: quorum.threshold])
        total = scheme.add(public, *sent)
        parts = [scheme.partial_decrypt(share, total, active) for share in shares[: quorum.threshold]]
        self._kept = {KEY_GIVEN: shares, DECRYPTS: scheme.combine(public, total, parts, bound=0.5), KEPT: a}
        key_forms = (form for share in shares[: quorum.threshold] for form in share_forms(share, PIECES))
        return [
            *(control(KEY_GIVEN, form, salt) for form in key_forms),
            *(control(DECRYPTS, form, salt) for form in mean_forms("sum", self._kept[DECRYPTS], PIECES, seed)),
            *(control(KEPT, form, salt) for form in mean_forms("update", a, PIECES, seed)),
        ]


def control(name: str, form: Form, salt: Salt) -> Fingerprint:
    """A form's fingerprint, labelled as this control's."""
    return salt.fingerprint(replace(form, kind=CONTROL, name=f"{name}: {form.name}"))


def stored_update(seed: int) -> Vector:
    """The update that the last control puts into the object store."""
    return np.random.default_rng(seed + 1).normal(0, 0.01, CONTROL_ENTRIES)
