"""The command lines, one a file; `python tools/NAME.py` in a checkout, `misnet-NAME` once installed."""
