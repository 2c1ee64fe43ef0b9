"""The pointer: what is joined on its way to the guest, places, movements, the mouse's grab."""

from __future__ import annotations

import os

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from ui.fake_services import FakeScreen
from ui.support import until

from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.events import PointerEvent
from vmwb.model.power import PowerState
from vmwb.services.types import Motion, Place
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.pointer import (
    LEFT,
    MIDDLE,
    PLACE_MAX,
    RIGHT,
    STEPS_MAX,
    WHEEL_MAX,
    Step,
    Steps,
    Travel,
    Wheel,
    place_of,
)
from vmwb_ui.console.screen import ScreenView


def taken(steps: Steps) -> list[Step]:
    return [steps.take() for _ in range(len(steps))]


def test_movements_that_wait_are_added_up() -> None:
    steps = Steps()
    for _ in range(1000):
        steps.add(Step(Motion(1, -2), wheel=1))
    assert taken(steps) == [Step(Motion(1000, -2000), wheel=WHEEL_MAX)]


def test_places_that_wait_give_way_to_the_newest() -> None:
    steps = Steps()
    for x in range(1000):
        steps.add(Step(Place(x, x)))
    assert taken(steps) == [Step(Place(999, 999))]


def test_presses_stay_where_they_happened() -> None:
    steps = Steps()
    for place, buttons in ((1, 0), (2, 0), (2, LEFT), (3, LEFT), (4, LEFT), (4, 0), (5, 0)):
        steps.add(Step(Place(place, 0), buttons=buttons))
    assert taken(steps) == [
        Step(Place(2, 0)),
        Step(Place(2, 0), buttons=LEFT),
        Step(Place(4, 0), buttons=LEFT),
        Step(Place(4, 0)),
        Step(Place(5, 0)),
    ]


def test_flood_of_presses_is_bounded_and_its_end_arrives() -> None:
    steps = Steps()
    for number in range(10_000):
        steps.add(Step(Motion(1, 0), buttons=number % 2))
    steps.add(Step(Motion(0, 0)))
    found = taken(steps)
    assert len(found) == STEPS_MAX
    assert found[-1].buttons == 0
    assert sum(step.place.dx for step in found) == 10_000


@pytest.mark.parametrize(
    ("point", "place"),
    [
        ((0, 0), Place(0, 0)),
        ((639, 479), Place(PLACE_MAX, PLACE_MAX)),
        ((-5, 900), Place(0, PLACE_MAX)),
        ((319.5, 239.5), Place(32_768, 32_768)),
    ],
)
def test_place_of_a_point_is_its_share_of_the_picture(point, place) -> None:
    assert place_of(*point, 640, 480) == place


def test_wheel_makes_whole_steps_of_fine_turns() -> None:
    wheel = Wheel()
    assert [wheel.turned(angle) for angle in (50, 50, 50, -150, 240, -360)] == [0, 0, 1, -1, 2, -3]


def test_travel_tells_what_came_before_a_jump_from_what_came_after() -> None:
    travel = Travel(500, 500)
    assert travel.moved(900, 500) == Motion(400, 0)
    travel.jumped(500, 500)
    assert travel.moved(905, 500) == Motion(5, 0)
    assert travel.moved(503, 501) == Motion(3, 1)
    assert travel.moved(504, 501) == Motion(1, 0)


@pytest.fixture
def view(look, qtbot):
    screen = FakeScreen(640, 480)
    picture = Picture(FrameReader(screen.handle))
    widget = ScreenView()
    qtbot.addWidget(widget)
    widget.resize(640, 480)
    widget.show()
    widget.show_picture(picture)
    widget.set_takes_input(True)
    widget.steps = []
    widget.pointer_moved.connect(widget.steps.append)
    yield widget
    widget.show_picture(None)
    picture.close()
    os.close(screen.handle)


def moved(view: ScreenView, x: int, y: int) -> None:
    at = QPointF(x, y)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        at,
        QPointF(view.mapToGlobal(at.toPoint())),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
    )
    view.mouseMoveEvent(event)


def turned(view: ScreenView, angle: int) -> None:
    at = QPointF(10, 10)
    event = QWheelEvent(
        at,
        QPointF(view.mapToGlobal(at.toPoint())),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    view.wheelEvent(event)


def test_guest_that_takes_places_is_told_them_without_a_grab(view) -> None:
    view.set_takes_places(True)
    moved(view, 639, 0)
    assert view.steps == [Step(Place(PLACE_MAX, 0))]
    assert not view.grabbed


def test_click_at_a_place_presses_there_and_takes_only_the_keyboard(view) -> None:
    view.set_takes_places(True)
    QTest.mousePress(view, Qt.MouseButton.RightButton, pos=QPoint(0, 479))
    QTest.mouseRelease(view, Qt.MouseButton.RightButton, pos=QPoint(0, 479))
    corner = Place(0, PLACE_MAX)
    assert view.steps == [Step(corner, buttons=RIGHT), Step(corner)]
    assert view.grabbed
    assert not view.mouse_grabbed


def test_click_grabs_the_mouse_of_a_guest_that_takes_movements(view) -> None:
    moved(view, 100, 100)
    QTest.mouseClick(view, Qt.MouseButton.LeftButton)
    assert view.mouse_grabbed
    assert view.steps == []
    assert view.cursor().shape() is Qt.CursorShape.BlankCursor
    moved(view, 300, 200)
    view.steps.clear()
    moved(view, 310, 195)
    QTest.mousePress(view, Qt.MouseButton.MiddleButton)
    QTest.mouseRelease(view, Qt.MouseButton.MiddleButton)
    turned(view, -240)
    assert view.steps == [
        Step(Motion(10, -5)),
        Step(Motion(0, 0), buttons=MIDDLE),
        Step(Motion(0, 0)),
        Step(Motion(0, 0), wheel=-2),
    ]


def test_mouse_comes_back_with_the_keyboard_and_its_buttons_go_up(view) -> None:
    view.take_keyboard()
    QTest.mousePress(view, Qt.MouseButton.LeftButton)
    view.release_keyboard()
    assert not view.mouse_grabbed
    assert view.cursor().shape() is Qt.CursorShape.ArrowCursor
    assert [step.buttons for step in view.steps] == [LEFT, 0]


def test_guest_that_begins_to_take_places_gives_the_mouse_back(view) -> None:
    view.take_keyboard()
    assert view.mouse_grabbed
    view.set_takes_places(True)
    assert not view.mouse_grabbed
    assert view.grabbed
    assert "keyboard:" in view.findChild(object, "grab").text()


def test_machine_that_takes_no_input_is_not_told_of_the_pointer(view) -> None:
    view.set_takes_places(True)
    view.set_takes_input(False)
    moved(view, 5, 5)
    QTest.mouseClick(view, Qt.MouseButton.LeftButton)
    turned(view, 120)
    assert view.steps == []


def test_pointer_of_the_window_reaches_the_guest_as_it_asks_for_it(run_ui, workbench, world):
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            tab = bench.window.current
            await until(lambda: tab.presenter.picture)
            machine.events.put_nowait(PointerEvent(absolute=True))
            await until(lambda: tab.presenter.takes_places)
            for x in range(500):
                tab.presenter.point(Step(Place(x, 0)))
            tab.presenter.point(Step(Place(7, 7), 1, LEFT))
            await until(lambda: machine.steps and machine.steps[-1][2] == LEFT)
            assert machine.steps[-1] == (Place(7, 7), 1, LEFT)
            assert len(machine.steps) < 10
            world.set("id-one", PowerState.OFF)
            await until(lambda: not tab.presenter.takes_places)

    run_ui(main)
