#!/usr/bin/env python3
"""Train a model with the tool of its framework: from nothing, or from weights (--weights)."""

import sys

from ionmelt.models.train import main

if __name__ == "__main__":
    sys.exit(main())
