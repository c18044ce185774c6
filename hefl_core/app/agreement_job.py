"""Round zero in the background: the visitor's files agree on one schema, each as a hospital of its own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from hefl_core.app.job import Job
from hefl_core.checks.claims.ledger import check_claims
from hefl_core.errors import ParameterError
from hefl_core.learning import shelf
from hefl_core.runtime.agreement import Agreement, agree
from hefl_core.tables.declared import Declared
from hefl_core.tables.hospitals import HospitalTables
from hefl_core.tables.said import declarations, said
from hefl_core.tables.source import TableSource
from hefl_core.tables.table import Table
from hefl_core.terms.experiment import Experiment


class AgreementJob(Job):
    """``tables``: as each hospital reads its own. ``agreement``: None until all agreed.

    Raises: DataError naming the client whose file cannot be read.
    """

    def __init__(
        self, experiment: Experiment, files: Sequence[bytes], label: str | None = None, declared: Declared | None = None
    ) -> None:
        super().__init__("round zero")
        own = [TableSource(content, label, declared or Declared()) for content in files]
        held = HospitalTables.of(own)
        self.tables: tuple[Table, ...] = tuple(source.read() for source in own)
        self.experiment = experiment.but(
            dataset=shelf.put_tables(held),
            clients=len(own),
            custody=_custody(experiment, len(own)),
            partition="iid",
            alpha=None,
            min_cohort=None,
            trainer="numpy",
        )
        self.agreement: Agreement | None = None

    def work(self) -> None:
        """Run round zero, and check the claims on it."""
        found = agree(self.experiment)
        self.agreement = replace(found, result=check_claims(found.result))


def declared_in(text: str) -> Declared:
    """Declarations in one line, as after ``run --declare``, with quotes around what has blanks. Raises: ParameterError."""
    try:
        return declarations(said(shlex.split(text)))
    except ValueError as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(f"declarations: expected closed quotes, found {text[:80]!r}", "close them") from error


def _custody(experiment: Experiment, clients: int) -> str:
    """The same number of holders, out of these clients; one of them stays outside, so that a cohort is more than a quorum."""
    quorum = experiment.quorum
    if not quorum.collective:
        return "individual"
    kind = "dealer-free:" if experiment.dealer_free else ""
    return f"{kind}{min(quorum.threshold, clients - 1)}-of-{clients}"
