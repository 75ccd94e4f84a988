"""What is typed is told, and sees the script."""

import threading
from types import ModuleType
from typing import Any

import pytest

from oet_kernel.kernel.console import Console
from oet_kernel.kernel.journal import CALL

MESSAGE = {"header": {"msg_id": "m1"}}


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def console(told) -> Console:
    made = Console(lambda topic, fields: told.append((topic, fields)))
    made.controller = "alice"
    return made


def test_what_is_typed_is_told_before_it_is_carried_out(console, told):
    with console.typed("1 + 1", MESSAGE):
        assert told == [("procedure.console.input", {"who": "alice", "code": "1 + 1", "msg_id": "m1"})]


def test_nothing_is_told_of_a_request_without_code(console, told):
    with console.typed(" \n", MESSAGE):
        pass
    assert told == []


def test_what_is_said_meanwhile_is_the_consoles_in_this_thread_alone(console):
    seen: list[str | None] = []
    with console.typed("1", MESSAGE):
        assert CALL.get() == "console"
        script = threading.Thread(target=lambda: seen.append(CALL.get()))
        script.start()
        script.join()
    assert seen == [None]
    assert CALL.get() is None


def test_answer_at_a_prompt_is_told_with_the_prompt(console, told):
    with console.typed("%debug", MESSAGE):
        console.answered("ipdb> ", "up", False)
    assert told[1][1] == {"who": "alice", "code": "up", "msg_id": "m1", "prompt": "ipdb> "}


def test_password_is_told_to_nobody(console, told):
    with console.typed("getpass()", MESSAGE):
        console.answered("Password: ", "sesame", True)
    assert "sesame" not in str(told)


def test_answer_to_the_script_is_not_the_consoles(console, told):
    console.answered("? ", "yes", False)
    assert told == []


def test_interrupt_reaches_what_is_typed_in_another_thread(console):
    inside, outcome = threading.Event(), []

    def typed() -> None:
        try:
            with console.typed("loop", MESSAGE):
                inside.set()
                while True:
                    pass
        except KeyboardInterrupt:
            outcome.append("interrupted")

    thread = threading.Thread(target=typed)
    thread.start()
    assert inside.wait(60)
    console.interrupt()
    thread.join(60)
    assert outcome == ["interrupted"]


def test_interrupt_finds_nothing_where_nothing_is_carried_out(console):
    with console.typed("1", MESSAGE):
        pass
    console.interrupt()  # would end this test


def module(**names: Any) -> ModuleType:
    made = ModuleType("observe")
    vars(made).update(names)
    return made


def test_names_of_the_script_are_there_as_they_are_now(console):
    script, names = module(counter=1), {}
    console.show(script, names)
    script.counter = 2
    console.show(script, names)
    assert names["counter"] == 2
    assert names["script"] is script


def test_name_that_is_bound_in_the_console_stays_and_leaves_the_script_alone(console):
    script, names = module(counter=1), {}
    console.show(script, names)
    names["counter"] = 5
    script.counter = 2
    console.show(script, names)
    assert names["counter"] == 5
    assert script.counter == 2


def test_script_does_not_hide_what_the_shell_has(console):
    names = {"In": []}
    console.show(module(In="mine", __file__="x.py"), names)
    assert names["In"] == []
    assert "__file__" not in names


def test_without_a_script_there_is_nothing_to_show(console):
    names: dict[str, Any] = {}
    console.show(None, names)
    assert names == {}
