"""Rights that MiniStack does not look at: of services that act for the stack, of a function's role to write its log, of
whoever deploys, and conditions on the keys of the table's items. What is decided anywhere is kept.
"""

import json
import os
import re

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway, dynamodb, lambda_svc
from ministack.services.cloudformation import stacks

from additions import deployment_calls

ALLOW = "Allow"


def add():
    _keep_decisions()
    _count_loopback_as_tls()
    _know_leading_keys()
    _log_as_the_role()
    _route_by_permission()
    _deploy_as_the_caller()


def _keep_decisions():
    """Each decision is a line of JSON in the file that the tests read."""
    enforce = iam_evaluator.enforce

    def kept(key, action, service, region, resource_arn="*", service_context=None):
        denied = enforce(key, action, service, region, resource_arn, service_context)
        principal = iam_evaluator.resolve_principal(key, get_account_id())
        _keep(getattr(principal, "arn", key), action, resource_arn, not denied)
        return denied

    iam_evaluator.enforce = kept


def _keep(principal, action, resource, allowed):
    line = {"principal": principal, "action": action, "resource": resource, "allowed": allowed}
    with open(os.environ["DECISIONS"], "a") as file:
        file.write(json.dumps(line) + "\n")


def _count_loopback_as_tls():
    """The policy of SAM CLI's bucket wants TLS; on loopback there is none."""
    pin = iam_evaluator.pin_request_origin
    app.pin_request_origin = lambda address, is_tls: pin(address, True)


def service_may_invoke(service, function, record, **source):
    """Whether the function's own policy lets a service invoke it."""
    principal = f"{service}.amazonaws.com"
    context = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="Service",
        principal_account=get_account_id(),
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=get_region(),
        service_context={f"aws:{name}": value for name, value in source.items()},
    )
    result = iam_evaluator.evaluate_resource_policy(record["policy"], context, service=principal)
    allowed = result.decision == ALLOW
    _keep(principal, context.action, function, allowed)
    return allowed


def _know_leading_keys():
    """`dynamodb:LeadingKeys`: without it every condition of `ForAllValues` on it holds."""
    known = iam_actions.dynamodb_service_context

    def context(body):
        leading = _leading_key(json.loads(body or b"{}"))
        return known(body) | ({"dynamodb:LeadingKeys": [leading]} if leading else {})

    iam_actions.dynamodb_service_context = context


def _leading_key(request):
    table = dynamodb._tables.get(request.get("TableName", "").rsplit("/", 1)[-1])
    if table is None:
        return None
    name = next(key["AttributeName"] for key in table["KeySchema"] if key["KeyType"] == "HASH")
    item = request.get("Key") or request.get("Item")
    if item:
        return item[name]["S"]
    # A query: "name = :value", the name perhaps behind a placeholder.
    names = request.get("ExpressionAttributeNames", {})
    for left, right in re.findall(r"(#?\w+)\s*=\s*(:\w+)", request.get("KeyConditionExpression", "")):
        if names.get(left, left) == name:
            return request["ExpressionAttributeValues"][right]["S"]
    return None


def _log_as_the_role():
    """A function's lines reach its log group by the right of its role."""
    emit = lambda_svc._emit_lambda_logs

    def emitted(function, request_id, text, *args, **named):
        config = function.get("config") or function
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        stream = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}:log-stream:any"
        if all(_role_may(config["Role"], action, stream) for action in ("logs:CreateLogStream", "logs:PutLogEvents")):
            emit(function, request_id, text, *args, **named)

    lambda_svc._emit_lambda_logs = emitted


def _role_may(role, action, resource):
    policies = iam_evaluator._gather_role_policies(role.rsplit("/", 1)[-1], get_account_id())
    return _may(role, "AssumedRole", action, resource, policies)


def _may(principal, kind, action, resource, policies, *limits, **keys):
    context = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type=kind,
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context=keys,
    )
    allowed = iam_evaluator.evaluate(context, policies, *limits).decision == ALLOW
    _keep(principal, action, resource, allowed)
    return allowed


def _route_by_permission():
    """API Gateway invokes what its functions' policies let it."""
    invoke = apigateway._invoke_lambda_proxy

    async def permitted(integration, api, stage, path, method, *args, **named):
        reference = apigateway._extract_lambda_ref_from_integration_uri(integration["integrationUri"])
        account, region = named["owner_account_id"], named["owner_region"]
        record, _, _ = lambda_svc._get_func_record_for_ref_in_scope(reference, account_id=account, region=region)
        source = f"arn:aws:execute-api:{region}:{account}:{api}/{stage}/{method}{path}"
        if record and not service_may_invoke("apigateway", reference, record, sourcearn=source):
            return 500, {"Content-Type": "application/json"}, b'{"message":"Internal Server Error"}'
        return await invoke(integration, api, stage, path, method, *args, **named)

    apigateway._invoke_lambda_proxy = permitted


def _deploy_as_the_caller():
    """CloudFormation acts with the rights of who calls it; MiniStack makes every resource by itself."""
    create, update, delete = stacks._provision_resource, stacks._update_resource, stacks._delete_resource

    def created(kind, logical_id, props, stack):
        _demand("create", kind, logical_id, props, stack)
        return create(kind, logical_id, props, stack)

    def updated(kind, physical_id, old, new, stack, logical_id=None, attributes=None):
        if old != new:
            _demand("update", kind, logical_id, new, stack)
        return update(kind, physical_id, old, new, stack, logical_id, attributes)

    def deleted(kind, physical_id, props, stack=None, logical_id=None):
        _demand("delete", kind, logical_id, props, stack)
        return delete(kind, physical_id, props, stack, logical_id)

    stacks._provision_resource, stacks._update_resource, stacks._delete_resource = created, updated, deleted


def _demand(operation, kind, logical_id, props, stack):
    key = iam_evaluator._verified_key.get()
    if not key:
        # The account's root, whose signature MiniStack does not verify.
        return
    caller = iam_evaluator.resolve_principal(key, get_account_id())
    where = {"region": get_region(), "account": get_account_id()}
    for action, resource, keys in deployment_calls.needed(operation, kind, logical_id, props, stack, **where):
        if not _may(caller.arn, caller.type, action, resource, caller.policies, *caller.limits, **keys):
            raise ValueError(f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}")
