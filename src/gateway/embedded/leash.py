"""Become another program that ends when its parent does.

Run as a script, with nothing but the standard library, because it must be quick and must work
under any user: `python leash.py SIGNAL PARENT USER COMMAND…`.

- SIGNAL (`TERM`) is what the kernel sends the program when the parent dies, however it dies. Only
  Linux can do that (prctl(2), PR_SET_PDEATHSIG); elsewhere the program is merely started, and
  whoever starts it again in the same directory ends the one left over (`directory.py`).
- PARENT is the expected parent's process id; `parent` means whoever it is now.
- USER is `uid:gid` to run as, or `-` for no change.

The kernel ties the signal to the *thread* that started the program, so that has to be one that
lives as long as its process.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 126


def main(arguments: list[str]) -> None:
    """Replace this process with the command; never returns."""
    death_signal, parent, user, *command = arguments
    expected_parent = os.getppid() if parent == "parent" else int(parent)
    if user != "-":
        uid, gid = map(int, user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user, which would have cleared it.
        number = signal.Signals[f"SIG{death_signal}"].value
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != expected_parent:
            # It died in between, and nobody would tell us any more.
            sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - running a command is all this does
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the only channel
        sys.exit(_CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1:])
