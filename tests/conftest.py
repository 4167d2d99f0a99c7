"""What every test can count on: `async def` tests run, and a missing server is no excuse in CI."""

import asyncio
import inspect
import os

import pytest
from hypothesis import settings

settings.register_profile("holdfast", deadline=None)  # a busy machine is no failure
settings.load_profile("holdfast")


def require(condition: object, reason: str) -> None:
    """Skip the test at home, and fail it in CI, unless the condition holds."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test on an event loop of its own; leave the others to pytest."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    asyncio.run(test(**arguments), debug=False)
    return True
