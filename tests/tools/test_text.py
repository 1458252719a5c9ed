"""Values as text: whole where they are short, and otherwise with a word about what is left out."""

from forethought_tools.text import as_text, clipped, one_line, shortened


def test_a_string_stays_as_it_is_and_anything_else_is_json() -> None:
    assert as_text("a {left} \u00fc") == "a {left} \u00fc"
    assert as_text({"a": ["\u00fc", None]}) == '{"a": ["\u00fc", null]}'


def test_what_is_too_long_is_shortened_with_a_count() -> None:
    assert shortened("abcd", 4) == "abcd"
    assert shortened("abcdef", 4) == "abcd\n[cut: 2 more characters]"
    assert shortened([1, 2], 3, "... ({whole} characters)") == "[1,... (6 characters)"
    assert shortened("{left}!", 6, "...") == "{left}..."


def test_a_clipped_text_is_never_longer_than_was_asked_for() -> None:
    assert clipped("abcdef", 6) == "abcdef"
    assert clipped("abcdefg", 6) == "abc..."


def test_one_line_has_no_breaks_and_no_runs_of_spaces() -> None:
    assert one_line(" a\n\tb  c ") == "a b c"
