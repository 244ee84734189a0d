#!/usr/bin/env python3
"""Compare a model with the labels of frames that it was not trained on."""

import sys

from ionmelt.models.evaluation import main

if __name__ == "__main__":
    sys.exit(main())
