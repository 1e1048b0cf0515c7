"""Each right of each role is taken away by itself, and the play of the function has to notice."""

import contextlib
import json

import report
import scenario
from scenario import FUNCTIONS

# The one policy that several roles share. Lambda writes the traces that it allows, and MiniStack's Lambda writes none.
TRACES = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}


def each_right_that_a_role_lacks_is_noticed(play, stack, account):
    iam, resources = account.emulator.client("iam"), stack.resources()
    taken, unnoticed = 0, []

    with report.timed("mutations"):
        for function in FUNCTIONS:
            role = resources[f"{function.capitalize()}Role"]
            (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
            whole = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for action, resource, lesser in _lesser(whole):
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(lesser))
                decided = len(account.emulator.decisions())
                failure = _failure(play, function)
                denied = {it["action"] for it in account.emulator.decisions()[decided:] if not it["allowed"]}
                taken += 1
                if not failure or denied != {action}:
                    unnoticed.append(f"{function} without {action} on {resource}: {failure}, denied {denied}")
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(whole))
            stack.restart(function)

    report.FOUND["rights taken from a role, and noticed"] = f"{taken}, {taken - len(unnoticed)}"
    assert not unnoticed, "\n".join(unnoticed)


def no_other_right_is_held_than_those_and_the_traces(stack, account):
    iam, resources = account.emulator.client("iam"), stack.resources()
    shared = {
        policy["PolicyArn"]
        for function in FUNCTIONS
        for policy in iam.list_attached_role_policies(RoleName=resources[f"{function.capitalize()}Role"])[
            "AttachedPolicies"
        ]
    }

    (arn,) = shared
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]

    assert {action for statement in document["Statement"] for action in _list(statement["Action"])} == TRACES
    report.FOUND["rights that were not taken"] = ", ".join(sorted(TRACES))


def what_a_service_may_not_invoke_is_not_invoked(play, stack, account):
    def denied_to(service):
        return any(it["principal"] == service and not it["allowed"] for it in account.emulator.decisions())

    with _without_permissions(stack, "keys"):
        assert stack.request("GET", "/.well-known/jwks.json").status == 500
    assert denied_to("apigateway.amazonaws.com")
    assert stack.request("GET", "/.well-known/jwks.json").status == 200

    arn = stack.resources()["KeyringSecret"]
    before = play.current(arn)["VersionId"]
    with _without_permissions(stack, "rotation"):
        account.emulator.client("secretsmanager").rotate_secret(SecretId=arn)
        play.wait_for(lambda: denied_to("secretsmanager.amazonaws.com"))
    assert play.current(arn)["VersionId"] == before
    play.rotate("KeyringSecret")


@contextlib.contextmanager
def _without_permissions(stack, function):
    """Takes away what the function's own policy lets others do."""
    client, name = stack.emulator.client("lambda"), f"{stack.name}-{function}"
    statements = json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]
    for statement in statements:
        client.remove_permission(FunctionName=name, StatementId=statement["Sid"])
    yield
    for statement in statements:
        (service,) = statement["Principal"].values()
        conditions = {key: value for it in statement["Condition"].values() for key, value in it.items()}
        client.add_permission(
            FunctionName=name,
            StatementId=statement["Sid"],
            Action=statement["Action"],
            Principal=service,
            **{key.removeprefix("AWS:"): value for key, value in conditions.items()},
        )


def _failure(play, function):
    """What a new process of the function fails over in its play."""
    play.stack.restart(function)
    play.since = scenario.now()
    try:
        getattr(play, function)()
        assert play.lines(function), "no line in its log"
    except Exception as failure:  # noqa: BLE001
        # Whatever it is: what was denied says whether it is the right's absence.
        return repr(failure)
    return None


def _lesser(policy):
    """The policy without one action on one resource, for each of them; and with a condition that nothing meets."""
    for at, statement in enumerate(policy["Statement"]):
        others = policy["Statement"][:at] + policy["Statement"][at + 1 :]
        actions, resources = _list(statement["Action"]), _list(statement["Resource"])
        for action in actions:
            for resource in resources:
                rest = [
                    statement | {"Action": [it for it in actions if it != action]},
                    statement | {"Action": action, "Resource": [it for it in resources if it != resource]},
                ]
                rest = [it for it in rest if it["Action"] and it["Resource"]]
                yield action, resource, policy | {"Statement": others + rest}
            if "Condition" in statement:
                unmet = statement | {"Action": action, "Condition": _unmet(statement["Condition"])}
                rest = [it for it in [statement | {"Action": [it for it in actions if it != action]}] if it["Action"]]
                yield action, "keys that its condition excludes", policy | {"Statement": [*others, *rest, unmet]}


def _unmet(condition):
    return {
        operator: {key: ["*" if "Not" in operator else "none"] for key in keys} for operator, keys in condition.items()
    }


def _list(value):
    return value if isinstance(value, list) else [value]
