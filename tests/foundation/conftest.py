"""Put tests/ on the path, for what the tests of several environments share."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
