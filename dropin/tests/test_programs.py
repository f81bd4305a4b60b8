"""Programs as the documentation of Celery and of three frameworks teaches them, with a real worker."""

from __future__ import annotations

import importlib.util

import pytest


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip where a framework is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@needs("flask")
def test_a_flask_program_runs_tasks_in_its_application_context(program):
    program.write(
        {
            "shop/__init__.py": """
                import os

                from celery import Celery, Task
                from flask import Flask, current_app, jsonify


                def connect(flask_app):
                    class ContextTask(Task):
                        def __call__(self, *args, **kwargs):
                            with flask_app.app_context():
                                return self.run(*args, **kwargs)

                    celery_app = Celery(flask_app.name, task_cls=ContextTask)
                    celery_app.config_from_object(flask_app.config["CELERY"])
                    celery_app.set_default()
                    flask_app.extensions["celery"] = celery_app
                    return celery_app


                def create_app():
                    app = Flask("shop")
                    app.config.from_mapping(
                        CELERY={"broker_url": os.environ["STORE"], "result_backend": os.environ["STORE"]}, VAT=19
                    )
                    connect(app)
                    from . import tasks

                    @app.post("/orders/<int:net>")
                    def order(net):
                        return {"id": tasks.gross.delay(net).id}

                    @app.get("/orders/<task_id>")
                    def look(task_id):
                        from celery.result import AsyncResult

                        result = AsyncResult(task_id)
                        return {"gross": result.get(timeout=30), "ready": result.ready()}

                    return app
            """,
            "shop/tasks.py": """
                from celery import shared_task
                from flask import current_app


                @shared_task(ignore_result=False)
                def gross(net: int) -> int:
                    return net + net * current_app.config["VAT"] // 100
            """,
            "make_celery.py": """
                from shop import create_app

                flask_app = create_app()
                celery_app = flask_app.extensions["celery"]
            """,
            "client.py": """
                from shop import create_app

                client = create_app().test_client()
                task_id = client.post("/orders/100").json["id"]
                print(client.get(f"/orders/{task_id}").json)
            """,
        }
    )
    with program.worker("-A", "make_celery"):
        assert program.run("client.py") == "{'gross': 119, 'ready': True}\n"


@needs("fastapi", "httpx")
def test_a_fastapi_program_sends_and_looks(program):
    program.write(
        {
            "worker.py": """
                import os

                from celery import Celery

                celery = Celery(__name__)
                celery.conf.broker_url = os.environ["STORE"]
                celery.conf.result_backend = os.environ["STORE"]


                @celery.task(name="create_task")
                def create_task(kind):
                    return {"kind": kind, "done": True}
            """,
            "main.py": """
                from celery.result import AsyncResult
                from fastapi import Body, FastAPI

                from worker import create_task

                app = FastAPI()


                @app.post("/tasks", status_code=201)
                def run_task(payload=Body(...)):
                    return {"task_id": create_task.delay(payload["kind"]).id}


                @app.get("/tasks/{task_id}")
                def get_status(task_id):
                    result = AsyncResult(task_id)
                    result.get(timeout=30)
                    return {"status": result.status, "result": result.result}
            """,
            "client.py": """
                import warnings

                warnings.simplefilter("ignore")
                from fastapi.testclient import TestClient
                from main import app

                client = TestClient(app)
                answer = client.post("/tasks", json={"kind": 1})
                print(answer.status_code, client.get(f"/tasks/{answer.json()['task_id']}").json())
            """,
        }
    )
    with program.worker("-A", "worker.celery"):
        assert program.run("client.py") == "201 {'status': 'SUCCESS', 'result': {'kind': 1, 'done': True}}\n"


DJANGO = {
    "proj/__init__.py": """
        from .celery import app as celery_app

        __all__ = ("celery_app",)
    """,
    "proj/celery.py": """
        import os

        from celery import Celery

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")

        app = Celery("proj")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()


        @app.task(bind=True, ignore_result=True)
        def debug_task(self):
            print(f"Request: {self.request!r}")
    """,
    "proj/settings.py": """
        import os

        SECRET_KEY = "not one"
        INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "demoapp"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["STORE"][10:] + ".django"}}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
        TIME_ZONE = "Europe/Berlin"
        CELERY_BROKER_URL = os.environ["STORE"]
        CELERY_RESULT_BACKEND = os.environ["STORE"]
        CELERY_TASK_TRACK_STARTED = True
    """,
    "demoapp/__init__.py": "",
    "demoapp/models.py": """
        from django.db import models


        class Widget(models.Model):
            name = models.CharField(max_length=140)
    """,
    "demoapp/tasks.py": """
        from celery import shared_task
        from demoapp.models import Widget


        @shared_task
        def count_widgets():
            return Widget.objects.count()


        @shared_task
        def rename_widget(widget_id, name):
            widget = Widget.objects.get(id=widget_id)
            widget.name = name
            widget.save()
            return rename_widget.__class__.__mro__[1].__name__
    """,
    "manage.py": """
        import os
        import sys

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    """,
}


@needs("django")
def test_a_django_project_finds_its_tasks_and_uses_its_models(program):
    program.write(DJANGO)
    program.write(
        {
            "client.py": """
                import os

                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
                import django

                django.setup()
                from django.db import transaction
                from demoapp.models import Widget
                from demoapp.tasks import count_widgets, rename_widget

                widget = Widget.objects.create(name="old")
                print(count_widgets.delay().get(timeout=30))
                print(rename_widget.delay(widget.id, "new").get(timeout=30), Widget.objects.get().name)
                with transaction.atomic():
                    rename_widget.delay_on_commit(widget.id, "committed")
                    print(Widget.objects.get().name)
                print(count_widgets.delay().get(timeout=30), Widget.objects.get().name)
                print(count_widgets.app.timezone)
            """
        }
    )
    program.run("manage.py", "migrate", "--run-syncdb", "-v", "0")
    with program.worker("-A", "proj"):
        out = program.run("client.py").splitlines()
    assert out == ["1", "DjangoTask new", "new", "1 committed", "Europe/Berlin"]


@needs("django")
def test_a_django_project_runs_tasks_eagerly_inside_its_transactions(program):
    program.write(DJANGO)
    program.write(
        {
            "client.py": """
                import os

                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
                import django

                django.setup()
                from django.db import transaction
                from demoapp.models import Widget
                from demoapp.tasks import count_widgets
                from proj import celery_app

                celery_app.conf.task_always_eager = True
                with transaction.atomic():
                    Widget.objects.create(name="inside")
                    print(count_widgets.delay().get())
            """
        }
    )
    program.run("manage.py", "migrate", "--run-syncdb", "-v", "0")
    assert program.run("client.py") == "1\n"


def test_a_missing_django_is_warned_of_where_a_project_needs_it(monkeypatch):
    import importlib.util

    from celery import Celery
    from celery.exceptions import FixupWarning

    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "proj.settings")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(FixupWarning, match="Django is not installed"):
        Celery("proj", set_as_current=False)
