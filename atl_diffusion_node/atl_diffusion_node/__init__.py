"""Landmarks and one portrait in, frames out: guide noise, identity diffusion, paste-back.

Only node.py and convert.py know ROS.
"""
import os

# Before numpy is loaded, however the node is started: for small products OpenBLAS wakes threads that then spin for as long as a
# frame takes, on the core that draws the other view.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
