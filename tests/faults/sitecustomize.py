"""Planted in every Python process that has this folder in $PYTHONPATH: points at which the product waits or hangs.

Python imports this module when it starts. What happens at a point is asked of the folder $PLANTED_FAULTS whenever
somebody comes to it; `Faults` in this package writes it down there. Nothing in the product knows of this.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.util import find_spec
from pathlib import Path

POINTS = {
    "pass": ("ocunet_pacs.model.predictor", "Predictor.classify"),
    "analysis": ("ocunet_pacs.pipeline.steps", "analyse"),
    "decoding": ("ocunet_pacs.imaging.decode", "frames"),
    "storing": ("ocunet_pacs.store.files", "Files.put"),
}
"""The network's pass, the step of a worker's thread around it, the decoder of one file, in its own process, and the
writing of a result.
"""


def come_to(point: str, folder: Path) -> None:
    """Leave word, and do there what the folder says."""
    (folder / f"{point}.reached").touch()
    try:
        (folder / f"{point}.hang").rename(folder / f"{point}.hung")
    except FileNotFoundError:
        pass
    else:
        while True:
            time.sleep(3600)
    while (folder / f"{point}.hold").exists():
        time.sleep(0.02)


class Planting(MetaPathFinder, Loader):
    """Finds the modules that have a point, runs them as they are, and puts the point before the function."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.looking = False

    def find_spec(self, name, path=None, target=None):
        if self.looking or name not in {module for module, _ in POINTS.values()}:
            return None
        self.looking = True
        try:
            spec = find_spec(name)
        finally:
            self.looking = False
        self.real, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        self.real.exec_module(module)
        for point, (name, function) in POINTS.items():
            if name == module.__name__:
                self.plant(module, point, function)

    def plant(self, module, point, function):
        owner = module
        *classes, name = function.split(".")
        for one in classes:
            owner = getattr(owner, one)
        real = getattr(owner, name)

        @functools.wraps(real)
        def planted(*arguments, **named):
            come_to(point, self.folder)
            return real(*arguments, **named)

        setattr(owner, name, planted)


if "PLANTED_FAULTS" in os.environ:
    sys.meta_path.insert(0, Planting(Path(os.environ["PLANTED_FAULTS"])))
