"""``celery.bin``: the commands."""
