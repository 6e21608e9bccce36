from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genlab.errors import RecipeError
from genlab.source import MAX_BYTES, MAX_NODES, read_file, read_text
from genlab.tree import MAX_DEPTH, Json, Node, Place, tree_of


def plain(text: str) -> Json:
    return read_text(text, "r.yaml").plain()


def refused(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read_text(text, "r.yaml")
    return re.sub(r"\n {4}.*\n {4} *\^$", "", str(caught.value))  # the line with the caret has its own test


# -- values: the YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#1032-tag-resolution ------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1.0e-3", 1e-3), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-1.5E+2", -150.0),
        ("+12", 12), ("-7", -7), ("007", 7), ("0o17", 15), ("0x1F", 31), ("0", 0), ("-0", 0),
        (".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf),
        ("true", True), ("True", True), ("FALSE", False),
        ("null", None), ("Null", None), ("~", None), ("", None), ("# a comment", None),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_what_yaml_1_2_says(text: str, value: Json) -> None:
    found = plain(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float() -> None:
    found = plain(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "2001-01-01", "12:30:45", "1_000", "0b11", "1e", "e3", "nan", "inf", "tRue",
     "0o8", "0xg", "--1", "1.2.3", "=", "<<"],
)  # fmt: skip
def test_what_yaml_1_1_took_for_something_else_is_a_text(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", ["'3'", '"3"', "|-\n  3", ">-\n  3"])
def test_a_quoted_or_block_scalar_is_a_text(text: str) -> None:
    assert plain(text) == "3"


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775808",
        "-9223372036854775809",
        "0x" + "f" * 17,
        pytest.param("9" * 5000, id="5000 digits"),
        pytest.param("0x" + "f" * 9000, id="9000 hex digits"),
        pytest.param("0o" + "7" * 9000, id="9000 octal digits"),
    ],
)
def test_an_integer_beyond_64_bits_is_refused_where_it_stands(text: str) -> None:
    message = refused(f"a: 1\nb: {text}\n")
    assert message.startswith("r.yaml:2:4: ")
    assert "beyond 64 bits" in message
    assert len(message) < 200


def test_a_number_that_would_silently_become_infinite_is_refused() -> None:
    assert refused("lr: 1e400") == "r.yaml:1:5: '1e400': too large for a number; infinity is .inf"


def test_mappings_and_lists_keep_order_and_kind() -> None:
    assert plain("b: [1, {c: x}]\na:\n  - 2\n  - null\n") == {"b": [1, {"c": "x"}], "a": [2, None]}
    assert list(plain("b: 1\na: 2\n")) == ["b", "a"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "name"),
    [("1", "1"), ("true", "true"), ("null", "null"), ("~", "~"), ("1.50", "1.50"), ("0x1F", "0x1F"), ("no", "no")],
)
def test_a_key_that_is_not_a_text_is_the_word_as_written(key: str, name: str) -> None:
    assert plain(f"{key}: x") == {name: "x"}


def test_a_merge_key_is_an_ordinary_key() -> None:
    assert plain("a: &a {x: 1}\nb:\n  <<: *a\n") == {"a": {"x": 1}, "b": {"<<": {"x": 1}}}


# -- places ----------------------------------------------------------------------------------------------------


def test_every_value_knows_its_line_and_column_counted_from_one() -> None:
    tree = read_text("a: 1\nb:\n  c: [x, {d: 2}]\n", "r.yaml")
    assert str(tree.place_of(("a",))) == "r.yaml:1:1"
    assert str(tree.place_of(("b", "c"))) == "r.yaml:3:3"
    assert str(tree.place_of(("b", "c", 0))) == "r.yaml:3:7"
    assert str(tree.place_of(("b", "c", 1, "d"))) == "r.yaml:3:11"


def test_the_place_of_what_is_absent_is_that_of_its_parent() -> None:
    tree = read_text("b:\n  c: [x]\n", "r.yaml")
    assert str(tree.place_of(("b", "e", "f"))) == "r.yaml:1:1"
    assert str(tree.place_of(("b", "c", 7))) == "r.yaml:2:3"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_count_as_one(newline: str) -> None:
    tree = read_text(f"a: 1{newline}b: 2{newline}", "r.yaml")
    assert tree.plain() == {"a": 1, "b": 2}
    assert str(tree.place_of(("b",))) == "r.yaml:2:1"


def test_an_unprintable_file_name_is_shown_escaped() -> None:
    assert str(Place("a\x1b[31m.yaml", 1, 2)) == "'a\\x1b[31m.yaml':1:2"


# -- anchors and limits ----------------------------------------------------------------------------------------


