"""The demo: index the Python standard library's own sources while things break on purpose, and lose nothing.

``make demo`` runs it; ``python -m demo`` in the folder ``examples`` does the same. Read it as an example of use:

- ``app.py`` the app, ``tasks.py`` its tasks: this is what a project of yours would look like;
- ``analysis.py``, ``index.py`` the work itself, which knows nothing of tasks;
- ``trouble.py`` the accidents that are planned; ``ledger.py`` what really ran, written outside of the broker;
- ``pipeline.py`` sends and awaits, ``worker.py`` runs the worker as a process of its own;
- ``display.py``, ``report.py`` show it, ``audit.py`` proves that every task is accounted for.
"""
