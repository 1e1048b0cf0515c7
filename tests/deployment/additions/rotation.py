"""What Secrets Manager does when it rotates a secret; MiniStack's RotateSecret copies the value."""

import contextvars
import json
import threading
import time
import uuid

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import lambda_svc, secretsmanager

from additions import rights

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
# Secrets Manager tries again after minutes; here a permission is valid at once, and what fails twice fails.
TRIES = 2


def add():
    secretsmanager._rotate_secret = _rotate_secret
    secretsmanager._put_secret_value = _put_secret_value(secretsmanager._put_secret_value)
    secretsmanager._get_secret_value = _get_secret_value(secretsmanager._get_secret_value)


def _rotate_secret(request):
    """The API's RotateSecret."""
    _, secret = secretsmanager._resolve(request["SecretId"])
    if not secret:
        return error_response_json("ResourceNotFoundException", "Secrets Manager can't find the specified secret.", 400)
    if not (request.get("RotationLambdaARN") or secret["RotationLambdaARN"]):
        return error_response_json("InvalidRequestException", "No Lambda rotation function ARN is associated.", 400)
    version = begin(
        secret["ARN"],
        function=request.get("RotationLambdaARN"),
        rules=request.get("RotationRules"),
        version=request.get("ClientRequestToken"),
    )
    return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version})


def begin(arn, function=None, rules=None, at_once=True, version=None):
    """Begins a rotation, which goes on beside the caller; its steps fail and succeed by themselves."""
    _, secret = secretsmanager._resolve(arn)
    secret["RotationEnabled"] = True
    secret["RotationLambdaARN"] = function or secret["RotationLambdaARN"]
    secret["RotationRules"] = rules or secret["RotationRules"]
    if not at_once:
        return None
    version = version or str(uuid.uuid4())
    secretsmanager._remove_stage_everywhere(secret, "AWSPENDING")
    # It is pending before it has a value, which the first step puts.
    secret["Versions"][version] = {
        "SecretString": None,
        "SecretBinary": None,
        "CreatedDate": int(time.time()),
        "Stages": ["AWSPENDING"],
    }
    # The account and the region of the request are in its context.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_steps, secret, version), daemon=True).start()
    return version


def _steps(secret, version):
    for step in STEPS:
        event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": version}
        if not any(_invoke(secret["RotationLambdaARN"], event) for _ in range(TRIES)):
            return
    secret["LastRotatedDate"] = int(time.time())


def _invoke(function, event):
    """Whether the function did the step: as Secrets Manager, by the function's own policy."""
    record, config, _ = lambda_svc._get_func_record_for_ref_in_scope(
        function, account_id=get_account_id(), region=get_region()
    )
    if record is None or not rights.service_may_invoke(
        "secretsmanager", function, record, sourceaccount=get_account_id()
    ):
        return False
    execution = lambda_svc._execution_record_for_config(record, config)
    result = lambda_svc._execute_function_with_config_scope(execution, event)
    return not result.get("error")


def _put_secret_value(put):
    """A stage is that of one version; MiniStack leaves `AWSPENDING` where it was, too."""

    def moved(request):
        _, secret = secretsmanager._resolve(request["SecretId"])
        if secret and "AWSPENDING" in request.get("VersionStages", []):
            secretsmanager._remove_stage_everywhere(secret, "AWSPENDING")
        return put(request)

    return moved


def _get_secret_value(get):
    """A version that is pending before its value was put is not found; MiniStack gives it without a value."""

    def found(request):
        answer = get(request)
        if answer[0] == 200 and not {"SecretString", "SecretBinary"} & set(json.loads(answer[2])):
            message = "Secrets Manager can't find the specified secret value."
            return error_response_json("ResourceNotFoundException", message, 400)
        return answer

    return found
