"""How words are put on a page."""

from podsupd.cli.output import one_line


def test_what_a_command_wrote_stays_on_its_line() -> None:
    """A probe's output of many lines does not tear the table of probes."""
    assert one_line("wget: bad address\n\tsecond line\n") == "wget: bad address second line"
    assert one_line("x" * 500, 10) == "x" * 9 + "…"
    assert one_line("") == ""
