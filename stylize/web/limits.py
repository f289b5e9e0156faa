"""Limits of uploads, jobs and storage."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Resource limits of the server."""

    max_seconds: float = 600.0  # of music in a file
    max_bytes: int = 120 * MEGABYTE  # of a file that is sent; ten minutes as on a CD have 106
    job_seconds: float = 900.0  # of work on a song, after which it is given up
    keep_seconds: float = 1800.0  # files that nobody asked for in so long are removed
    upload_seconds: float = 600.0  # in which a file must have arrived
    stall_seconds: float = 30.0  # without a single byte, after which a file is given up
    check_seconds: float = 60.0  # in which a file must be decoded
    max_uploads: int = 8  # files that may arrive at once
    max_waiting: int = 20  # jobs that may wait for their turn
    max_waiting_each: int = 4  # the same for one visitor
    max_entries: int = 300  # songs and jobs that are kept at once
    max_stored_bytes: int = 8000 * MEGABYTE  # their files together; when more is there, nothing new is taken
    min_free_bytes: int = 500 * MEGABYTE  # on the disk of the temporary files; when less is there, nothing new is taken
