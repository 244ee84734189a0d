#!/usr/bin/env python3
"""Train a MACE model with MACE's own tool, mace_run_train: from nothing, or from a foundation model (--weights)."""

import sys

from ionmelt.models.frameworks.mace_training import main

if __name__ == "__main__":
    sys.exit(main())
