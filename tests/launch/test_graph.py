"""The description of the graph: what arguments do, what is refused, that the YAML is what nodes declare."""

import importlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from atl_bringup import graph as graph_module
from atl_bringup.graph import RECORDING_DELAY_S, avatar_graph, environment
from atl_bringup.parameter_file import config_folder, read_parameters
from atl_face.errors import UserError

STAGES = ("audio", "landmark", "diffusion", "display")


@pytest.mark.parametrize("stage", STAGES)
def test_the_yaml_holds_exactly_what_the_node_declares_with_allowed_values(stage):
    declared = {p.name: p for p in importlib.import_module(f"atl_{stage}_node.parameters").PARAMETERS}
    given = read_parameters(config_folder() / "avatar.yaml")[stage]
    assert sorted(given) == sorted(declared)
    assert [problem for name, value in given.items() if (problem := declared[name].problem(value))] == []


def test_defaults_are_the_shipped_clip_looped_on_the_page():
    graph = avatar_graph()
    audio, display = graph.node("audio").parameters, graph.node("display").parameters
    assert (audio["source"], audio["loop"], display["sink"], display["port"]) == ("file", True, "web", 8080)
    assert audio["path"].endswith("default_speech.flac")
    assert graph.node("diffusion").parameters["portrait"] == ""
    assert all(spec.respawn for spec in graph.nodes)


def test_display_is_activated_first_and_audio_last():
    manager = avatar_graph().node("lifecycle_manager")
    order = ["/robot_face/display", "/robot_face/diffusion", "/robot_face/landmark", "/robot_face/audio"]
    assert manager.parameters["nodes"] == order
    assert not any(avatar_graph().node(stage).parameters["autostart"] for stage in STAGES)


def test_a_recording_plays_once_and_its_display_ends_the_graph(tmp_path):
    sound, picture = tmp_path / "a.wav", tmp_path / "b.png"
    sound.touch(), picture.touch()
    graph = avatar_graph(audio=str(sound), portrait=str(picture), out=str(tmp_path / "clip.mp4"))
    display = graph.node("display")
    assert (display.parameters["sink"], display.parameters["out"]) == ("file", str(tmp_path / "clip.mp4"))
    assert graph.node("audio").parameters["loop"] is False
    assert graph.node("audio").parameters["path"] == str(sound)
    assert graph.node("diffusion").parameters["portrait"] == str(picture)
    assert not display.respawn and display.ends_graph(0) and display.ends_graph(1)
    landmark = graph.node("landmark")
    assert landmark.ends_graph(0) and landmark.ends_graph(2) and not landmark.ends_graph(-9)


@pytest.mark.parametrize("word, source", [("mic", "microphone"), ("topic", "topic"), ("silence", "silence")])
def test_words_for_sources_without_a_file(word, source):
    assert avatar_graph(audio=word).node("audio").parameters["source"] == source


