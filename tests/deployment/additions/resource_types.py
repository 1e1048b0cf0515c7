"""Types of resources that MiniStack does not know, or knows otherwise than CloudFormation does."""

import uuid

from ministack.services import apigateway, secretsmanager
from ministack.services.cloudformation import changesets, provisioners

from additions import rotation


def add():
    types = provisioners._RESOURCE_HANDLERS
    types["AWS::Logs::QueryDefinition"] = {"create": _recorded, "update": _kept, "delete": _forgotten}
    types["AWS::SecretsManager::RotationSchedule"] = {
        "create": _schedule,
        "update": _schedule_again,
        "delete": _forgotten,
    }
    table = types["AWS::DynamoDB::Table"]
    types["AWS::DynamoDB::Table"] = table | {"create": _named_anew(table["create"])}
    types["AWS::SecretsManager::Secret"] = _as_cloudformation_names_it(types["AWS::SecretsManager::Secret"])
    changesets._IMPORT_LOOKUPS["AWS::SecretsManager::Secret"] = ("Id",), _missing_secret
    types["AWS::ApiGatewayV2::Api"] = _with_routes_of_its_body(types["AWS::ApiGatewayV2::Api"])
    alarms = provisioners._cw_metric_alarm_record
    provisioners._cw_metric_alarm_record = lambda name, props: alarms(name, _of_one_metric(props))


# A type that nothing in the emulator looks at: the stack has it, and that is all.


def _recorded(logical_id, props, stack_name):
    return f"{stack_name}-{logical_id}", {}


def _kept(physical_id, old, new, stack_name):
    return physical_id, {}


def _forgotten(physical_id, props):
    pass


def _schedule(logical_id, props, stack_name):
    """Stands for the schedule's first rotation, which Secrets Manager begins at once and CloudFormation does not await."""
    rotation.begin(
        props["SecretId"],
        function=props["RotationLambdaARN"],
        rules=props["RotationRules"],
        at_once=provisioners._cfn_bool(props.get("RotateImmediatelyOnUpdate", True)),
    )
    return props["SecretId"], {}


def _schedule_again(physical_id, old, new, stack_name):
    return _schedule(None, new, stack_name)


def _named_anew(create):
    """Stands for the random end of a name: what a failed deployment left behind keeps its own, and a retry gets another."""
    return lambda *args: provisioners._seeded_create(create, *args)


def _as_cloudformation_names_it(handler):
    """A secret's name is that of the resource and a random end, without the stack's; its `Ref` is the ARN. It is tagged with the
    names of both, and can be imported.
    """

    def create(logical_id, props, stack_name):
        name = f"{logical_id}-{uuid.uuid4().hex[:12]}"
        _, attributes = handler["create"](logical_id, props | {"Name": name}, stack_name)
        named = {"aws:cloudformation:stack-name": stack_name, "aws:cloudformation:logical-id": logical_id}
        secretsmanager._resolve(name)[1]["Tags"] += [{"Key": key, "Value": value} for key, value in named.items()]
        return attributes["Id"], attributes

    def update(arn, old, new, *args):
        name = {"Name": _name(arn)}
        handler["update"](_name(arn), old | name, new | name, *args)
        return arn, {"Id": arn}

    def delete(arn, props):
        handler["delete"](_name(arn), props)

    def imported(identifier):
        return identifier["Id"], {"Id": identifier["Id"]}

    return handler | {"create": create, "update": update, "delete": delete, "import": imported}


def _missing_secret(arn):
    """Why a secret cannot be imported; nothing where it can."""
    return None if secretsmanager._resolve(arn)[1] else f"Resource of type 'AWS::SecretsManager::Secret' {arn} was not found."


def _name(arn):
    return secretsmanager._resolve(arn)[0]


def _with_routes_of_its_body(handler):
    """SAM writes the routes as OpenAPI into the API's body; MiniStack knows them as resources of their own."""

    def create(logical_id, props, stack_name):
        api, attributes = handler["create"](logical_id, _of_body(props), stack_name)
        _import(api, props["Body"])
        return api, attributes

    def update(api, old, new, *args):
        updated = handler["update"](api, _of_body(old), _of_body(new), *args)
        _import(api, new["Body"])
        return updated

    return handler | {"create": create, "update": update}


def _of_body(props):
    """What else the body says of the API."""
    cors = props["Body"].get("x-amazon-apigateway-cors")
    written = {name[0].upper() + name[1:]: value for name, value in (cors or {}).items()}
    return props | ({"CorsConfiguration": written} if cors else {})


def _import(api, body):
    apigateway._routes[api], apigateway._integrations[api] = {}, {}
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            given = operation["x-amazon-apigateway-integration"]
            integration, route = f"{api}{len(apigateway._routes[api])}", f"{method.upper()} {path}"
            apigateway._integrations[api][integration] = {
                "integrationId": integration,
                "integrationType": given["type"].upper(),
                "integrationUri": given["uri"],
                "integrationMethod": given["httpMethod"],
                "payloadFormatVersion": given["payloadFormatVersion"],
                "timeoutInMillis": given["timeoutInMillis"],
            }
            apigateway._routes[api][integration] = {
                "routeId": integration,
                "routeKey": route,
                "target": f"integrations/{integration}",
                "authorizationType": "NONE",
                "apiKeyRequired": False,
            }


def _of_one_metric(props):
    """Stands for metric math, which MiniStack refuses: the alarm is there and watches nothing."""
    if "Metrics" not in props:
        return props
    rest = {name: value for name, value in props.items() if name != "Metrics"}
    return rest | {"Namespace": "metric math", "MetricName": "none"}
