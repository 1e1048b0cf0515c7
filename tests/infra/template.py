"""The deployment as CloudFormation gets it: asserted on the translated template, in every partition.

What holds for every function, route and role. Which routes there are and which grants a function has is compared with
the code by tests/repository.
"""

import json
import re

import pytest

import support

_everywhere = pytest.mark.parametrize("partition", support.PARTITIONS)


def _issuers(deployed):
    """What each function that signs, verifies or publishes is told of the issuer. Rotation makes keys and no tokens."""
    told = {name: function["Environment"]["Variables"] for name, function in deployed.functions().items()}
    concerned = {"WXAUTH_SIGNING_KEYS", "WXAUTH_JWKS", "WXAUTH_ISSUER"}
    return {
        name: variables.get("WXAUTH_ISSUER")
        for name, variables in told.items()
        if name != "rotation" and concerned & set(variables)
    }


@_everywhere
def the_api_has_the_routes_of_the_functions_and_no_others(partition):
    deployed = support.Deployed(partition)
    written = {}
    for name, resource in support.source()["Resources"].items():
        for event in resource.get("Properties", {}).get("Events", {}).values():
            if event["Type"] == "HttpApi":
                route = f"{event['Properties']['Method']} {event['Properties']['Path']}"
                written[route] = name.removesuffix("Function").lower()

    routes = deployed.routes()

    assert {route: function for route, (function, _) in routes.items()} == written
    assert not deployed.of_type("AWS::ApiGatewayV2::Route")
    for _, integration in routes.values():
        assert integration["payloadFormatVersion"] == "2.0"
        assert integration["timeoutInMillis"] == 15000
        assert integration["uri"].startswith(f"arn:{partition}:apigateway:")


@_everywhere
def each_route_may_call_its_function_and_nobody_else_may(partition):
    deployed = support.Deployed(partition)

    permissions = deployed.of_type("AWS::Lambda::Permission")
    rotation = permissions.pop("RotationPermission")

    callable_by = {}
    for permission in permissions.values():
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"].startswith(f"arn:{partition}:execute-api:")
        method, path = re.search(r"/\*/([A-Z]+)(/.*)$", permission["SourceArn"]).groups()
        callable_by[f"{method} {path}"] = permission["FunctionName"]
    routes = deployed.routes()
    assert callable_by == {route: f"${{{name.capitalize()}Function}}" for route, (name, _) in routes.items()}
    assert rotation["FunctionName"] == "${RotationFunction}"


@_everywhere
def a_function_without_a_route_is_reached_by_identity_policies_alone(partition):
    deployed = support.Deployed(partition)
    resources = support.translated(partition)["Resources"]

    assert {"admin", "platform", "sign"} <= deployed.invoked()
    for name in deployed.invoked():
        function = f"{name.capitalize()}Function"
        # No route, permission, function URL, schedule or event source: what names it only watches it.
        naming = {it["Type"] for it in resources.values() if support.references(it, {function})}
        assert naming == {"AWS::CloudWatch::Alarm"}, name
        assert "Events" not in support.source()["Resources"][function]["Properties"]
        # Whoever writes such a policy finds the ARN among the outputs.
        assert f"${{{function}.Arn}}" in deployed.outputs.values(), name


@_everywhere
def every_function_is_a_native_one_with_its_own_log_group_and_a_limit(partition):
    deployed = support.Deployed(partition)

    for name, function in deployed.functions().items():
        assert function["Runtime"] == "provided.al2023"
        assert function["Handler"] == "bootstrap"
        assert function["Architectures"] == ["arm64"]
        assert function["MemorySize"] == 256
        assert function["Timeout"] == (60 if name == "rotation" else 12)
        assert function["FunctionName"] == f"wxauth-{name}"
        assert function["Role"] == f"${{{name.capitalize()}Role.Arn}}"
        assert function["LoggingConfig"] == {"LogGroup": f"${{{name.capitalize()}LogGroup}}"}
        group = deployed.resources[f"{name.capitalize()}LogGroup"]["Properties"]
        assert group == {"LogGroupName": f"/aws/lambda/wxauth-{name}", "RetentionInDays": 30}


