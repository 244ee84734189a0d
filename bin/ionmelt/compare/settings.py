"""What a study says of the comparison of its models."""

from pydantic import create_model

from ionmelt.measure.observables import OBSERVABLES
from ionmelt.settings import Real, Section, number

# One field for each property of the liquid, such as density_percent
Margins = create_model(
    "Margins",
    __base__=Section,
    __doc__="Differences that do not matter: two models within one of each other are equivalent.",
    **{
        f"{observable.name}_percent": (
            Real | None,
            number(
                None,
                0.001,
                100,
                f"difference in {observable.words} that does not matter (percent of the truth or reference)",
            ),
        )
        for observable in OBSERVABLES
    },
)  # type: ignore[call-overload]
