"""A page to use the system in a browser: `stylize web`."""
