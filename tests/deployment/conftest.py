"""One account and one stack for all tests: deploying takes longer than all that follows."""

import contextlib
import json
import types

import pytest

from emulated import ROOT, Emulator, Refused, Stack, Wechat
from report import FOUND, SECONDS, timed
from scenario import APPS, PROXY, PUSH, Play, owner

DEPLOY_POLICY = json.loads((ROOT / "infra" / "deploy-policy.json").read_text())

# The order of a stack's life.
ORDER = ["first_deployment", "plays", "update", "grants", "brake", "removal"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.index(item.path.stem))


@pytest.fixture(scope="session")
def account(tmp_path_factory):
    """The emulator with WeChat's simulator beside it, and a user who may deploy and nothing else."""
    folder = tmp_path_factory.mktemp("account")
    with contextlib.ExitStack() as ends, timed("start of the emulator"):
        wechat = Wechat(folder)
        ends.callback(wechat.end)
        emulator = Emulator(folder, wechat)
        ends.callback(emulator.end)
        secret = emulator.client("secretsmanager").create_secret(Name="proxy", SecretString=json.dumps(PROXY))
        parameters = {
            "AlarmEmail": "owner@example.com",
            "PushTargetArn": owner(emulator),
            "TracingMode": "Active",
            "TrustedProxyArn": secret["ARN"],
        }
        (folder / "infra").mkdir()
        stack = Stack(emulator, folder / "infra", emulator.user("deployer", DEPLOY_POLICY))
        running = ends.pop_all()
    with running:
        yield types.SimpleNamespace(emulator=emulator, wechat=wechat, stack=stack, parameters=parameters)


@pytest.fixture(scope="session")
def failure(account):
    """What is said of a first deployment near whose end a right is missing: by SAM CLI, and by the stack's events."""
    deny = {"Effect": "Deny", "Action": "secretsmanager:RotateSecret", "Resource": "*"}
    user = {"UserName": account.stack.deployer.user, "PolicyName": "denied"}
    iam = account.emulator.client("iam")
    iam.put_user_policy(**user, PolicyDocument=json.dumps({"Statement": [deny]}))
    with timed("first deployment, which fails"), pytest.raises(Refused) as refused:
        account.stack.deploy(**account.parameters)
    iam.delete_user_policy(**user)
    pages = account.emulator.client("cloudformation").get_paginator("describe_stack_events")
    events = [event for page in pages.paginate(StackName=account.stack.name) for event in page["StackEvents"]]
    return "\n".join([str(refused.value), *(event.get("ResourceStatusReason", "") for event in events)])


@pytest.fixture(scope="session")
def stack(account, failure):
    """The stack after another try, with the secrets filled and the keys made."""
    with timed("removal and second deployment"):
        account.stack.remove()
        account.stack.deploy(**account.parameters)
    fill(account.stack, "AppsSecret", APPS)
    fill(account.stack, "PushSecret", PUSH)
    with timed("the first keys"):
        Play(account.stack, account.wechat).wait_for(
            lambda: account.stack.request("GET", "/.well-known/jwks.json").status == 200
        )
    return account.stack


@pytest.fixture(scope="session")
def play(stack, account):
    return Play(stack, account.wechat)


def fill(stack, secret, value):
    """Does what the owner does after the first deployment, with the rights of who deployed."""
    client = stack.emulator.client("secretsmanager", stack.deployer)
    client.put_secret_value(SecretId=stack.resources()[secret], SecretString=json.dumps(value))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("the emulated deployment")
    for step, seconds in SECONDS.items():
        terminalreporter.write_line(f"{seconds:6.1f} s  {step}")
    for figure, found in FOUND.items():
        terminalreporter.write_line(f"{figure}: {found}")
