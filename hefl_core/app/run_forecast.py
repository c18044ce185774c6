"""How long a run's encryption takes on this machine, said while it runs."""

from __future__ import annotations

from hefl_core.app.job import Job
from hefl_core.measure.forecast import forecast
from hefl_core.runtime.client_home import dealt_data
from hefl_core.terms.experiment import Experiment


class RunForecast(Job):
    """Computing time of all parties over all rounds, from unit costs measured here. ``seconds`` is None until it is known."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__("run forecast")
        self.experiment = experiment
        self.seconds: float | None = None

    def work(self) -> None:
        """Measure the scheme's unit costs where that has not been done, and multiply. Raises: DataError, ParameterError."""
        parameters = dealt_data(self.experiment).model.parameters
        self.seconds = forecast(self.experiment, parameters).cpu.total * self.experiment.rounds
