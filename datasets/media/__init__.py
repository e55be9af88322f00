"""Sound, images, video and events: decoding, and from there to arrays of one size for each timestep."""
