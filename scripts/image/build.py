"""Goes through a Dockerfile's steps in folders of this machine, where no container engine is."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.image.context import Context
from scripts.image.dockerfile import Instruction, Stage, UnknownStepError, read_dockerfile
from scripts.image.room import Room, network_mounts, network_trust

# What the base image itself sets.
_BASE_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
# How this machine reaches the package index, if it needs more than a name server.
_NETWORK_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")


@dataclass(slots=True)
class Image:
    """A tree of files, and how what is in it is started."""

    tree: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(_BASE_ENVIRONMENT))
    directory: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def room(
        self, environment: Mapping[str, str] | None = None, mounts: Mapping[str, Path] | None = None
    ) -> Room:
        """Return where commands run as in a container of this image."""
        return Room(
            self.tree,
            directory=self.directory,
            environment={**self.environment, **(environment or {})},
            mounts=network_mounts() | dict(mounts or {}),
        )


class Builder:
    """Builds the images of one Dockerfile into folders under `scratch`."""

    def __init__(
        self,
        root: Path,
        *,
        scratch: Path,
        base: Path,
        arguments: Mapping[str, str] | None = None,
        say: Callable[[str], object] = lambda _line: None,
    ) -> None:
        """Describe a build.

        Args:
            root: The repository, with its Dockerfile and .dockerignore.
            scratch: Where trees go; emptied of earlier ones.
            base: The tree that every FROM of an image from outside gets.
            arguments: Build arguments.
            say: Told each step before it is taken.
        """
        self._context = Context(root)
        self._scratch = scratch
        self._base = base
        self._arguments = dict(arguments or {})
        self._stages = read_dockerfile(root / "Dockerfile", self._arguments)
        self._images: dict[str, Image] = {}
        self._say = say

    def build(self) -> Image:
        """Go through all steps, and return the last stage's image.

        Raises:
            UnknownStepError: There is a step that nobody here knows.
            subprocess.CalledProcessError: A step failed.
        """
        image: Image | None = None
        for number, stage in enumerate(self._stages):
            image = self._build(stage, f"stage-{number}")
            self._images[stage.name or str(number)] = image
        if image is None:
            raise UnknownStepError("there is no FROM")
        return image

    def _build(self, stage: Stage, folder: str) -> Image:
        if stage.base in self._images:
            raise UnknownStepError("nobody here builds a stage on a stage")
        self._say(f"FROM {stage.base}")
        tree = self._scratch / folder
        shutil.rmtree(tree, ignore_errors=True)
        self._scratch.mkdir(parents=True, exist_ok=True)
        _copy_as_it_is(self._base, tree)
        image = Image(tree)
        variables: dict[str, str] = {}
        for instruction in stage.instructions:
            self._say(f"{instruction.word} {instruction.rest}")
            self._take(image, instruction, variables)
        return image

    def _take(self, image: Image, step: Instruction, variables: dict[str, str]) -> None:
        match step.word:
            case "ARG":
                name, _, default = step.rest.partition("=")
                variables[name] = self._arguments.get(name, default)
            case "RUN":
                self._run(image, step, variables)
            case "COPY":
                self._copy(image, step)
            case "WORKDIR":
                image.directory = step.rest
                _inside(image.tree, step.rest).mkdir(parents=True, exist_ok=True)
            case "ENV":
                image.environment |= step.pairs(image.environment | variables)
            case "LABEL":
                image.labels |= step.pairs(image.environment | variables)
            case _:
                _configure(image, step)

    def _run(self, image: Image, step: Instruction, variables: Mapping[str, str]) -> None:
        flags, command = step.flags()
        mounts = network_mounts() | network_trust(image.tree)
        if "mount" in flags:
            target = self._cache(flags.pop("mount"))
            mounts[target] = self._scratch / "cache" / target.strip("/").replace("/", "-")
            mounts[target].mkdir(parents=True, exist_ok=True)
            _inside(image.tree, target).mkdir(parents=True, exist_ok=True)
        if flags:
            raise UnknownStepError(f"nobody here knows the flags {', '.join(flags)} of RUN")
        room = Room(
            image.tree,
            directory=image.directory,
            environment=image.environment | dict(variables) | _from_this_machine(),
            mounts=mounts,
        )
        _call(room.step(["/bin/sh", "-c", command]))

    @staticmethod
    def _cache(mount: str) -> str:
        options = dict(each.partition("=")[::2] for each in mount.split(","))
        if options.get("type") != "cache":
            raise UnknownStepError(f"nobody here knows the mount {mount}")
        return options["target"]

    def _copy(self, image: Image, step: Instruction) -> None:
        flags, rest = step.flags()
        *sources, target = rest.split()
        origin = flags.pop("from", None)
        if flags:
            raise UnknownStepError(f"nobody here knows the flags {', '.join(flags)} of COPY")
        for source in sources:
            if origin is not None:
                there = _inside(image.tree, target)
                there.parent.mkdir(parents=True, exist_ok=True)
                here = _inside(self._images[origin].tree, source)
                _copy_as_it_is(here, there)
            else:
                self._copy_from_context(image, source, target)

    def _copy_from_context(self, image: Image, source: str, target: str) -> None:
        place = _inside(image.tree, os.path.join(image.directory, target))  # noqa: PTH118
        files = list(self._context.files(source))
        if not files:
            raise UnknownStepError(f"{source} is not in the context")
        for file in files:
            is_whole_folder = (self._context.root / source).is_dir()
            beneath = file.relative_to(source) if is_whole_folder else Path(file.name)
            goes_into = is_whole_folder or target.endswith("/")
            copy = place / beneath if goes_into else place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._context.root / file, copy)


def _configure(image: Image, step: Instruction) -> None:
    match step.word:
        case "USER":
            image.user = step.rest
        case "VOLUME":
            image.volumes += step.rest.split()
        case "EXPOSE":
            image.ports += [int(port) for port in step.rest.split()]
        case "STOPSIGNAL":
            image.stop_signal = step.rest
        case "ENTRYPOINT":
            image.entrypoint = step.listed()
        case "CMD":
            image.command = step.listed()
        case "HEALTHCHECK":
            word, _, rest = step.flags()[1].partition(" ")
            image.health_check = Instruction(word, rest).listed()
        case _:
            raise UnknownStepError(f"nobody here knows {step.word}")


def _copy_as_it_is(source: Path, target: Path) -> None:
    # With owners, links and times, which shutil would not keep.
    _call(["/bin/cp", "--archive", str(source), str(target)])


def _inside(tree: Path, path: str) -> Path:
    return tree / path.lstrip("/")


def _from_this_machine() -> dict[str, str]:
    environment = os.environ  # noqa: TID251 - of the machine, not of the project
    found = {name: environment[name] for name in _NETWORK_VARIABLES if environment.get(name)}
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    return found | {"SSL_CERT_FILE": certificates, "PIP_CERT": certificates}


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
