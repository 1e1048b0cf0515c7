"""Stand-ins for the commands that `infra/deploy` runs: an account, and a list of what was called.

The script finds each under its own name on its PATH. It is a few lines of shell, which ask the tests over a socket, because starting
an interpreter for each call takes most of the time of these tests. This is not AWS: `tests/deployment` runs the real commands.
"""

import copy
import json
import pathlib
import socketserver
import threading

# Sends its name, arguments, environment, and input where that holds a secret; says what it is answered.
COMMAND = """#!{bash}
# The caller may have exported its options.
set +eu
exec 3<> /dev/tcp/127.0.0.1/{port}
printf '%s\\0' "$#" "${{0##*/}}" "$@" >&3
{{ export -p; printf '\\0'; }} >&3
read='' status='' said=''
case "$*" in *file:///dev/stdin*) IFS= read -rd '' read ;; esac
printf '%s\\0' "$read" >&3
IFS= read -r status <&3
IFS= read -rd '' said <&3
if [ "$status" = 0 ]; then printf '%s' "$said"; else printf '%s\\n' "$said" >&2; fi
exit "$status"
"""
NAMES = ["aws", "cargo", "curl", "python3"]


class Refused(Exception):
    """A command that fails, with what it says."""


class Call:
    """A command with its arguments, and what it was given to read."""

    def __init__(self, words, read):
        self.name, self.arguments, self.read = words[0], words[1:], read
        self.text = " ".join(words)

    def option(self, name):
        return self.arguments[self.arguments.index(name) + 1] if name in self.arguments else None


def _copy(source, target):
    pathlib.Path(target).write_bytes(pathlib.Path(source).read_bytes())


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


def _aws(state, call, _):
    command = " ".join(call.arguments[:2])
    query = call.option("--query") or ""
    match command:
        case "--version":
            return state["aws"]
        case "configure get":
            return state["region"]
        case "sts get-caller-identity":
            return "123456789012"
        case "cloudformation describe-stacks" if state["status"] == "none":
            raise Refused("An error occurred (ValidationError): Stack with id wxauth does not exist")
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
            return (state["left"] | state["stack"])[_logical(call.option("--secret-id"))]
        case "secretsmanager put-secret-value":
            assert call.option("--secret-string") == "file:///dev/stdin"
            state["stack"][_logical(call.option("--secret-id"))] = call.read
        case "s3api head-bucket" if not state["bucket"]:
            raise Refused("An error occurred (404) when calling the HeadBucket operation: Not Found")
        case "s3api create-bucket":
            state["bucket"] = True
        case "cloudformation package":
            _copy(call.option("--template-file"), call.option("--output-template-file"))
        case "cloudformation deploy":
            state["template"] = pathlib.Path(call.option("--template-file")).read_text()
            state["parameters"] = call.arguments[call.arguments.index("--parameter-overrides") + 1 :]
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
            state["imported"] = pathlib.Path(call.option("--template-body").removeprefix("file://")).read_text()
            state["imports"] = json.loads(call.option("--resources-to-import"))
        case "cloudformation execute-change-set":
            names = [resource["LogicalResourceId"] for resource in state["imports"]]
            state["stack"], state["status"] = {name: state["left"].pop(name) for name in names}, "IMPORT_COMPLETE"
    return ""


def _curl(state, call, here):
    url = call.arguments[-1]
    if output := call.option("-o"):
        source = here / "releases" / url.rsplit("/", 2)[1] / url.rsplit("/", 1)[1]
        if not source.exists():
            raise Refused("curl: (22) The requested URL returned error: 404")
        _copy(source, output)
        return ""
    return state["jwks"] if url.endswith("/jwks.json") else state["login"]


def _cargo(state, call, here):
    if call.arguments[0] == "--version":
        return state["cargo"]
    if call.arguments[:2] == ["lambda", "--version"]:
        return state["cargo-lambda"]
    assert call.arguments[:2] == ["lambda", "build"]
    names = [call.arguments[at + 1] for at, word in enumerate(call.arguments) if word == "-p"]
    for name in names:
        folder = here / "repository" / call.option("--lambda-dir") / name
        folder.mkdir(parents=True)
        (folder / "bootstrap.zip").write_text(f"{name} for {call.option('--target')}")
    return ""


def _python3(state, *_):
    if not state["zig"]:
        raise Refused("No module named ziglang")
    return state["zig"]


class Account:
    """What the commands have at hand, on a port of loopback until it is closed."""

    def __init__(self, here, bash):
        self.here, self.seen, self.state = here, [], {}
        account = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                status, said = account._heard(self._field)
                self.wfile.write(f"{status}\n{said}".encode())

            def _field(self):
                text = b""
                while not text.endswith(b"\0"):
                    more = self.rfile.read(1)
                    assert more, "the command hung up"
                    text += more
                return text[:-1].decode()

        self.server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        # It looks for its end so often.
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for name in NAMES:
            command = here / "bin" / name
            command.write_text(COMMAND.format(bash=bash, port=self.server.server_address[1]))
            command.chmod(0o755)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _heard(self, field):
        words = [field() for _ in range(int(field()) + 1)]
        environment, read = field(), field()
        call = Call(words, read)
        self.seen.append({"call": call.text, "environment": environment, "on_disk": self._secret_on_disk()})
        if self.state["fails"] and call.text.startswith(self.state["fails"]):
            return 1, f"{self.state['fails']} does not work today"
        answers = {"aws": _aws, "curl": _curl, "cargo": _cargo, "python3": _python3}
        state = copy.deepcopy(self.state)
        try:
            said = answers[call.name](state, call, self.here)
        except Refused as refused:
            return 1, str(refused)
        self.state = state
        return 0, f"{said}\n" if said else ""

    def _secret_on_disk(self):
        files = (file for folder in ("repository", "tmp") for file in (self.here / folder).rglob("*") if file.is_file())
        return any(self.state["marker"].encode() in file.read_bytes() for file in files)
