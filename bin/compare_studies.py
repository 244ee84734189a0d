#!/usr/bin/env python3
"""Put two finished results side by side: what changed in the study, and what changed in the numbers."""

import sys

from ionmelt.compare.two_studies import main

if __name__ == "__main__":
    sys.exit(main())
