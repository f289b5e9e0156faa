"""The measuring room: systems, metrics, reports, and `stylize compare`; benchmarks on datasets are in `benchmarks`."""
