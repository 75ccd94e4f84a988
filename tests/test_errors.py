"""Every error has the one form that clients are promised."""

import json
from http import HTTPStatus

import pytest

from oet_kernel import errors
from oet_kernel.errors import OetError, ResourceNotFound
from oet_kernel.models import to_json
from oet_kernel.server.handlers.base import as_oet_error


def tree(base: type[OetError]) -> list[type[OetError]]:
    return [base, *(one for child in base.__subclasses__() for one in tree(child))]


@pytest.mark.parametrize("kind", tree(OetError))
def test_error_has_status_type_and_message(kind):
    body = json.loads(to_json(kind("what is wrong").body))
    assert body == {
        "error": f"{kind.status.value} {kind.status.phrase}",
        "type": kind.type,
        "Message": "what is wrong",
    }


def test_unknown_procedure_is_said_in_the_words_of_the_contract():
    assert json.loads(to_json(ResourceNotFound.procedure(4).body)) == {
        "error": "404 Not Found",
        "type": "ResourceNotFound",
        "Message": "No information available for PID=4",
    }


@pytest.mark.parametrize("status", [status.value for status in HTTPStatus if status >= 400])
def test_whatever_a_framework_answers_gets_the_same_form(status):
    error = as_oet_error(status, None, "/x")
    assert error.status == (403 if status == 401 else status)
    assert error.type
    assert error.message


def test_unexpected_exception_is_500_with_its_class_as_type():
    error = as_oet_error(500, KeyError("x"), "/x")
    assert (error.status, error.type) == (500, "KeyError")


def test_statuses_are_those_of_the_contract():
    used = {kind.status.value for kind in tree(OetError)}
    assert used <= {400, 403, 404, 405, 409, 413, 414, 500, 503, 504, 507}
    assert errors.StartRefused.status == 409


def test_want_of_memory_is_told_with_what_to_do():
    error = as_oet_error(500, MemoryError(), "/procedures")
    assert (error.status.value, error.type) == (503, "OutOfMemory")
    assert error.message == (
        "/procedures: the service has no memory left for this; ask for less at a time, or try again when procedures "
        "have ended"
    )
