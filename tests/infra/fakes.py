"""Stand-ins for the commands that `infra/deploy` runs: an account in a file, and a list of what was called.

The script finds each under its own name on its PATH. This is not AWS: `tests/deployment` runs the real commands.
"""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(os.environ["FAKES"])
STATE = HERE / "state.json"


def _option(name):
    arguments = sys.argv
    return arguments[arguments.index(name) + 1] if name in arguments else None


def _copy(source, target):
    pathlib.Path(target).write_bytes(pathlib.Path(source).read_bytes())


def _secret_on_disk(marker):
    folders = [HERE / "repository", HERE / "tmp"]
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return any(marker.encode() in file.read_bytes() for file in files)


def _physical(name):
    return "wxauth-Table-1ABC" if name == "Table" else f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-1"


def _logical(physical):
    return physical.split(":secret:")[1].rsplit("-", 1)[0]


FRESH = {
    "Table": None,
    "AppsSecret": '{"apps":{}}',
    "PushSecret": '{"apps":{}}',
    "KeyringSecret": '{"keys":{}}',
    "SigningKeysSecret": '{"keys":[]}',
    "JwksSecret": '{"keys":[]}',
    "BrakeSecret": '{"not_before":0}',
}


def _lines(resources):
    return "\n".join(f"{name}\t{_physical(name)}" for name in resources)


def _aws(state):
    command = " ".join(sys.argv[1:3])
    query = _option("--query") or ""
    match command:
        case "--version":
            return state["aws"]
        case "configure get":
            return state["region"]
        case "sts get-caller-identity":
            return "123456789012"
        case "cloudformation describe-stacks" if state["status"] == "none":
            sys.exit("An error occurred (ValidationError): Stack with id wxauth does not exist")
        case "cloudformation describe-stacks" if "StackStatus" in query:
            return state["status"]
        case "cloudformation describe-stacks":
            return "\n".join(f"{name}\t{value}" for name, value in state["outputs"].items())
        case "cloudformation list-stack-resources":
            return _lines(state["stack"])
        case "dynamodb list-tables":
            return state["tables"] or _lines(name for name in state["left"] if name == "Table")
        case "secretsmanager list-secrets":
            return _lines(name for name in state["left"] if name != "Table")
        case "secretsmanager get-secret-value":
            return (state["left"] | state["stack"])[_logical(_option("--secret-id"))]
        case "secretsmanager put-secret-value":
            assert _option("--secret-string") == "file:///dev/stdin"
            state["stack"][_logical(_option("--secret-id"))] = sys.stdin.read()
        case "s3api head-bucket" if not state["bucket"]:
            sys.exit("An error occurred (404) when calling the HeadBucket operation: Not Found")
        case "s3api create-bucket":
            state["bucket"] = True
        case "cloudformation package":
            _copy(_option("--template-file"), _option("--output-template-file"))
        case "cloudformation deploy":
            state["template"] = pathlib.Path(_option("--template-file")).read_text()
            state["parameters"] = sys.argv[sys.argv.index("--parameter-overrides") + 1 :]
            state["stack"] = FRESH | state["stack"]
            state["status"] = "UPDATE_COMPLETE"
        case "cloudformation describe-stack-events":
            return "LoginFunction\tThe reason.\nRefreshFunction\tResource creation cancelled"
        case "cloudformation delete-stack":
            # What was created by a deployment that failed is gone, but for the table, which is protected.
            gone = state["status"] == "ROLLBACK_COMPLETE"
            state["left"] |= {name: text for name, text in state["stack"].items() if name == "Table" or not gone}
            state["stack"], state["status"] = {}, "none"
        case "cloudformation create-change-set":
            state["imported"] = pathlib.Path(_option("--template-body").removeprefix("file://")).read_text()
            state["imports"] = json.loads(_option("--resources-to-import"))
        case "cloudformation execute-change-set":
            names = [resource["LogicalResourceId"] for resource in state["imports"]]
            state["stack"], state["status"] = {name: state["left"].pop(name) for name in names}, "IMPORT_COMPLETE"
    return ""


def _curl(state):
    if output := _option("-o"):
        url = sys.argv[-1]
        source = HERE / "releases" / url.rsplit("/", 2)[1] / url.rsplit("/", 1)[1]
        if not source.exists():
            sys.exit("curl: (22) The requested URL returned error: 404")
        _copy(source, output)
        return ""
    return state["jwks"] if sys.argv[-1].endswith("/jwks.json") else state["login"]


def _cargo(state):
    if sys.argv[1] == "--version":
        return state["cargo"]
    if sys.argv[1:3] == ["lambda", "--version"]:
        return state["cargo-lambda"]
    assert sys.argv[1:3] == ["lambda", "build"]
    names = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "-p"]
    for name in names:
        folder = HERE / "repository" / _option("--lambda-dir") / name
        folder.mkdir(parents=True)
        (folder / "bootstrap.zip").write_text(f"{name} for {_option('--target')}")
    return ""


def _python3(state):
    return state["zig"] or sys.exit(1)


def main():
    name = pathlib.Path(sys.argv[0]).name
    state = json.loads(STATE.read_text())
    call = f"{name} {' '.join(sys.argv[1:])}"
    seen = {"call": call, "environment": dict(os.environ), "on_disk": _secret_on_disk(state["marker"])}
    with (HERE / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(seen) + "\n")
    if state["fails"] and call.startswith(state["fails"]):
        sys.exit(f"{state['fails']} does not work today")
    answers = {"aws": _aws, "curl": _curl, "cargo": _cargo, "python3": _python3}
    answer = answers[name](state) if name in answers else ""
    STATE.write_text(json.dumps(state))
    if answer:
        print(answer)
