from __future__ import annotations

import pytest

from vmwb.model.errors import WrongStateError
from vmwb.model.power import (
    ALLOWED,
    AT_REST,
    TRANSIENT,
    Action,
    PowerState,
    allowed_actions,
    refusal,
    require,
)


def test_table_covers_every_action() -> None:
    assert set(ALLOWED) == set(Action)


@pytest.mark.parametrize("state", PowerState)
@pytest.mark.parametrize("action", Action)
def test_refusal_is_given_exactly_where_the_table_does_not_allow(
    action: Action, state: PowerState
) -> None:
    refused = refusal(action, state, "deb")

    assert (refused is None) == (state in ALLOWED[action])
    assert refused is None or refused.sentence.startswith(f"deb is {state} and cannot be ")
    assert refused is None or refused.sentence.endswith(".")


def test_require_refused_raises_with_machine_state_and_action() -> None:
    with pytest.raises(WrongStateError) as caught:
        require(Action.START, PowerState.SUSPENDED, "deb")

    assert caught.value.sentence == ("deb is suspended and cannot be started: resume it instead.")
    assert caught.value.context == {"machine": "deb", "state": "suspended", "action": "start"}


def test_require_allowed_is_silent() -> None:
    require(Action.START, PowerState.OFF, "deb")


@pytest.mark.parametrize("state", TRANSIENT)
def test_transient_states_allow_nothing_but_stopping_and_watching(state: PowerState) -> None:
    assert allowed_actions(state) <= {Action.STOP, Action.OBSERVE}
    assert state.is_transient


@pytest.mark.parametrize("state", PowerState)
def test_has_worker_is_the_opposite_of_at_rest(state: PowerState) -> None:
    assert state.has_worker == (state not in AT_REST)


@pytest.mark.parametrize("state", [PowerState.OFF, PowerState.CRASHED])
def test_allowed_actions_at_rest_can_start_and_change_everything(state: PowerState) -> None:
    assert allowed_actions(state) == {
        *(Action.START, Action.EDIT, Action.RENAME, Action.DELETE, Action.MEDIA),
    }