def no_concurrency_is_reserved_and_nothing_is_traced_unless_asked_for():
    quiet, asked = support.Deployed(), support.Deployed(ReservedConcurrency=50, TracingMode="Active")

    for name, function in quiet.functions().items():
        assert "ReservedConcurrentExecutions" not in function
        assert function["TracingConfig"] == {"Mode": "PassThrough"}
        assert not quiet.resources[f"{name.capitalize()}Role"]["Properties"].get("ManagedPolicyArns")
    for name, function in asked.functions().items():
        assert function["ReservedConcurrentExecutions"] == 50
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert asked.resources[f"{name.capitalize()}Role"]["Properties"]["ManagedPolicyArns"] == ["${TracePolicy}"]


@_everywhere
def a_role_is_for_lambda_alone_and_names_what_it_allows(partition):
    deployed = support.Deployed(partition)
    roles = deployed.of_type("AWS::IAM::Role")

    assert set(roles) == {f"{name.capitalize()}Role" for name in deployed.functions()}
    for name in deployed.functions():
        role = roles[f"{name.capitalize()}Role"]
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
        allowed = deployed.statements(name)
        group = f"${{{name.capitalize()}LogGroup.Arn}}"
        assert allowed[0] == (["logs:CreateLogStream", "logs:PutLogEvents"], [group])
        # Nothing but the function's own log group, the one table and the secrets of this stack.
        named = {"logs": {group}, "dynamodb": {"${Table.Arn}"}, "secretsmanager": deployed.secrets(name)}
        for actions, resources in allowed:
            assert not any("*" in action or action.endswith("Scan") for action in actions), name
            for service in {action.split(":")[0] for action in actions}:
                assert set(resources) <= named.get(service, set()), f"{name}: {service} on {resources}"


def what_signs_writes_nothing_of_a_user_and_reads_nothing_that_a_code_gave():
    policies = support.Deployed().resources["SignRole"]["Properties"]["Policies"]
    statements = [it for policy in policies for it in policy["PolicyDocument"]["Statement"] if "Condition" in it]

    assert {it["Action"]: it["Condition"] for it in statements} == {
        "dynamodb:GetItem": {"ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": ["code#*"]}},
        "dynamodb:UpdateItem": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["app#*"]}},
    }


def a_star_is_for_traces_and_for_interfaces_that_have_no_name_yet():
    resources = support.translated()["Resources"]

    policies = {name: it for name, it in resources.items() if it["Type"].startswith("AWS::IAM::")}

    # And these are the policies outside a role.
    extra = {"TracePolicy": "HasTraces", "NetworkPolicy": "HasVpc"}
    assert {name for name, it in policies.items() if '"*"' in json.dumps(it)} == set(extra)
    assert {name: policies[name]["Condition"] for name in policies if not name.endswith("Role")} == extra
    allowed = {
        name: [it["Action"] for it in _statements(policies[name]) if it["Resource"] == "*" and it["Effect"] == "Allow"]
        for name in extra
    }
    assert allowed == {
        "TracePolicy": [["xray:PutTelemetryRecords", "xray:PutTraceSegments"]],
        "NetworkPolicy": [["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]],
    }


def _statements(policy):
    return policy["Properties"]["PolicyDocument"]["Statement"]


@_everywhere
def what_calls_wechat_has_a_fixed_address_where_there_are_subnets(partition):
    without = support.Deployed(partition)
    within = support.Deployed(partition, SubnetIds="subnet-1,subnet-2", SecurityGroupIds="sg-1")
    (policy,) = [it for name, it in within.resources.items() if name == "NetworkPolicy"]

    calling = {name for name, it in within.functions().items() if "WXAUTH_APPS" in it["Environment"]["Variables"]}

    assert calling == {"login", "phone", "session", "admin", "platform", "sign"}
    for name, function in within.functions().items():
        expected = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]} if name in calling else None
        assert function.get("VpcConfig") == expected, name
        policies = within.resources[f"{name.capitalize()}Role"]["Properties"].get("ManagedPolicyArns", [])
        assert ("${NetworkPolicy}" in policies) == (name in calling), name
    # Its own code makes no interfaces: what Lambda is allowed is refused to it.
    _, made, refused = _statements(policy)
    assert refused["Effect"] == "Deny" and refused["Action"] == made["Action"]
    assert made["Resource"].startswith(f"arn:{partition}:ec2:")
    assert "VpcConfig" not in json.dumps(without.resources) and "NetworkPolicy" not in without.resources


