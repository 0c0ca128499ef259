"""The network's passes, measured: how long, how many photographs, and what that leaves of a GPU's memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ocunet_pacs.app.process import role_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocunet_pacs.domain.ports import Classifier
    from ocunet_pacs.domain.result import BundleRef, Classification, Photograph
    from ocunet_pacs.metrics import Metrics
    from ocunet_pacs.model.predictor import Predictor
    from ocunet_pacs.settings import Settings

MEMORY_EVERY_SECONDS = 5.0


class MeasuredClassifier:
    """A `Classifier` that is the inner one, and tells `metrics` of each pass. `memory` says what it names, in bytes."""

    def __init__(
        self,
        inner: Classifier,
        metrics: Metrics,
        role: str,
        memory: Callable[[], Mapping[str, float]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._metrics = metrics
        self._role = role
        self._memory = memory
        self._clock = clock
        self._looked = float("-inf")

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are."""
        return self._inner.bundle

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        """See `Classifier.classify`. A pass that fails took its time too."""
        began = self._clock()
        try:
            return self._inner.classify(photographs)
        finally:
            ended = self._clock()
            self._metrics.observe("pass_seconds", ended - began, role=self._role)
            self._metrics.observe("batch_photographs", len(photographs), role=self._role)
            if self._memory is not None and ended - self._looked >= MEMORY_EVERY_SECONDS:
                self._looked = ended
                for what, number in self._memory().items():
                    self._metrics.set("gpu_memory_bytes", number, role=self._role, of=what)


def measured(predictor: Predictor, settings: Settings, metrics: Metrics, role: str) -> MeasuredClassifier:
    """The predictor of a role, measured; on a GPU with its memory."""
    memory = gpu_memory(settings.model.device) if predictor.on_gpu else None
    return MeasuredClassifier(predictor, metrics, role_name(role), memory)


def gpu_memory(device: str) -> Callable[[], Mapping[str, float]]:
    """What says how a GPU's memory stands: of the whole device, and what this process keeps of it."""
    import torch  # noqa: PLC0415 - a worker on a CPU does without

    which = torch.device("cuda:0" if device == "auto" else device)

    def look() -> Mapping[str, float]:
        free, total = torch.cuda.mem_get_info(which)
        return {
            "total": float(total),
            "used": float(total - free),
            "worker": float(torch.cuda.memory_reserved(which)),
        }

    return look
