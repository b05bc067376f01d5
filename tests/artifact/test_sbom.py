"""The bill of materials follows CycloneDX 1.6 and names what is installed."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from unstained.artifact.sbom import write_sbom

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: shared libraries
 Version: of the description, no field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1:2.0

Package: base-files
Status: install ok installed
Architecture: all
Version: 1:12.4
"""
SERIAL = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def add(folder: Path, name: str, number: str, *fields: str) -> None:
    place = folder / f"{name}-{number}.dist-info"
    place.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {number}", *fields]
    (place / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def bill(tmp_path: Path) -> dict[str, Any]:
    add(tmp_path, "unstained", "0.1.0", "Requires-Dist: Some_Thing")
    add(
        *(tmp_path, "Some_Thing", "1.0+cpu", "License-Expression: MIT"),
        *("Requires-Dist: other[fast]>=2; python_version > '3'", "Requires-Dist: absent"),
        *('Requires-Dist: tests.only; extra == "dev"', "Requires-Dist: optional; extra=='x'"),
    )
    add(tmp_path, "other", "2.1", "Classifier: License :: OSI Approved :: BSD License")
    add(tmp_path, "tests.only", "1", "License: Apache 2.0")
    add(tmp_path, "optional", "1")
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    return written(tmp_path)


def written(folder: Path) -> dict[str, Any]:
    path = folder / "sbom.json"
    write_sbom(path, places=[str(folder)], dpkg=folder / "status", os_release=folder / "os-release")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_it_has_the_structure_of_cyclonedx(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(SERIAL, bill["serialNumber"])
    root = bill["metadata"]["component"]
    assert (root["type"], root["name"], root["version"]) == ("application", "unstained", "0.1.0")
    for component in bill["components"]:
        assert component["type"] == "library"
        assert {"bom-ref", "name", "version", "purl"} <= set(component)
        for choice in component.get("licenses", []):
            assert set(choice) in ({"expression"}, {"license"})
    references = [component["bom-ref"] for component in [root, *bill["components"]]]
    assert len(set(references)) == len(references)
    for entry in bill["dependencies"]:
        assert {entry["ref"], *entry["dependsOn"]} <= set(references)


def test_it_names_python_and_debian_packages(bill: dict[str, Any]) -> None:
    assert [component["purl"] for component in bill["components"]] == [
        "pkg:pypi/optional@1",
        "pkg:pypi/other@2.1",
        "pkg:pypi/some-thing@1.0%2Bcpu",
        "pkg:pypi/tests-only@1",
        "pkg:deb/debian/base-files@1%3A12.4?arch=all&distro=bookworm",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=bookworm",
    ]
    licences = {component["name"]: component.get("licenses") for component in bill["components"]}
    assert licences["some-thing"] == [{"expression": "MIT"}]
    assert licences["other"] == [{"license": {"name": "BSD License"}}]
    assert licences["tests-only"] == [{"license": {"name": "Apache 2.0"}}]
    assert licences["optional"] is None


def test_dependencies_are_those_that_are_not_optional(bill: dict[str, Any]) -> None:
    edges = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    assert edges["pkg:pypi/some-thing@1.0%2Bcpu"] == ["pkg:pypi/other@2.1"]
    assert edges["pkg:pypi/other@2.1"] == []


def test_equal_contents_give_equal_bytes_and_others_another_serial(
    bill: dict[str, Any], tmp_path: Path
) -> None:
    before = (tmp_path / "sbom.json").read_bytes()
    written(tmp_path)
    assert (tmp_path / "sbom.json").read_bytes() == before
    add(tmp_path, "newcomer", "1")
    assert written(tmp_path)["serialNumber"] != bill["serialNumber"]


def test_the_environment_that_runs_this_is_listed(tmp_path: Path) -> None:
    write_sbom(tmp_path / "sbom.json", dpkg=tmp_path / "none")
    bill = json.loads((tmp_path / "sbom.json").read_text())
    found = {component["name"]: component["version"] for component in bill["components"]}
    for name in ("numpy", "onnxruntime", "torch"):
        assert found[name] == version(name)
