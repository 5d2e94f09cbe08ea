"""Where frames end: for any frames, in any pieces, and up to any byte."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.proxy.frames import FrameTracker, close_frame

CLOSE = 8
SIZES = (0, 1, 125, 126, 127, 128, 255, 256, 65535, 65536, 70000)


@dataclass(frozen=True)
class Frame:
    opcode: int
    size: int
    masked: bool
    final: bool = True
    longer: int = 0
    """How many steps longer than needed its length is written, as it should not be."""

    def header(self) -> bytes:
        forms = [form for form, most in ((1, 125), (2, 65535), (8, 2**63)) if self.size <= most]
        form = forms[min(self.longer, len(forms) - 1)]
        short = {1: self.size, 2: 126, 8: 127}[form]
        length = self.size.to_bytes(form, "big") if form > 1 else b""
        first = (0x80 if self.final else 0) | self.opcode
        return bytes((first, (0x80 if self.masked else 0) | short)) + length + b"\xff" * (4 * self.masked)

    def bytes(self) -> bytes:
        return self.header() + b"\x88" * self.size  # what looks like the head of a close frame


FRAMES = st.lists(
    st.builds(
        Frame,
        opcode=st.sampled_from((0, 1, 2, CLOSE, 9, 10)),
        size=st.sampled_from(SIZES) | st.integers(0, 300),
        masked=st.booleans(),
        final=st.booleans(),
        longer=st.integers(0, 2),
    ),
    max_size=6,
)


def pieces_of(stream: bytes, data: st.DataObject) -> list[bytes]:
    """The stream in pieces of any sizes, empty ones too."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(frames=FRAMES, data=st.data())
def test_any_frames_in_any_pieces_up_to_any_byte(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame.bytes() for frame in frames)
    tracker, passed = FrameTracker(), 0
    last = data.draw(st.integers(0, len(stream)))
    for piece in pieces_of(stream[:last], data):
        tracker.feed(piece)
        passed += len(piece)
        assert tracker.takes_a_frame is takes_a_frame(frames, passed)


def takes_a_frame(frames: list[Frame], passed: int) -> bool:
    """The same by its definition, from the frames themselves."""
    ends = [0]
    for frame in frames:
        ends.append(ends[-1] + len(frame.bytes()))
    whole = [frame for frame, end in zip(frames, ends[1:], strict=True) if end <= passed]
    return passed in ends and all(frame.opcode != CLOSE for frame in whole)


@given(frames=FRAMES)
@example(frames=[Frame(2, 65536, masked=True)])
def test_byte_by_byte_or_at_once_makes_no_difference(frames: list[Frame]) -> None:
    stream = b"".join(frame.bytes() for frame in frames)[:70000]
    dripped, whole = FrameTracker(), FrameTracker()
    for byte in stream:
        dripped.feed(bytes((byte,)))
    whole.feed(stream)
    assert dripped.takes_a_frame is whole.takes_a_frame


@given(rubbish=st.lists(st.binary(max_size=40)))
def test_what_is_no_frame_at_all_does_no_harm(rubbish: list[bytes]) -> None:
    tracker = FrameTracker()
    for piece in rubbish:
        tracker.feed(piece)
        assert len(tracker._header) < 14, "no more is kept than a header"


def test_a_length_that_is_not_allowed_never_ends() -> None:
    tracker = FrameTracker()
    tracker.feed(b"\x82\x7f" + b"\xff" * 8 + bytes(100_000))
    assert not tracker.takes_a_frame


@pytest.mark.parametrize(
    ("reason", "mask", "expected"),
    [
        ("", b"", b"\x88\x02\x03\xf0"),
        ("over", b"", b"\x88\x06\x03\xf0over"),
        ("over", b"\x00\x00\x00\x00", b"\x88\x86\x00\x00\x00\x00\x03\xf0over"),
        ("over", b"\x01\x02\x03\x04", b"\x88\x86\x01\x02\x03\x04\x02\xf2lrdp"),
        ("a" * 200, b"", b"\x88\x7d\x03\xf0" + b"a" * 123),
        ("a" + "é" * 70, b"", b"\x88\x7d\x03\xf0a" + "é".encode() * 61),
        ("é" * 70, b"", b"\x88\x7c\x03\xf0" + "é".encode() * 61),
    ],
)
def test_a_close_frame(reason: str, mask: bytes, expected: bytes) -> None:
    assert close_frame(1008, reason, mask) == expected


@given(reason=st.text(), mask=st.just(b"") | st.binary(min_size=4, max_size=4))
def test_after_a_close_frame_there_is_no_other(reason: str, mask: bytes) -> None:
    frame, tracker = close_frame(1008, reason, mask), FrameTracker()
    tracker.feed(frame)
    assert not tracker.takes_a_frame
    assert len(frame) <= 127 + 4
    assert (tracker._left, tracker._header) == (0, b""), "it is whole"
