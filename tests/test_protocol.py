"""What the service and kernels of any version say to each other: fields may come and go, the words stay."""

import msgspec
import pytest

from oet_kernel import protocol
from oet_kernel.models import ProcedureInput
from oet_kernel.protocol import (
    ABILITIES,
    PROTOCOL_VERSION,
    CallReport,
    ControlRequest,
    EventRequest,
    Hello,
    Message,
    PauseRequest,
    PrepareRequest,
    Request,
    RunRequest,
)

REQUESTS = [
    PrepareRequest(3, "/x.py", ProcedureInput([1], {"a": 2})),
    RunRequest(ProcedureInput([1])),
    EventRequest("user.x", {"a": 1}),
    ControlRequest("alice", True),
    PauseRequest("5f", "pause", "scan *", "alice"),
]


def test_every_request_and_message_has_a_type_of_its_own():
    kinds = [*Request.__subclasses__(), *Message.__subclasses__()]
    names = [kind.msg_type for kind in kinds]
    assert len(set(names)) == len(names) == 11
    assert all(name.startswith("oet_") for name in names)
    assert {type(one) for one in REQUESTS} == set(Request.__subclasses__())


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one.msg_type)
def test_request_arrives_as_it_was_sent_whatever_a_newer_side_adds(request_):
    sent = msgspec.to_builtins(request_)
    assert msgspec.convert({**sent, "of_a_newer_version": [1]}, type(request_)) == request_
    assert request_.channel in ("shell", "control")
    assert request_.needs is None or request_.needs in ABILITIES


def test_kernel_of_version_0_1_0_tells_no_number_and_can_all_that_it_could():
    hello = msgspec.json.decode(b'{"phase":"ready"}', type=Hello)
    assert (hello.protocol, hello.can) == (0, ("control", "event", "pause"))


def test_first_message_tells_the_number_and_what_the_kernel_can_do():
    told = msgspec.json.decode(msgspec.json.encode(Hello(protocol=PROTOCOL_VERSION)))
    assert told == {"phase": "ready", "protocol": 1, "can": ["control", "event", "pause"]}


def test_calls_are_reported_as_version_0_1_0_did():
    """An older service may take up a newer kernel, after a downgrade."""
    assert msgspec.json.encode(CallReport("load", "started")) == b'{"call":"load","phase":"started"}'
    failed = msgspec.json.encode(CallReport("main", "failed", stacktrace="x", quiet=True))
    assert failed == b'{"call":"main","phase":"failed","stacktrace":"x","quiet":true}'


def test_every_public_name_of_the_protocol_says_what_it_is():
    for name, kind in vars(protocol).items():
        if isinstance(kind, type) and kind.__module__ == protocol.__name__:
            assert kind.__doc__, name
