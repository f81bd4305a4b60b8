"""``celery.backends``: result backends, as far as programs name them."""
