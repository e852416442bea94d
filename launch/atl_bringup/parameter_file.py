"""Parameter files of ROS, read for a graph: whose section is whose."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

from atl_face.errors import UserError

NAMESPACE = "/robot_face"
EVERY = "**"  # a section for all nodes
ANYWHERE = ("", "**", "*")  # namespaces of a section that fit every graph's
EVERY_NODES_PARAMETERS = ("qos_overrides", "use_sim_time", "autostart", "start_type_description_service")

Parameters = dict[str, dict[str, object]]


def config_folder() -> Path:
    """Folder of avatar.yaml and fastdds.xml: installed where the workspace is, else beside the sources."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folder = Path(prefix, "share", "atl_bringup", "config")
        if prefix and folder.is_dir():
            return folder
    return Path(__file__).resolve().parent.parent / "config"


def namespace_of(text: str) -> str:
    """A namespace with its slash; empty is the usual one. UserError: it is none."""
    namespace = f"/{text.strip('/')}" if text else NAMESPACE
    if not re.fullmatch(r"(?!.*__)(/[A-Za-z_]\w*)+", namespace, re.ASCII):
        raise UserError(f"{text!r} is no namespace: give one like {NAMESPACE}.", "bad_parameter")
    return namespace


def has(parameters: dict[str, object], name: object) -> bool:
    """Whether a node with these parameters knows one of this name."""
    return name in parameters or str(name).split(".")[0] in EVERY_NODES_PARAMETERS


def foreign_topic(parameter: object, value: object, namespace: str) -> str:
    """Another namespace's topic that a `qos_overrides` parameter, dotted or nested, is about, "" for none."""
    first, _, rest = str(parameter).partition(".")
    if first != "qos_overrides":
        return ""
    topics = [rest.partition(".")[0]] if rest else list(value) if isinstance(value, dict) else []
    return next((topic for topic in topics if topic.count("/") > 1 and not topic.startswith(f"{namespace}/")), "")


def shipped_parameters() -> Parameters:
    """Every node's parameters, complete, of config/avatar.yaml."""
    return {name: values for _, name, values in _sections(config_folder() / "avatar.yaml")}


def read_parameters(path: Path, namespace: str = NAMESPACE) -> Parameters:
    """{node: {parameter: value}} of a ROS parameter YAML. Keys are `/**/audio`, `/robot_face/audio`, `audio`, or `/**`, whose
    parameters go to every node that has them; what stands later goes over what stands before.

    Raises:
        UserError: it can't be read, isn't one, has a section for a node of another namespace, or one in `/**` that no node has.
    """
    shipped, parameters = shipped_parameters(), {}
    for where, name, values in _sections(path):
        if where not in ANYWHERE and f"/{where}" != namespace:
            raise UserError(f"{path} has a section for /{where}/{name}, and this graph's nodes are in {namespace}: "
                            f"name it /**/{name}.", "bad_parameter")  # fmt: skip
        if name != EVERY:
            parameters.setdefault(name, {}).update(values)
            continue
        for parameter, value in values.items():
            having = [node for node in shipped if has(shipped[node], parameter)]
            if not having:
                raise UserError(f"{path}: no node has a parameter {parameter!r}.", "bad_parameter")
            for node in having:
                parameters.setdefault(node, {})[parameter] = value
    return parameters


def _sections(path: Path) -> list[tuple[str, str, dict[str, object]]]:
    """Namespace without its first slash, node and parameters, in the file's order."""
    try:
        document = yaml.safe_load(path.read_text())
        sections = [(str(key).strip("/").rpartition("/"), dict(value["ros__parameters"])) for key, value in document.items()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Can't read the parameter file {path}: {error}.", "unreadable") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} isn't a ROS parameter file (node name, then ros__parameters, then values).", "unreadable"
        ) from error
    return [(where, name, values) for (where, _, name), values in sections]
