"""The stack is removed, and deployed again."""

import pytest

import report

@pytest.fixture(scope="module")
def left(play, stack):
    """A user who has a session, the table's items and the secrets, before the stack is removed; and what is printed then."""
    user, items = play.user(), play.items("")
    secrets = {name: play.current(id)["SecretString"] for name, id in stack.resources().items() if name.endswith("Secret")}
    assert items and len(secrets) == 6
    kept = {name: id for name, id in stack.resources().items() if name == "Table" or name.endswith("Secret")}
    with report.timed("removal"):
        said = stack.script("--destroy")
    return user, items, kept, secrets, said


def table_and_secrets_stay_and_are_named(play, stack, left):
    _, items, kept, secrets, said = left

    assert play.items("") == items
    assert {name: play.current(id)["SecretString"] for name, id in kept.items() if name != "Table"} == secrets
    assert f"aws dynamodb delete-table --table-name {kept['Table']}" in said
    assert all(f"aws secretsmanager delete-secret --secret-id {id}" in said for name, id in kept.items() if name != "Table")


def the_next_deployment_takes_them_up_and_sessions_go_on(play, stack, left):
    user, items, kept, secrets, _ = left

    with report.timed("deployment after the removal"):
        said = stack.deploy()

    assert "Taking up what an earlier deployment of wxauth left" in said and "(not shown)" not in said
    assert {name: id for name, id in stack.resources().items() if name in kept} == kept
    assert {name: play.current(id)["SecretString"] for name, id in kept.items() if name != "Table"} == secrets
    assert items <= play.items("")
    answer = user.refresh()
    assert answer.status == 200, answer
    # The gateway's address is another, and with it the issuer of access tokens.
    user.took(answer.json)
    assert user.call("GET", "/v1/session").status == 200
