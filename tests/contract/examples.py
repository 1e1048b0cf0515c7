"""The examples, as the tests read them, have the form that the document gives them: `examples.py openapi.json < EXAMPLES`."""

import json
import pathlib
import sys

import jsonschema_rs

DOCUMENT = json.loads(pathlib.Path(sys.argv[1]).read_text())
OPERATIONS = {operation["operationId"]: operation for path in DOCUMENT["paths"].values() for operation in path.values()}
# Placeholders whose values have a form.
SAMPLES = {
    "{code}": "A" * 32,
    "{phone_code}": "A" * 64,
    "{device}": "A" * 22 + "." + "A" * 48,
    "{device_id}": "A" * 22,
    "{other_device}": "A" * 22,
    "{encryptedData}": "A" * 22 + "==",
    "{iv}": "A" * 22 + "==",
}


def read():
    text = sys.stdin.read()
    for placeholder, sample in SAMPLES.items():
        text = text.replace(placeholder, sample)
    return json.loads(text)


def resolved(value):
    """What a reference to a component stands for."""
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    return DOCUMENT["components"][kind][name]


def is_valid(schema, value):
    return jsonschema_rs.validator_for({"components": DOCUMENT["components"], **schema}).is_valid(value)


def media(content, headers):
    return content[headers["content-type"].split(";")[0]]["schema"]


def check(operation, request, answer):
    described = resolved(operation["responses"][str(answer["status"])])
    if "body" in answer:
        assert is_valid(media(described["content"], answer["headers"]), answer["body"]), "the answer's body"
    described = {name: resolved(header) for name, header in described["headers"].items()}
    given = {name: value for name, value in answer["headers"].items() if name != "content-type"}
    assert given.keys() <= described.keys(), "a header that is not described"
    for name, header in described.items():
        assert name in given or not header["required"], f"no {name}"
        value = int(given[name]) if name in given and header["schema"].get("type") == "integer" else given.get(name)
        assert name not in given or is_valid(header["schema"], value), name
    code = answer["body"].get("code") if isinstance(answer.get("body"), dict) else None
    if "body" in request and code not in ("invalid_request", "unsupported_media_type"):
        assert is_valid(media(operation["requestBody"]["content"], request["headers"]), request["body"]), "the request"


for route, case, request, answer in read():
    operation = OPERATIONS.get(route)
    if operation:
        try:
            check(operation, request, answer)
        except Exception as error:
            sys.exit(f"{route}/{case}: {error!r}")
