"""`import _checkout` lets a command run from a checkout that was never installed: it puts the root on the path."""

import sys
from pathlib import Path

if (root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, root)
