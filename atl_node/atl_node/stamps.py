"""Stamps of messages as whole nanoseconds, and back: floats would lose the last of them."""

from builtin_interfaces.msg import Time

SECOND_NS = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """A stamp as nanoseconds on the ROS clock."""
    return stamp.sec * SECOND_NS + stamp.nanosec


def to_time(time_ns: int) -> Time:
    """Nanoseconds on the ROS clock as a stamp."""
    seconds, nanoseconds = divmod(time_ns, SECOND_NS)
    return Time(sec=seconds, nanosec=nanoseconds)
