"""The emulator, the simulator of WeChat, and a stack that is deployed there by `infra/deploy` and by SAM CLI."""

import functools
import http.client
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
import types
import typing

import boto3
import botocore.config
from samtranslator.yaml_helper import yaml_parse

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# What `infra/package` packed for this machine, which is what a release holds.
PACKAGE = ROOT / "target" / "package-emulated"
# What `cargo lambda build` made: the simulator is beside the functions.
PROGRAMS = ROOT / "target" / "lambda"
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
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
        self._read, self._decided = 0, []
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
        with self._decisions.open() as file:
            file.seek(self._read)
            for line in file:
                # The last may be half written.
                if line.endswith("\n"):
                    self._decided.append(json.loads(line))
                    self._read += len(line.encode())
        return list(self._decided)

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
    """A deployment that failed, with what was printed."""


class Stack:
    """A release that was unpacked, and the stack that it is deployed as with the rights of `deployer`."""

    def __init__(self, emulator, folder, deployer, name="wxauth"):
        self.emulator, self.folder, self.deployer, self.name = emulator, folder, deployer, name
        self.outputs, self.served = {}, set()
        shutil.copytree(PACKAGE, folder / "infra")
        (folder / "bin").mkdir()
        # The emulator is quick: whoever waits for it looks again at once. So does every interpreter, by `sitecustomize.py`.
        (folder / "bin" / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.1\n")
        (folder / "bin" / "sleep").chmod(0o755)
        # Whatever the name of the API is, it is on loopback.
        (folder / ".curlrc").write_text(f'connect-to = "::127.0.0.1:{emulator.port}"\n')

    def deploy(self, *options, types="", **parameters):
        """`infra/deploy`, which is answered with `types`; gives what it printed."""
        options = [*options, *(word for it in parameters.items() for word in ("--parameter", "=".join(map(str, it))))]
        said = self.script(*options, types=types)
        self._learn()
        return said

    def script(self, *options, types=""):
        """`infra/deploy`, where it leaves the outputs as they are."""
        return self._run([self.folder / "infra" / "deploy", *options], types)

    def sam_deploy(self, **parameters):
        """`sam deploy` of the same functions."""
        given = ["--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items())]
        self._run([os.environ["SAM"], "deploy", "--stack-name", self.name, "--no-progressbar", *(given if parameters else [])])
        self._learn()

    def _run(self, command, types=""):
        run = subprocess.run(
            command,
            cwd=self.folder / "infra",
            env={
                "AWS_ACCESS_KEY_ID": self.deployer.id,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": self.emulator.url,
                "AWS_SECRET_ACCESS_KEY": self.deployer.secret,
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                # The AWS CLI is in this interpreter's environment.
                "PATH": os.pathsep.join([str(self.folder / "bin"), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]),
                "PYTHONPATH": str(HERE / "hurry"),
                "SAM_CLI_TELEMETRY": "0",
            },
            check=False,
            input=types,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10 * PATIENCE,
        )
        if run.returncode:
            raise Refused(run.stdout)
        return run.stdout

    def _learn(self):
        described = self.emulator.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

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


def template():
    """The template as it is written."""
    return (ROOT / "infra" / "template.yaml").read_text()


def declared(section="Resources"):
    """What a section of the template declares."""
    return yaml_parse(template())[section]
