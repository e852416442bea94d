"""Landmarks and one portrait in, frames out: guide noise, identity diffusion, paste-back.

Only node.py and convert.py know ROS.
"""
