"""AtlNode: the lifecycle node that the four stages derive from.

A stage gives its `PARAMETERS` and overrides `configure`, `activate`, `deactivate`, `cleanup` and
`diagnostics`; it raises `UserError` where a user can mend the matter. The rest of being a node is here.
"""

from __future__ import annotations

import time
import traceback
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import InvalidQoSProfileException, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from atl_face.errors import UserError
from atl_node.describe import descriptor
from atl_node.params import AUTOSTART, Parameter, Value
from atl_node.qos import reliable
from atl_node.run import EXIT_USER_ERROR, Stoppable

SILENT_S = 2.0  # without input, an active stage warns
AUTOSTART_DELAY_S = 0.05  # lets discovery begin before a model load blocks the executor


class Level(IntEnum):
    """diagnostic_msgs/DiagnosticStatus.level."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


def _overridable(create, msg_type, topic: str, *rest):
    try:  # `create` is a method of the node
        return create(msg_type, topic, *rest, qos_overriding_options=QoSOverridingOptions.with_default_policies())
    except (RuntimeError, InvalidParameterTypeException, InvalidParameterValueException, InvalidQoSProfileException) as error:
        raise UserError(f"The qos_overrides of `{topic}` can't be used: {error}.", "bad_parameter") from error


class AtlNode(Stoppable, LifecycleNode):
    """A lifecycle node with declared parameters, 1 Hz diagnostics and orderly transitions.

    Args:
        name: node name.
        parameters: declarations of the stage; `autostart` is added.

    Attributes:
        input: the topic that an active stage lives on; it calls `heard` whenever something came on it. Empty: none.

    Raises:
        UserError: a parameter given at the start isn't allowed.
    """

    input = ""

    def __init__(self, name: str, parameters: list[Parameter], **kwargs):
        super().__init__(name, **kwargs)
        self._declared = {p.name: p for p in [*parameters, AUTOSTART]}
        try:
            for parameter in self._declared.values():
                self.declare_parameter(parameter.name, parameter.default, descriptor(parameter))
                if problem := parameter.problem(self.value(parameter.name)):
                    raise UserError(f"{name}: {problem}.", "bad_parameter")
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            hint = " Write a whole number with its point: 2.0." if "'INTEGER', expecting type 'DOUBLE'" in str(error) else ""
            raise UserError(f"{name}: {error}.{hint}", "bad_parameter") from error
        self.add_on_set_parameters_callback(self._check_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", reliable(10))
        self._heard_at = time.monotonic()
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)  # for timers that go on where /clock stands still
        self.create_timer(1.0, self._publish_diagnostics, clock=self.steady)
        if self.value("autostart"):
            self._starter = self.create_timer(AUTOSTART_DELAY_S, self._autostart, clock=self.steady)

    # What a stage overrides. All run in the executor's thread.

    def configure(self) -> None:
        """Load models, open publishers and subscriptions. Raises UserError to refuse."""

    def activate(self) -> None:
        """Begin to work. Raises UserError to refuse."""

    def deactivate(self) -> None:
        """Stop working; what `configure` made stays."""

    def cleanup(self) -> None:
        """Give back what `configure` made; also called at the end, after `deactivate` where active."""

    def diagnostics(self) -> tuple[Level, str, dict[str, object]]:
        """Level, one sentence and figures for /diagnostics; called once a second while active."""
        return Level.OK, "active", {}

    # What a stage uses.

    def value(self, name: str) -> Value:
        """Value of a declared parameter, now."""
        return self.get_parameter(name).value

    def heard(self) -> None:
        """Something came on the topic `input`."""
        self._heard_at = time.monotonic()

    @property
    def is_active(self) -> bool:
        """True between activation and deactivation."""
        return self._state_machine.current_state[1] == "active"

    def advertise(self, msg_type, topic: str, qos: QoSProfile):
        """A publisher whose QoS can be overridden by `qos_overrides.*` parameters; UserError where they are none."""
        return _overridable(self.create_publisher, msg_type, topic, qos)

    def subscribe(self, msg_type, topic: str, callback, qos: QoSProfile):
        """A subscription whose QoS can be overridden by `qos_overrides.*` parameters; UserError where they are none."""
        return _overridable(self.create_subscription, msg_type, topic, callback, qos)

    # Lifecycle transitions: rclpy calls these.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.heard()
        return self._transition(self.activate, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.deactivate, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.cleanup, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        if state.label == "active":
            self._transition(self.deactivate, super().on_deactivate, state)
        if state.label == "unconfigured":
            return super().on_shutdown(state)
        return self._transition(self.cleanup, super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self.cleanup, super().on_error, state)

    def end(self) -> None:
        """Shutdown transition: deactivate and clean up what is active or configured."""
        if self._state_machine.current_state[1] in ("unconfigured", "inactive", "active"):
            self.trigger_shutdown()

    def _transition(self, work, of_rclpy, state: LifecycleState) -> TransitionCallbackReturn:
        """Runs the stage's `work`; a UserError is told in its sentence (FAILURE).

        Anything else is a bug (ERROR): the process ends with 1, so that its supervisor starts a new one.
        """
        self.take_time()
        try:
            work()
        except UserError as error:
            self.get_logger().error(str(error))
            self._tell(Level.ERROR, str(error), {"code": error.code})
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(traceback.format_exc())
            self.finish(1)
            return TransitionCallbackReturn.ERROR
        return of_rclpy(state)

    def _autostart(self) -> None:
        self._starter.cancel()
        for trigger in (self.trigger_configure, self.trigger_activate):
            if (result := trigger()) != TransitionCallbackReturn.SUCCESS:
                self.finish(EXIT_USER_ERROR if result == TransitionCallbackReturn.FAILURE else 1)
                return

    def _check_parameters(self, given) -> SetParametersResult:
        for parameter in given:
            declared = self._declared.get(parameter.name)
            if declared and (problem := declared.problem(parameter.value)):
                return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)

    def _publish_diagnostics(self) -> None:
        state = self._state_machine.current_state[1]
        level, message, figures = self.diagnostics() if state == "active" else (Level.WARN, f"not active, but {state}", {})
        silent_s = time.monotonic() - self._heard_at
        if state == "active" and level < Level.ERROR and self.input and silent_s > SILENT_S:
            level, message = Level.WARN, f"nothing has come on `{self.input}` for {silent_s:.0f} s"
        if level < Level.ERROR and self.get_parameter("use_sim_time").value and not self.get_clock().now().nanoseconds:
            level, message = Level.WARN, "`use_sim_time` is on, but nothing comes on /clock: time stands still"
        self._tell(level, message, figures)

    def _tell(self, level: Level, message: str, figures: dict[str, object]) -> None:
        status = DiagnosticStatus(level=bytes([level]), name=self.get_fully_qualified_name(), message=message)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in figures.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)
