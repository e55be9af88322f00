"""Networks and a data set that the project does not know: each is one module and one entry."""
