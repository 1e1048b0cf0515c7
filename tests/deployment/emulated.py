"""The emulator, the simulator of WeChat, and a stack that is deployed there as a user of SAM CLI does it."""

import functools
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import types
import typing
import zipfile

import boto3
import botocore.config
from samtranslator.yaml_helper import yaml_parse

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# What `cargo lambda build` made: the functions, and the simulator beside them.
PROGRAMS = ROOT / "target" / "lambda"
REGION = "eu-central-1"
# Every client has one: a path that nobody serves waits for ever.
PATIENCE = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Key(typing.NamedTuple):
    """An access key, and whose it is."""

    user: str
    id: str
    secret: str


ROOT_USER = Key("root", "test", "test")


class Process:
    """A program that listens on loopback, until it is ended."""

    def __init__(self, command, port, environment, log):
        self.log = log
        self.process = subprocess.Popen(command, env=environment, stdout=log.open("w"), stderr=subprocess.STDOUT)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.05)

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)


class Wechat(Process):
    """The simulator of WeChat's API."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        program = PROGRAMS / "wechat-simulator" / "bootstrap"
        super().__init__([program, "--listen", f"127.0.0.1:{self.port}"], self.port, {}, folder / "wechat.log")

    def sim(self, control, **request):
        """What a control route gives."""
        answer = exchange(self.port, "POST", f"/sim/{control}", json.dumps(request))
        assert answer.status == 200, answer
        return answer.json


class Emulator(Process):
    """MiniStack on loopback, where IAM is enforced."""

    def __init__(self, folder, wechat):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._decisions = folder / "decisions"
        self._decisions.touch()
        (folder / "tmp").mkdir()
        # Functions get what the emulator has, so this is how they find the simulator instead of WeChat: the template has no
        # such variable.
        environment = {
            "AUTH": "true",
            "AWS_ENDPOINT_URL": self.url,
            "BIND_HOST": "127.0.0.1",
            "DECISIONS": str(self._decisions),
            "GATEWAY_PORT": str(self.port),
            "HOME": str(folder),
            "LOG_LEVEL": "WARNING",
            "MINISTACK_REGION": REGION,
            "PATH": os.environ["PATH"],
            "TMPDIR": str(folder / "tmp"),
            "WXAUTH_WECHAT_URL": wechat.url,
        }
        super().__init__([sys.executable, HERE / "emulator.py"], self.port, environment, folder / "emulator.log")

    def decisions(self):
        """What was asked of IAM so far, and whether it was allowed: of all but the account's root."""
        return [json.loads(line) for line in self._decisions.read_text().splitlines()]

    def denials(self):
        return [decision for decision in self.decisions() if not decision["allowed"]]

    @functools.cache  # noqa: B019 - making one takes longer than most calls; the emulator lives as long as the tests.
    def client(self, service, user=ROOT_USER):
        """A client of the account's root, or of a user."""
        config = botocore.config.Config(
            connect_timeout=PATIENCE, read_timeout=PATIENCE, retries={"total_max_attempts": 1}
        )
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=user.id,
            aws_secret_access_key=user.secret,
            config=config,
        )

    def user(self, name, policy):
        """A user who may do what a policy says, and nothing else."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        arn = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Key(name, key["AccessKeyId"], key["SecretAccessKey"])


def exchange(port, method, path, body=None, headers=None):
    """A request over HTTP, and the answer to it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    is_json = "json" in (response.getheader("content-type") or "") and text
    return types.SimpleNamespace(
        status=response.status,
        headers={name.lower(): value for name, value in response.getheaders()},
        text=text,
        json=json.loads(text) if is_json else None,
    )


class Refused(Exception):
    """A deployment that failed, with what SAM CLI printed."""


