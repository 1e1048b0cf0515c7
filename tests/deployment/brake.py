"""The emergency brake, and deployments after it."""

import time

import pytest

import emulated
import report
from scenario import FUNCTIONS


@pytest.fixture(scope="module")
def users(play, stack):
    """Sessions of before the brake: one that was refused since, and one that nobody touched."""
    refused, untouched = play.user(), play.user()
    # A session counts as of before where its second is over.
    time.sleep(1.1)
    with report.timed("brake"):
        said = stack.script("--brake")
    assert "No later deployment lifts the brake" in said
    # Stands for the five minutes: a new process reads it at once.
    for function in FUNCTIONS:
        stack.restart(function)
    return refused, untouched


def sessions_of_before_are_over_everywhere(play, stack, users):
    refused, _ = users

    assert refused.refresh().json["code"] == "login_required"
    assert refused.call("GET", "/v1/session").status == 401
    assert play.authorized(refused)["isAuthorized"] is False


def whoever_logs_in_anew_is_logged_in(play, users):
    user = play.user()

    assert user.refresh().status == 200
    assert user.call("GET", "/v1/session").status == 200
    assert play.authorized(user)["isAuthorized"] is True


def a_later_deployment_brings_no_session_back_and_asks_nothing(play, stack, users):
    with report.timed("deployment after the brake"):
        said = stack.deploy(MinAgeSeconds=119)

    assert "code_invalid: it works" in said and "(not shown)" not in said
    for user in users:
        assert user.refresh().json["code"] == "login_required"
        assert user.call("GET", "/v1/session").status == 401
        assert play.authorized(user)["isAuthorized"] is False


def a_deployment_by_sam_with_saved_parameters_brings_no_session_back(play, stack, users, account):
    """`sam deploy --guided` saves every parameter, and each later `sam deploy` gives them all."""
    defaults = {name: it["Default"] for name, it in emulated.declared("Parameters").items()}
    with report.timed("deployment after the brake by SAM, with saved parameters"):
        stack.sam_deploy(**defaults | account.parameters | {"Architecture": emulated.ARCHITECTURE})

    for user in users:
        assert user.refresh().status == 400
