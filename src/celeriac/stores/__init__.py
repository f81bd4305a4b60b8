"""Stores: what holds messages, results or both. ``store`` is the interface, ``urls`` opens one."""
