"""Drawn fundus photographs: for the demonstration, the tests and the documentation, where no patient may appear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn_lesions import Lesion, add_lesions, veil
from ocunet_pacs.imaging.drawn_scene import add_disc, add_macula, add_nerve_fibres, background, compose, finish
from ocunet_pacs.imaging.drawn_vessels import add_vessels, grow_tree

if TYPE_CHECKING:
    from collections.abc import Collection

    from ocunet_pacs.domain.ports import RgbImage

__all__ = ["Lesion", "draw_fundus"]


def draw_fundus(
    *,
    seed: int,
    laterality: Laterality,
    size: tuple[int, int] = (1024, 768),
    lesions: Collection[Lesion] = (),
) -> RgbImage:
    """A fundus in a 45 degree field on black, uint8 (height, width, 3); `size` is (width, height) in pixels.

    The same arguments give the same picture. The eye is the same with and without lesions. `laterality` must be a
    side: the disc is at the right of a right eye's picture, at the left of a left eye's. ValueError otherwise, and
    for sides under 64 pixels.
    """
    if laterality is Laterality.UNKNOWN:
        raise ValueError("a drawn eye is a right or a left one")
    if min(size) < 64:
        raise ValueError(f"{size[0]} x {size[1]} pixels are too few for a fundus")
    anatomy, camera, disease = (np.random.default_rng([seed, part]) for part in range(3))
    scene = compose(anatomy, *size, nasal=1 if laterality is Laterality.RIGHT else -1)
    image = background(anatomy, scene)
    add_nerve_fibres(anatomy, scene, image)
    add_macula(anatomy, scene, image)
    cup_to_disc = anatomy.uniform(0.28, 0.42)
    add_disc(anatomy, scene, image, 0.82 if Lesion.CUPPING in lesions else cup_to_disc)
    add_vessels(scene, image, grow_tree(anatomy, scene))
    add_lesions(disease, scene, image, lesions)
    if Lesion.MEDIA_HAZE in lesions:
        image = veil(disease, scene, image)
    return finish(camera, scene, image)
