"""What stands around the template agrees with it: folders, example events, samconfig."""

import json
import os
import re
import subprocess
import tomllib

import support
from samcli.lib.config.samconfig import SamConfig


def _events():
    return {file.stem: json.loads(file.read_text()) for file in (support.ROOT / "infra" / "events").glob("*.json")}


def every_folder_of_functions_is_deployed_and_has_an_example_event():
    deployed = support.Deployed()
    folders = {folder.parent.name for folder in (support.ROOT / "functions").glob("*/Cargo.toml")}

    assert set(deployed.functions()) == folders
    # One request stands for all routes: the examples of the contract say what each of them takes.
    assert set(_events()) == deployed.invoked() | {"rotation", "keys"}


def an_example_event_is_what_its_function_gets():
    routes, invoked = support.Deployed().routes(), support.Deployed().invoked()

    for name, event in _events().items():
        if name == "rotation":
            assert event["Step"] == "createSecret" and {"SecretId", "ClientRequestToken"} <= set(event)
        elif name == "authorizer":
            assert (event["version"], event["type"]) == ("2.0", "REQUEST")
        elif name in invoked:
            # The payload of an invocation, as the owner's service sends it.
            payload = {"operation", "appid", "openid", "device", "message", "check"}
            assert set(event) <= payload and "appid" in event
        else:
            route = event["routeKey"]
            assert routes[route][0] == name
            context = event["requestContext"]
            assert route == f"{context['http']['method']} {event['rawPath']}" == context["routeKey"]
            assert event["version"] == "2.0"


def samconfig_deploys_what_was_built():
    config = tomllib.loads((support.ROOT / "infra" / "samconfig.toml").read_text())

    names = set()
    for environment in ("default", "dev", "prod", "cn"):
        section = config[environment]
        names.add(section["global"]["parameters"]["stack_name"])
        assert section["build"]["parameters"]["template_file"] == "template.yaml"
        deploy = section["deploy"]["parameters"]
        assert deploy["capabilities"] == "CAPABILITY_IAM"
        assert deploy["resolve_s3"] is True
        # The template of the source would be deployed instead of the one that sam build wrote.
        assert "template_file" not in deploy
        # What only one of both commands is told, the other does not know.
        assert all("parameter_overrides" not in section[command]["parameters"] for command in ("build", "deploy"))
        for given in section["global"]["parameters"].get("parameter_overrides", []):
            assert given.split("=")[0] in support.source()["Parameters"], given
    assert len(names) == 4
    assert config["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


def what_is_told_to_all_of_sam_reaches_the_build_and_the_deployment():
    config = SamConfig(support.ROOT / "infra")

    for command in ("build", "deploy"):
        told = config.get_all([command], "parameters", "prod")
        assert told["parameter_overrides"] == ["LogRetentionDays=90"] and told["stack_name"] == "wxauth-prod"


def the_page_for_a_first_deployment_says_what_the_template_has():
    page = (support.ROOT / "infra" / "FIRST.md").read_text()
    deployed = support.Deployed()
    (rule,) = deployed.of_type("AWS::Logs::MetricFilter").values()
    (stage,) = deployed.of_type("AWS::ApiGatewayV2::Stage").values()
    login = stage["RouteSettings"]["POST /v1/login"]

    assert len(re.findall(r"^## \d+\. ", page, re.MULTILINE)) == 16 and "sixteen" in page
    assert f"{len(deployed.of_type('AWS::CloudWatch::Alarm'))} alarms, all `OK`" in page
    assert f"has {login['ThrottlingRateLimit']}/{login['ThrottlingBurstLimit']}." in page
    assert rule["FilterPattern"] in page
    # What the commands name is there.
    assert set(re.findall(r"\$\(out (\w+)\)", page)) <= set(deployed.outputs)
    assert set(re.findall(r'resource (\w+)\)', page)) - {"1"} <= set(deployed.resources) | {"secret"}
    assert set(re.findall(r"may (\w+Role) ", page)) <= set(deployed.resources)
    alarms = {it["AlarmName"] for it in deployed.of_type("AWS::CloudWatch::Alarm").values()}
    assert {f"wxauth-{name}" for name in re.findall(r'--alarm-name "\$stack-([a-z-]+)"', page)} <= alarms


def each_of_the_sixteen_things_is_a_command_and_what_should_be_seen():
    page = (support.ROOT / "infra" / "FIRST.md").read_text()

    things = re.split(r"^## \d+\. ", page, flags=re.MULTILINE)[1:]

    assert len(things) == 16
    for thing in things:
        commands, seen = re.search(r"```sh\n(.*?)```\n(.*)", thing, re.DOTALL).groups()
        assert re.search(r"\b(aws|curl|log|may|out|both) ", commands) and len(seen.strip()) > 40, thing.splitlines()[0]


def the_commands_of_the_page_for_a_first_deployment_run_as_they_are_pasted(tmp_path):
    page = (support.ROOT / "infra" / "FIRST.md").read_text()
    for command in ("aws", "cargo", "curl", "infra/deploy", "sleep"):
        stand_in = tmp_path / command
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text("#!/bin/sh\necho said\n")
        stand_in.chmod(0o755)
    (tmp_path / "infra" / "template.yaml").write_text(support.SOURCE.read_text())
    # What was not set before it is used ends the script, and so does what is no shell.
    script = "set -u\n" + "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)) + "\necho the end\n"

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith("the end\n")
