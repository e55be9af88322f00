"""`import _checkout` lets a command run from a checkout that was never installed: it puts the root on the path.

Ctrl-C while modules load, which takes a second or two, ends the command with status 130 and without a traceback.
"""

import sys
from pathlib import Path

if (root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, root)

shown = sys.excepthook
sys.excepthook = lambda kind, *rest: None if issubclass(kind, KeyboardInterrupt) else shown(kind, *rest)
