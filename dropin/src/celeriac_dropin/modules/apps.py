"""``celery.apps``: programs."""
