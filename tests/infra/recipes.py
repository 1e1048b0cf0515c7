"""The recipes of infra/recipes: each fits the main template, and the function that writes into a chat is run."""

import http.server
import json
import re
import sys
import threading
import tomllib
import types

import pytest
import yaml

import support

ALARM = {
    "AlarmName": "wxauth-server-error",
    "AlarmDescription": "More than 0.5% of the answers are 5xx. See infra/OPERATE.md#servererroralarm",
    "NewStateValue": "ALARM",
    "NewStateReason": 'Threshold Crossed: 1 datapoint [2.0] "quoted"',
    "StateChangeTime": "2026-11-27T12:00:00.000+0000",
    "Region": "China (Ningxia)",
}


def _fits(recipe, output, parameter):
    """Asserts that a value of this form passes for a parameter of the main template."""
    assert output in support.source(support.recipe(recipe))["Outputs"]
    return re.compile(support.source()["Parameters"][parameter]["AllowedPattern"])


def the_network_gives_what_the_parameters_of_its_name_take():
    assert _fits("network", "SubnetIds", "SubnetIds").fullmatch("subnet-0123456789abcdef0,subnet-0fedcba9876543210")
    assert _fits("network", "SecurityGroupIds", "SecurityGroupIds").fullmatch("sg-0123456789abcdef0")


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def the_chat_gives_the_topic_that_alarms_go_to(partition):
    assert _fits("chat", "TopicArn", "AlarmTopicArn").fullmatch(f"arn:{partition}:sns:cn-north-1:123456789012:chat-Topic-1")


def the_network_lets_nobody_in_and_only_https_out():
    resources = support.source(support.recipe("network"))["Resources"]
    (group,) = [it["Properties"] for it in resources.values() if it["Type"] == "AWS::EC2::SecurityGroup"]

    assert "SecurityGroupIngress" not in group
    assert [(it["FromPort"], it["ToPort"]) for it in group["SecurityGroupEgress"]] == [(443, 443)]
    # Only the subnet of the NAT gateway has a way in from the internet.
    (public,) = [it["Properties"] for it in resources.values() if "GatewayId" in it.get("Properties", {})]
    assert public["RouteTableId"] == {"Ref": "PublicRoutes"}
    subnets = support.source(support.recipe("network"))["Outputs"]["SubnetIds"]["Value"]["Fn::Sub"]
    assert subnets == "${PrivateSubnetA},${PrivateSubnetB}"


