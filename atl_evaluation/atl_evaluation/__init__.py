"""Judges a talking face, without ROS: metrics, the sync expert, recorded bags through the stages' cores, reports, verdicts."""
