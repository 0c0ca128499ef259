"""The decoding pool: the same photographs as in this process, whatever the codecs do; and two hundred hostile files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ocunet_pacs.domain.errors import BadInput, OcunetError
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.pixels import MIN_SIDE
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.imaging.prepare import PreparedFiles
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality_limits import QualityLimits
from tests.integration.hostile import COUNT, EYE, hostile, jpeg_object, written
from tests.unit.imaging.conftest import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.domain.result import Photograph

SPEC = PreprocessSpec(image_size=64)
MIB = 1 << 20
FAULTY = "tests.integration.faulty_worker"


def pool_of(workers: int = 1, *, seconds: float = 30, memory: int | None = None, faulty: bool = True) -> PreparingPool:
    chosen = {"worker_module": FAULTY} if faulty else {}
    return PreparingPool(
        SPEC, workers=workers, timeout=timedelta(seconds=seconds), memory_bytes=memory, limits=None, **chosen
    )


@pytest.fixture(scope="module")
def pool() -> Iterator[PreparingPool]:
    with pool_of(2, seconds=3, memory=512 * MIB) as made:
        yield made


def photograph_file(folder: Path, name: str = "good", frames: int = 1) -> Path:
    path = folder / f"{name}.dcm"
    ds = jpeg_object() if frames == 1 else plain(np.stack([np.roll(EYE, 7 * n, axis=1) for n in range(frames)]))
    path.write_bytes(written(ds))
    return path


def same(one: Photograph, other: Photograph) -> bool:
    return (
        np.array_equal(one.pixels, other.pixels)
        and np.array_equal(one.shown, other.shown)
        and (one.crop, one.width, one.height, one.reasons, one.quality, one.appearance)
        == (other.crop, other.width, other.height, other.reasons, other.quality, other.appearance)
        and (one.pattern is None) == (other.pattern is None)
        and (one.pattern is None or other.pattern is None or np.array_equal(one.pattern, other.pattern))
    )


def reason_of(pool: PreparingPool, path: Path) -> tuple[list[Photograph], BadInput]:
    """The frames before the failure, and the failure."""
    frames = []

    def read() -> None:
        for photograph in pool.photographs(path):
            frames.append(photograph)

    with pytest.raises(BadInput) as caught:
        read()
    return frames, caught.value


def gone(process_id: int, seconds: float) -> bool:
    """Whether the process ends within that time (a zombie has ended)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def memory_of(process_id: int, field: str = "VmHWM") -> int:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


# --- the same as without a pool ----------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 3])
def test_photographs_and_headers_are_those_of_this_process(pool, tmp_path, frames):
    path = photograph_file(tmp_path, frames=frames)
    here = PreparedFiles(SPEC)
    assert pool.header(path) == here.header(path)
    pairs = list(zip(pool.photographs(path), here.photographs(path), strict=True))
    assert len(pairs) == frames
    assert all(same(theirs, ours) for theirs, ours in pairs)


