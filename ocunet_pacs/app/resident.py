"""A bundle that is resident: on its device, warm, with its decoders; and how another takes its place.

The new one is loaded and warm before a job sees it, and a job stays with the bundle that it began with, so that
everything of one study is of one bundle. The old one leaves with its last job. In between both are in memory.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from ocunet_pacs.app.lending import Lending
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.domain.errors import OcunetError
from ocunet_pacs.imaging.allocator import give_back
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.model.batching import BatchingClassifier
from ocunet_pacs.model.manifest import MANIFEST
from ocunet_pacs.model.onnx_network import RUNTIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ocunet_pacs.domain.ports import Classifier
    from ocunet_pacs.model.predictor import Predictor
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.changing import Change
    from ocunet_pacs.settings.sections import Model

Tools = TypeVar("Tools")


class Resident:
    """One bundle with its decoders, ready for any number of threads. `close` when no job has it any more.

    `network` is what runs the predictor. Whatever the pool or the first pass raises ends what was started.
    """

    def __init__(self, predictor: Predictor, network: Classifier, model: Model, *, decoders: int) -> None:
        self.predictor = predictor
        with ExitStack() as started:
            self.reader = started.enter_context(
                PreparingPool(
                    predictor.manifest.preprocess,
                    workers=decoders,
                    timeout=model.decode_timeout,
                    memory_bytes=model.decode_memory,
                    limits=predictor.manifest.quality_limits,
                )
            )
            self.classifier = started.enter_context(
                BatchingClassifier(
                    network, max_batch=predictor.batch_size, max_wait=model.batch_wait, hung_after=model.hung_after
                )
            )
            predictor.warm_up()
            self._started = started.pop_all()

    def close(self) -> None:
        """End its thread and its processes, and let its network go."""
        self._started.close()
        self.predictor.close()


@dataclass(slots=True)
class _Place(Generic[Tools]):
    """A resident bundle, what its jobs work with from now on, and what it was loaded by."""

    resident: Resident
    tools: Tools
    loaded_by: object


class Residency(Generic[Tools]):
    """The bundle of a role, its jobs' tools, and what becomes of both when settings change.

    `first` was loaded by `settings`. `load` makes another resident, `tools` what a job needs beside it. `loaded_by`
    says by which part of the settings, and by which files, a bundle is loaded: while that stays the same, so does the
    bundle. `keeping` puts those parts of the first settings into the second.
    """

    def __init__(
        self,
        settings: Settings,
        first: Resident,
        *,
        load: Callable[[Settings], Resident],
        tools: Callable[[Settings, Resident], Tools],
        loaded_by: Callable[[Settings], object],
        keeping: Callable[[Settings, Settings], Settings],
        doing: Callable[[Resident], str],
    ) -> None:
        self._in_force = settings
        self._load = load
        self._tools = tools
        self._loaded_by = loaded_by
        self._keeping = keeping
        self._doing = doing
        self._ending = False
        self._places = Lending(_Place(first, tools(settings, first), loaded_by(settings)), self._leave)

    @contextmanager
    def tools(self) -> Iterator[Tools]:
        """What a job works with, from its beginning to its end."""
        with self._places.lent() as place:
            yield place.tools

    @property
    def resident(self) -> Resident:
        """The bundle that jobs begin with now."""
        return self._places.current.resident

    @property
    def doing(self) -> str:
        """What the role does with it."""
        return self._doing(self.resident)

    def is_hung(self) -> bool:
        """Whether a device hangs, be it with a bundle that is leaving."""
        return any(place.resident.classifier.is_hung for place in self._places.alive)

    def take_up(self, change: Change) -> TakenUp:
        """Let the jobs that begin from now on work by these settings; a bundle that cannot be had is refused."""
        place, settings, refused = self._places.current, change.settings, ""
        wanted = self._loaded_by(settings)
        if wanted == place.loaded_by:
            place.tools = self._tools(settings, place.resident)
        else:
            try:
                resident = self._load(settings)
            except Exception as error:  # noqa: BLE001 - a file may be anything, and a GPU full: the work goes on
                refused = _refuse(error, place.resident)
                settings = self._keeping(self._in_force, settings)
                place.tools = self._tools(settings, place.resident)
            else:
                self._places.replace(_Place(resident, self._tools(settings, resident), wanted))
        self._in_force = settings
        return TakenUp(self.doing, refused, settings)

    def close(self) -> None:
        """The role ends: no job begins any more."""
        self._ending = True
        self._places.retire()

    def _leave(self, place: _Place[Tools]) -> None:
        place.resident.close()
        if not self._ending:
            give_back()  # for a while there were two networks, and that will not come again soon
            bundle = place.resident.predictor.bundle
            structlog.get_logger().info("bundle_left", bundle=bundle.name, digest=bundle.digest)


def bundle_files(folder: Path) -> str:
    """Stands for a bundle as it lies there now, with the runtime that was prepared; "" where nothing can be read."""
    digest = hashlib.sha256()
    try:
        digest.update((folder / MANIFEST).read_bytes())
        if (folder / RUNTIME).exists():
            digest.update((folder / RUNTIME).read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def _refuse(error: Exception, stays: Resident) -> str:
    log, name = structlog.get_logger().bind(stays=stays.predictor.bundle.name), stays.predictor.bundle.name
    if isinstance(error, OcunetError):
        log.error("bundle_refused", reason=str(error))
        return f"new bundle refused, {name} stays: {error}"
    log.error("bundle_refused", exc_info=error)
    return f"new bundle refused, {name} stays: {type(error).__name__}; the log has more"
