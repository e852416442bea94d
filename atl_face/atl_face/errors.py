"""The one error that a user's mistake raises: a sentence that says what is wrong and what to do."""


class UserError(Exception):
    """Bad input or a missing part of the machine, told in one sentence.

    Args:
        sentence: what is wrong and what to do about it; shown as it is, without a traceback.
        code: a short machine-readable reason, e.g. ``no_face`` (see ``SetPortrait.srv``).
    """

    def __init__(self, sentence: str, code: str = "user_error"):
        super().__init__(sentence)
        self.code = code