def test_a_parameter_file_goes_over_the_shipped_one_and_arguments_over_both(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/robot_face/display:\n  ros__parameters: {port: 9000, host: 0.0.0.0}\n")
    assert avatar_graph(params=str(file)).node("display").parameters["port"] == 9000
    display = avatar_graph(params=str(file), port="9001", display="none").node("display").parameters
    assert (display["port"], display["host"], display["sink"]) == (9001, "0.0.0.0", "none")


def test_a_whole_number_is_a_float_where_one_is_wanted():
    graph = avatar_graph(params={"landmark": {"style": 2}, "display": {"port": 9000}})
    assert repr(graph.node("landmark").parameters["style"]) == "2.0"
    assert repr(graph.node("display").parameters["port"]) == "9000"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"audio": "nosuch.wav"}, "no sound file 'nosuch.wav'"),
        ({"portrait": "nosuch.png"}, "no picture file 'nosuch.png'"),
        ({"display": "hologram"}, "web, window, file, none"),
        ({"display": "file"}, "give out"),
        ({"out": "/nosuch/clip.mp4"}, "folder /nosuch isn.t there"),
        ({"out": "clip.webm"}, "name it clip.mp4"),
        ({"out": "clip.mp4", "display": "web"}, "leave one out"),
        ({"out": "clip.mp4", "audio": "mic"}, "no end"),
        ({"out": "clip.mp4", "loop": True}, "never end"),
        ({"port": "http"}, "port is a number"),
        ({"params": "nosuch.yaml"}, "nosuch.yaml"),
        ({"params": {"nose": {}}}, "no node 'nose'"),
        ({"namespace": "my face"}, "'my face' is no namespace"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        avatar_graph(**arguments)
    assert "\n" not in str(error.value)


def test_ones_own_landmark_network_is_looked_for_before_anything_starts_and_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no landmark network file 'own.onnx'"):
        avatar_graph(params={"landmark": {"network": "own.onnx"}})
    Path("own.onnx").touch()
    own = avatar_graph(params={"landmark": {"network": "own.onnx"}}).node("landmark").parameters["network"]
    assert own == str(tmp_path / "own.onnx")


def test_two_faces_on_one_machine_have_a_namespace_each():
    graph = avatar_graph(audio="silence", namespace="left/face", port=8081, host="0.0.0.0")
    assert {spec.namespace for spec in graph.nodes} == {"/left/face"}
    assert graph.node("lifecycle_manager").parameters["nodes"][0] == "/left/face/display"
    assert graph.node("display").parameters["host"] == "0.0.0.0"


def test_a_section_for_all_nodes_goes_to_those_that_have_the_parameter(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**: {ros__parameters: {use_sim_time: true, seed: 5}}\n/**/audio: {ros__parameters: {pause_s: 1.0}}\n"
                    "audio: {ros__parameters: {voice: de}}\n")  # fmt: skip
    graph = avatar_graph(params=str(file))
    assert all(graph.node(stage).parameters["use_sim_time"] for stage in STAGES)
    assert graph.node("landmark").parameters["seed"] == graph.node("diffusion").parameters["seed"] == 5
    assert "seed" not in graph.node("display").parameters
    audio = graph.node("audio").parameters
    assert (audio["pause_s"], audio["voice"]) == (1.0, "de"), "two sections of one node are both heard"
    file.write_text("/**: {ros__parameters: {seed: 5}}\n/**/diffusion: {ros__parameters: {seed: 7}}\n")
    assert read_parameters(file) == {"landmark": {"seed": 5}, "diffusion": {"seed": 7}}
    file.write_text("/**: {ros__parameters: {sead: 5}}")
    with pytest.raises(UserError, match="no node has a parameter 'sead'"):
        avatar_graph(params=str(file))


def test_a_section_for_another_robots_node_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/other_robot/audio: {ros__parameters: {pause_s: 1.0}}")
    with pytest.raises(UserError, match="/other_robot/audio.*nodes are in /robot_face"):
        avatar_graph(params=str(file))
    assert avatar_graph(params=str(file), namespace="other_robot").node("audio").parameters["pause_s"] == 1.0


def test_a_recording_that_a_parameter_file_asks_for_ends_as_well(tmp_path):
    graph = avatar_graph(params={"display": {"sink": "file", "out": str(tmp_path / "clip.mp4")}})
    assert not graph.node("display").respawn and graph.node("audio").parameters["loop"] is False


def test_a_missing_library_is_told_before_anything_starts(monkeypatch):
    monkeypatch.setitem(graph_module.NEEDED, "nosuch_module", "nosuch-package")
    with pytest.raises(UserError, match="pip install nosuch-package"):
        avatar_graph(audio="silence")


@pytest.mark.parametrize("text", ["[1, 2]", "audio: 3", "{", "audio: {ros__parameters: 3}"])
def test_a_file_that_is_no_parameter_file_is_refused(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="parameter file"):
        avatar_graph(params=str(file))


def test_the_dds_profile_is_there_and_holds_an_image():
    profile = Path(environment()["FASTDDS_DEFAULT_PROFILES_FILE"])
    tag = "{http://www.eprosima.com}"
    root = ElementTree.parse(profile).getroot()
    segment_bytes = int(root.find(f".//{tag}segment_size").text)
    assert segment_bytes >= 10 * 512 * 512 * 3, "the publisher's queue of ten images fits"
    assert int(root.find(f".//{tag}maxMessageSize").text) >= 1080 * 1080 * 3, "an image is sent in one piece"


def test_a_parameter_that_no_node_has_is_refused():
    with pytest.raises(UserError, match="diffusion has no parameter 'ouput_size'.*output_size"):
        avatar_graph(audio="silence", params={"diffusion": {"ouput_size": 720}})
    for every in ({"qos_overrides./robot_face/image_raw.publisher.depth": 2}, {"qos_overrides": {"/robot_face/image_raw": {}}}):
        avatar_graph(audio="silence", params={"diffusion": every})
        with pytest.raises(UserError, match="qos_overrides of /robot_face/image_raw: .* in /left"):
            avatar_graph(audio="silence", namespace="left", params={"diffusion": every})
    with pytest.raises(UserError, match="no parameter True"):
        avatar_graph(audio="silence", params={"diffusion": {True: 1}})


@pytest.mark.parametrize("playout_s, expected_s", [(0.2, 0.4), (0.3, 0.4), (1.0, 1.1)])
def test_an_utterances_silence_outlasts_the_playout_delay(playout_s, expected_s):
    graph = avatar_graph(audio="silence", params={"display": {"playout_delay_s": playout_s}})
    assert graph.node("audio").parameters["pause_s"] == expected_s
    given = avatar_graph(audio="silence", params={"display": {"playout_delay_s": 1.0}, "audio": {"pause_s": 0.5}})
    assert given.node("audio").parameters["pause_s"] == 0.5


@pytest.mark.parametrize("playout_s, expected_s", [(0.3, 0.14), (1.0, 0.84), (0.2, 0.05)])
def test_a_frame_may_be_as_late_as_the_playout_delay_allows(playout_s, expected_s):
    graph = avatar_graph(audio="silence", params={"display": {"playout_delay_s": playout_s}})
    assert graph.node("diffusion").parameters["max_delay_s"] == expected_s
    graph = avatar_graph(audio="silence", params={"diffusion": {"max_delay_s": 0.3}})
    assert graph.node("diffusion").parameters["max_delay_s"] == 0.3


def test_a_recording_drops_nothing_whatever_the_parameter_file_says(tmp_path):
    graph = avatar_graph(out=str(tmp_path / "clip.mp4"), params=str(config_folder() / "avatar.yaml"))
    assert graph.node("diffusion").parameters["max_delay_s"] == RECORDING_DELAY_S
