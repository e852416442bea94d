"""The one description of the graph: nodes, parameters, respawn, lifecycle order, environment. Free of ROS.

`launch/avatar.launch.py` makes launch actions of it, `supervise.py` plain processes; neither knows more.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from atl_bringup.parameter_file import (
    NAMESPACE,
    Parameters,
    config_folder,
    foreign_topic,
    has,
    namespace_of,
    read_parameters,
    shipped_parameters,
)
from atl_face.errors import UserError
from atl_face.files import clip_to_write, existing_file

DISPLAYS = ("web", "window", "file", "none")
PAUSE_MORE_S = 0.1  # that an utterance's silence is longer than the display's delay
SPENT_S = 0.16
"""What of the playout delay a frame has used when all goes well: its 40 ms of sound, 80 ms of look-ahead, 40 ms to be drawn
and sent. A frame that is behind the best ones by more than the rest of the delay would not be shown in time."""
LEAST_DELAY_S = 0.05
RECORDING_DELAY_S = 60.0  # the most that a frame of a recording may fall behind its sound before it is dropped
NEEDED = {"av": "av", "soxr": "soxr", "soundfile": "soundfile", "openvino": "openvino", "cv2": "opencv-python-headless",
          "scipy": "scipy", "numpy": "numpy"}  # module -> what pip calls it: without it a stage can't even start  # fmt: skip
# Exit codes that say why a node ended: anything else is a crash, and the node is started again.
EXIT_DONE, EXIT_USER_ERROR = 0, 2


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph.

    Args:
        package, executable: what `ros2 run` would be given.
        name, namespace: of the node.
        parameters: name -> value, complete.
        remappings: (from, to) pairs.
        respawn: started again after a crash. A node that isn't ends the graph, with its own exit code.
        activation: place in the order of activation; None for a node that isn't a lifecycle node.
    """

    package: str
    executable: str
    name: str
    namespace: str = NAMESPACE
    parameters: dict[str, object] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    respawn: bool = True
    activation: int | None = None

    @property
    def full_name(self) -> str:
        return f"{self.namespace.rstrip('/')}/{self.name}"

    def ends_graph(self, exit_code: int) -> bool:
        """Whether this node's end with `exit_code` is the end of the graph."""
        return not self.respawn or exit_code in (EXIT_DONE, EXIT_USER_ERROR)


@dataclass(frozen=True)
class Graph:
    """All processes of the graph and the environment that they start in (under what the user's own sets)."""

    nodes: tuple[NodeSpec, ...]
    environment: dict[str, str]

    def node(self, name: str) -> NodeSpec:
        return next(spec for spec in self.nodes if spec.name == name)


def avatar_graph(
    audio: str = "",
    portrait: str = "",
    display: str = "",
    out: str = "",
    port: int | str = "",
    host: str = "",
    loop: bool | None = None,
    namespace: str = "",
    params: str | Parameters = "",
) -> Graph:
    """The graph of the robot's face. Every argument may be empty: then the parameter files decide.

    Args:
        audio: a sound or video file, or `mic`, `topic`, `silence`; empty is the shipped speech clip.
        portrait: a picture file; empty is the shipped synthetic face.
        display: web, window, file or none; `out` implies file.
        out: clip to record; the graph ends when the sound ends.
        port, host: TCP port of the page, and the address that it is bound to (0.0.0.0: every one of this machine).
        loop: play the file for ever; None means yes, but not with `out`.
        namespace: of all nodes and topics; empty is robot_face. Two faces on one machine have two (and two ports).
        params: a parameter YAML that goes over config/avatar.yaml, or the same as {node: {name: value}}.

    Raises:
        UserError: a file or a library that isn't there, a word that isn't known, arguments that contradict one another.
    """
    _look_for_libraries()
    namespace = namespace_of(namespace)
    extra = params or {}
    if isinstance(extra, str | Path):
        extra = read_parameters(existing_file(extra, "parameter file"), namespace)
    parameters = all_parameters(extra, namespace)
    _set_display(parameters["display"], display, out, port, host, (audio, portrait))
    recording = parameters["display"]["sink"] == "file"
    _set_audio(parameters["audio"], audio, loop, recording)
    if portrait:
        parameters["diffusion"]["portrait"] = _existing(portrait, "picture")
    if isinstance(network := parameters["landmark"]["network"], str) and network:
        parameters["landmark"]["network"] = _existing(network, "landmark network")
    playout_s = parameters["display"]["playout_delay_s"]
    if isinstance(playout_s, int | float) and "pause_s" not in extra.get("audio", {}):
        # a display that is this far behind still plays the end of an utterance when the next one's stream begins
        parameters["audio"]["pause_s"] = max(parameters["audio"]["pause_s"], round(playout_s + PAUSE_MORE_S, 3))
    if recording:
        # Nobody watches a recording live: on a machine that is too slow, frames come late, but all of them, and whole.
        parameters["diffusion"] |= {"max_delay_s": RECORDING_DELAY_S, "governor": False}
    elif "max_delay_s" not in extra.get("diffusion", {}) and isinstance(playout_s, int | float):
        parameters["diffusion"]["max_delay_s"] = max(LEAST_DELAY_S, round(playout_s - SPENT_S, 3))

    stages = [
        _stage(place, name, namespace, parameters[name], respawn=not (name == "display" and recording))
        for place, name in enumerate(("display", "diffusion", "landmark", "audio"))
    ]
    return Graph(nodes=(*stages, manager(stages)), environment=environment())


