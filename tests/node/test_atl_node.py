"""AtlNode over real services and topics: parameters, transitions, diagnostics, and the process's start and end."""

import os
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import String

from atl_face.errors import UserError
from atl_node.describe import descriptor
from atl_node.node import AtlNode, Level
from atl_node.params import Parameter
from atl_node.qos import latched, reliable
from atl_node.watchdog import limit_s

PARAMETERS = [
    Parameter("gain", 1.0, "Loudness.", minimum=0.0, maximum=2.0),
    Parameter("mode", "fast", "Way of working.", choices=("fast", "fine")),
    Parameter("refuse", "", "Transition to refuse."),
]


class Probe(AtlNode):
    """Remembers its transitions; refuses the one that `refuse` names, or breaks in it."""

    def __init__(self, *arguments: str):
        words = ["--ros-args", "-p", "autostart:=false", *arguments]
        self.steps = []
        super().__init__("probe", PARAMETERS, cli_args=words, namespace="/test")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if self.value("refuse") == name:
            raise UserError(f"No {name} today: come back tomorrow.", "closed")
        if self.value("refuse") == f"break {name}":
            raise ZeroDivisionError

    def configure(self):
        self._step("configure")

    def activate(self):
        self._step("activate")

    def deactivate(self):
        self._step("deactivate")

    def cleanup(self):
        self._step("cleanup")

    def diagnostics(self):
        return Level.WARN, "thirsty", {"cups": 3}


@pytest.fixture
def make(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(20 + os.getpid() % 80))
    rclpy.init(args=[])
    made = []

    def make(*arguments: str) -> Probe:
        made.append(Probe(*arguments))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()
    rclpy.shutdown()


def test_parameters_are_declared_with_text_and_range(make):
    node = make()
    described = node.describe_parameter("gain")
    assert described.description == "Loudness."
    assert (described.floating_point_range[0].from_value, described.floating_point_range[0].to_value) == (
        0.0,
        2.0,
    )
    assert node.describe_parameter("mode").additional_constraints == "one of fast, fine"
    assert node.describe_parameter("autostart").read_only


@pytest.mark.parametrize("value, allowed", [("fine", True), ("slow", False)])
def test_choices_are_checked_when_set(make, value, allowed):
    node = make()
    (result,) = node.set_parameters([RosParameter("mode", value=value)])
    assert result.successful is allowed
    assert node.value("mode") == (value if allowed else "fast")


@pytest.mark.parametrize("word", ["mode:=slow", "gain:=3.0", "gain:=loud"])
def test_a_wrong_parameter_at_the_start_is_a_user_error(make, word):
    with pytest.raises(UserError, match=word.split(":")[0]):
        make("-p", word)


def test_a_whole_number_for_a_float_is_told_how_to_write_it(make):
    with pytest.raises(UserError, match=r"gain.*2\.0"):
        make("-p", "gain:=1")
    with pytest.raises(UserError, match="gain") as told:
        make("-p", "gain:=loud")
    assert "2.0" not in str(told.value)


def test_integer_ranges_with_an_open_side():
    described = descriptor(Parameter("seed", 0, "Seed.", minimum=0))
    assert (described.integer_range[0].from_value, described.integer_range[0].to_value) == (0, 2**63 - 1)
    assert not descriptor(Parameter("name", "x", "Name.")).integer_range


def test_a_default_out_of_its_range_is_refused_at_once():
    with pytest.raises(ValueError, match="gain must be at most 2"):
        Parameter("gain", 3, "Loudness.", maximum=2)


def test_the_whole_life(make):
    node = make()
    for trigger in (node.trigger_configure, node.trigger_activate):
        assert trigger() == TransitionCallbackReturn.SUCCESS
    assert node.is_active
    node.end()
    assert node.steps == ["configure", "activate", "deactivate", "cleanup"]
    node.end()
    assert len(node.steps) == 4, "ending twice does nothing more"


@pytest.mark.parametrize("step", ["configure", "activate"])
def test_a_user_error_refuses_the_transition(make, step):
    node = make("-p", f"refuse:={step}")
    results = (
        [node.trigger_configure(), node.trigger_activate()]
        if step == "activate"
        else [node.trigger_configure()]
    )
    assert results[-1] == TransitionCallbackReturn.FAILURE
    assert not node.is_active
    node.set_parameters([RosParameter("refuse", value="")])
    assert (
        node.trigger_configure if step == "configure" else node.trigger_activate
    )().to_label() == "transition_success"


def test_a_bug_in_a_transition_cleans_up_and_leaves_the_node_unconfigured(make):
    node = make("-p", "refuse:=break configure")
    node.trigger_configure()
    assert node.steps == ["configure", "cleanup"]
    assert node._state_machine.current_state[1] == "unconfigured"


