"""The description of the graph, the two ways to start it, its lifecycle manager, the command `atl`."""
