from conftest import Told
from monuseg_cli.core.progress import Held


def test_held_messages_are_shown_in_order_and_by_their_kind() -> None:
    held, told = Held(), Told()
    with held.task("a.png", 3, "tiles") as task:
        held.info("first")
        held.detail("which engine")
        held.warn("second")
        task.advance()
    assert (told.lines, told.details) == ([], [])
    held.show(told)
    assert (told.lines, told.details) == (["first", "second"], ["which engine"])
