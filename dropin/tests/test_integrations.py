"""Packages that were written for Celery, as far as what exists here carries them."""

from __future__ import annotations

import importlib

import pytest

from celeriac.testing import run_worker


def memory_app(name):
    from celery import Celery

    return Celery(name, broker="memory://", backend="memory://", set_as_current=False)


# --------------------------------------------------------------------------------------------------- wrapping a tracer


def test_who_wraps_build_tracer_is_around_every_call(monkeypatch):
    import celery.app.trace as trace

    seen, original = [], trace.build_tracer

    def wrapping(name, task, *args, **options):
        inner = original(name, task, *args, **options)

        def tracer(uuid, args, kwargs, request=None):
            seen.append(("begin", name, uuid == request.id, list(args), kwargs))
            try:
                return inner(uuid, args, kwargs, request)
            finally:
                seen.append(("end", name))

        return tracer

    monkeypatch.setattr(trace, "build_tracer", wrapping)
    app = memory_app("wrapped")

    @app.task(shared=False, name="add")
    def add(x, y=0):
        return x + y

    @app.task(shared=False, name="fail")
    def fail():
        raise ValueError("no")

    with run_worker(app):
        assert add.delay(2, y=2).get(timeout=10) == 4
        with pytest.raises(ValueError, match="no"):
            fail.delay().get(timeout=10)
    app.close()
    assert seen == [
        ("begin", "add", True, [2], {"y": 2}),
        ("end", "add"),
        ("begin", "fail", True, [], {}),
        ("end", "fail"),
    ]


def test_who_replaces_run_before_the_tracer_is_built_is_called(monkeypatch):
    import celery.app.trace as trace

    original, calls = trace.build_tracer, []

    def replacing(name, task, *args, **options):
        run = task.run
        task.run = lambda *a, **k: calls.append(name) or run(*a, **k)
        return original(name, task, *args, **options)

    monkeypatch.setattr(trace, "build_tracer", replacing)
    app = memory_app("replaced")

    @app.task(shared=False, name="one")
    def one():
        return 1

    with run_worker(app):
        assert [one.delay().get(timeout=10) for _ in range(2)] == [1, 1]
    app.close()
    assert calls == ["one", "one"]


def test_a_task_that_customises_its_call_is_told_from_others():
    from celery import Task
    from celery.app.trace import task_has_custom

    class Custom(Task):
        def __call__(self, *args, **kwargs):
            return self.run(*args, **kwargs)

    class Derived(Custom):
        pass

    class Plain(Task):
        pass

    assert task_has_custom(Derived(), "__call__")
    assert not task_has_custom(Plain(), "__call__")


# -------------------------------------------------------------------------------------------------------- real packages


def test_sentry_sees_failures_and_follows_traces(program):
    pytest.importorskip("sentry_sdk", reason="sentry-sdk is not installed")
    program.write(
        {
            "shop.py": """
                import sentry_sdk
                from sentry_sdk.integrations.celery import CeleryIntegration
                from sentry_sdk.transport import Transport

                from celery import Celery
                from celeriac.testing import run_worker

                seen = []


                class Keeping(Transport):
                    def capture_envelope(self, envelope):
                        seen.extend(item.payload.json for item in envelope.items)


                sentry_sdk.init(
                    dsn="http://key@127.0.0.1:9/1",
                    integrations=[CeleryIntegration()],
                    traces_sample_rate=1.0,
                    transport=Keeping,
                )
                app = Celery("shop", broker="memory://", backend="memory://")


                @app.task
                def fail():
                    raise ValueError("seen")


                @app.task
                def add(x, y):
                    return x + y


                with run_worker(app):
                    with sentry_sdk.start_transaction(name="client") as transaction:
                        assert add.delay(2, 2).get(timeout=20) == 4
                    fail.delay().get(timeout=20, propagate=False)
                sentry_sdk.flush()
                errors = [each["exception"]["values"][-1] for each in seen if each and each.get("exception")]
                print([(error["type"], error["value"], error["mechanism"]["type"]) for error in errors])
                runs = [each for each in seen if each.get("spans") is not None]
                traces = {run["transaction"]: run["contexts"]["trace"] for run in runs}
                print(traces["shop.add"]["trace_id"] == transaction.trace_id, traces["shop.add"]["op"])
            """
        }
    )
    assert program.run("shop.py").splitlines() == ["[('ValueError', 'seen', 'celery')]", "True queue.task.celery"]


def test_opentelemetry_makes_a_trace_of_sending_and_running(program):
    pytest.importorskip("opentelemetry.instrumentation.celery", reason="opentelemetry is not installed")
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry is not installed")
    program.write(
        {
            "shop.py": """
                from opentelemetry import trace
                from opentelemetry.instrumentation.celery import CeleryInstrumentor
                from opentelemetry.sdk.trace import TracerProvider
                from opentelemetry.sdk.trace.export import SimpleSpanProcessor
                from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

                from celery import Celery
                from celeriac.testing import run_worker

                exporter = InMemorySpanExporter()
                provider = TracerProvider()
                provider.add_span_processor(SimpleSpanProcessor(exporter))
                trace.set_tracer_provider(provider)
                CeleryInstrumentor().instrument()
                app = Celery("shop", broker="memory://", backend="memory://")


                @app.task
                def add(x, y):
                    return x + y


                @app.task
                def fail():
                    raise ValueError("no")


                with run_worker(app):
                    assert add.delay(2, 2).get(timeout=20) == 4
                    fail.delay().get(timeout=20, propagate=False)
                spans = {span.name: span for span in exporter.get_finished_spans()}
                print(sorted(spans))
                send, run = spans["apply_async/shop.add"], spans["run/shop.add"]
                print(run.parent.span_id == send.context.span_id, run.attributes["celery.state"])
                print(spans["run/shop.fail"].status.status_code.name)
            """
        }
    )
    assert program.run("shop.py").splitlines() == [
        "['apply_async/shop.add', 'apply_async/shop.fail', 'run/shop.add', 'run/shop.fail']",
        "True SUCCESS",
        "ERROR",
    ]


@pytest.mark.parametrize("package", ["django_celery_results", "django_celery_beat"])
def test_models_of_djangos_packages_can_be_used(program, package):
    pytest.importorskip(package, reason=f"{package} is not installed")
    program.write(
        {
            "models.py": f"""
                import django
                from django.conf import settings

                settings.configure(
                    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "{package}"],
                    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
                    USE_TZ=True,
                )
                django.setup()
                from django.core.management import call_command
                from django.apps import apps

                call_command("migrate", verbosity=0)
                print(all(model.objects.count() == 0 for model in apps.get_app_config("{package}").get_models()))
            """
        }
    )
    assert program.run("models.py") == "True\n"


def test_what_waits_for_events_and_for_backends_says_so():
    pytest.importorskip("flower", reason="flower is not installed")
    with pytest.raises(ImportError, match="events come with a later release"):
        importlib.import_module("flower.events")
    with pytest.raises(ImportError, match="result backends of other packages come with a later release"):
        from celery.backends.base import KeyValueStoreBackend  # noqa: F401
