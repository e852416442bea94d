"""Sound into the graph: files, microphones, topics and text become one paced stream of 20 ms chunks."""
