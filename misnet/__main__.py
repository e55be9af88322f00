"""`python -m misnet --variant S --size 96` prints the layers, shapes and parameters of a network."""

from misnet.models.summary import main
from misnet.tools.toolkit import run_tool

if __name__ == "__main__":
    run_tool(main)
