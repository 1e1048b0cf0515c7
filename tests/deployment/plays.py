"""Every function and route of the deployed stack, over HTTP or as it is invoked."""

import pytest

import emulated
import report
from scenario import FUNCTIONS


@pytest.mark.parametrize("function", FUNCTIONS)
def a_function_does_what_it_is_there_for_and_writes_it_into_its_log(play, function):
    lines = len(play.lines(function))

    with report.timed("plays of all functions"):
        getattr(play, function)()

    assert len(play.lines(function)) > lines


def every_route_was_served_and_nothing_was_denied(stack, account):
    functions = [it["Properties"] for it in emulated.declared().values() if it["Type"] == "AWS::Serverless::Function"]
    events = [event["Properties"] for it in functions for event in it.get("Events", {}).values()]

    routes = {f"{event['Method']} {event['Path']}" for event in events}

    assert routes <= stack.served
    report.FOUND["routes served"] = len(routes)
    report.FOUND["functions played"] = len(FUNCTIONS)
    denied = [it for it in account.emulator.denials() if "user/" not in it["principal"]]
    report.FOUND["denials while they were played"] = len(denied)
    assert denied == []
