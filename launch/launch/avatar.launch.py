"""ros2 launch atl_bringup avatar.launch.py audio:=… portrait:=… display:=… out:=… port:=… host:=…
loop:=… namespace:=… params:=… ends_launch:=…

Turns the description in atl_bringup.graph into launch actions; every decision is there. A mistake is an exception here:
launch prints its sentence, ends everything and exits with 1 (it has no other way to a code that isn't 0). A robot's own
launch file that includes this one gives ends_launch:=false: a face that ends then takes nothing along.
"""

from collections.abc import Callable

from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction
from launch.events import Shutdown, matches_action
from launch.events.process import ProcessExited, ShutdownProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from atl_bringup.graph import EXIT_DONE, NodeSpec, avatar_graph
from atl_bringup.parameter_file import NAMESPACE
from atl_face.errors import UserError
from launch import LaunchContext, LaunchDescription

ARGUMENTS = {
    "audio": "sound or video file, or mic, topic, silence; empty: the shipped speech clip",
    "portrait": "picture of one face; empty: the shipped synthetic face",
    "display": "web, window, file or none; empty: web, or file where out is given",
    "out": "clip to record; the graph ends with its sound",
    "port": "TCP port of the page; empty: 8080",
    "host": "address of the page; empty: 127.0.0.1, this machine alone; 0.0.0.0: every one that it has",
    "loop": "true or false: play the file for ever; empty: true unless out is given",
    "namespace": "of nodes and topics; empty: robot_face",
    "params": "parameter YAML over config/avatar.yaml",
    "ends_launch": "true or false: whether everything that is launched ends with the face; empty: true",
}
RESPAWN_DELAY_S = 0.5
BOOLEANS = {"": None, "true": True, "false": False}


def typed(value):
    """A parameter's value; a text is marked as one, or launch_ros would read `no` as false."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


class End:
    """What happens when a node has ended the graph: the launch ends with it, or the graph's other nodes alone."""

    def __init__(self, of_launch: bool):
        self._of_launch, self.nodes, self._done = of_launch, [], False

    def __call__(self, reason: str, failed: bool) -> list:
        if self._of_launch:
            if failed:
                raise RuntimeError(f"{reason}, and the graph with it: its own messages say why.")
            return [EmitEvent(event=Shutdown(reason=reason))]
        if self._done:  # the others' ends, one by one
            return []
        self._done = True
        others = [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(node))) for node in self.nodes]
        why = ": its own messages say why" if failed else ""
        return [LogInfo(msg=f"{reason}, and the face with it{why}; what else was launched goes on."), *others]


def action_of(spec: NodeSpec, environment: dict[str, str], end: Callable[[str, bool], list]) -> Node:
    """The launch action of one node: run, watched and started again as the description says.

    environment: variables for this process alone; a launch file that includes ours keeps its own.
    end: gives the actions for when this node ends the graph.
    """

    def look_at_end(event: ProcessExited, context: LaunchContext):
        if context.is_shutdown or not spec.ends_graph(event.returncode):
            return []
        return end(f"{spec.name} ended with exit code {event.returncode}", event.returncode != EXIT_DONE)

    return Node(
        package=spec.package,
        executable=spec.executable,
        exec_name=spec.name,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[{name: typed(value) for name, value in spec.parameters.items()}],
        remappings=list(spec.remappings),
        output="screen",
        emulate_tty=False,
        additional_env=environment,
        respawn=spec.respawn,
        respawn_delay=RESPAWN_DELAY_S,
        on_exit=look_at_end,
    )


def actions(context: LaunchContext) -> list:
    """Reads the arguments, builds the graph, and gives its nodes as actions."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if pushed := context.launch_configurations.get("ros_namespace", "").strip("/"):  # by an including file's PushRosNamespace
        if not given["namespace"].startswith("/"):  # as launch_ros has it
            given["namespace"] = f"{pushed}/{given['namespace'] or NAMESPACE.strip('/')}"
    loop, ends_launch = (boolean(name, given.pop(name)) for name in ("loop", "ends_launch"))
    graph, end = avatar_graph(loop=loop, **given), End(of_launch=ends_launch is not False)
    unset = {name: value for name, value in graph.environment.items() if name not in context.environment}
    end.nodes = [action_of(spec, unset, end) for spec in graph.nodes]
    return end.nodes


def boolean(name: str, text: str) -> bool | None:
    """An argument that is true, false or empty. Raises UserError: it is something else."""
    if text.lower() not in BOOLEANS:
        raise UserError(f"{name} is true or false, not {text!r}.")
    return BOOLEANS[text.lower()]


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value="", description=text) for name, text in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=actions)])