def the_cdn_proves_by_the_secret_that_wxauth_compares():
    distribution = support.source(support.recipe("cdn"))["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    (origin,) = distribution["Origins"]
    (header,) = origin["OriginCustomHeaders"]

    members = [re.search(r":SecretString:(\w+)}}$", header[part]["Fn::Sub"]).group(1) for part in header]

    assert members == ["proof_header", "proof"]
    read = (support.ROOT / "shared" / "src" / "http" / "proxy.rs").read_text()
    assert all(re.search(rf"\b{member}\b", read) for member in ["address_header", *members])
    # Nothing may be cached: answers hold tokens.
    assert distribution["DefaultCacheBehavior"]["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def github_deploys_from_one_environment_of_one_repository():
    role = support.source(support.recipe("github"))["Resources"]["Role"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]

    compared = statement["Condition"]["StringEquals"]

    # Without `sub`, any repository of GitHub could deploy.
    assert set(statement["Condition"]) == {"StringEquals"}
    assert compared["token.actions.githubusercontent.com:sub"] == {
        "Fn::Sub": "repo:${Repository}:environment:${Environment}"
    }
    assert compared["token.actions.githubusercontent.com:aud"] == {"Fn::Sub": "sts.${AWS::URLSuffix}"}


def the_workflow_deploys_from_that_environment_and_knows_its_stages():
    workflow = yaml.safe_load((support.ROOT / ".github" / "workflows" / "deploy.yml").read_text())
    samconfig = tomllib.loads((support.ROOT / "infra" / "samconfig.toml").read_text())
    environment = support.source(support.recipe("github"))["Parameters"]["Environment"]["Default"]
    (job,) = workflow["jobs"].values()
    steps = [step.get("uses", step.get("run", "")).split("@")[0] for step in job["steps"]]

    assert job["environment"] == environment
    # YAML 1.1 reads the key `on` as true.
    inputs = workflow[True]["workflow_dispatch"]["inputs"]
    assert set(inputs["stage"]["options"]) == set(samconfig) - {"version"}
    assert set(inputs["rollout"]["options"][1:]) <= set(support.source()["Parameters"]["Rollout"]["AllowedValues"])
    # What is built sees no credentials, and only a run that a person starts may ask for some.
    build = steps.index('infra/package target/deployment "$ARCHITECTURE"')
    assert build < steps.index("aws-actions/configure-aws-credentials")
    assert list(workflow[True]) == ["workflow_dispatch"]
    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}


class _Robot:
    """The webhook of a group: it keeps what it gets, and gives one answer."""

    def __init__(self, answer):
        robot = self
        self.got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                robot.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/send?key=MARKER"


@pytest.fixture
def chat(monkeypatch):
    """Runs the function as it stands in the template."""
    code = support.source(support.recipe("chat"))["Resources"]["Function"]["Properties"]["Code"]["ZipFile"]

    def run(service, message, answer='{"errcode":0,"code":0}', url=None):
        robot = _Robot(answer)
        read = lambda SecretId: {"SecretString": url or robot.url} if SecretId == "secret" else {}
        client = types.SimpleNamespace(get_secret_value=read)
        monkeypatch.setitem(sys.modules, "boto3", types.SimpleNamespace(client=lambda name: client))
        for name, value in {"SERVICE": service, "WEBHOOK": "secret", "KEYWORD": "wxauth"}.items():
            monkeypatch.setenv(name, value)
        index = {}
        exec(compile(code, "index.py", "exec"), index)
        try:
            index["handler"]({"Records": [{"Sns": {"Message": message}}]}, None)
        finally:
            robot.server.shutdown()
        return robot.got

    assert len(code) <= 4096
    return run


@pytest.mark.parametrize("service", ["WeCom", "Feishu", "DingTalk"])
def an_alarm_is_a_message_in_the_form_of_each_service(chat, service):
    (got,) = chat(service, json.dumps(ALARM))

    said = got["content"]["text"] if service == "Feishu" else got["text"]["content"]
    assert got["msg_type" if service == "Feishu" else "msgtype"] == "text"
    assert said.startswith("wxauth ALARM: wxauth-server-error\n")
    assert all(ALARM[part] in said for part in ("AlarmDescription", "NewStateReason", "StateChangeTime", "Region"))


def a_long_reason_fits_into_what_wecom_takes(chat):
    (got,) = chat("WeCom", json.dumps(ALARM | {"NewStateReason": "报" * 3000}))

    assert len(got["text"]["content"].encode()) <= 2048


@pytest.mark.parametrize("message", ["hello", "[1]", "{}", "null", "报" * 9000])
def what_is_no_alarm_is_sent_as_it_is(chat, message):
    (got,) = chat("DingTalk", message)

    assert got["text"]["content"].startswith(f"wxauth {message[:100]}")
    assert len(got["text"]["content"].encode()) <= 2048


@pytest.mark.parametrize("service, answer", [("WeCom", '{"errcode":93000}'), ("Feishu", '{"code":19024}'), ("DingTalk", "<html>")])
def a_refusal_fails_so_that_it_is_sent_again(chat, service, answer):
    with pytest.raises(RuntimeError) as failure:
        chat(service, json.dumps(ALARM), answer)

    assert "MARKER" not in str(failure.value)


def a_webhook_that_is_not_there_fails_without_its_address(chat):
    with pytest.raises(RuntimeError) as failure:
        chat("WeCom", json.dumps(ALARM), url="http://127.0.0.1:9/send?key=MARKER")

    assert "MARKER" not in str(failure.value) and failure.value.__suppress_context__
