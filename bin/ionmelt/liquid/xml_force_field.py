"""A user's OpenMM force field as a file: what can be wrong with it before OpenMM reads it."""

from pathlib import Path
from xml.etree import ElementTree

# Elements of a force field that OpenMM runs as Python, or reads another file for.
CODE_TAGS = {"Script", "InitializationScript", "Include"}


def problem_of_xml(path: Path) -> str | None:
    """Return why a file is no force field that may be used, None where nothing speaks against it."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two: of its encoding
        return f"is not XML: {error}"
    if root.tag == "System":
        return "is OpenMM's <System> of one box, not a <ForceField>: give the force field that it was made with"
    if root.tag != "ForceField":
        return f"begins with <{root.tag}>: OpenMM's <ForceField> is needed"
    if forbidden := sorted({element.tag for element in root.iter()} & CODE_TAGS):
        return f"<{forbidden[0]}>: a force field may not bring a program or other files; leave it out"
    return None
