"""A checkpoint as OcuNet's trainer writes it, but small: its numbers learned nothing and find something in each eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def calibration() -> str:
    """`calibration.yaml` as OcuNet writes it. Numbers by chance give a half: every label is above its threshold."""
    from ocunet_pacs.domain.labels import LABELS

    lines = "".join(f"  {label.name}: {{threshold: 0.3}}\n" for label in LABELS)
    return f"temperature: 1.1926\nthresholds:\n{lines}"


def write_checkpoint(path: Path) -> None:
    """EfficientNet-B0 and thirty labels; about 16 MB."""
    import torch

    from ocunet_pacs.domain.labels import LABELS
    from ocunet_pacs.model.network import build_network

    torch.manual_seed(20)
    state = {}
    for index, (name, value) in enumerate(build_network("efficientnet_b0", len(LABELS)).state_dict().items()):
        ours = name.startswith("backbone.")
        last = name.rpartition(".")[2]
        state[f"backbone.features.{index}.{last}" if ours else f"classifier.{name.removeprefix('head.')}"] = value
    content = {
        "epoch": 74,
        "model_state_dict": state,
        "metrics": {"mAP": 0.5},
        "best_val_mAP": 0.5,
        "config": {"model": {"architecture": "efficientnet_b0"}},
        "class_names": [label.name for label in LABELS],
        "threshold": 0.5,
    }
    torch.save(content, path)