def test_what_the_pixels_say_against_a_photograph_crosses_too(tmp_path):
    path, good = tmp_path / "dark.dcm", tmp_path / "good.dcm"
    path.write_bytes(written(plain(EYE // 16)))
    good.write_bytes(written(plain(EYE)))
    limits = QualityLimits()
    with PreparingPool(SPEC, workers=1, timeout=timedelta(seconds=30), memory_bytes=None, limits=limits) as judging:
        (theirs,) = judging.photographs(path)
        (seen,) = judging.photographs(good)
    assert seen.appearance
    assert same(seen, *PreparedFiles(SPEC, limits).photographs(good))
    (ours,) = PreparedFiles(SPEC, limits).photographs(path)
    assert theirs.reasons
    assert theirs.quality
    assert same(theirs, ours)


def test_refusals_cross_with_their_reason_and_missing_files_stay_missing(pool, tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")
    for call in (pool.header, lambda path: next(pool.photographs(path))):
        with pytest.raises(BadInput) as caught:
            call(tmp_path / "a.dcm")
        assert caught.value.reason.code is ReasonCode.NOT_DICOM
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "b.dcm")


def test_workers_do_not_load_torch(pool):
    for process_id in pool.process_ids:
        assert "torch" not in Path(f"/proc/{process_id}/maps").read_text()


# --- a decoder that dies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("loop", "not decoded within 3 s"),
        ("allocate", "MemoryError"),
        ("quote", "RuntimeError"),
    ],
)
def test_a_fault_is_told_and_the_next_picture_is_fine(pool, tmp_path, fault, said):
    frames, refusal = reason_of(pool, photograph_file(tmp_path, fault))
    assert not frames
    assert refusal.reason.code is ReasonCode.DECODER_FAILED
    assert said in refusal.reason.detail
    assert "Drawn" not in str(refusal)
    good = photograph_file(tmp_path)
    for _ in range(2):  # both workers
        (photograph,) = pool.photographs(good)
        assert same(photograph, next(PreparedFiles(SPEC).photographs(good)))


def test_frames_before_a_crash_are_kept(pool, tmp_path):
    frames, refusal = reason_of(pool, photograph_file(tmp_path, "segfault-after-first", frames=3))
    assert len(frames) == 1
    assert refusal.reason.code is ReasonCode.DECODER_FAILED


def test_a_crash_after_the_last_frame_spares_the_frame(pool, tmp_path):
    frames, refusal = reason_of(pool, photograph_file(tmp_path, "abort-after-last"))
    assert len(frames) == 1
    assert refusal.reason.code is ReasonCode.DECODER_FAILED


def test_a_picture_is_not_blamed_for_the_one_before_it(tmp_path):
    with pool_of() as pool:
        good = photograph_file(tmp_path)
        list(pool.photographs(good))
        os.kill(pool.process_ids[0], signal.SIGKILL)
        assert len(list(pool.photographs(good))) == 1
        # A crash in a worker that had worked before may be another picture's doing, so it is tried once more.
        assert len(list(pool.photographs(photograph_file(tmp_path, "once")))) == 1


def test_good_pictures_are_untouched_by_bad_ones_beside_them(pool, tmp_path):
    names = ["good", "segfault", "good-2", "abort", "good-3", "quote", "good-4", "segfault-2", "good-5", "abort-2"]
    paths = [photograph_file(tmp_path, name) for name in names]
    expected = next(PreparedFiles(SPEC).photographs(paths[0]))

    def outcome(path: Path) -> bool:
        try:
            (photograph,) = pool.photographs(path)
        except BadInput:
            return False
        assert same(photograph, expected)
        return True

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(outcome, paths)) == [
            name.partition("-")[0] not in ("segfault", "abort", "quote") or name[-1].isdigit() for name in names
        ]


# --- consumers ---------------------------------------------------------------------------------------------------


def test_a_consumer_that_stops_early_does_not_keep_the_worker(tmp_path):
    several, single = photograph_file(tmp_path, "several", frames=4), photograph_file(tmp_path)
    with pool_of() as pool:
        reading = pool.photographs(several)
        next(reading)
        reading.close()
        abandoned = pool.photographs(several)
        next(abandoned)
        del abandoned
        held = pool.photographs(single)
        photograph = next(held)
        # The only frame is out, so the worker is free although `held` was not read to its end.
        assert same(next(pool.photographs(single)), photograph)
        assert next(held, None) is None


def test_a_waiting_call_gets_its_turn(tmp_path):
    several = photograph_file(tmp_path, "several", frames=3)
    with pool_of() as pool, ThreadPoolExecutor(4) as threads:
        counts = threads.map(lambda _: len(list(pool.photographs(several))), range(8))
        assert list(counts) == [3] * 8


