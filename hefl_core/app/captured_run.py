"""A run of this process, a finished result or a transcript's file, as a capture for the attacks.

The truth comes from the data that the experiment names (with its seed), shares only from parties of this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hefl_core.attacks.capture import Capture
from hefl_core.errors import DataError
from hefl_core.federation.client import Observation
from hefl_core.federation.record.transcript import Transcript
from hefl_core.runtime.client_home import dealt_data
from hefl_core.runtime.result import RunResult
from hefl_core.runtime.run import Run
from hefl_core.schemes.base import SecretShare
from hefl_core.tables.doors import is_path


def of_run(run: Run) -> Capture:
    """A capture of a run, under way or finished. Shares: those that it kept for the labs.

    Raises: RoundError before its first step.
    """
    found = _capture(run.transcript, run.captured, run.observer.observations)
    return replace(found, last=len(run.rounds))


def of_result(result: RunResult) -> Capture:
    """A capture of a finished run: the clients' private side as the observer saw it, and no share."""
    return _capture(result.transcript, {}, result.observations)


def of_transcript(transcript: Transcript) -> Capture:
    """A capture of a transcript from a file: no share, and nothing that was not sent.

    Raises: DataError when this process does not have the data that the experiment names, or a record names a path: whoever
        wrote it would choose which file is read here.
    """
    dataset = transcript.manifest.experiment.dataset
    if is_path(dataset):
        raise DataError(
            f"record: expected a data set's name, found a path ({dataset[:60]!r}); run the experiment again here"
        )
    return _capture(transcript, {}, {})


def _capture(
    transcript: Transcript,
    shares: Mapping[str, tuple[SecretShare, ...]],
    private: Mapping[int, tuple[Observation, ...]],
) -> Capture:
    whole = dealt_data(transcript.manifest.experiment)
    return Capture(transcript, whole.model, whole.dataset.test, whole.parts, shares, dict(private))
