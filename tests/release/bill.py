"""The list of parts (SBOM) as CycloneDX JSON: what an installation consists of, with versions, licences and digests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tests.release.parts import US, needed_by_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tests.release.licences import Accepted
    from tests.release.parts import Part


class NotValid(Exception):
    """What was made does not keep CycloneDX's schema; the text is the validator's."""


def bill(
    wheel: Path,
    version: str,
    parts: Sequence[Part],
    accepted: Accepted,
    digests: Mapping[str, tuple[str, str]],
    made: datetime,
) -> str:
    """The document. The same arguments make the same text: its serial number is the wheel's. NotValid."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    us = Component(
        name=US,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=US,
        purl=PackageURL("pypi", name=US, version=version),
        licenses=[LicenseFactory().make_from_string("MIT")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    components = {part.name: _component(part, accepted, digests) for part in parts}
    document = Bom(components=components.values(), serial_number=uuid5(NAMESPACE_URL, digest))
    document.metadata.timestamp = made
    document.metadata.component = us
    document.register_dependency(us, [components[name] for name in needed_by_us()])
    for part in parts:
        document.register_dependency(components[part.name], [components[name] for name in part.needs])
    text = JsonV1Dot6(document).output_as_string(indent=2) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise NotValid(str(wrong))
    return text


def _component(part: Part, accepted: Accepted, digests: Mapping[str, tuple[str, str]]) -> Component:
    """Required where the daemon does not run without it, optional where an extra brings it."""
    links = [ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(part.homepage))] if part.homepage else []
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digests[part.name][1])] if part.name in digests else []
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{part.name}=={part.version}",
        scope=ComponentScope.REQUIRED if "" in part.extras else ComponentScope.OPTIONAL,
        purl=PackageURL("pypi", name=part.name, version=part.version),
        licenses=[LicenseFactory().make_from_string(accepted.licence(part))],
        hashes=hashes,
        external_references=links,
    )
