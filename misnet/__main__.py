"""`python -m misnet --variant S --size 96` prints the layers, shapes and parameters of a network."""

from misnet.models.summary import main

if __name__ == "__main__":
    main()
