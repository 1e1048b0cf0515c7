"""`infra/deploy-policy.json`: what who deploys may do is what CloudFormation and the commands need, and no more.

What CloudFormation calls for each type of resource is written down in `tests/deployment/additions/deployment_calls.py`, which the
emulated deployment enforces, too. A type that is not written down there fails here.
"""

import fnmatch
import json
import re
import sys

import pytest
import support

sys.path.append(str(support.ROOT / "tests" / "deployment"))
from additions import deployment_calls  # noqa: E402 - its folder is not that of a package.

POLICY = json.loads((support.ROOT / "infra" / "deploy-policy.json").read_text())

# All that a parameter adds.
EVERYTHING = support.DOMAIN | {
    "AlarmEmail": "owner@example.com",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000",
    "ReservedConcurrency": 5,
    "SecurityGroupIds": "sg-1",
    "SubnetIds": "subnet-1,subnet-2",
    "TracingMode": "Active",
}

# What no resource of the template asks for, and who does.
ASKED_BY_COMMANDS = {
    "cloudformation:CreateChangeSet": "every deployment",
    "cloudformation:DeleteStack": "a first deployment that failed, and --destroy",
    "cloudformation:DescribeChangeSet": "every deployment",
    "cloudformation:DescribeStackEvents": "every deployment",
    "cloudformation:DescribeStacks": "every deployment",
    "cloudformation:ExecuteChangeSet": "every deployment",
    "cloudformation:GetTemplateSummary": "every deployment",
    "cloudformation:ListStackResources": "infra/deploy",
    "dynamodb:ListTables": "infra/deploy",
    "s3:CreateBucket": "the bucket of infra/deploy, and that of SAM CLI",
    "s3:GetBucketPolicy": "the bucket of SAM CLI",
    "s3:ListBucket": "infra/deploy, whether its bucket is there",
    "s3:PutBucketPolicy": "the bucket of SAM CLI",
    "s3:PutBucketTagging": "the bucket of SAM CLI",
    "s3:PutBucketVersioning": "the bucket of SAM CLI",
    "s3:PutEncryptionConfiguration": "the bucket of SAM CLI",
    "s3:PutObject": "every upload",
    "secretsmanager:GetSecretValue": "infra/deploy, before it fills a secret",
    "secretsmanager:ListSecrets": "infra/deploy",
    "secretsmanager:PutSecretValue": "infra/deploy, and --brake",
    # A parameter that is emptied again.
    "lambda:DeleteFunctionConcurrency": "ReservedConcurrency=0 after another number",
    "logs:DisassociateKmsKey": "KmsKeyArn= after a key",
}


def _listed(value):
    return value if isinstance(value, list) else [value]


def _allowed(action, resource, keys):
    return any(
        action in _listed(statement["Action"])
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in _listed(statement["Resource"]))
        and all(
            keys[key.lower()] in _listed(values) for key, values in statement.get("Condition", {}).get("StringEquals", {}).items()
        )
        for statement in POLICY["Statement"]
    )


NAMES = {"AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName"}


def _physical(deployed, node):
    """The node with the names that AWS gives: what the template names itself, an ARN of a secret, and a made-up rest."""

    def named(match):
        name, attribute = match.group(1), match.group(2)
        resource = deployed.resources[name]
        kind, where = resource["Type"], "us-east-1:123456789012"
        own = resource.get("Properties", {}).get(NAMES.get(kind), f"wxauth-{name}-any")
        if kind == "AWS::SecretsManager::Secret":
            return f"arn:aws:secretsmanager:{where}:secret:{name}-any"
        if attribute == ".Arn" and kind == "AWS::IAM::Role":
            return f"arn:aws:iam::123456789012:role/{own}"
        return f"arn:aws:lambda:{where}:function:{own}" if attribute == ".Arn" and kind == "AWS::Lambda::Function" else own

    return json.loads(re.sub(r"\$\{(\w+)(\.\w+)?\}", named, json.dumps(node)))


def _calls(deployed):
    """All that is called to make, change and remove a deployment, and what for."""
    parts = ("Properties", "UpdatePolicy")
    resources = {
        name: _physical(deployed, {part: it.get(part, {}) for part in parts}) for name, it in deployed.resources.items()
    }
    for name, resource in deployed.resources.items():
        for operation in ("create", "update", "delete"):
            # The table is never deleted; the secrets are where the deployment that made them is rolled back.
            if operation == "delete" and resource.get("DeletionPolicy") == "Retain":
                continue
            for call in deployment_calls.needed(
                operation,
                resource["Type"],
                name,
                resources[name]["Properties"],
                stack="wxauth",
                region="us-east-1",
                account="123456789012",
                policy=resources[name]["UpdatePolicy"],
            ):
                yield f"{operation} {name}", call


@pytest.fixture(scope="module")
def ways(canary_of):
    """The template as it is, with all that parameters add, and with an alias that moves."""
    moving = canary_of("Canary10Percent10Minutes")
    return [
        support.Deployed(),
        support.Deployed(**EVERYTHING),
        support.Deployed(file=moving),
        support.Deployed(file=moving, **EVERYTHING),
    ]


def who_deploys_may_make_change_and_remove_every_resource(ways):
    refused = {
        f"{what}: {action} on {resource}"
        for way in ways
        for what, (action, resource, keys) in _calls(way)
        if not _allowed(action, resource, keys)
    }

    assert refused == set()


def who_deploys_may_do_nothing_that_neither_a_resource_nor_a_command_needs(ways):
    held = {action for statement in POLICY["Statement"] for action in _listed(statement["Action"])}

    asked = {action for way in ways for _, (action, _, _) in _calls(way)}

    assert held - asked == set(ASKED_BY_COMMANDS)


def what_the_template_has_of_network_rollout_and_keys_is_among_what_is_asked(ways):
    asked = {action for way in ways for _, (action, _, _) in _calls(way)}

    for action in ("codedeploy:CreateDeployment", "ec2:DescribeSubnets", "lambda:PutFunctionConcurrency", "logs:AssociateKmsKey"):
        assert action in asked and action not in {action for _, (action, _, _) in _calls(ways[0])}, action


def a_role_is_passed_to_lambda_and_codedeploy_alone():
    (statement,) = [it for it in POLICY["Statement"] if "iam:PassRole" in _listed(it["Action"])]

    services = statement["Condition"]["StringEquals"]["iam:PassedToService"]

    assert statement["Action"] == "iam:PassRole" and services == ["codedeploy.amazonaws.com", "lambda.amazonaws.com"]
    assert not _allowed("iam:PassRole", "arn:aws:iam::123456789012:role/wxauth-x", {"iam:passedtoservice": "ec2.amazonaws.com"})
    assert not _allowed("iam:PassRole", "arn:aws:iam::123456789012:role/x", {"iam:passedtoservice": "lambda.amazonaws.com"})


def a_star_is_where_iam_knows_no_narrower_resource():
    stars = {action for it in POLICY["Statement"] if it["Resource"] == "*" for action in _listed(it["Action"])}

    # Reads and lists, and what API Gateway and saved queries ask of CloudWatch Logs.
    changing = {it for it in stars if not re.match(r"\w+:(Describe|Get|List)", it)}
    assert changing == {
        "logs:CreateLogDelivery",
        "logs:DeleteQueryDefinition",
        "logs:PutQueryDefinition",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
    }


def it_fits_into_a_managed_policy():
    # IAM does not count blanks.
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= 6144
