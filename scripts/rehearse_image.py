"""Go through the Dockerfile's steps on this machine, where no container engine is.

Needs Linux and root. What comes out is a tree of files under `build/image`; `make test-container`
does the same and then runs every role there.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
# Python looks for what a script imports beside the script alone.
sys.path.insert(0, str(ROOT))

from scripts.image.base import stand_in_for_the_base  # noqa: E402 - needs the path
from scripts.image.build import Builder, Image  # noqa: E402 - needs the path
from scripts.image.dockerfile import UnknownStepError  # noqa: E402 - needs the path


def rehearse(scratch: Path) -> Image:
    """Build the image's tree, and tell each step.

    Raises:
        UnknownStepError: The Dockerfile has a step that nobody here knows.
        subprocess.CalledProcessError: A step failed.
    """
    base = stand_in_for_the_base(scratch)
    return Builder(
        ROOT, scratch=scratch, base=base, say=lambda line: print(line, flush=True)
    ).build()


def main(arguments: Sequence[str]) -> int:
    """Build; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--clean", action="store_true", help="make the stand-in for the base image anew"
    )
    scratch = ROOT / "build" / "image"
    if parser.parse_args(arguments).clean:
        shutil.rmtree(scratch, ignore_errors=True)
    try:
        image = rehearse(scratch)
    except (UnknownStepError, subprocess.CalledProcessError) as error:
        print(f"The rehearsal failed: {error}", file=sys.stderr)
        return 1
    print(f"The image's files are in {image.tree}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