def test_closing_fails_what_is_under_way_and_can_be_done_twice(tmp_path):
    with pool_of() as pool, ThreadPoolExecutor(2) as threads:
        files = photograph_file(tmp_path, "loop"), photograph_file(tmp_path)
        looping = threads.submit(lambda: list(pool.photographs(files[0])))
        while pool._free:
            time.sleep(0.01)
        waiting = threads.submit(lambda: list(pool.photographs(files[1])))
        time.sleep(0.3)
        (process_id,) = pool.process_ids
        pool.close()
        for call in (looping, waiting):
            with pytest.raises(OcunetError, match="closed"):
                call.result(10)
        pool.close()
    assert gone(process_id, 5)
    with pytest.raises(OcunetError, match="closed"):
        pool.header(tmp_path / "good.dcm")


def test_a_worker_that_cannot_start_is_an_error_of_ours():
    with pytest.raises(OcunetError, match="did not start"):
        PreparingPool(SPEC, workers=1, timeout=timedelta(1), memory_bytes=None, worker_module="no_such_module")


def test_a_worker_that_is_killed_while_it_starts_is_started_once_more(tmp_path, monkeypatch):
    """By whoever was short of memory: a bundle is not refused for it, and an analysis loses no attempt."""
    monkeypatch.setenv("KILLED_ONCE", str(tmp_path / "seen"))
    module = "tests.integration.worker_killed_once"
    with PreparingPool(SPEC, workers=1, timeout=timedelta(seconds=30), memory_bytes=None, worker_module=module) as pool:
        assert (tmp_path / "seen").exists()
        assert len(list(pool.photographs(photograph_file(tmp_path)))) == 1


# --- processes ---------------------------------------------------------------------------------------------------

PARENT = """
import sys, threading, time
from datetime import timedelta
from pathlib import Path
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality_limits import QualityLimits
pool = PreparingPool(PreprocessSpec(), workers=2, timeout=timedelta(seconds=0.5), memory_bytes=None,
                     worker_module="tests.integration.faulty_worker")
print(*pool.process_ids, flush=True)
sys.stdin.readline()
if len(sys.argv) > 1:
    threading.Thread(target=lambda: list(pool.photographs(Path(sys.argv[1]))), daemon=True).start()
    time.sleep(0.2)
    print("busy", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_with_the_process_that_started_them_and_not_by_its_signals(tmp_path, busy):
    arguments = [str(photograph_file(tmp_path, "loop"))] if busy else []
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(workers[0], number)
        parent.stdin.write("\n")
        parent.stdin.flush()
        if busy:
            assert parent.stdout.readline() == "busy\n"
        assert not gone(workers[0], 0.1)
        parent.kill()
    # One that hangs in native code cannot see that nobody is left, so it has an alarm set.
    assert all(gone(worker, 8) for worker in workers)


# --- hostile pictures --------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_two_hundred_hostile_pictures(tmp_path):
    files = list(hostile())
    for number, (_, content, _) in enumerate(files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    ours_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with pool_of(2, seconds=60, memory=1536 * MIB, faulty=False) as pool:

        def outcome(number: int) -> tuple[int, BadInput | None]:
            """How many frames came, and the reason why no more did."""
            path, count = tmp_path / f"{number}.dcm", 0
            try:
                pool.header(path)
                for photograph in pool.photographs(path):
                    assert photograph.pixels.shape == (64, 64, 3)
                    assert min(photograph.width, photograph.height) >= MIN_SIDE
                    count += 1
            except BadInput as refusal:
                return count, refusal
            return count, None

        with ThreadPoolExecutor(4) as threads:
            outcomes = list(threads.map(outcome, range(COUNT)))
        for (name, _, code), (count, refusal) in zip(files, outcomes, strict=True):
            assert count or refusal, name
            if code is not None:
                assert refusal is not None, name
                assert refusal.reason.code is code, name
        assert sum(refusal is not None for _, refusal in outcomes) > COUNT // 2
        for process_id in pool.process_ids:
            assert memory_of(process_id) < 1536 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - ours_before < 64 * MIB
