"""The shared framebuffer as a picture: a ``QImage`` on the worker's memory, without a copy.

The image is live: the worker draws the next picture into another of its three buffers and only
then publishes, so a picture stays whole while one newer than it is drawn. ``refresh`` moves to the
newest. The image must be gone before the mapping is closed; ``close`` sees to the order.
"""

from __future__ import annotations

from PySide6.QtGui import QImage

from vmwb.ipc.framebuffer import FrameInfo, FrameReader
from vmwb.model.errors import ProtocolError


class Picture:
    """The picture of one run; owns the reader."""

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader
        self._info: FrameInfo | None = None
        self._image: QImage | None = None
        self._view: memoryview | None = None

    @property
    def image(self) -> QImage | None:
        """The picture as of the last refresh; ``None`` before it, or without any."""
        return self._image

    @property
    def info(self) -> FrameInfo | None:
        """The header that belongs to ``image``."""
        return self._info

    def refresh(self) -> bool:
        """Move to the newest picture; tell whether it is another one.

        It waits for nobody: a picture that is just being published is for the next refresh.

        Raises:
            ProtocolError: the other side's header makes no sense.
        """
        if self._info is not None and self._reader.sequence == self._info.sequence:
            return False
        if self._reader.unsound:
            return False
        info = self._reader.info()
        self._drop()
        self._info = info
        if info.width and info.height:
            end = info.offset + info.stride * info.height
            self._view = memoryview(self._reader.buffer)[info.offset : end]
            self._image = QImage(
                self._view, info.width, info.height, info.stride, QImage.Format.Format_RGB32
            )
            if self._image.isNull():
                raise ProtocolError("The shared screen's size makes no picture.")
        return True

    def close(self) -> None:
        """Let go of the image, then of the memory; idempotent."""
        self._drop()
        self._reader.close()

    def _drop(self) -> None:
        self._image = None
        if self._view is not None:
            self._view.release()
            self._view = None
