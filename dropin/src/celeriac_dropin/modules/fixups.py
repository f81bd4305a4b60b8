"""``celery.fixups``: integrations with frameworks."""