def all_parameters(extra: Parameters, namespace: str) -> Parameters:
    """Every node's parameters, complete: those of config/avatar.yaml, and `extra` over them.

    Raises:
        UserError: a node or a parameter that isn't known, or QoS of another namespace's topic.
    """
    parameters = shipped_parameters()
    for name, values in extra.items():
        if name not in parameters:
            raise UserError(f"There is no node {name!r}: the nodes are {', '.join(parameters)}.", "bad_parameter")
        for parameter, value in values.items():
            if topic := foreign_topic(parameter, value, namespace):
                raise UserError(f"qos_overrides of {topic}: this graph's topics are in {namespace}.", "bad_parameter")
            if not has(parameters[name], parameter):
                known = ", ".join(parameters[name])
                raise UserError(f"{name} has no parameter {parameter!r}: it has {known}.", "bad_parameter")
        parameters[name] |= {key: _as_number(value, parameters[name].get(key)) for key, value in values.items()}
    return parameters


def manager(stages: list[NodeSpec]) -> NodeSpec:
    """The lifecycle manager that brings `stages` up, as one more node of the graph."""
    order = [spec.full_name for spec in sorted(stages, key=lambda spec: spec.activation)]
    name = "lifecycle_manager"
    return NodeSpec("atl_bringup", name, name, namespace=stages[0].namespace, parameters={"nodes": order})


def _as_number(value: object, shipped: object) -> object:
    """A whole number as a float where one is wanted: `style: 2` is meant as 2.0, though ROS would refuse it."""
    return float(value) if type(value) is int and isinstance(shipped, float) else value


def environment() -> dict[str, str]:
    """Variables that make the graph work well; one that the user has set himself is left as it is."""
    return {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(config_folder() / "fastdds.xml"),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",  # the profile is Fast DDS's
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",  # a face and a microphone are nobody else's business
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] {message}",  # launchers put the name before
        "OPENBLAS_NUM_THREADS": "1",  # its threads spin on the cores that others need
        "PYTHONUNBUFFERED": "1",  # messages appear when they are made
    }


def _look_for_libraries() -> None:
    """Raises UserError where a library is missing without which a stage could only be started again and again."""
    if missing := [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]:
        raise UserError(f"Python packages are missing: run `pip install {' '.join(missing)}` (docs/ros2.md).", "not_built")


def _stage(place: int, name: str, namespace: str, parameters: dict[str, object], respawn: bool) -> NodeSpec:
    return NodeSpec(
        package=f"atl_{name}_node",
        executable="node",
        name=name,
        namespace=namespace,
        parameters={**parameters, "autostart": False},
        respawn=respawn,
        activation=place,
    )


def _set_audio(parameters: dict[str, object], audio: str, loop: bool | None, recording: bool) -> None:
    sources = {"mic": "microphone", "microphone": "microphone", "topic": "topic", "silence": "silence"}
    if audio in sources:
        parameters["source"] = sources[audio]
    elif audio:
        parameters["source"], parameters["path"] = "file", _existing(audio, "sound")
    if parameters["source"] == "file" and not parameters["path"]:
        parameters["path"] = default_speech()
    if recording and parameters["source"] != "file":
        raise UserError(
            "A clip ends when its sound ends, and this sound has no end: give a sound file.", "no_end"
        )
    if recording and loop:
        raise UserError("A clip of a looped sound would never end: leave out `out` or `loop`.", "no_end")
    if loop is not None or recording:
        parameters["loop"] = bool(loop)


def _set_display(parameters: dict[str, object], display: str, out: str, port: int | str, host: str,
                 sources: tuple[str, ...]) -> None:  # fmt: skip
    if display and display not in DISPLAYS:
        raise UserError(f"display is one of {', '.join(DISPLAYS)}, not {display!r}.", "bad_parameter")
    if out and display not in ("", "file"):
        raise UserError(f"A clip is recorded by display file, not {display}: leave one out.", "bad_parameter")
    if display == "file" and not (out or parameters["out"]):
        raise UserError("display file needs the clip to write: give out.", "no_out")
    if out:
        display, parameters["out"] = "file", str(clip_to_write(out, *sources))
    if display:
        parameters["sink"] = display
    if host:
        parameters["host"] = host
    if port != "":
        try:
            parameters["port"] = int(port)
        except ValueError as error:
            raise UserError(f"port is a number, not {port!r}.", "bad_parameter") from error


def default_speech() -> str:
    """Path of the speech clip that atl_audio_node ships, found without importing the package."""
    package = importlib.util.find_spec("atl_audio_node")
    if package is None:
        raise UserError("The package atl_audio_node isn't installed: run make setup.", "not_built")
    return str(Path(package.submodule_search_locations[0]) / "data" / "default_speech.flac")


def _existing(path: str, what: str) -> str:
    return str(existing_file(path, f"{what} file").resolve())
