"""One account and one stack for all tests: deploying takes longer than all that follows."""

import contextlib
import json
import os
import types

import pytest

from emulated import ROOT, Emulator, Refused, Stack, Wechat
from report import FOUND, SECONDS, timed
from scenario import APPID, APPS, FUNCTIONS, PROXY, PUSH, Play, owner

DEPLOY_POLICY = json.loads((ROOT / "infra" / "deploy-policy.json").read_text())

# The order of a stack's life.
ORDER = ["first_deployment", "plays", "grants", "brake", "removal", "update", "asked"]
# What the owner types.
APP = "".join(f"{line}\n" for line in (APPID, APPS["apps"][APPID]["secret"]))


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
        (folder / "owner").mkdir()
        stack = Stack(emulator, folder / "owner", emulator.user("deployer", DEPLOY_POLICY))
        running = ends.pop_all()
    with running:
        yield types.SimpleNamespace(emulator=emulator, wechat=wechat, stack=stack, parameters=parameters)


@pytest.fixture(scope="session")
def failure(account):
    """What is said of a first deployment near whose end a right is missing."""
    deny = {"Effect": "Deny", "Action": "secretsmanager:RotateSecret", "Resource": "*"}
    user = {"UserName": account.stack.deployer.user, "PolicyName": "denied"}
    iam = account.emulator.client("iam")
    iam.put_user_policy(**user, PolicyDocument=json.dumps({"Statement": [deny]}))
    with timed("first deployment, which fails"), pytest.raises(Refused) as refused:
        account.stack.deploy(types=APP, **account.parameters)
    iam.delete_user_policy(**user)
    return str(refused.value)


@pytest.fixture(scope="session")
def second(account, failure):
    """What the next try prints, which is the same command without what is saved."""
    with timed("second deployment, with the first keys and the smoke test"):
        return account.stack.deploy(types=APP)


@pytest.fixture(scope="session")
def stack(account, second):
    """The stack, with all that its plays need."""
    push = PUSH["apps"][APPID]
    account.stack.script("--push", types=f"{push['token']}\n{push['encoding_aes_key']}\n")
    # The keys of virtual payment are put into the secret by hand.
    client, secret = account.emulator.client("secretsmanager", account.stack.deployer), account.stack.resources()["AppsSecret"]
    client.put_secret_value(SecretId=secret, SecretString=json.dumps(APPS))
    for function in FUNCTIONS:
        account.stack.restart(function)
    return account.stack


@pytest.fixture(scope="session")
def play(stack, account):
    return Play(stack, account.wechat)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("the emulated deployment")
    for step, seconds in SECONDS.items():
        terminalreporter.write_line(f"{seconds:6.1f} s  {step}")
    times = os.times()
    used = times.user + times.system + times.children_user + times.children_system
    terminalreporter.write_line(f"{used:6.1f} s  of processor time in all, with the emulator, the functions and the tools")
    for figure, found in FOUND.items():
        terminalreporter.write_line(f"{figure}: {found}")
