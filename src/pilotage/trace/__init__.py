"""Measured, not guessed: halves run on a clone, and what each statement locked, rewrote and read.

Called by ``pilotage hazards --trace``. `run.trace` is the story; `report` what comes out; `tracer` the runner
with an observer in it; `clone`, `source` and `sample` make what it runs on.
"""

from __future__ import annotations

from pilotage.trace.report import Stops, Trace, TracedHalf, TracedStatement
from pilotage.trace.run import Options, trace

__all__ = ["Options", "Stops", "Trace", "TracedHalf", "TracedStatement", "trace"]
