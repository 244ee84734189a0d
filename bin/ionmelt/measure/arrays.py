"""Arrays of numbers; docstrings say their shapes and units."""

from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
