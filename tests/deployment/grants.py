"""Each right of each role is taken away by itself, and the play of the function has to notice."""

import json

import report
from scenario import FUNCTIONS

# What no play notices, and why.
UNNOTICED = {
    "xray:PutTelemetryRecords": "Lambda would send the traces, and MiniStack's sends none",
    "xray:PutTraceSegments": "Lambda would send the traces, and MiniStack's sends none",
}


def each_right_that_a_role_lacks_is_noticed(play, stack, account):
    iam, resources = account.emulator.client("iam"), stack.resources()
    noticed, unnoticed, wrong = [], [], []

    with report.timed("mutations"):
        for function in FUNCTIONS:
            role = resources[f"{function.capitalize()}Role"]
            (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
            whole = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for right, lesser in _without_each(whole):
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(lesser))
                decided = len(account.emulator.decisions())
                fails = _fails(play, function)
                denied = [it for it in account.emulator.decisions()[decided:] if not it["allowed"]]
                label = f"{function}: {right}"
                if fails and {it["action"] for it in denied} == {right.split()[0]}:
                    noticed.append(label)
                elif fails:
                    wrong.append(f"{label}: {fails}, {denied}")
                else:
                    unnoticed.append(f"{label} ({len(denied)} denied)")
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(whole))
            stack.restart(function)
    print(*wrong, *unnoticed, sep="\n")
    report.FOUND["rights taken from a role"] = len(noticed) + len(unnoticed)
    assert not wrong and not unnoticed


def _fails(play, function):
    """What a new process of the function fails over in its play."""
    play.stack.restart(function)
    lines = play.logged(function)
    try:
        getattr(play, function)()
        assert play.logged(function) > lines, "no line in its log"
    except AssertionError as failure:
        return str(failure)
    return None


def _without_each(policy):
    """The policy without one action on one resource, for each of them."""
    for at, statement in enumerate(policy["Statement"]):
        actions, resources = _list(statement["Action"]), _list(statement["Resource"])
        for action in actions:
            for resource in resources:
                rest = [
                    statement | {"Action": [it for it in actions if it != action]},
                    statement | {"Action": action, "Resource": [it for it in resources if it != resource]},
                ]
                rest = [it for it in rest if it["Action"] and it["Resource"]]
                others = policy["Statement"][:at] + policy["Statement"][at + 1 :]
                yield f"{action} on {resource.split(':', 5)[-1]}", policy | {"Statement": others + rest}


def _list(value):
    return value if isinstance(value, list) else [value]
