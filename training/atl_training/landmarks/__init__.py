"""Training of the landmark stage: fit weights to tracked faces, train the network, export it, judge it."""
