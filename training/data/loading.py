"""Pictures out of the cache in processes of their own, a batch at a time and in the order that is asked for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ocunet_pacs.imaging.allocator import settle_allocator
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from training.data.augment import Augment
    from training.data.cache import PixelCache
    from training.data.manifest import Row

    Asked: TypeAlias = list[tuple[int, int]]
    """For each picture of a batch the index of its row, and the seed that it varies from."""


_KEPT_BYTES: Final = 256 << 20
"""Memory that a loading process holds on to between batches."""
_DIED: Final = (
    "a process that loads photographs died: most often there is too little memory, or too little shared memory "
    "(/dev/shm, small in a container unless it is told otherwise): choose fewer data.workers, or give more"
)


class Pictures:
    """Loads batches from the cache, and varies them in the same place where there is an `augment`.

    `workers` processes load (0: this one). `pin` makes ready for a quick copy to a GPU; `keep` leaves the processes
    running between one `load` and the next. Processes are started from a small server, never forked from this one,
    which has threads and maybe a GPU.
    """

    def __init__(
        self,
        cache: PixelCache,
        rows: Sequence[Row],
        augment: Augment | None,
        *,
        workers: int,
        pin: bool,
        keep: bool,
    ) -> None:
        self._asked = _Asked()
        context = None
        if workers:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([__name__])  # torch is imported once, not by each process
        self._loader: DataLoader[Tensor] = DataLoader(
            _Stored(cache, rows, augment),
            batch_sampler=self._asked,
            collate_fn=_as_it_is,
            num_workers=workers,
            multiprocessing_context=context,
            persistent_workers=keep and workers > 0,
            pin_memory=pin,
            worker_init_fn=_settle,
            generator=torch.Generator(),  # not the process's own, which is somebody else's
        )

    def load(self, asked: Iterable[Asked]) -> Iterator[Tensor]:
        """uint8 (n, 3, side, side) on the CPU for each batch that is asked for. CacheMiss, TrainingError.

        One at a time: the next call ends the one before.
        """
        self._asked.batches = asked
        batches = iter(self._loader)
        while True:
            try:
                loaded = next(batches)
            except StopIteration:
                return
            except (ConnectionError, EOFError, FileNotFoundError) as error:  # its pictures went with it
                raise TrainingError(_DIED) from error
            except RuntimeError as error:
                if "worker" not in str(error):
                    raise
                raise TrainingError(_DIED) from error
            if isinstance(loaded, TrainingError):
                raise loaded
            yield loaded


def worker_count(wanted: int | Literal["auto"]) -> int:
    """Processes to load with: as wanted, or one a processor, shared among the processes that torchrun started here."""
    if wanted != "auto":
        return wanted
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class _Asked:
    """What is asked for next; the loader's sampler."""

    def __init__(self) -> None:
        self.batches: Iterable[Asked] = ()

    def __iter__(self) -> Iterator[Asked]:
        return iter(self.batches)


class _Stored(Dataset["Tensor"]):
    """The rows' pictures; runs in the loading processes."""

    def __init__(self, cache: PixelCache, rows: Sequence[Row], augment: Augment | None) -> None:
        self._cache = cache
        self._rows = tuple(rows)
        self._augment = augment

    def __getitems__(self, asked: Asked) -> Tensor | TrainingError:
        """A batch. An error is handed on as it is: raised here, it would come out with a traceback for its message."""
        try:
            loaded = np.stack([self._cache.load(self._rows[index]) for index, _ in asked])
        except TrainingError as error:
            return error
        pictures = torch.from_numpy(loaded).permute(0, 3, 1, 2)
        if self._augment is None:
            return pictures.contiguous()
        return self._augment(pictures, [seed for _, seed in asked]).contiguous()


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 -- torch says that it is a list
    return batch


def _settle(_number: int) -> None:
    """In a new process: a Ctrl-C is for the one that trains, its end is ours, one thread is enough, memory is kept."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_one_that_trains, daemon=True).start()
    cv2.setNumThreads(1)
    settle_allocator(_KEPT_BYTES)


def _end_with_the_one_that_trains() -> None:
    """A kill -9 of it tells nobody: torch looks at this process's parent, which is the small server, and that waits."""
    trains = multiprocessing.parent_process()
    if trains is not None:
        trains.join()
        os._exit(1)
