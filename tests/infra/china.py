"""The stage `cn`: what it deploys in Beijing and Ningxia, where some things of the other regions are missing.

The list of what is missing is AWS's own: docs.amazonaws.cn/en_us/aws/latest/userguide, one page a service.
"""

import json
import tomllib

import pytest

import support

_regions = pytest.mark.parametrize("region", ["cn-north-1", "cn-northwest-1"])


def _stage():
    section = tomllib.loads((support.ROOT / "infra" / "samconfig.toml").read_text())["cn"]
    return {command: section[command]["parameters"] for command in section}


@pytest.fixture
def stage(tmp_path):
    """What the stage deploys in a region, built for its processor as `infra/package` does it (see `deploying.py`)."""
    file = tmp_path / "template.yaml"
    text = support.SOURCE.read_text()
    for word in ("[!Ref Architecture, {}]", "Architectures: [{}]", "Default: {}\n"):
        assert text.count(word.format("arm64")) == 1
        text = text.replace(word.format("arm64"), word.format("x86_64"))
    file.write_text(text)

    def deployed(region, **more):
        overrides = dict(given.split("=") for given in _stage()["global"]["parameter_overrides"])
        deployed = support.Deployed("aws-cn", file, **overrides | more)
        deployed.values["AWS::Region"] = region
        return deployed

    return deployed


def the_stage_builds_what_it_deploys_and_asks_before_it_changes_anything():
    stage = _stage()

    assert stage["global"]["stack_name"] == "wxauth-cn"
    # What is given for all commands is what is built and what is deployed.
    assert "Architecture=x86_64" in stage["global"]["parameter_overrides"]
    assert stage["deploy"]["confirm_changeset"] is True
    assert stage["global"]["region"] in {"cn-north-1", "cn-northwest-1"}


@_regions
def every_function_is_for_x86_64_and_none_is_traced(stage, region):
    deployed = stage(region)

    assert not deployed.refusals()
    for function in deployed.functions().values():
        assert function["Architectures"] == ["x86_64"]
        assert function["TracingConfig"] == {"Mode": "PassThrough"}
    assert "TracePolicy" not in deployed.resources


@_regions
def traces_are_refused_before_anything_is_made(stage, region):
    (refusal,) = stage(region, TracingMode="Active").refusals()

    assert "X-Ray" in refusal
    assert not support.Deployed("aws", TracingMode="Active").refusals()


@_regions
def nothing_is_used_that_the_mainland_lacks(stage, region):
    deployed = stage(region, **support.DOMAIN)
    text = json.dumps(deployed.resources)

    # Function URLs, edge-optimized domains, Cognito authorizers; a KMS key for the code; metrics of asynchronous calls.
    assert not deployed.of_type("AWS::Lambda::Url")
    for missing in ("EDGE", "cognito", "AsyncEvent", "SourceKMSKeyArn", "SnapStart"):
        assert missing not in text, missing
    (domain,) = deployed.of_type("AWS::ApiGatewayV2::DomainName").values()
    assert [it["EndpointType"] for it in domain["DomainNameConfigurations"]] == ["REGIONAL"]


@_regions
def the_icp_filing_is_said_in_the_mainland_and_nowhere_else(stage, region):
    assert "ICP" in stage(region).outputs["China"]
    assert "China" not in support.Deployed("aws").outputs
