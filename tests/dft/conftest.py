"""Put tests/ on the path, for the salts that the tests of the engines share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