class Stack:
    """The template of this checkout, deployed by SAM CLI with the rights of `deployer`."""

    def __init__(self, emulator, folder, deployer, name="wxauth"):
        self.emulator, self.folder, self.deployer, self.name = emulator, folder, deployer, name
        self.outputs, self.served = {}, set()
        build(folder)

    def deploy(self, **parameters):
        """`sam deploy`, as it is run in `infra/` after `sam build`."""
        given = ["--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items())]
        sam = os.environ["SAM"]
        run = subprocess.run(
            [sam, "deploy", "--stack-name", self.name, "--no-progressbar", *(given if parameters else [])],
            cwd=self.folder,
            env={
                "AWS_ACCESS_KEY_ID": self.deployer.id,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": self.emulator.url,
                "AWS_SECRET_ACCESS_KEY": self.deployer.secret,
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "PATH": os.environ["PATH"],
                "SAM_CLI_POLL_DELAY": "1",
                "SAM_CLI_TELEMETRY": "0",
            },
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10 * PATIENCE,
        )
        if run.returncode:
            raise Refused(run.stdout)
        described = self.emulator.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def remove(self):
        """Deletes the stack, as somebody does whose first deployment failed."""
        client = self.emulator.client("cloudformation", self.deployer)
        client.delete_stack(StackName=self.name)
        client.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig={"Delay": 1})

    def resources(self):
        """The physical id of each resource, by its name in the template."""
        pages = self.emulator.client("cloudformation").get_paginator("list_stack_resources")
        pages = pages.paginate(StackName=self.name)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in found}

    def request(self, method, path, body=None, token=None, **headers):
        """A request to the API, over HTTP."""
        host = re.sub("^https?://", "", self.outputs["ApiUrl"])
        headers = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            headers["content-type"], body = "application/json", json.dumps(body)
        answer = exchange(self.emulator.port, method, path, body, headers)
        if answer.status < 300:
            self.served.add(f"{method} {path.split('?')[0]}")
        return answer

    def invoke(self, function, event):
        """What a function answers that has no route."""
        name = f"{self.name}-{function}"
        answer = self.emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        if "FunctionError" not in answer:
            self.served.add(function)
        return types.SimpleNamespace(failed="FunctionError" in answer, json=json.loads(answer["Payload"].read()))

    def restart(self, function):
        """Has the next call start a new process, which knows nothing of before."""
        client, name = self.emulator.client("lambda"), f"{self.name}-{function}"
        timeout = client.get_function_configuration(FunctionName=name)["Timeout"]
        client.update_function_configuration(FunctionName=name, Timeout=timeout)


def pull_brake(stack, functions):
    """Ends every session that there is now."""
    now = int(time.time())
    client, secret = stack.emulator.client("secretsmanager", stack.deployer), stack.resources()["BrakeSecret"]
    client.put_secret_value(SecretId=secret, SecretString=json.dumps({"not_before": now}))
    # Stands for the five minutes: a new process reads it at once.
    for function in functions:
        stack.restart(function)


def template():
    """The template as it is written."""
    return (ROOT / "infra" / "template.yaml").read_text()


def declared(section="Resources"):
    """What a section of the template declares."""
    return yaml_parse(template())[section]


def build(folder):
    """What `sam build` leaves in `infra/`: the template with the functions' packages beside it.

    It has folders there, which SAM CLI compresses at each deployment. These packages are the same and not compressed, because
    that takes longer than the rest of a deployment here.
    """
    text, built = template(), folder / ".aws-sam" / "build"
    built.mkdir(parents=True)
    for resource in declared().values():
        if resource["Type"] == "AWS::Serverless::Function":
            source = resource["Properties"]["CodeUri"]
            name = pathlib.Path(source).name
            with zipfile.ZipFile(built / f"{name}.zip", "w") as package:
                package.write(PROGRAMS / name / "bootstrap", "bootstrap")
            text, count = re.subn(rf"CodeUri: {re.escape(source)}\n", f"CodeUri: {name}.zip\n", text)
            assert count == 1, source
    (built / "template.yaml").write_text(text)
    shutil.copy(ROOT / "infra" / "samconfig.toml", folder)
