"""One page for all tests of the page: starting it costs more than a test."""

from collections.abc import Iterator

import pytest

from tests.ui.stage import Served, serve_page


@pytest.fixture(scope="package")
def served(tmp_path_factory) -> Iterator[Served]:
    with serve_page(tmp_path_factory.mktemp("page")) as page:
        yield page
