"""In which order two streams arrived, remembered in a bounded number of pieces."""

from __future__ import annotations

from rsi.course import Stream, StreamOrder

MOST_PIECES = 1024
"""Past it, neighbours are joined two by two."""
TOGETHER_SECONDS = 0.01
"""What follows on the same stream within that time is one piece: no order is lost by it."""


class Arrivals:
    """Counts what arrives, piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[tuple[float, int, int]] = []

    def add(self, seconds: float, name: Stream, count: int) -> None:
        """That many bytes came on a stream, that long after the start."""
        of_stdout, of_stderr = (count, 0) if name == "stdout" else (0, count)
        if self._pieces:
            began, stdout, stderr = self._pieces[-1]
            other = stderr if name == "stdout" else stdout
            if not other and seconds - began < TOGETHER_SECONDS:
                self._pieces[-1] = (began, stdout + of_stdout, stderr + of_stderr)
                return
        self._pieces.append((seconds, of_stdout, of_stderr))
        if len(self._pieces) > MOST_PIECES:
            self._join()

    def _join(self) -> None:
        joined = []
        for index in range(0, len(self._pieces), 2):
            pair = self._pieces[index : index + 2]
            joined.append((pair[0][0], sum(piece[1] for piece in pair), sum(piece[2] for piece in pair)))
        self._pieces = joined

    def order(self) -> StreamOrder:
        """What was remembered."""
        return StreamOrder(
            seconds=tuple(round(piece[0], 4) for piece in self._pieces),
            stdout_bytes=tuple(piece[1] for piece in self._pieces),
            stderr_bytes=tuple(piece[2] for piece in self._pieces),
        )
