from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmwb.ipc.framing import FRAME_MAX_BYTES, LENGTH, FrameDecoder, decode_body, encode_frame
from vmwb.model.errors import ProtocolError

# Short texts and few leaves: making long ones took most of the test's time, and cut nothing new.
TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=6,
)
MESSAGES = st.lists(st.dictionaries(TEXT, JSON, max_size=4), max_size=5)


@given(MESSAGES, st.lists(st.integers(1, 40)))
def test_decoder_gives_back_what_was_encoded_however_it_is_cut(
    messages: list[dict[str, object]], cuts: list[int]
) -> None:
    stream = b"".join(encode_frame(message) for message in messages)
    decoder = FrameDecoder()
    found = []
    for cut in cuts:
        found += decoder.feed(stream[:cut])
        stream = stream[cut:]
    found += decoder.feed(stream)

    assert found == messages
    assert decoder.pending == 0


@given(st.binary(max_size=200))
def test_decoder_of_noise_gives_messages_or_a_protocol_error(noise: bytes) -> None:
    decoder = FrameDecoder()
    try:
        messages = decoder.feed(noise)
    except ProtocolError:
        return
    assert all(isinstance(message, dict) for message in messages)


def test_decoder_length_beyond_the_bound_is_refused_before_the_body_comes() -> None:
    with pytest.raises(ProtocolError, match="does not speak this protocol"):
        FrameDecoder().feed(LENGTH.pack(FRAME_MAX_BYTES + 1))


def test_decoder_part_of_a_frame_is_pending() -> None:
    decoder = FrameDecoder()

    assert decoder.feed(encode_frame({"a": 1})[:-1]) == []
    assert decoder.pending > 0


def test_encode_message_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ProtocolError, match="too large"):
        encode_frame({"a": "x" * FRAME_MAX_BYTES})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"[" * 100_000,
        json.dumps({"a": 1}).encode("utf-16"),
    ],
)
def test_decode_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_body(body)
