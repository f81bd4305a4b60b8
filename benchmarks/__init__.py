"""Celeriac beside Celery, dramatiq, huey and taskiq on one private Redis: `python -m benchmarks --help`."""
