"""Writes the table of all figures that are kept."""

from benchmarks import figures


def main(_words: list[str]) -> None:
    """Print what is kept."""
    for name, figure in figures.kept()["figures"].items():
        print(f"{name:52}{figure['value']:>14,.3f} {figure['unit']}")
