"""What an image is made of: a software bill of materials in CycloneDX 1.6, standard library only.

Python distributions come from their metadata and Debian packages from dpkg's table, that is, from
what is really installed. No time, host or random number is in it: equal images have equal bills.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from unstained import __version__
from unstained.files import write_json

SPEC_VERSION: Final = "1.6"
ROOT: Final = "unstained"
DPKG_STATUS: Final = Path("/var/lib/dpkg/status")
OS_RELEASE: Final = Path("/etc/os-release")


def write_sbom(
    path: Path,
    *,
    places: Sequence[str] | None = None,
    dpkg: Path = DPKG_STATUS,
    os_release: Path = OS_RELEASE,
) -> None:
    """Write the bill of what is installed here.

    Args:
        path: the JSON file.
        places: directories that hold Python distributions; sys.path without it.
        dpkg: dpkg's table of packages; a system without it has no Debian packages.
        os_release: names the distribution that these packages belong to.
    """
    found = {
        _normal(distribution.name): distribution
        for distribution in distributions(path=list(sys.path if places is None else places))
    }
    own = found.pop(ROOT, None)
    components = [_python(found[name]) for name in sorted(found)]
    components += _debian(dpkg, os_release)
    edges = [_edges(distribution, found) for _, distribution in sorted(found.items())]
    version = own.version if own else __version__
    root = _component("application", ROOT, version, f"pkg:pypi/{ROOT}@{version}")
    direct = {"ref": root["bom-ref"], "dependsOn": sorted(_ref(found[name]) for name in found)}
    references = "\n".join(component["bom-ref"] for component in [root, *components])
    serial = uuid.uuid5(uuid.NAMESPACE_URL, references)
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": [direct, *edges],
    }
    write_json(path, content)


def _component(kind: str, name: str, version: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
        **more,
    }


def _python(distribution: Distribution) -> dict[str, Any]:
    """One Python distribution, with its licence as its metadata state it."""
    name, version = _normal(distribution.name), distribution.version
    more: dict[str, Any] = {}
    if expression := distribution.metadata.get_all("License-Expression"):
        more["licenses"] = [{"expression": expression[0]}]
    elif names := _licence_names(distribution):
        more["licenses"] = [{"license": {"name": each}} for each in names]
    return _component("library", name, version, _ref(distribution), **more)


def _licence_names(distribution: Distribution) -> list[str]:
    """Names from the classifiers, else the first line of the licence field."""
    classifiers = distribution.metadata.get_all("Classifier") or []
    names = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    stated = distribution.metadata.get_all("License") or []
    return sorted(set(names)) or [text.splitlines()[0] for text in stated if text.strip()]


def _edges(distribution: Distribution, found: dict[str, Distribution]) -> dict[str, Any]:
    """What a distribution requires of what is installed; optional extras are left out."""
    required = [r for r in distribution.requires or [] if not re.search(r"\bextra\s*==", r)]
    names = {_normal(re.split(r"[^\w.-]", text, maxsplit=1)[0]) for text in required}
    wanted = sorted(_ref(found[name]) for name in names & set(found))
    return {"ref": _ref(distribution), "dependsOn": wanted}


def _ref(distribution: Distribution) -> str:
    version = quote(distribution.version, safe=".")
    return f"pkg:pypi/{_normal(distribution.name)}@{version}"


def _normal(name: str) -> str:
    """A distribution's name as the packaging standard (PEP 503) compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _debian(dpkg: Path, os_release: Path) -> list[dict[str, Any]]:
    """Installed Debian packages, by name."""
    if not dpkg.is_file():
        return []
    release = _fields(os_release.read_text(encoding="utf-8").splitlines(), "=")
    family, codename = release["ID"], release.get("VERSION_CODENAME", "")
    components = []
    for paragraph in dpkg.read_text(encoding="utf-8").split("\n\n"):
        package = _fields(paragraph.splitlines(), ":")
        if package.get("Status", "").split()[-1:] != ["installed"]:
            continue
        name, version, machine = package["Package"], package["Version"], package["Architecture"]
        address = (
            f"pkg:deb/{family}/{quote(name, safe='')}@{quote(version, safe='.')}"
            f"?arch={machine}&distro={codename}"
        )
        components.append(_component("library", name, version, address))
    return sorted(components, key=lambda component: str(component["bom-ref"]))


def _fields(lines: Iterable[str], separator: str) -> dict[str, str]:
    """`key<separator>value` lines; continuation lines and comments are left out."""
    pairs = (line.partition(separator) for line in lines if line[:1].isalpha())
    return {key: value.strip().strip('"') for key, _, value in pairs}
