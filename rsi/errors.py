"""The one exception tree of this project.

RsiError                    one sentence that tells its reader what to do; carries the exit code
├── UsageError         (2)  the command line, a task or a file the user named is not right
├── EnvironmentFault   (3)  something outside us is missing: an engine, an image, a key, disk space
│   └── EngineLost     (3)  the container engine went away; the run pauses and can be resumed
└── IntegrityError     (1)  a record does not hold: a chain, a blob, a commit, a decision

Anything else that escapes is a bug in this project and is shown as one.
"""


class RsiError(Exception):
    """A failure with a sentence for the user; `exit_code` is what the process ends with."""

    exit_code = 1


class UsageError(RsiError):
    """The user can mend this by changing what they typed or wrote."""

    exit_code = 2


class EnvironmentFault(RsiError):
    """The user can mend this by changing the machine: `rsi doctor` says how."""

    exit_code = 3


class EngineLost(EnvironmentFault):
    """The container engine stopped answering while it was needed."""


class IntegrityError(RsiError):
    """A record was altered, is missing, or does not re-derive."""

    exit_code = 1
