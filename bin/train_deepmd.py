#!/usr/bin/env python3
"""Train a DeePMD model with DeePMD's own tool (dp --pt train, freeze, compress): from nothing, or from a checkpoint (--weights)."""

import sys

from ionmelt.models.frameworks.deepmd_training import main

if __name__ == "__main__":
    sys.exit(main())
