"""What others say in the log shows as text."""

import logging

import pytest

from ombdriver.bench.logs import log_to_standard_error

HOSTILE = "\x1b[2J\x9b31m\r\n\u202eOK redis://bench:HUNTER2x@h/0"
logger = logging.getLogger(__name__)


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
def test_a_message_is_one_line_without_signs_that_a_terminal_obeys(
    level: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And without a password, whether it is the message or its argument."""
    end = log_to_standard_error(level)
    logger.warning("the server says %s", HOSTILE)
    logger.warning(HOSTILE)
    end()

    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & set(said)
    assert said.count("\\x1b[2J\\x9b31m\\x0d\\x0a\\u202eOK redis://bench:***@h/0") == 2


def test_a_traceback_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """In which there is nothing of the kind either."""
    end = log_to_standard_error()
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("a look failed")
    end()

    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "\n    raise ValueError(HOSTILE)\n" in said
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & set(said)
    assert "HUNTER" not in said


def test_what_is_logged_after_the_end_is_not_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that ends leaves the log as it was."""
    log_to_standard_error()()
    end = log_to_standard_error(logging.INFO)
    logger.info("once")
    end()
    logger.info("never")

    assert [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines()] == ["once"]
