"""A model as a folder: `model.safetensors` (numbers, no code) and `manifest.json` (all that goes with them).

Two files more where the bundle is prepared for a fast CPU runtime: see `onnx_network`. One more where it is known what
its own photographs look like: `domain.drift.BUNDLE_REFERENCE`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import safetensors
import safetensors.torch
import structlog
import torch
from pydantic import ValidationError

from ocunet_pacs.domain.drift import BUNDLE_REFERENCE
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.calibration_files import read_calibration, read_thresholds
from ocunet_pacs.model.checkpoint import read_checkpoint
from ocunet_pacs.model.manifest import (
    MANIFEST,
    WEIGHTS,
    Manifest,
    Provenance,
    read_manifest,
    read_weights,
    validation_problems,
)
from ocunet_pacs.model.network import empty_network
from ocunet_pacs.model.onnx_export import export_network
from ocunet_pacs.model.onnx_network import ONNX, RUNTIME
from ocunet_pacs.model.parity import parity_picture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from torch import Tensor

    from ocunet_pacs.model.network import OcuNet

_LARGE: Final = 1 << 15


def write_bundle(
    out: Path,
    weights: Mapping[str, Tensor],
    manifest: Manifest,
    *,
    overwrite: bool = False,
    prepare: bool = True,
    half: bool = False,
) -> Manifest:
    """Write the folder `out`, all of it or nothing, and return the manifest with its digests.

    `weights` is the state of `build_network(manifest.architecture, len(manifest.labels))`, in its names, on any device.
    BundleError when they do not fit, or when `out` holds something: only a bundle is ever replaced, and only with
    `overwrite`. `prepare` makes the files of the fast CPU runtime too (2 s); where this machine cannot make them, the
    log says so and the bundle is good without them. `half` stores large kernels and matrices as
    float16, which are float32 again when loaded: nearly half the size, and probabilities move by a thousandth or two.
    """
    _check_fit(weights, manifest, str(out))
    check_room(out, overwrite=overwrite)
    own = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    if half:
        own = rounded(own, str(out))
    content = safetensors.torch.save(own)
    sealed = manifest.sealed(hashlib.sha256(content).hexdigest())
    files = {WEIGHTS: content, MANIFEST: sealed.to_bytes()}
    if prepare:
        try:
            files |= export_network(_network(own, manifest), manifest.preprocess, sealed.weights_sha256)
        except BundleError as error:
            structlog.get_logger().warning("runtime_not_prepared", bundle=manifest.name, reason=str(error))
    try:
        _write_folder(out, files)
    except OSError as error:
        raise BundleError(f"{out}: cannot be written: {error.strerror}") from error
    return sealed


def load_network(folder: Path, manifest: Manifest) -> OcuNet:
    """The bundle's network in eval mode on the CPU, float32. BundleError when the weights are not the manifest's."""
    path = folder / WEIGHTS
    try:
        weights = safetensors.torch.load(read_weights(folder, manifest))
    except safetensors.SafetensorError as error:
        raise BundleError(f"{path}: is not a safetensors file") from error
    _check_fit(weights, manifest, str(path))
    return _network(weights, manifest)


def prepare_bundle(folder: Path) -> Manifest:
    """Make (again) the files of the fast CPU runtime in a bundle's folder, each replaced atomically. BundleError.

    The bundle stays the bundle that it is: manifest and digest do not change.
    """
    manifest = read_manifest(folder)
    network = load_network(folder, manifest)
    files = export_network(network, manifest.preprocess, manifest.weights_sha256)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".prepare.") as room:
            for name, content in files.items():
                _write_file(Path(room) / name, content)
            for name in files:  # the record last: until then its sha256 refuses the new file
                (Path(room) / name).replace(folder / name)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written: {error.strerror}") from error
    return manifest


def _network(weights: Mapping[str, Tensor], manifest: Manifest) -> OcuNet:
    network = empty_network(manifest.architecture, len(manifest.labels))
    whole = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    network.load_state_dict(whole, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def verify_bundle(folder: Path) -> Manifest:
    """Check all that can be checked: digests, names and shapes, and one forward with finite outputs. BundleError."""
    manifest = read_manifest(folder)
    network = load_network(folder, manifest)
    with torch.inference_mode():
        logits = network(torch.from_numpy(parity_picture(manifest.preprocess)))
    if not bool(torch.isfinite(logits).all()):
        raise BundleError(f"{folder}: the network's outputs are not finite")
    return manifest


def import_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    now: datetime,
    calibration: Path | None = None,
    thresholds: Path | None = None,
    operating_points: Mapping[str, Path] | None = None,
    name: str | None = None,
    untrained: bool = False,
    overwrite: bool = False,
    prepare: bool = True,
) -> Manifest:
    """Make a bundle out of OcuNet's checkpoint and the files of its calibration, where there are any.

    `thresholds` goes before those in `calibration`; without either, every label gets the checkpoint's one threshold and
    without `calibration` the temperature is 1. `operating_points` names files of further thresholds.
    `untrained` marks the bundle so, whatever the checkpoint's record says.
    `name` defaults to the checkpoint's file name. UnsafeCheckpoint, BundleError.
    """
    source = read_checkpoint(checkpoint)
    fitted = read_calibration(calibration, source.labels) if calibration else None
    if thresholds:
        chosen, chosen_by = read_thresholds(thresholds, source.labels), thresholds.name
    elif calibration and fitted and fitted.thresholds is not None:
        chosen, chosen_by = dict(fitted.thresholds), calibration.name
    else:
        chosen, chosen_by = dict.fromkeys(source.labels, source.threshold), "one threshold for all, from the checkpoint"
    try:
        manifest = Manifest(
            name=name or checkpoint.stem,
            created_at=now,
            architecture=source.architecture,
            labels=source.labels,
            preprocess=source.preprocess,
            temperature=fitted.temperature if fitted else 1.0,
            thresholds=chosen,
            operating_points={
                point: read_thresholds(path, source.labels) for point, path in (operating_points or {}).items()
            },
            calibrated=fitted is not None and (thresholds is not None or fitted.thresholds is not None),
            trained=source.trained and not untrained,
            quality=QualityLimits().to_dict(),
            provenance=Provenance(
                source_sha256=source.source_sha256,
                epoch=source.epoch,
                metrics=dict(source.metrics),
                config_sha256=source.config_sha256,
                software=software_versions(),
                temperature_from=calibration.name if calibration else "none: no calibration was given",
                thresholds_from=chosen_by,
            ),
        )
    except ValidationError as error:
        raise BundleError("\n".join(validation_problems(error))) from None
    return write_bundle(out, source.weights, manifest, overwrite=overwrite, prepare=prepare)


def software_versions() -> dict[str, str]:
    """Versions of the packages that decide what a network computes."""
    packages = ("ocunet-pacs", "torch", "timm", "numpy", "opencv-python-headless", "pillow")
    return {package: version(package) for package in packages}


def _check_fit(weights: Mapping[str, Tensor], manifest: Manifest, where: str) -> None:
    expected = empty_network(manifest.architecture, len(manifest.labels)).state_dict()
    problems = [f"{where}: {name} is missing" for name in expected if name not in weights]
    for name, value in weights.items():
        if name not in expected:
            problems.append(f"{where}: {name} is unknown")
        elif value.shape != expected[name].shape or value.dtype not in _stored_as(expected[name]):
            problems.append(f"{where}: {name} is {value.dtype} {tuple(value.shape)}")
    if problems:
        raise BundleError("\n".join(problems))


def _stored_as(expected: Tensor) -> tuple[torch.dtype, ...]:
    """What a file may hold in the place of a tensor."""
    return (torch.float32, torch.float16) if _may_be_half(expected) else (expected.dtype,)


def _may_be_half(value: Tensor) -> bool:
    """Large kernels and matrices: nine tenths of the numbers, and a sixth of what rounding all of them would move.

    The first and the depthwise kernels act on every channel, and a batch norm's statistics may exceed float16's range.
    """
    return value.ndim >= 2 and value.is_floating_point() and value.numel() >= _LARGE


def rounded(weights: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The weights as `write_bundle` stores them with `half`. BundleError, which names `where`, if one does not fit."""
    half = {name: value.half() if _may_be_half(value) else value for name, value in weights.items()}
    if problems := [name for name in half if bool(half[name].isinf().any()) and not bool(weights[name].isinf().any())]:
        raise BundleError("\n".join(f"{where}: {name} does not fit into float16: store float32" for name in problems))
    return half


def check_room(out: Path, *, overwrite: bool) -> None:
    """BundleError unless a bundle may be written there: where nothing is, or, with `overwrite`, in a bundle's place."""
    if not out.exists():
        return
    if not out.is_dir():
        raise BundleError(f"{out}: is not a folder")
    found = {path.name for path in out.iterdir()}
    if found and not overwrite:
        raise BundleError(f"{out}: is not empty; name another folder, or ask to overwrite it")
    if not found <= {WEIGHTS, MANIFEST, ONNX, RUNTIME, BUNDLE_REFERENCE}:
        raise BundleError(f"{out}: holds other things than a bundle and is not overwritten")


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """The new folder is complete and durable before it takes the name; an old one goes only after that."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as room:
        made, old = Path(room) / "new", Path(room) / "old"
        made.mkdir()
        for name, content in files.items():
            _write_file(made / name, content)
        take_place(made, out, old)


def take_place(made: Path, out: Path, old: Path) -> None:
    """The folder `made` is called `out` from now on, and what was there `old`. OSError, and then all is as it was."""
    if out.exists():
        out.rename(old)
    try:
        made.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
