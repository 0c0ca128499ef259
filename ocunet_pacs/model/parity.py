"""That a prepared runtime says what torch says: torch's answer to a drawn picture is kept beside the prepared network.

So whoever loads it can compare without torch.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.imaging.preprocess import apply, to_tensor_array
from ocunet_pacs.model.calibration import probabilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from ocunet_pacs.model.runtime import Numbers

PARITY: Final = 1e-4
"""How far a probability from the prepared runtime may be from torch's."""
LOGIT_PARITY: Final = 1e-2
"""How far its logits may be, as a share of torch's norm: a probability near 0 or 1 would hide another network."""
MAP_PARITY: Final = 1e-2
"""How far its maps may be on average: at a single point rounding may fill or empty the map of a label without one."""
_STEPS: Final = 255.0


class Answer(BaseModel):
    """What torch says of `parity_picture`: `logits` (labels), and `maps` (labels, h, w) in 255 steps, as base64."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    logits: list[float]
    shape: list[int]
    maps: str

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        """Of the numbers of one picture."""
        logits, maps = numbers[0][0], numbers[1][0]
        steps = np.rint(np.clip(maps, 0.0, 1.0) * _STEPS).astype(np.uint8)
        return cls(logits=logits.tolist(), shape=list(maps.shape), maps=base64.b64encode(steps.tobytes()).decode())

    def compare(self, said: Numbers, temperature: ArrayLike, runtime: str) -> None:
        """BundleError unless `said`, of the same picture, is the same within `PARITY`, `LOGIT_PARITY`, `MAP_PARITY`."""
        exact, logits = np.asarray(self.logits, np.float32), said[0][0]
        # Written so that a NaN refuses.
        if not (logits.shape == exact.shape and np.linalg.norm(logits - exact) <= LOGIT_PARITY * np.linalg.norm(exact)):
            raise BundleError(f"{runtime} gives other logits than torch")
        moved = np.abs(probabilities(exact, temperature) - probabilities(logits, temperature)).max()
        if not moved <= PARITY:
            raise BundleError(f"{runtime} gives other probabilities than torch")
        maps = said[1][0]
        if not (list(maps.shape) == self.shape and np.abs(maps - self._maps()).mean() <= MAP_PARITY):
            raise BundleError(f"{runtime} gives other maps than torch")

    def _maps(self) -> NDArray[np.float64]:
        steps = np.frombuffer(base64.b64decode(self.maps), np.uint8)
        return steps.reshape(self.shape) / _STEPS


def parity_picture(spec: PreprocessSpec) -> NDArray[np.float32]:
    """A drawn picture that makes every layer answer, normalised: float32 (1, 3, side, side)."""
    return to_tensor_array(spec, apply(spec, _disc(spec.image_size)).pixels)[None]


def _disc(side: int) -> RgbImage:
    """A lit disc with a gradient on black, uint8 (side, side, 3): enough structure for every layer to answer."""
    rows, columns = np.mgrid[:side, :side] / side
    lit = (rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.2
    shades = np.stack([200 - 60 * rows, 90 + 40 * columns, 40 + 20 * rows], axis=-1)
    disc: RgbImage = (shades * lit[..., None]).astype(np.uint8)
    return disc
