"""Files that appear whole under their name, or not at all."""

from data.atomic import atomic_write as written_whole

__all__ = ["written_whole"]
