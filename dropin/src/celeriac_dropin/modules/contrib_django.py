"""``celery.contrib.django``: additions for Django."""
