"""Files of a format, read whole into arrays or texts: archives, IDX, pickles, events, HDF5."""
