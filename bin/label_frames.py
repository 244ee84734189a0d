#!/usr/bin/env python3
"""Label the frames of a chunk with energy, forces and stress from one electronic-structure engine."""

import signal
import sys

from ionmelt.labels.labelling import end, main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    sys.exit(main())
