"""What the tests of the deployment share: the template, what SAM makes of it, and what CloudFormation would."""

import copy
import functools
import os
import pathlib
import re

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.arn_generator import ArnGenerator
from samtranslator.translator.translator import Translator

ROOT = pathlib.Path(__file__).parents[2]
SOURCE = ROOT / "infra" / "template.yaml"

# A region of each partition, and what AWS::URLSuffix is there.
PARTITIONS = {
    "aws": ("us-east-1", "amazonaws.com"),
    "aws-cn": ("cn-north-1", "amazonaws.com.cn"),
    "aws-us-gov": ("us-gov-west-1", "amazonaws.com"),
}

DOMAIN = {
    "DomainName": "auth.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000000",
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML with CloudFormation's short forms."""


def _short_form(loader, name, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _short_form)


def recipe(name):
    """The file of a recipe: a small template of its own."""
    return ROOT / "infra" / "recipes" / f"{name}.yaml"


def source(file=SOURCE):
    """A template as it is written."""
    return copy.deepcopy(_parsed(file.read_text()))


@functools.cache
def _parsed(text):
    return yaml.load(text, _Loader)


@functools.cache
def _translated(partition, parameters, text):
    region, _ = PARTITIONS[partition]
    template = copy.deepcopy(_parsed(text))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://wxauth-bucket/key"
    os.environ["AWS_DEFAULT_REGION"] = region
    ArnGenerator.BOTO_SESSION_REGION_NAME = None
    session = boto3.session.Session(region_name=region)
    return Translator({}, Parser(), boto_session=session).translate(template, dict(parameters))


def translated(partition="aws", file=SOURCE, **parameters):
    """What SAM makes of a template in a partition. It fills some parameters in already, as it does at AWS."""
    return copy.deepcopy(_translated(partition, tuple(parameters.items()), file.read_text()))


class Deployed:
    """What CloudFormation makes of the translated template: parameters filled in, conditions decided.

    What is known only once a resource exists stays as `${Name}` or `${Name.Attribute}`.
    """

    def __init__(self, partition="aws", file=SOURCE, **parameters):
        region, suffix = PARTITIONS[partition]
        self._translated = functools.partial(translated, partition, file, **parameters)
        # SAM leaves these two as they are, and CloudFormation looks at them first.
        written = source(file)
        self.rules = written["Rules"]
        self.values = {name: parameter.get("Default") for name, parameter in written["Parameters"].items()}
        self.values |= parameters
        self.values |= {
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::URLSuffix": suffix,
            "AWS::AccountId": "123456789012",
            "AWS::StackName": "wxauth",
        }

    @functools.cached_property
    def template(self):
        return self._translated()

    @functools.cached_property
    def conditions(self):
        return self.template["Conditions"]

    @functools.cached_property
    def resources(self):
        return {
            name: self.resolve(resource)
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    @functools.cached_property
    def outputs(self):
        return {
            name: self.resolve(output["Value"])
            for name, output in self.template["Outputs"].items()
            if "Condition" not in output or self.holds(output["Condition"])
        }

    def holds(self, condition):
        """Whether a condition is met."""
        return self.resolve(self.conditions[condition])

    def refusals(self):
        """Why CloudFormation would not begin, in the words of the template's rules."""
        return [
            assertion["AssertDescription"]
            for rule in self.rules.values()
            if self.resolve(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def resolve(self, node):
        """A node without intrinsic functions."""
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, value), = node.items()
            function = getattr(self, "_" + name.removeprefix("Fn::").lower(), None)
            if function and (name == "Ref" or name == "Condition" or name.startswith("Fn::")):
                return function(value)
            assert not name.startswith("Fn::"), name
        resolved = {name: self.resolve(value) for name, value in node.items()}
        return {name: value for name, value in resolved.items() if value is not None}

    def _ref(self, name):
        return None if name == "AWS::NoValue" else self.values.get(name, f"${{{name}}}")

    def _condition(self, name):
        return self.holds(name) if isinstance(name, str) else name

    def _getatt(self, value):
        return "${" + ".".join(value) + "}"

    def _if(self, value):
        condition, yes, no = value
        return self.resolve(yes if self.holds(condition) else no)

    def _equals(self, value):
        left, right = map(self.resolve, value)
        return str(left) == str(right)

    def _not(self, value):
        return not self.resolve(value[0])

    def _and(self, value):
        return all(map(self.resolve, value))

    def _or(self, value):
        return any(map(self.resolve, value))

    def _join(self, value):
        return value[0].join(map(str, self.resolve(value[1])))

    def _split(self, value):
        return self.resolve(value[1]).split(value[0])

    def _sub(self, value):
        text, names = value if isinstance(value, list) else (value, {})
        names = {name: self.resolve(given) for name, given in names.items()}

        def replaced(match):
            name = match.group(1)
            return str(names.get(name, self.values.get(name, match.group(0))))

        # What begins with "${!" is no name: CloudFormation writes it without the mark.
        return re.sub(r"\$\{([^!}]+)\}", replaced, text).replace("${!", "${")

    def of_type(self, kind):
        """Properties of all resources of a type, by name."""
        return {name: it.get("Properties", {}) for name, it in self.resources.items() if it["Type"] == kind}

    def functions(self):
        """Properties of all functions: `login` for `LoginFunction`."""
        found = self.of_type("AWS::Lambda::Function")
        return {name.removesuffix("Function").lower(): function for name, function in found.items()}

    def routes(self):
        """The routes of the API: the function behind each, and how the gateway calls it."""
        found = {}
        for path, methods in self.resources["Api"]["Properties"]["Body"]["paths"].items():
            for method, operation in methods.items():
                integration = operation["x-amazon-apigateway-integration"]
                function = re.search(r"\$\{(\w+)Function\.Arn\}", integration["uri"]).group(1).lower()
                found[f"{method.upper()} {path}"] = (function, integration)
        return found

    def invoked(self):
        """The functions that no route leads to and that are called by name. Secrets Manager calls rotation."""
        return set(self.functions()) - {function for function, _ in self.routes().values()} - {"rotation"}

    def statements(self, function):
        """What a function's role allows: pairs of actions and resources."""
        role = self.resources[f"{function.capitalize()}Role"]["Properties"]
        listed = lambda value: value if isinstance(value, list) else [value]
        return [
            (listed(statement["Action"]), listed(statement["Resource"]))
            for policy in role["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]

    def secrets(self, function):
        """The secrets that a function's role names."""
        named = {resource for _, resources in self.statements(function) for resource in resources}
        return named & {f"${{{name}}}" for name in self.of_type("AWS::SecretsManager::Secret")}


def references(node, names):
    """The names out of `names` that a node refers to, by Ref, GetAtt, Sub or DependsOn."""
    if isinstance(node, list):
        return set().union(*(references(value, names) for value in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key == "Ref":
            found |= {value} & names
        elif key == "Fn::GetAtt":
            found |= {value[0] if isinstance(value, list) else value.split(".")[0]} & names
        elif key == "Fn::Sub":
            text, given = value if isinstance(value, list) else (value, {})
            found |= {name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)} & (names - set(given))
            found |= references(given, names)
        elif key == "DependsOn":
            found |= set(value if isinstance(value, list) else [value]) & names
        else:
            found |= references(value, names)
    return found


def cycle(resources):
    """A circle of resources that wait for one another, or nothing."""
    names = set(resources)
    graph = {name: sorted(references(resource, names)) for name, resource in resources.items()}
    done, path = set(), []

    def walk(name):
        if name in path:
            return path[path.index(name) :] + [name]
        if name in done:
            return None
        path.append(name)
        for further in graph[name]:
            if found := walk(further):
                return found
        path.pop()
        done.add(name)
        return None

    for name in graph:
        if found := walk(name):
            return found
    return None
