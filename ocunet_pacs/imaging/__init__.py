"""Files to pixels to the network's input, and the photographs that we draw ourselves."""
