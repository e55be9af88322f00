"""`python -m misnet --variant S --size 96` prints the layers, shapes and parameters of a network."""

from misnet.models.summary import main
from snncore.__main__ import printing

if __name__ == "__main__":
    with printing():
        main()
