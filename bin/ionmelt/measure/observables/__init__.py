"""What is measured of every run.

`OBSERVABLES` are the numbers of the liquid that models are judged by, in the order of the report: verdicts, words, figures,
references and the dictionary of the tables read them. A further one is a file of this folder and its row here.
`MEASUREMENTS` are all tables of a run.
"""

from ionmelt.measure.measurement import Measurement, Observable
from ionmelt.measure.observables.compressibility import OBSERVABLE as COMPRESSIBILITY
from ionmelt.measure.observables.conductivity import OBSERVABLE as CONDUCTIVITY
from ionmelt.measure.observables.conductivity import ONSAGER
from ionmelt.measure.observables.density import OBSERVABLE as DENSITY
from ionmelt.measure.observables.diffusion import DISPLACEMENT
from ionmelt.measure.observables.diffusion import OBSERVABLE as DIFFUSION
from ionmelt.measure.observables.domain import DOMAIN
from ionmelt.measure.observables.structure import CONFORMERS, COORDINATION, KINETICS, STRUCTURE
from ionmelt.measure.observables.viscosity import OBSERVABLE as VISCOSITY

OBSERVABLES: tuple[Observable, ...] = (DENSITY, DIFFUSION, CONDUCTIVITY, VISCOSITY, COMPRESSIBILITY)
NAMED = {observable.name: observable for observable in OBSERVABLES}
MEASUREMENTS: tuple[Measurement, ...] = (
    *OBSERVABLES,
    DISPLACEMENT,
    ONSAGER,
    STRUCTURE,
    COORDINATION,
    CONFORMERS,
    KINETICS,
    DOMAIN,
)
