"""Parameter files of ROS, read for a graph: whose section is whose, and what no node has."""

from __future__ import annotations

from pathlib import Path

import yaml

from atl_face.errors import UserError

NAMESPACE = "/robot_face"
EVERY = "**"  # a section for all nodes
ANYWHERE = ("", "**", "*")  # namespaces of a section that fit every graph's
EVERY_NODES_PARAMETERS = ("qos_overrides", "use_sim_time", "autostart", "start_type_description_service")

Parameters = dict[str, dict[str, object]]


def read_parameters(path: Path, namespace: str = NAMESPACE) -> Parameters:
    """{node name, or EVERY: {parameter: value}} of a ROS parameter YAML. Keys are `/**/audio`, `/robot_face/audio`, `audio` or
    `/**`; what is said later goes over what was said before.

    Raises:
        UserError: it can't be read, isn't one, or has a section for a node of another namespace.
    """
    try:
        document = yaml.safe_load(path.read_text())
        sections = [(str(key), dict(value["ros__parameters"])) for key, value in document.items()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Can't read the parameter file {path}: {error}.", "unreadable") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} isn't a ROS parameter file (node name, then ros__parameters, then values).", "unreadable"
        ) from error
    parameters: Parameters = {}
    for key, values in sections:
        where, _, name = key.strip("/").rpartition("/")
        if where not in ANYWHERE and f"/{where}" != namespace:
            raise UserError(
                f"{path} has a section for {key}, and this graph's nodes are in {namespace}: name it /**/{name}.", "bad_parameter"
            )
        parameters.setdefault(name, {}).update(values)
    return parameters


def put_over(parameters: Parameters, extra: Parameters) -> None:
    """Change the graph's complete `parameters` by some of a file; EVERY's go to each node that has them.

    Raises:
        UserError: there is no such node, or it has no such parameter.
    """
    for name, values in extra.items():
        if name not in parameters and name != EVERY:
            known = ", ".join(parameters)
            raise UserError(f"There is no node {name!r}: the nodes are {known}.", "bad_parameter")
        targets = list(parameters) if name == EVERY else [name]
        for parameter, value in values.items():
            for_all = str(parameter).split(".")[0] in EVERY_NODES_PARAMETERS
            having = [target for target in targets if for_all or parameter in parameters[target]]
            if not having and name == EVERY:
                raise UserError(f"No node has a parameter {parameter!r}.", "bad_parameter")
            if not having:
                raise UserError(f"{name} has no parameter {parameter!r}: it has {', '.join(parameters[name])}.", "bad_parameter")
            for target in having:
                parameters[target][parameter] = value