def test_an_alias_stands_for_the_value_anchored_before() -> None:
    text = "s: &s 3\nl: &l [1, 2]\nm: &m {x: y}\nall: [*s, *l, *m]\n"
    assert plain(text) == {"s": 3, "l": [1, 2], "m": {"x": "y"}, "all": [3, [1, 2], {"x": "y"}]}


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: *x", "1:4"), ("a: &a [*a]", "1:8"), ("a: &a {b: *a}", "1:11"), ("- &x 1\n- *y", "2:3")],
)
def test_an_alias_of_nothing_or_of_itself_is_refused(text: str, place: str) -> None:
    message = refused(text)
    assert message.startswith(f"r.yaml:{place}: alias *")


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_an_alias_bomb_is_refused_at_once(brackets: str) -> None:
    def level(inside: list[str]) -> str:
        if brackets == "[]":
            return f"[{', '.join(inside)}]"
        return "{" + ", ".join(f"k{i}: {value}" for i, value in enumerate(inside)) + "}"

    lines = [f"a0: &a0 {level(['x'] * 9)}"]
    lines += [f"a{i}: &a{i} {level([f'*a{i - 1}'] * 9)}" for i in range(1, 12)]
    start = time.process_time()
    assert f"more than {MAX_NODES} values" in refused("\n".join(lines))
    assert time.process_time() - start < 2


def test_a_chain_of_aliases_cannot_make_a_tree_too_deep_to_walk() -> None:
    lines = ["a0: &a0 [1]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 2000))]
    assert f"more than {MAX_NODES} values" in refused("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 50_000, "".join(" " * i + "a:\n" for i in range(300))],
    ids=["lists", "mappings", "indented"],
)
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    start = time.process_time()
    assert f"nested deeper than {MAX_DEPTH} levels" in refused(text)
    assert time.process_time() - start < 2


def test_nesting_up_to_the_limit_is_read() -> None:
    node = read_text("[" * MAX_DEPTH + "]" * MAX_DEPTH, "r.yaml")
    depth = 0
    while node.value:
        assert isinstance(node.value, list)
        node, depth = node.value[0], depth + 1
    assert depth == MAX_DEPTH - 1


def test_plain_values_are_limited_like_text() -> None:
    deep: Json = 1
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(RecipeError, match="nested deeper"):
        tree_of(deep, Place("x"))
    with pytest.raises(RecipeError, match="beyond 64 bits"):
        tree_of({"a": 10**5000}, Place("x"))
    with pytest.raises(RecipeError, match=r"U\+D800"):
        tree_of(["\ud800"], Place("x"))


# -- what is refused, with place and remedy --------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system [ls]", "!!str 3", "! 3", "!own x", "!!map {}", "!<tag:x> 3"]
)
def test_tags_are_refused(value: str) -> None:
    message = refused(f"a: {value}\n")
    assert message.startswith("r.yaml:1:4: tag ")
    assert message.endswith("is not allowed; recipes hold plain values only")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "r.yaml:2:1: key 'a' appears twice; first at r.yaml:1:1"),
        ("1: x\n'1': y\n", "r.yaml:2:1: key '1' appears twice; first at r.yaml:1:1"),
        ("a: {b: 1, b: 2}\n", "r.yaml:1:11: key 'b' appears twice; first at r.yaml:1:5"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1: a second document; a recipe is one document"),
        ("[a]: 1\n", "r.yaml:1:1: a key must be a word, not a list or mapping"),
        ("a: 1\n? {b: c}\n: 2\n", "r.yaml:2:3: a key must be a word, not a list or mapping"),
        ("%YAML 1.1\n---\na: no\n", "r.yaml:2:1: recipes are YAML 1.2; leave the %YAML line out"),
        ("a: x\0y\n", "r.yaml:1:5: character U+0000 is not allowed; a recipe is plain text"),
        ("a: 1\nb: \x07\n", "r.yaml:2:4: character U+0007 is not allowed; a recipe is plain text"),
        ("a: 1\n\ufeffb: 2\n", "r.yaml:2:1: character U+FEFF is not allowed; a recipe is plain text"),
        ('a: "\\e[31m"\n', "r.yaml:1:4: character U+001B is not allowed; a recipe is plain text"),
        ('a: "\\uD800"\n', "r.yaml:1:4: character U+D800 is not allowed; a recipe is plain text"),
        ('"a\\0": 1\n', "r.yaml:1:1: character U+0000 is not allowed; a recipe is plain text"),
    ],
)
def test_the_message_says_where_and_what(text: str, message: str) -> None:
    assert refused(text) == message


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("a:\n\tb: 1\n", "2:1", "use spaces, not tabs"),
        ("a: b: c\n", "1:5", "quotes"),
        ("a: @b\n", "1:4", "quotes"),
        ("a: 1\n b: 2\n", "2:3", "indentation"),
        ("x: 1\na: [1, 2\n", "2:4", "not YAML"),
        ("x: 1\na: 'b\nc: 1\n", "2:4", "not YAML"),
        ("- a\nb: c\n", "2:1", "not YAML"),
        ('a: "\\q"\n', "1:6", "not YAML"),
    ],
)
def test_text_that_is_not_yaml_is_refused_where_it_goes_wrong(text: str, place: str, remedy: str) -> None:
    message = refused(text)
    assert message.startswith(f"r.yaml:{place}: not YAML: ")
    assert remedy in message
    assert "\n" not in message


