"""Data of any size: statistics of its parts, merged."""

from bounds.streaming.parts import find_parts, suits_memory
from bounds.streaming.stream import Streamed, stream

__all__ = ["Streamed", "find_parts", "stream", "suits_memory"]
