"""``shared_task``: a task of every app, for libraries that do not know which app will use them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from celeriac import current
from celeriac.app.making import task_name

if TYPE_CHECKING:
    from celeriac.app.app import BoundTaskMaker, Celeriac, TaskMaker
    from celeriac.app.task import CoroutineTask, Task

__all__ = ["shared_task"]

P = ParamSpec("P")
R = TypeVar("R")


class SharedTask:
    """Stands for the current app's copy of a shared task, of whose class it says to be."""

    @property
    def __class__(self) -> type[Any]:
        return type(self._task())

    @__class__.setter
    def __class__(self, value: type[Any]) -> None:
        raise TypeError("a shared task has the class of the current app's copy")

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.__dict__.update(_function=function, _options=options)
        self.__dict__.update(__doc__=function.__doc__, __module__=function.__module__)

    def _task(self) -> Task[Any, Any]:
        app = current.current_app()
        name = self._options.get("name") or task_name(app, self._function)
        return app.tasks[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._task(), name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._task()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._task())

    def __reduce__(self) -> Any:
        return self._task().__reduce__()


@overload
def shared_task(function: Callable[P, Coroutine[Any, Any, R]], /) -> CoroutineTask[P, R]: ...
@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def shared_task(*, bind: Literal[True], **options: Any) -> BoundTaskMaker: ...
@overload
def shared_task(*, bind: Literal[False] = False, **options: Any) -> TaskMaker: ...
def shared_task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a task of every app, of now and later; options as of ``app.task``."""

    def make(body: Callable[..., Any]) -> Any:
        if not callable(body):
            raise TypeError(f"@shared_task needs a function, not {body!r}; options are given by keyword")

        def construct(app: Celeriac) -> None:
            name = options.get("name") or task_name(app, body)
            if name not in app.known_tasks:
                app.add_task(body, options)

        current.shared_constructors.append(construct)
        for app in tuple(current.active_apps):
            if app.finalized:
                construct(app)
        return SharedTask(body, options)

    return make if function is None else make(function)
