"""The list of packages of an image (SBOM), as CycloneDX has it. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

_KINDS = {"python": "pypi", "debian": "deb"}


def bill_of(*, name: str, digest: str, packages: Iterable[Mapping[str, str]], read_at: datetime | None) -> str:
    """JSON of CycloneDX 1.6: the image, and each package with its address among packages (purl)."""
    bill = Bom()
    bill.metadata.component = Component(name=name, version=digest, type=ComponentType.CONTAINER, bom_ref="image")
    if read_at:
        bill.metadata.timestamp = read_at
    licences = LicenseFactory()
    for one in packages:
        kind = _KINDS.get(one.get("kind", ""), "generic")
        address = PackageURL(kind, "debian" if kind == "deb" else None, one["name"], one["version"])
        licence = [licences.make_from_string(one["licence"])] if one.get("licence") else []
        reference = f"{address}#{len(bill.components)}"
        library = Component(name=one["name"], version=one["version"], type=ComponentType.LIBRARY, purl=address, bom_ref=reference, licenses=licence)
        bill.components.add(library)
    bill.register_dependency(bill.metadata.component, bill.components)
    return str(make_outputter(bill, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1))
