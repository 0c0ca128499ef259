"""What the drift watch keeps of a study that was just examined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.drift import Observation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.study import StoredInstance
    from ocunet_pacs.pipeline.examine import Examined


def observations(instances: Sequence[StoredInstance], examined: Examined) -> list[Observation]:
    """Of each frame of these instances whose pixels were measured."""
    ids = {instance.sop_instance_uid: instance.id for instance in instances}
    found = []
    for image in examined.images:
        seen = examined.seen.get((image.sop_instance_uid, image.frame))
        if seen is None or image.sop_instance_uid not in ids:
            continue
        found.append(
            Observation(
                instance_id=ids[image.sop_instance_uid],
                frame=image.frame,
                camera=seen.camera,
                measures=dict(image.quality) | dict(seen.appearance),
                scores={score.label: score.probability for score in image.scores},
                refused=image.reasons[0].code.value if image.reasons else "",
                pattern=seen.pattern,
            )
        )
    return found
