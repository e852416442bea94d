"""The shared vocabulary of ATL Avatar: what every room means by a landmark, a crop, an emotion, a clip. No ROS."""
