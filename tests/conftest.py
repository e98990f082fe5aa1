"""How tests are dealt to the cores: by file, since module fixtures hold what is slow to compile,
but one by one from the files whose tests are long and share nothing."""

import pytest

ONE_BY_ONE = {"test_examples.py", "test_science.py", "test_forecast_cli.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        name = item.path.name
        item.add_marker(pytest.mark.xdist_group(item.nodeid if name in ONE_BY_ONE else name))