def test_diagnostics_tell_state_figures_and_refusals(make):
    node = make("-p", "refuse:=activate")
    heard = []
    node.create_subscription(DiagnosticArray, "/diagnostics", lambda m: heard.append(m.status[0]), 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def wait_for(message: str):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
            if found := [status for status in heard if status.message == message]:
                return found[0]
        raise AssertionError([status.message for status in heard])

    assert wait_for("not active, but unconfigured").name == "/test/probe"
    node.trigger_configure()
    node.trigger_activate()
    refused = wait_for("No activate today: come back tomorrow.")
    assert refused.level == b"\x02" and refused.values[0].value == "closed"
    node.set_parameters([RosParameter("refuse", value="")])
    node.trigger_activate()
    active = wait_for("thirsty")
    assert active.level == b"\x01" and (active.values[0].key, active.values[0].value) == ("cups", "3")
    executor.shutdown()


def test_qos_profiles_and_their_overrides(make):
    assert reliable(7).depth == 7 and reliable(7).durability != DurabilityPolicy.TRANSIENT_LOCAL
    assert latched().durability == DurabilityPolicy.TRANSIENT_LOCAL
    rule = "qos_overrides./test/words.publisher.reliability:=best_effort"
    publisher = make("-p", rule).advertise(String, "words", reliable(7))
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize("wrong", ["reliability:=besteffort", "reliability:=3", "depth:=many"])
def test_an_override_that_is_none_is_told_in_a_sentence(make, wrong):
    node = make("-p", f"qos_overrides./test/words.publisher.{wrong}")
    with pytest.raises(UserError, match="qos_overrides of `words`"):
        node.advertise(String, "words", reliable(7))


ALONE = """
import ctypes
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from atl_node.node import AtlNode
from atl_node.run import run_node
from atl_face.errors import UserError
from atl_node.params import Parameter

def stuck():
    ctypes.PyDLL(None).sleep(6)  # with Python's lock held

class Alone(AtlNode):
    def __init__(self):
        switches = [Parameter(name, False, "x") for name in ("refuse", "bug")]
        super().__init__("alone", [*switches, Parameter("hang", "", "x"), Parameter("unwatched", False, "x")])
        self.halt = threading.Event()
    def configure(self):
        if self.value("refuse"):
            raise UserError("Closed: come back tomorrow.")
    def activate(self):
        print("active", flush=True)
        if self.value("unwatched"):
            self.unwatch()
        if self.value("bug"):
            ThreadPoolExecutor(1).submit(self.halt.wait)  # Python waits for it at its end
            self.create_timer(0.1, lambda: 1 / 0)
        if self.value("hang") == "later":
            self.create_timer(0.1, stuck)
        if self.value("hang") == "in activate":
            stuck()
    def cleanup(self):
        self.halt.set()
        print("cleaned", flush=True)

sys.exit(run_node(Alone))
"""


def alone(*arguments: str, **variables: str) -> subprocess.Popen:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(20 + os.getpid() % 80), **variables}
    command = [sys.executable, "-c", ALONE, "--ros-args", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_alone_a_node_starts_itself_and_ends_within_a_second_of_a_signal(number, code):
    process = alone()
    assert process.stdout.readline() == "active\n"
    time.sleep(0.3)  # idle in the executor's C code
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == code
    assert time.monotonic() - began < 1.0
    assert process.stdout.read() == "cleaned\n"


@pytest.mark.parametrize("variable, value, sentence", [("ROS_DOMAIN_ID", "300", "DDS has domains 0 to 232"),
                                                       ("ROS_DOMAIN_ID", "mine", "ROS can't start: "),
                                                       ("ROS_LOG_DIR", "/proc/logs", "ROS_LOG_DIR is /proc/logs")])  # fmt: skip
def test_an_environment_in_which_ros_can_not_start_is_told_in_a_sentence_and_is_no_crash(variable, value, sentence):
    process = alone(**{variable: value})
    told = process.communicate(timeout=20)[0]
    assert process.returncode == 2 and sentence in told and "Traceback" not in told


def test_a_common_parameter_of_a_wrong_type_is_told_in_a_sentence():
    process = alone("-p", "use_sim_time:=sometimes")
    told = process.communicate(timeout=20)[0]
    assert process.returncode == 2 and "use_sim_time" in told and "Traceback" not in told


def test_alone_a_node_that_refuses_ends_with_its_sentence_and_code_2():
    process = alone("-p", "refuse:=true")
    assert process.wait(20) == 2
    text = process.stdout.read()
    assert "Closed: come back tomorrow." in text and "Traceback" not in text


def test_alone_a_node_with_a_bug_in_a_callback_ends_with_its_traceback_and_code_1():
    process = alone("-p", "bug:=true")
    assert process.wait(20) == 1
    text = process.stdout.read()
    assert "ZeroDivisionError" in text and text.endswith("cleaned\n")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10's watchdog would go by the system's time")
def test_alone_a_node_that_hangs_tells_where_and_ends_with_code_1():
    process = alone("-p", "hang:=later", ATL_HANGS_S="2")
    assert process.wait(20) == 1
    text = process.stdout.read()
    assert text.startswith("active") and "in stuck" in text and "cleaned" not in text


@pytest.mark.parametrize("arguments, limit", [
    ((), "2"), (("hang:=later",), "0"), (("hang:=in activate",), "2"), (("hang:=later", "unwatched:=true"), "2")
])  # fmt: skip
def test_alone_a_node_lives_on_that_works_or_loads_or_is_not_watched(arguments, limit):
    process = alone(*(word for argument in arguments for word in ("-p", argument)), ATL_HANGS_S=limit)
    assert process.stdout.readline() == "active\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(5)  # the limit and a good second more
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


@pytest.mark.parametrize("given, seconds", [("", 30), ("0", 0), ("12.5", 12.5)])
def test_the_limit_of_a_hang_is_the_environments(monkeypatch, given, seconds):
    monkeypatch.setenv("ATL_HANGS_S", given)
    assert limit_s() == seconds


@pytest.mark.parametrize("wrong", ["soon", "nan", "-1", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch, wrong):
    monkeypatch.setenv("ATL_HANGS_S", wrong)
    with pytest.raises(UserError, match="ATL_HANGS_S is a number of seconds"):
        limit_s()


def test_alone_a_limit_that_is_no_number_is_a_user_error():
    process = alone(ATL_HANGS_S="soon")
    assert process.wait(20) == 2
    assert "ATL_HANGS_S is a number of seconds (0: never), not 'soon'" in process.stdout.read()
