"""``celery.contrib``: additions."""
