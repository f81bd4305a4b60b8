"""Modules that only Celery's programs need: one file each, named after Celery's with underscores for the dots.

Celeriac itself knows nothing of them. What Celery does and Celeriac does in another way is translated here.
"""
