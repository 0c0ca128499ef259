"""The bundles as `doctor` sees them: whole, trained, prepared, and small enough for this machine's memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocunet_pacs.app.doctor_checks import Check, Level, fault, fault_of, ok, warning
from ocunet_pacs.app.doctor_machine import available_bytes
from ocunet_pacs.app.serve import NVIDIA_DEVICES
from ocunet_pacs.domain.errors import BundleError, UntrainedBundle
from ocunet_pacs.model.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings

_MEMINFO = Path("/proc/meminfo")
_LOAD_SECONDS = 120.0
_OTHER = "name another folder in model.bundle, or restore this one; `ocunet-pacs model verify` checks it"


def model_checks(settings: Settings) -> Iterator[Check]:
    """One of the bundle, one that loads it, and one of the candidate where there is one."""
    model, shadow = settings.model, settings.shadow
    yield Check(
        "model",
        lambda: look_at_bundle(model.bundle, model.operating_point, allow_untrained=model.allow_untrained),
    )
    yield Check("model load", lambda: look_at_loading(settings), seconds=_LOAD_SECONDS + 10.0)
    if shadow.bundle is not None:
        candidate = shadow.bundle
        yield Check(
            "shadow",
            lambda: at_most_a_warning(
                look_at_bundle(candidate, shadow.operating_point, allow_untrained=shadow.allow_untrained)
            ),
        )


def look_at_bundle(folder: Path, operating_point: str, *, allow_untrained: bool) -> Verdict:
    """What the manifest says. The weights are looked at by whoever loads them."""
    try:
        manifest = read_manifest(folder)
        manifest.require_trained(allow_untrained=allow_untrained)
        manifest.thresholds_at(operating_point)
    except UntrainedBundle as error:
        return fault_of(error)
    except BundleError as error:
        return fault(str(error), _OTHER)
    what = f"{manifest.name} {manifest.digest[:12]}, operating point {operating_point}"
    if not manifest.trained:
        return warning(f"{what}, UNTRAINED: its results mean nothing", "put a trained bundle in its place")
    if manifest.research:
        return warning(
            f"{what}, for research only; no opinion on {len(manifest.missing_labels)} of OcuNet's labels",
            "import OcuNet's checkpoint in its place (ocunet-pacs model import --overwrite), unless this is research",
        )
    if not manifest.calibrated:
        return warning(f"{what}, not calibrated: its probabilities say less", "import it again with a calibration")
    return ok(what)


def at_most_a_warning(verdict: Verdict) -> Verdict:
    """What is wrong with a candidate keeps no result from anybody."""
    return warning(verdict.found, verdict.remedy) if verdict.remedy else verdict


def look_at_loading(settings: Settings) -> Verdict:
    """Load it in a process of its own, and let the network run once."""
    model = settings.model
    bundle = look_at_bundle(model.bundle, model.operating_point, allow_untrained=model.allow_untrained)
    if bundle.level is Level.FAULT:
        return warning("not tried, for the bundle is not as it should be", "see `model`")
    memory = available_bytes(_MEMINFO.read_text("ascii")) if _MEMINFO.exists() else None
    cards = model.device != "cpu" and NVIDIA_DEVICES.is_dir() and any(NVIDIA_DEVICES.iterdir())
    asked = {
        "bundle": str(model.bundle),
        "device": model.device,
        "allow_untrained": model.allow_untrained,
        "batch_size": None if model.batch_size == "auto" else model.batch_size,
        "operating_point": model.operating_point,
        # A card's driver maps more than it uses.
        "memory_bytes": resource.RLIM_INFINITY if cards or memory is None else memory,
    }
    status, said = _asked(asked)
    return judge_loading(status, said, memory, cards=cards)


def judge_loading(status: int | None, said: dict[str, Any], memory: int | None, *, cards: bool) -> Verdict:
    """How the process ended (None: it did not), what it said, the memory that was free, whether there are cards."""
    has = "" if memory is None else f" of the {memory / 2**30:.1f} GiB that are free"
    if status is None:
        return fault(f"not loaded after {_LOAD_SECONDS:.0f} s", "see what the processor and the disk are busy with")
    if said.get("problem"):
        return fault(str(said["problem"]), _OTHER)
    if said.get("failure") and not said["memory"]:
        return fault(f"loading it fails with {said['failure']}", "run `ocunet-pacs model verify` on it, and report it")
    if "runtime" not in said:
        return fault(
            f"it could not be loaded, most likely for want of memory (status {status}): it had all{has}",
            "free memory (a daemon that runs has the network in it already), or set a smaller model.batch_size",
        )
    return _judge_runtime(said, has, cards=cards)


def _judge_runtime(said: dict[str, Any], has: str, *, cards: bool) -> Verdict:
    words = f"{said['runtime']}, {said['peak_bytes'] / 2**30:.1f} GiB{has}"
    if cards and not said["on_gpu"]:
        return fault(f"{words}: there is a GPU, and torch cannot use it", "install a torch that was built for its CUDA")
    if not said["on_gpu"] and not str(said["runtime"]).startswith("onnxruntime"):
        return warning(f"{words}: the slow runtime", "run `ocunet-pacs model prepare` on the bundle's folder")
    return ok(words)


def _asked(question: dict[str, Any]) -> tuple[int | None, dict[str, Any]]:
    command = [sys.executable, "-P", "-m", "ocunet_pacs.app.doctor_load"]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, input=json.dumps(question), capture_output=True, text=True, check=False, timeout=_LOAD_SECONDS
        )
    except subprocess.TimeoutExpired:
        return None, {}
    try:
        return done.returncode, json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return done.returncode, {}
