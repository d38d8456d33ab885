"""What a run says while it runs: one line with the time left on a terminal, a line a chunk elsewhere."""

import sys
import time
from collections.abc import Callable

from attribution_suite.auditing.engine import Done


class Progress:
    """Counts chunks. The time left assumes that the chunks to come take as long as those that ran."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.live = say is print and sys.stdout.isatty()
        self.total = self.ended = self.ran = 0
        self.started = time.perf_counter()

    def expect(self, chunks: int) -> None:
        """More chunks to come."""
        self.total += chunks

    def done(self, done: Done) -> None:
        """One chunk ended."""
        self.ended += 1
        self.ran += done.fresh
        state = f"failed: {done.error}" if done.error else f"{done.seconds:.1f} s" if done.fresh else "already done"
        line = f"[{self.ended}/{self.total}] {done.chunk.title}: {state}{self.left()}"
        if self.live and not done.error:
            sys.stdout.write("\r\x1b[K" + line[:110])
            sys.stdout.flush()
        else:
            self.say(("\r\x1b[K" if self.live else "") + line)

    def left(self) -> str:
        """The time left, once a chunk has run."""
        if not self.ran or self.ended == self.total:
            return ""
        left = round((time.perf_counter() - self.started) / self.ran * (self.total - self.ended))
        return f" ({left // 60}:{left % 60:02d} left)"

    def close(self) -> None:
        """Leaves the line of a terminal."""
        if self.live:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
