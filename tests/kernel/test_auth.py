"""Who speaks to a kernel is known by the key that signs."""

import pytest
import zmq
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.session import Session

from oet_kernel.kernel.auth import FROM_SERVICE, LOOKING, TYPING, KernelSession, guest_key, refusal

KEY = b"service-key"


@pytest.fixture
def kernel_session() -> KernelSession:
    made = KernelSession(key=KEY)
    made.admit_guests()
    return made


def frames(session: Session, **content):
    return session.serialize(session.msg("execute_request", content))[1:]


def test_message_signed_by_the_service_is_known_as_the_services(kernel_session):
    message = kernel_session.deserialize(frames(Session(key=KEY), code="1"))
    assert message[FROM_SERVICE] is True
    assert message["content"] == {"code": "1"}


def test_message_signed_by_a_guest_is_known_as_a_guests(kernel_session):
    message = kernel_session.deserialize(frames(Session(key=guest_key(KEY)), code="1"))
    assert message[FROM_SERVICE] is False


@pytest.mark.parametrize("key", [b"other", guest_key(guest_key(KEY))])
def test_message_signed_by_nobody_known_is_refused(kernel_session, key):
    with pytest.raises(ValueError, match="Invalid Signature"):
        kernel_session.deserialize(frames(Session(key=key)))


@pytest.mark.parametrize("key", [KEY, guest_key(KEY)])
def test_message_that_is_sent_again_is_refused(kernel_session, key):
    sent = frames(Session(key=key))
    kernel_session.deserialize(sent)
    with pytest.raises(ValueError, match="Duplicate Signature"):
        kernel_session.deserialize(sent)


def test_unsigned_message_is_refused(kernel_session):
    sent = frames(Session(key=KEY))
    sent[0] = b""
    with pytest.raises(ValueError, match="Unsigned Message"):
        kernel_session.deserialize(sent)


def test_guest_cannot_sign_what_it_has_seen_of_the_service_anew(kernel_session):
    sent = frames(Session(key=KEY), code="1")
    kernel_session.deserialize(sent)
    sent[0] = Session(key=guest_key(KEY)).sign(sent[1:5])
    # the kernel has seen this very text from the service: whoever sends it again, it is a repetition
    with pytest.raises(ValueError, match="Duplicate Signature"):
        kernel_session.deserialize(sent)


def test_frames_of_zeromq_are_read_as_well(kernel_session):
    sent = [zmq.Frame(frame) for frame in [*frames(Session(key=KEY), code="1"), b"buffer"]]
    message = kernel_session.deserialize(sent, copy=False)
    assert message[FROM_SERVICE] is True
    assert [bytes(buffer) for buffer in message["buffers"]] == [b"buffer"]


def test_prompt_is_answered_by_nobody_who_may_not(kernel_session):
    controlled = False
    kernel_session.may_answer = lambda reply: reply[FROM_SERVICE] or controlled
    with zmq.Context() as context, context.socket(zmq.ROUTER) as stdin, context.socket(zmq.DEALER) as guest:
        port = stdin.bind_to_random_port("tcp://127.0.0.1")
        guest.connect(f"tcp://127.0.0.1:{port}")
        heard = []
        for key, controlled in ((guest_key(KEY), False), (guest_key(KEY), True), (KEY, False)):
            session = Session(key=key)
            session.send(guest, "input_reply", {"value": str(controlled)})
            assert stdin.poll(10_000)
            _, message = kernel_session.recv(stdin)
            heard.append(message and message["content"]["value"])
        guest.linger = stdin.linger = 0
    assert heard == [None, "True", "False"]


def test_what_the_kernel_sends_is_signed_with_the_guests_key(kernel_session):
    sent = kernel_session.serialize(kernel_session.msg("status", {}))[1:]
    assert Session(key=guest_key(KEY)).deserialize(sent)["msg_type"] == "status"


def test_kernel_without_a_service_belongs_to_whoever_has_its_key():
    message = KernelSession(key=KEY).deserialize(frames(Session(key=KEY)))
    assert message[FROM_SERVICE] is True


@pytest.mark.parametrize("msg_type", sorted(LOOKING))
def test_looking_needs_no_control(msg_type):
    assert refusal(msg_type, "3", False) is None


@pytest.mark.parametrize("msg_type", sorted(TYPING))
def test_typing_needs_control(msg_type):
    assert refusal(msg_type, "3", True) is None
    assert refusal(msg_type, "3", False) == ("procedure 3 is read-only; take control with: oet attach 3 --control")


@pytest.mark.parametrize("controlled", [True, False])
@pytest.mark.parametrize(
    "msg_type",
    [
        "shutdown_request",
        "debug_request",
        "oet_prepare_request",
        "oet_run_request",
        "oet_control_request",
        "oet_pause_request",
        "x_request",
    ],
)
def test_what_is_the_services_is_never_a_guests(msg_type, controlled):
    assert refusal(msg_type, "3", controlled) is not None


def test_every_request_of_a_later_ipykernel_is_refused_until_somebody_has_thought_about_it():
    """What is neither looking nor typing is refused: these are all that there are today."""
    known = {*IPythonKernel.msg_types, *IPythonKernel.control_msg_types}
    assert known - LOOKING - TYPING == {"shutdown_request", "debug_request"}
