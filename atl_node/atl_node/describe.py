"""The rcl descriptor of a declared parameter."""

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from atl_node.params import Parameter

INT64_MAX = 2**63 - 1
FLOAT_OPEN = 1e300  # an open side of a float range: infinity isn't valid in every tool that shows it


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """The rcl descriptor of a declaration: text, range and read-only flag."""
    described = ParameterDescriptor(description=parameter.description, read_only=parameter.read_only)
    if parameter.choices is not None:
        described.additional_constraints = "one of " + ", ".join(map(str, parameter.choices))
    if (parameter.minimum, parameter.maximum) != (None, None):
        low, high = parameter.minimum, parameter.maximum
        if isinstance(parameter.default, float):
            low = -FLOAT_OPEN if low is None else float(low)
            high = FLOAT_OPEN if high is None else float(high)
            described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            low = -INT64_MAX if low is None else int(low)
            high = INT64_MAX if high is None else int(high)
            described.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    return described
