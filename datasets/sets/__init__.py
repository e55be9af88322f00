"""The data sets, one a file, and the bases that they share."""
