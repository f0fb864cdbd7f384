"""How the Dockerfile and .dockerignore are read where no container engine is."""

import pytest
from scripts.image.context import Context
from scripts.image.dockerfile import UnknownStepError, read_dockerfile
from scripts.rehearse_image import ROOT


def written(tmp_path, text):
    path = tmp_path / "Dockerfile"
    path.write_text(text)
    return path


def test_stages_arguments_and_continued_lines(tmp_path):
    path = written(
        tmp_path,
        '# what\nARG BASE=debian\nFROM ${BASE} AS build\nENV A=1 \\\n    B="two words"\n'
        "RUN --mount=type=cache,target=/c one \\\n    # between\n    && two\nFROM $BASE\n",
    )
    build, last = read_dockerfile(path, {"BASE": "other"})
    assert (build.base, build.name, last.base) == ("other", "build", "other")
    env, run = build.instructions
    assert env.pairs({}) == {"A": "1", "B": "two words"}
    assert run.flags() == ({"mount": "type=cache,target=/c"}, "one && two")


def test_what_is_not_known_is_refused(tmp_path):
    with pytest.raises(UnknownStepError, match="ADD"):
        read_dockerfile(written(tmp_path, "FROM a\nADD b c\n"), {})
    (stage,) = read_dockerfile(written(tmp_path, "FROM a\nENTRYPOINT gateway api\n"), {})
    with pytest.raises(UnknownStepError, match="JSON"):
        stage.instructions[0].listed()


def test_the_image_needs_no_shell_and_no_user_of_the_system():
    last = read_dockerfile(ROOT / "Dockerfile", {})[-1]
    steps = {step.word: step for step in last.instructions}
    assert steps["ENTRYPOINT"].listed() == ["gateway"]
    assert steps["CMD"].listed() == ["api"]
    assert steps["USER"].rest == "65534:65534"
    assert steps["STOPSIGNAL"].rest == "SIGTERM"


def test_the_context_has_what_is_let_through_alone(tmp_path):
    (tmp_path / ".dockerignore").write_text("*\n!src\n!one.txt\n**/__pycache__\n")
    for name in ("src/a/b.py", "src/a/__pycache__/b.pyc", "one.txt", "two.txt", ".env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    context = Context(tmp_path)
    assert [str(path) for path in context.files(".")] == ["one.txt", "src/a/b.py"]


def test_our_context_has_no_secret_and_no_test():
    names = {path.parts[0] for path in Context(ROOT).files(".")}
    assert names == {
        "LICENSE",
        "README.md",
        "migrations",
        "pyproject.toml",
        "scripts",
        "src",
        "uv.lock",
    }