def a_variable_names_a_secret_that_its_function_may_read():
    deployed = support.Deployed()

    for name, function in deployed.functions().items():
        named = {value for value in function["Environment"]["Variables"].values() if "Secret}" in str(value)}
        # Secrets Manager tells rotation by its event which secret to rotate.
        told = {"${KeyringSecret}", "${SigningKeysSecret}"} if name == "rotation" else set()
        assert named | told == deployed.secrets(name), name


@_everywhere
def no_partition_is_written_into_the_template(partition):
    text = json.dumps(support.translated(partition))

    assert not re.findall(r"arn:aws[a-z-]*:", text)
    principals = {"apigateway.amazonaws.com"}
    assert set(re.findall(r"[\w.]*amazonaws\.com[\w.]*", text)) == principals


def nothing_waits_for_itself():
    resources = support.translated()["Resources"]

    assert support.cycle(resources) is None

    # The guard bites: a function that names the API's URL is what it is for.
    variables = resources["LoginFunction"]["Properties"]["Environment"]["Variables"]
    variables["WXAUTH_ISSUER"] = {"Fn::Sub": "https://${Api}.example.com"}
    assert {"Api", "LoginFunction"} <= set(support.cycle(resources))


@_everywhere
def secrets_manager_may_call_rotation_before_it_is_told_to(partition):
    resources = support.translated(partition)["Resources"]
    deployed = support.Deployed(partition)

    permission = deployed.resources["RotationPermission"]["Properties"]
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == "123456789012"
    assert permission["Action"] == "lambda:InvokeFunction"
    schedules = deployed.of_type("AWS::SecretsManager::RotationSchedule")
    assert {schedule["SecretId"] for schedule in schedules.values()} == {"${KeyringSecret}", "${SigningKeysSecret}"}
    for name, schedule in schedules.items():
        assert resources[name]["DependsOn"] == "RotationPermission"
        assert schedule["RotationLambdaARN"] == "${RotationFunction.Arn}"
        assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 30}
        assert schedule["RotateImmediatelyOnUpdate"] is True


def table_and_secrets_outlive_the_stack():
    deployed = support.Deployed()

    kept = {name: it["DeletionPolicy"] for name, it in deployed.resources.items() if "DeletionPolicy" in it}

    # A table whose creation is rolled back is protected against deletion, and the rollback would fail.
    assert kept.pop("Table") == "Retain"
    assert list(kept) == ["AppsSecret", "PushSecret", "KeyringSecret", "SigningKeysSecret", "JwksSecret", "BrakeSecret"]
    assert set(kept.values()) == {"RetainExceptOnCreate"}
    kept = ["Table", *kept]
    assert all(deployed.resources[name]["UpdateReplacePolicy"] == "Retain" for name in kept)
    table = deployed.resources["Table"]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["DeletionProtectionEnabled"] is True
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert "GlobalSecondaryIndexes" not in table and "LocalSecondaryIndexes" not in table


def no_secret_is_a_parameter_or_stands_in_the_template():
    template = support.translated()

    for name, parameter in template["Parameters"].items():
        assert not re.search(r"secret|password|token|appid|private", name, re.IGNORECASE), name
        assert parameter["Description"] and "NoEcho" not in parameter
    secrets = support.Deployed().of_type("AWS::SecretsManager::Secret")
    assert {name: secret["SecretString"] for name, secret in secrets.items()} == {
        "AppsSecret": '{"apps":{}}',
        "PushSecret": '{"apps":{}}',
        "KeyringSecret": '{"keys":{}}',
        "SigningKeysSecret": '{"keys":[]}',
        "JwksSecret": '{"keys":[]}',
        "BrakeSecret": '{"not_before":0}',
    }
    assert "GenerateSecretString" not in json.dumps(template)


