"""The page of Meta's errors is what the code says, and says so when it is not."""

from scripts import meta_errors

from gateway.meta.error_rules import RULES


def test_the_page_has_each_row_once():
    lines = meta_errors.document().splitlines()
    for code, subcode in RULES:
        start = f"| {code} | {'-' if subcode is None else subcode} |"
        assert sum(line.startswith(start) for line in lines) == 1


def test_a_page_that_says_something_else_is_found_and_mended(tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("old")
    assert meta_errors.main(["--check", "--document", str(path)]) == 1
    assert "make meta-errors" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert meta_errors.main(["--document", str(path)]) == 0
    assert meta_errors.main(["--check", "--document", str(path)]) == 0


def test_the_page_in_the_repository_is_up_to_date():
    assert meta_errors.main(["--check"]) == 0
