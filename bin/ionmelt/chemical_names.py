"""How the report writes ions and liquids: BF4⁻ and LiBF4, where a study and the tables say bf4 and libf4."""

from pydantic import Field

from ionmelt.settings import SettingsFile

FILE = "names.json"  # of a plan


class ChemicalNames(SettingsFile):
    """What stands for the names of ions and liquids in the report; one that is not here stands as it is."""

    ions: dict[str, str] = Field(default_factory=dict)
    liquids: dict[str, str] = Field(default_factory=dict)

    def ion(self, name: str) -> str:
        """Return how an ion or molecule is written."""
        return self.ions.get(name, name)

    def liquid(self, name: str) -> str:
        """Return how a liquid is written."""
        return self.liquids.get(name, name)

    def pair(self, name: str) -> str:
        """Return how a pair of ions or elements is written, such as li-bf4 or Li-F, or what begins with the name of an ion."""
        sides = name.split("-")
        if len(sides) == 2:
            return "–".join(map(self.ion, sides))
        first, blank, rest = name.partition(" ")
        return self.ion(first) + blank + rest