def without_a_domain_the_gateways_address_serves_and_the_issuer_is_what_is_called():
    deployed = support.Deployed()

    assert not deployed.of_type("AWS::ApiGatewayV2::DomainName")
    assert not deployed.of_type("AWS::ApiGatewayV2::ApiMapping")
    (server,) = deployed.resources["Api"]["Properties"]["Body"]["servers"]
    assert server["x-amazon-apigateway-endpoint-configuration"] == {"disableExecuteApiEndpoint": False}
    assert set(_issuers(deployed).values()) == {""}
    assert deployed.outputs["ApiUrl"] == deployed.outputs["Issuer"] == "${Api.ApiEndpoint}"


def with_a_domain_only_the_domain_serves_and_it_is_the_issuer():
    deployed = support.Deployed(**support.DOMAIN)

    (domain,) = deployed.of_type("AWS::ApiGatewayV2::DomainName").values()
    (configuration,) = domain["DomainNameConfigurations"]
    assert domain["DomainName"] == "auth.example.com"
    assert (configuration["EndpointType"], configuration["SecurityPolicy"]) == ("REGIONAL", "TLS_1_2")
    (mapping,) = deployed.of_type("AWS::ApiGatewayV2::ApiMapping").values()
    assert mapping == {"ApiId": "${Api}", "DomainName": "${Domain}", "Stage": "${ApiApiGatewayDefaultStage}"}
    (server,) = deployed.resources["Api"]["Properties"]["Body"]["servers"]
    assert server["x-amazon-apigateway-endpoint-configuration"] == {"disableExecuteApiEndpoint": True}
    assert set(_issuers(deployed).values()) == {"https://auth.example.com"}
    assert deployed.outputs["ApiUrl"] == deployed.outputs["Issuer"] == "https://auth.example.com"


def an_issuer_goes_before_the_domain():
    deployed = support.Deployed(**support.DOMAIN, Issuer="https://id.example.com")

    assert deployed.functions()["login"]["Environment"]["Variables"]["WXAUTH_ISSUER"] == "https://id.example.com"
    assert deployed.outputs["ApiUrl"] == "https://auth.example.com"
    assert deployed.outputs["Issuer"] == "https://id.example.com"


@_everywhere
def what_does_not_go_together_is_refused_before_anything_is_made(partition):
    for given, words in (
        ({"DomainName": "auth.example.com"}, "DomainName needs CertificateArn"),
        ({"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0"}, "CertificateArn needs DomainName"),
        ({"SubnetIds": "subnet-1"}, "SubnetIds needs SecurityGroupIds"),
        ({"SecurityGroupIds": "sg-1"}, "SecurityGroupIds needs SubnetIds"),
        ({"AlarmEmail": "a@example.com", "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:ops"}, "not both"),
    ):
        (refusal,) = support.Deployed(partition, **given).refusals()
        assert words in refusal
    assert not support.Deployed(partition).refusals()
    assert not support.Deployed(partition, **support.DOMAIN, SubnetIds="subnet-1", SecurityGroupIds="sg-1").refusals()


def only_pages_of_the_named_origins_may_call_the_api():
    def cors(**parameters):
        return support.Deployed(**parameters).resources["Api"]["Properties"]["Body"].get("x-amazon-apigateway-cors")

    given = cors(CorsOrigins="https://m.example.com,http://localhost:5173")

    assert cors() is None
    assert given["allowOrigins"] == ["https://m.example.com", "http://localhost:5173"]
    assert {"authorization", "content-type", "idempotency-key"} == set(given["allowHeaders"])
    assert set(given["allowMethods"]) == {route.split()[0] for route in support.Deployed().routes()}
    assert "allowCredentials" not in given
    pattern = support.source()["Parameters"]["CorsOrigins"]["AllowedPattern"]
    for origin in ("*", "https://*", "m.example.com", "https://m.example.com/", "https://a.example, https://b.example"):
        assert not re.fullmatch(pattern, origin), origin
    assert re.fullmatch(pattern, "") is not None
    assert re.fullmatch(pattern, "https://m.example.com,http://localhost:5173") is not None


