"""``celery.contrib.testing``: for the tests of programs."""
