"""Constants of nature whose values the SI defines (2019): exact."""

BOLTZMANN_J_K = 1.380649e-23
ELEMENTARY_CHARGE_C = 1.602176634e-19
