"""Files of one's own, which are in no data set, as samples of one: found, put together, and read as that set reads."""
