"""What the page takes, and for how long it keeps it."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Everything that is bounded, so that nobody can fill the machine.

    Args:
        max_seconds: of music in a file.
        max_bytes: of a file that is sent.
        job_seconds: of work on a song, after which it is given up.
        keep_seconds: files that nobody asked for in so long are removed.
        upload_seconds: in which a file must have come.
        stall_seconds: without a single byte, after which a file is given up.
        check_seconds: in which a file must be decoded.
        most_uploads: files that may come in at once.
        most_waiting: jobs that may wait for their turn.
        most_waiting_each: the same for one visitor.
        most_entries: songs and jobs that are kept at once.
        most_stored_bytes: their files together; when more is there, nothing new is taken.
        least_free_bytes: on the disk of the temporary files; when less is there, nothing new is taken.
    """

    max_seconds: float = 600.0
    max_bytes: int = 120 * MEGABYTE  # ten minutes as on a CD have 106
    job_seconds: float = 900.0
    keep_seconds: float = 1800.0
    upload_seconds: float = 600.0
    stall_seconds: float = 30.0
    check_seconds: float = 60.0
    most_uploads: int = 8
    most_waiting: int = 20
    most_waiting_each: int = 4
    most_entries: int = 300
    most_stored_bytes: int = 8000 * MEGABYTE
    least_free_bytes: int = 500 * MEGABYTE

    @property
    def megabytes(self) -> str:
        """The largest file, as it is said to people."""
        return f"{self.max_bytes / MEGABYTE:g} MB"
