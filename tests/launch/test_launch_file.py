"""The launch file makes, of the same arguments, the processes that `atl run` makes; needs ROS's `launch`."""

import importlib.util
import os

import pytest
from PIL import Image

from atl_bringup.graph import avatar_graph
from atl_bringup.parameter_file import config_folder
from atl_bringup.supervise import find_executable

WHERE = "isn't on the package index: only a ROS 2 installation has it"
# Not `launch`, which is also a folder of this repository.
pytest.importorskip("launch_ros", reason=f"launch_ros {WHERE}")


def loaded(**arguments: str):
    """The launch context after, and the actions of, avatar.launch.py with these launch arguments."""
    from launch import LaunchContext

    path = config_folder().parent / "launch" / "avatar.launch.py"
    spec = importlib.util.spec_from_file_location("avatar_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    *declared, read = module.generate_launch_description().entities
    for action in declared:
        action.execute(context)
    return context, read.execute(context)


def parameters_of(node, context) -> dict[str, object]:
    """What the action will write into the node's parameter file; arrays as lists."""
    from launch_ros.utilities import evaluate_parameters

    (given,) = evaluate_parameters(context, node._Node__parameters)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


@pytest.mark.parametrize(
    "arguments", [{}, {"display": "none", "port": "9000"}, {"audio": "mic"}, {"out": "clip.mp4"},
                  {"namespace": "left", "host": "0.0.0.0"}]
)
def test_both_ways_build_the_same_graph(arguments):
    from launch_ros.actions import Node

    context, actions = loaded(**arguments)
    graph = avatar_graph(**arguments)
    nodes = [action for action in actions if isinstance(action, Node)]
    for node, spec in zip(nodes, graph.nodes, strict=True):
        node._perform_substitutions(context)
        assert node.node_name == spec.full_name
        assert node.cmd[0][0].perform(context) == find_executable(spec.package, spec.executable)
        assert parameters_of(node, context) == spec.parameters
        assert node.expanded_remapping_rules in (None, list(spec.remappings))
        assert node._ExecuteLocal__respawn == spec.respawn

        given = {"".join(part.perform(context) for part in name): "".join(part.perform(context) for part in value)
                 for name, value in node.process_description.additional_env}  # fmt: skip
        assert given == {name: value for name, value in graph.environment.items() if name not in os.environ}
    assert len(actions) == len(nodes), "only nodes: what else it did would be done to a launch file that includes it"


@pytest.mark.parametrize("namespace, expected", [("", "/robot1/robot_face"), ("left", "/robot1/left")])
def test_a_robots_pushed_namespace_stands_before_the_faces(namespace, expected):
    from launch_ros.actions import Node

    context, actions = loaded(namespace=namespace, ros_namespace="/robot1")
    for node in (action for action in actions if isinstance(action, Node)):
        node._perform_substitutions(context)
        assert node.node_name.startswith(f"{expected}/")
    assert parameters_of(actions[-1], context)["nodes"][0] == f"{expected}/display"


def test_texts_that_look_like_something_else_stay_texts(tmp_path):
    """`no` is a voice, not false; 2024 is a clip, not a number."""
    from launch_ros.actions import Node

    file = tmp_path / "mine.yaml"
    file.write_text("audio: {ros__parameters: {voice: 'no'}}\ndisplay: {ros__parameters: {out: '2024'}}")
    context, actions = loaded(params=str(file))
    nodes = {a._Node__node_name: parameters_of(a, context) for a in actions if isinstance(a, Node)}
    assert (nodes["audio"]["voice"], nodes["display"]["out"]) == ("no", "2024")


@pytest.mark.parametrize("ends_launch, code", [("true", 1), ("false", 0)])
def test_a_face_that_fails_takes_a_robots_own_nodes_along_only_if_asked(tmp_path, ends_launch, code):
    from launch.actions import ExecuteProcess, IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchDescription, LaunchService

    nobody = tmp_path / "nobody.png"
    Image.new("RGB", (256, 256), "teal").save(nobody)
    survived = tmp_path / "survived"
    waits = 20 if ends_launch == "false" else 120  # seconds, longer than a face takes to fail
    own = ExecuteProcess(cmd=["python3", "-c", f"import time; time.sleep({waits}); open({str(survived)!r}, 'w')"])
    source = PythonLaunchDescriptionSource(str(config_folder().parent / "launch" / "avatar.launch.py"))
    arguments = {"portrait": str(nobody), "display": "none", "ends_launch": ends_launch, "namespace": f"ends_{ends_launch}"}
    service = LaunchService()
    face = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    service.include_launch_description(LaunchDescription([own, face]))
    assert service.run() == code
    assert survived.exists() == (ends_launch == "false")


@pytest.mark.parametrize(
    "arguments, sentence",
    [({"loop": "maybe"}, "loop is true or"), ({"ends_launch": "2"}, "ends_launch is true or"), ({"audio": "no.wav"}, "no.wav")],
)
def test_mistakes_end_the_launch_in_one_sentence_and_with_1(arguments, sentence, caplog):
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchService

    path = config_folder().parent / "launch" / "avatar.launch.py"
    service = LaunchService()
    source = PythonLaunchDescriptionSource(str(path))
    service.include_launch_description(IncludeLaunchDescription(source, launch_arguments=arguments.items()))
    assert service.run() == 1
    assert sentence in caplog.text and "Traceback" not in caplog.text
