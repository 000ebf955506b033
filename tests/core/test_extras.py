import pytest

from monuseg_cli.core.errors import MissingError
from monuseg_cli.core.extras import is_installed, require_extra


def test_an_installed_package_passes() -> None:
    require_extra("tables", "a table", numpy="numpy")
    assert is_installed("numpy")


def test_the_first_missing_package_and_its_extra_are_named() -> None:
    with pytest.raises(MissingError) as caught:
        require_extra("view", "the viewer", numpy="numpy", no_such_module="No-Such", no_other="other")
    assert str(caught.value) == "the viewer needs No-Such, which is not installed: pip install 'monuseg-cli[view]'"
    assert not is_installed("no_such_module")
