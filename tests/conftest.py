"""How tests are dealt to the cores."""

import pytest

# Their tests share nothing that is slow to make, and run long each.
DEALT_ONE_BY_ONE = {"test_examples.py"}


def pytest_collection_modifyitems(config, items):
    """The tests of a file stay together, for its fixtures and compilations; single tests are dealt
    last and fill up the cores."""
    for item in items:
        if config.pluginmanager.hasplugin("xdist") and item.path.name not in DEALT_ONE_BY_ONE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
