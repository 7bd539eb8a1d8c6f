"""The weights of the server's environment, through its `vp3d models …` as a child process."""

from .environment import Environment
from .task import Task

MIRROR_VARIABLE = "VP3D_MODELS_MIRROR"
"""Environment variable with the address to download from instead of the official ones; the server reads it."""

_STAGES = {"list": "Looking", "import": "Importing", "remove": "Removing"}


class ModelsTask(Task):
    """One `vp3d models WORDS`, started as it is made. Its `result["models"]` is the list of weights afterwards."""

    name = "model manager"
    stopped = ("The download was stopped.", "What has arrived is kept: the next one goes on from there.")

    def __init__(self, environment: Environment, *words: str, mirror: str = "") -> None:
        super().__init__()
        command = [str(environment.python), "-I", "-B", "-u", "-X", "utf8", "-m", "vp3d", "models", "--child"]
        verb, *rest = words
        self.stage = _STAGES.get(verb, self.stage)
        try:
            self.start(
                [*command, verb, "--json", *rest],
                environment.home,
                **({MIRROR_VARIABLE: mirror} if mirror else {}),
            )
        except OSError as error:
            self.fail(f"The model manager cannot be started: {error.strerror or error}.", "Repair the pose server.")
