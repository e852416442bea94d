"""Sound in, 68 landmarks out, streaming. Only node.py and convert.py know ROS."""
