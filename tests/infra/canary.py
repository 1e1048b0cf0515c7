"""The recipe `canary`: what SAM makes of a template with an alias for each function that has a route."""

import json
import os
import re

import conftest
import pytest
import support

ROUTED = {"login", "refresh", "phone", "userinfo", "session", "push", "keys"}


@pytest.fixture
def built(canary_of):
    """What the recipe makes of the template: deployed, and as SAM gives it to CloudFormation."""

    def run(how="Canary10Percent10Minutes", partition="aws", **environment):
        file = canary_of(how, **environment)
        return support.Deployed(partition, file), support.translated(partition, file)["Resources"]

    return run


def _aliases(deployed):
    return {name.split("Function")[0].lower(): it for name, it in deployed.of_type("AWS::Lambda::Alias").items()}


@pytest.mark.parametrize("partition", support.PARTITIONS)
def the_gateway_calls_the_alias_of_each_function_with_a_route_and_may(built, partition):
    deployed, raw = built(partition=partition)

    assert set(_aliases(deployed)) == ROUTED
    integrations = re.findall(r"functions/\$\{(\w+?)\}/invocations", json.dumps(deployed.resources["Api"]))
    assert {name.removesuffix("FunctionAliaslive").lower() for name in integrations} == ROUTED
    called = {it["FunctionName"] for name, it in deployed.of_type("AWS::Lambda::Permission").items()}
    assert called == {f"${{{name.capitalize()}FunctionAliaslive}}" for name in ROUTED} | {"${RotationFunction}"}
    assert support.cycle(raw) is None


def what_has_no_route_is_called_as_before(built):
    deployed, raw = built()
    before = support.Deployed()

    assert before.invoked() == {"authorizer", "admin", "platform", "sign"}
    for name in before.invoked() | {"rotation"}:
        assert raw[f"{name.capitalize()}Function"] == support.translated()["Resources"][f"{name.capitalize()}Function"]
    assert deployed.outputs == before.outputs
    assert deployed.of_type("AWS::CloudWatch::Alarm") == before.of_type("AWS::CloudWatch::Alarm")
    schedules = deployed.of_type("AWS::SecretsManager::RotationSchedule").values()
    assert {it["RotationLambdaARN"] for it in schedules} == {"${RotationFunction.Arn}"}


def the_alias_moves_gradually_and_back_when_an_alarm_of_a_faulty_version_rings(built):
    deployed, raw = built("Canary10Percent5Minutes")
    groups = deployed.of_type("AWS::CodeDeploy::DeploymentGroup")
    alarms = {it["AlarmName"]: name for name, it in deployed.of_type("AWS::CloudWatch::Alarm").items()}

    assert {name.removesuffix("FunctionDeploymentGroup").lower() for name in groups} == ROUTED
    for group in groups.values():
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        watched = {alarms[it["Name"]] for it in group["AlarmConfiguration"]["Alarms"]}
        assert watched == {
            "ServerErrorAlarm",
            "MisconfiguredAlarm",
            "RefusedAlarm",
            "LatencyAlarm",
            "ThrottleAlarm",
            "GenerationAlarm",
        }
    for name in ROUTED:
        policy = raw[f"{name.capitalize()}FunctionAliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert policy["DeploymentGroupName"] == {"Ref": f"{name.capitalize()}FunctionDeploymentGroup"}


def a_later_deployment_publishes_versions_whatever_was_changed(built, tmp_path):
    versions = lambda raw: {name for name, it in raw.items() if it["Type"] == "AWS::Lambda::Version"}
    clock = tmp_path / "date"
    clock.write_text("#!/bin/sh\necho 4102444800\n")
    clock.chmod(0o755)

    # Only the time differs. SAM sees no change in a parameter, and would leave the versions as they are.
    first, second = versions(built()[1]), versions(built(path=f"{tmp_path}:{os.environ['PATH']}")[1])

    assert len(first) == len(second) == len(ROUTED) and not first & second


def a_gradual_rollout_is_refused_where_there_is_no_alias(built):
    (refusal,) = support.Deployed(Rollout="Canary10Percent10Minutes").refusals()

    assert "infra/deploy --parameter Rollout" in refusal
    assert "BuiltForRollout" not in built()[0].rules


def the_words_of_the_parameter_are_those_of_the_recipe(tmp_path):
    file = tmp_path / "template.yaml"
    for how in support.source()["Parameters"]["Rollout"]["AllowedValues"]:
        file.write_text(support.SOURCE.read_text())
        assert conftest.run_canary(file, how).returncode == 0, how


def at_once_there_is_an_alias_and_nothing_that_shifts_it(built):
    deployed, raw = built("AllAtOnce")

    assert set(_aliases(deployed)) == ROUTED
    assert not [name for name, it in raw.items() if it["Type"].startswith("AWS::CodeDeploy::")]


def a_word_of_nobody_a_missing_template_and_a_second_run_are_refused(tmp_path):
    file = tmp_path / "template.yaml"
    file.write_text(support.SOURCE.read_text())

    assert "Sometimes?" in conftest.run_canary(file, "Sometimes").stderr and file.read_text() == support.SOURCE.read_text()
    assert "sam build first" in conftest.run_canary(tmp_path / "nothing.yaml", "AllAtOnce").stderr
    assert conftest.run_canary(file, "AllAtOnce").returncode == 0
    once = file.read_text()
    assert "sam build again" in conftest.run_canary(file, "AllAtOnce").stderr and file.read_text() == once
