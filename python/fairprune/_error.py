class Error(Exception):
    """What the engine refuses, in the words of the commands.

    `exit_code` is the exit code of a command: 1 a fault of fairprune, 2 usage, 3 data, 4 device, 5 not finite, 6 model file.
    """

    exit_code: int

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
