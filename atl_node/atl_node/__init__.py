"""What the lifecycle nodes of ATL Avatar share: `params` (free of ROS) `node`, `qos`, `describe`, `run`."""
