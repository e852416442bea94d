"""The expression that a `say` goal asks for ends with the goal: what was in force before it is put back."""

from collections import deque

ECHOES = 20  # own messages that haven't come back yet; more means that nobody brings them back


class WornExpression:
    """Publishes a goal's expression, and afterwards the last one that somebody else published.

    Args:
        publish: sends a message to the topic `expression`.
        own: what is put back where nobody published any: a message that means the face's own expression.
    """

    def __init__(self, publish, own):
        self._publish, self._in_force = publish, own
        self._echoes = deque(maxlen=ECHOES)
        self._wearer: object | None = None

    def hear(self, message) -> None:
        """A message of the topic, our own ones too: they come back in turn and are left out."""
        if message in self._echoes:
            self._echoes.remove(message)
        else:
            self._in_force = message

    def begin(self, wearer: object, message) -> None:
        """What `wearer` says begins: its expression goes over the one in force."""
        self._wearer = wearer
        self._send(message)

    def end(self, wearer: object) -> None:
        """What `wearer` said is over; does nothing where it wore no expression, or another has begun since."""
        if self._wearer is wearer:
            self._wearer = None
            self._send(self._in_force)

    def _send(self, message) -> None:
        self._echoes.append(message)
        self._publish(message)
