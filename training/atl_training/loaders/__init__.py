"""Folders of talking-head videos, in the layouts in which data sets are published, as shards (`atl_training.shards`)."""
