"""The two ways a job ends early that are not our mistakes: the user must change something, or wants it to stop."""


class UserError(Exception):
    """Something the user can put right.

    Attributes:
        message: one plain sentence saying what is wrong.
        hint: one plain sentence saying what to do, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Cancelled(Exception):
    """The user asked to stop; finished stages stay cached."""
