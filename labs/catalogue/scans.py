"""What a scanner's report (Trivy's or Grype's JSON) says of an image. Pure; nothing is known of an image without one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Worst first.
SEVERITIES = ("critical", "high", "medium", "low", "unknown")
SHOWN = 20


class BadReport(Exception):
    """It is no report that is understood; in words."""


@dataclass(frozen=True, slots=True)
class Findings:
    """`worst`: dicts of id, package, severity and fixed (the version that mends it, or empty). `digests`: of the image that was looked at."""

    scanner: str
    counts: Mapping[str, int]
    worst: tuple[Mapping[str, str], ...]
    digests: tuple[str, ...]


def findings_of(report: Any) -> Findings:
    """A whole report; BadReport for anything else."""
    try:
        if "Results" in report and "SchemaVersion" in report:
            return _trivy(report)
        if "matches" in report and "descriptor" in report:
            return _grype(report)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReport("The report is damaged: it lacks parts that every report has.") from error
    raise BadReport("This is no report of Trivy or Grype. Make one by: trivy image --format json --output report.json IMAGE")


def _trivy(report: Mapping[str, Any]) -> Findings:
    about = report.get("Metadata") or {}
    rows = [
        {"id": one["VulnerabilityID"], "package": one["PkgName"], "severity": one.get("Severity", ""), "fixed": one.get("FixedVersion", "")}
        for result in report["Results"] or []
        for one in result.get("Vulnerabilities") or []
    ]
    return _sorted("Trivy", rows, [about.get("ImageID", ""), *about.get("RepoDigests", [])])


def _grype(report: Mapping[str, Any]) -> Findings:
    about = (report.get("source") or {}).get("target") or {}
    rows = [
        {
            "id": one["vulnerability"]["id"],
            "package": one["artifact"]["name"],
            "severity": one["vulnerability"].get("severity", ""),
            "fixed": ", ".join((one["vulnerability"].get("fix") or {}).get("versions") or []),
        }
        for one in report["matches"]
    ]
    return _sorted("Grype", rows, [about.get("imageID", ""), about.get("manifestDigest", ""), *about.get("repoDigests", [])])


def _sorted(scanner: str, rows: list[dict[str, str]], digests: list[str]) -> Findings:
    known = {(row["id"], row["package"]): row | {"severity": _severity(row["severity"])} for row in rows}
    ordered = sorted(known.values(), key=lambda row: (SEVERITIES.index(row["severity"]), row["id"]))
    counts = Counter(row["severity"] for row in ordered)
    plain = tuple(sorted({digest.rpartition("@")[2] for digest in digests if digest}))
    return Findings(scanner, {name: counts[name] for name in SEVERITIES if counts[name]}, tuple(ordered[:SHOWN]), plain)


def _severity(said: str) -> str:
    return said.lower() if said.lower() in SEVERITIES else "low" if said.lower() == "negligible" else "unknown"