def the_access_log_holds_ids_codes_and_times():
    (stage,) = support.Deployed().of_type("AWS::ApiGatewayV2::Stage").values()
    settings = stage["AccessLogSettings"]

    fields = json.loads(settings["Format"])

    assert settings["DestinationArn"] == "${AccessLogGroup.Arn}"
    assert set(fields.values()) == {
        "$context.apiId",
        "$context.requestId",
        "$context.integration.requestId",
        "$context.requestTimeEpoch",
        "$context.routeKey",
        "$context.status",
        "$context.error.responseType",
        "$context.integration.integrationStatus",
        "$context.integration.status",
        "$context.responseLatency",
        "$context.integration.latency",
    }


def no_stranger_empties_a_bucket_of_requests_that_cost_wechat_nothing():
    (stage,) = support.Deployed().of_type("AWS::ApiGatewayV2::Stage").values()

    # An invented login code may cost a call to WeChat; every other route that asks WeChat wants an access token first.
    assert set(stage["RouteSettings"]) == {"POST /v1/login"}
    assert stage["RouteSettings"]["POST /v1/login"]["ThrottlingRateLimit"] == 200
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] >= 2000


def only_a_proxy_that_is_named_is_believed_and_its_secret_read_where_senders_are_named():
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:proxy-AbCdEf"
    without, behind = support.Deployed(), support.Deployed(TrustedProxyArn=arn)

    for name, function in behind.functions().items():
        needs = name in {"login", "phone", "refresh", "session", "userinfo"}
        assert function["Environment"]["Variables"].get("WXAUTH_PROXY") == (arn if needs else None), name
        assert ((["secretsmanager:GetSecretValue"], [arn]) in behind.statements(name)) == needs, name
    assert all(not f["Environment"]["Variables"].get("WXAUTH_PROXY") for f in without.functions().values())
    assert "arn:aws:secretsmanager" not in json.dumps(without.resources)


def push_may_call_the_owners_function_and_reads_no_app_secret():
    arn = "arn:aws:lambda:us-east-1:123456789012:function:pay"
    without, behind = support.Deployed(), support.Deployed(PushTargetArn=arn)

    for name, function in behind.functions().items():
        needs = name == "push"
        assert function["Environment"]["Variables"].get("WXAUTH_PUSH_TARGET") == (arn if needs else None), name
        assert ((["lambda:InvokeFunction"], [arn]) in behind.statements(name)) == needs, name
    assert "WXAUTH_APPS" not in behind.functions()["push"]["Environment"]["Variables"]
    assert all("lambda:InvokeFunction" not in actions for actions, _ in without.statements("push"))


def every_route_is_throttled():
    (stage,) = support.Deployed().of_type("AWS::ApiGatewayV2::Stage").values()

    assert stage["StageName"] == "$default"
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": 2000, "ThrottlingBurstLimit": 4000}
    assert set(stage["RouteSettings"]) <= set(support.Deployed().routes())
    for settings in stage["RouteSettings"].values():
        assert settings["ThrottlingBurstLimit"] >= settings["ThrottlingRateLimit"] > 0


def what_is_printed_can_be_pasted():
    outputs = support.Deployed().outputs

    options = (support.ROOT / "infra" / "deploy").read_text()
    for name, option in (("FillApps", "--app"), ("FillPush", "--push"), ("SmokeTest", "--smoke-test")):
        assert outputs[name] == f"infra/deploy --stack wxauth {option}" and option in options
        # sam breaks at a blank what does not fit into its table: 26 characters are left for the name of the stack.
        assert len(outputs[name]) - len("wxauth") + 20 < 80
    for name, value in outputs.items():
        assert "\n" not in value and (" " not in value or name in ("FillApps", "FillPush", "SmokeTest", "LogGroups")), name
    assert outputs["AuthorizerUri"].endswith(":lambda:path/2015-03-31/functions/${AuthorizerFunction.Arn}/invocations")
