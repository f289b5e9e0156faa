"""Audio in and out: reading, writing, formats, loudness, limiter, tags."""