def test_overrides_put_everything_at_one_place() -> None:
    at = Place("override 'a=[1]'")
    tree = read_text("[1]", "x", at)
    assert tree.place_of((0,)) == at
    with pytest.raises(RecipeError, match=r"^override 'a=\[1\]': not YAML"):
        read_text("[1", "x", at)


# -- files -----------------------------------------------------------------------------------------------------


def unread(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        read_file(path)
    return re.sub(r"\n {4}.*\n {4} *\^$", "", str(caught.value))  # the line with the caret has its own test


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\n")
    assert read_file(path).plain() == {"name": "x"}


def test_a_file_with_an_odd_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a b 'é' [1] #.yaml"
    path.write_text("name: x")
    assert read_file(path).plain() == {"name": "x"}


def test_a_missing_file_names_the_recipes_beside_it(tmp_path: Path) -> None:
    (tmp_path / "there.yaml").write_text("name: x")
    assert unread(tmp_path / "nope.yaml") == f"{tmp_path}/nope.yaml: no such file; in {tmp_path}: there.yaml"
    assert unread(tmp_path / "sub" / "nope.yaml") == f"{tmp_path}/sub/nope.yaml: no such file"


def test_a_folder_names_the_recipes_in_it(tmp_path: Path) -> None:
    (tmp_path / "there.yaml").write_text("name: x")
    assert unread(tmp_path) == f"{tmp_path}: a folder; a recipe is one YAML file; in {tmp_path}: there.yaml"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(unread(path)), daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert said == [f"{path}: not a regular file; a recipe is one YAML file"]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str) -> None:
    assert unread(Path(device)) == f"{device}: not a regular file; a recipe is one YAML file"


def test_no_more_is_read_than_a_recipe_may_have(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    with path.open("wb") as file:
        file.truncate(10 * 2**40)  # sparse: reading it whole would fill memory
    assert unread(path) == f"{path}: more than {MAX_BYTES} bytes; a recipe is shorter"


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: x")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    assert unread(path) == f"{path}: cannot be read (Permission denied)"


@pytest.mark.parametrize("name", ["x" * 5000, "r.yaml/below", "a\0b"])
def test_a_path_that_cannot_exist_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: x")
    assert len(unread(tmp_path / name).splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a: 1\nb: caf\xe9\n", "2:7"), ("é: 1\n".encode() + b"\xff", "2:1"), ("a".encode("utf-16"), "1:1"),
        (b"\xef\xbb\xbfa: 1\r\nb: \xe9\r\n", "2:4"), (b"\xef\xbb\xbfa: \xe9", "1:4"),
        (b"a: 1\rb: \xe9\rc: 3\n", "2:4"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_utf_8_is_refused_where_that_shows(data: bytes, place: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(data)
    assert unread(path) == f"{path}:{place}: not UTF-8 text; save the file as UTF-8"


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with contextlib.suppress(RecipeError):
        assert isinstance(read_file(path), Node)


# -- setting values --------------------------------------------------------------------------------------------


def test_setting_a_value_leaves_the_tree_it_came_from_alone() -> None:
    tree = read_text("a: {b: 1}\n", "r.yaml")
    new = tree.set(("a", "b"), Node(2, Place("o")))
    assert (tree.plain(), new.plain()) == ({"a": {"b": 1}}, {"a": {"b": 2}})
    assert (str(new.place_of(("a", "b"))), str(new.place_of(("a",)))) == ("o", "r.yaml:1:1")


def test_mappings_on_the_way_to_a_value_are_made() -> None:
    tree = read_text("a:\n", "r.yaml")
    assert tree.set(("a", "b", "c"), Node(2, Place("o"))).plain() == {"a": {"b": {"c": 2}}}
    assert tree.set(("x", "y"), Node(2, Place("o"))).plain() == {"a": None, "x": {"y": 2}}


def test_a_part_written_short_is_written_out_to_take_an_option() -> None:
    tree = read_text("encoder: mlp\n", "r.yaml")
    new = tree.set(("encoder", "hidden"), Node(2, Place("o")), part=True)
    assert new.plain() == {"encoder": {"use": "mlp", "hidden": 2}}


@pytest.mark.parametrize(
    ("value", "remedy"), [("3", "nothing inside"), ("[1]", "whole list"), ("word", "nothing inside")]
)
def test_nothing_can_be_set_inside_a_scalar_or_list(value: str, remedy: str) -> None:
    tree = read_text(f"a: {value}\n", "r.yaml")
    with pytest.raises(
        RecipeError, match=rf"^o: b cannot be set in .*, which is written at r.yaml:1:4; .*{remedy}"
    ):
        tree.set(("a", "b"), Node(2, Place("o")))
