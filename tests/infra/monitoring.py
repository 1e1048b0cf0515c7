"""Alarms, dashboard and saved queries: what they name is there, and each alarm says where its remedy stands."""

import itertools
import json
import re

import support
import template

ALARMS = {
    "ReuseAlarm",
    "ReuseManyAlarm",
    "ReuseParentAlarm",
    "GenerationAlarm",
    "ServerErrorAlarm",
    "MisconfiguredAlarm",
    "BreakerAlarm",
    "ThrottleAlarm",
    "ThrottleInvokedAlarm",
    "LatencyAlarm",
    "RotationAlarm",
}


def _alarms(**parameters):
    return support.Deployed(**parameters).of_type("AWS::CloudWatch::Alarm")


def _metrics(alarm):
    """Namespace, name and dimensions of every metric that an alarm watches."""
    watched = [alarm] if "MetricName" in alarm else []
    watched += [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    return [
        (metric["Namespace"], metric["MetricName"], {(it["Name"], it["Value"]) for it in metric["Dimensions"]})
        for metric in watched
    ]


def _dashboard():
    (dashboard,) = support.Deployed().of_type("AWS::CloudWatch::Dashboard").values()
    return json.loads(dashboard["DashboardBody"])["widgets"]


def _written_by_the_functions():
    """All texts in the source from which log lines and metrics are made."""
    files = (support.ROOT / "shared" / "src").rglob("*.rs")
    return set(re.findall(r'"([a-z_.]+)"', "\n".join(file.read_text() for file in files)))


def _anchors():
    headings = re.findall(r"^#+ (.+)$", (support.ROOT / "infra" / "OPERATE.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def there_is_an_alarm_for_each_thing_that_needs_a_person():
    assert set(_alarms()) == ALARMS


def every_alarm_points_at_a_heading_that_says_what_to_do():
    for name, alarm in _alarms().items():
        anchor = re.search(r"See infra/OPERATE\.md#([\w-]+)$", alarm["AlarmDescription"]).group(1)
        assert anchor == name.lower()
        assert anchor in _anchors(), name


def an_alarm_is_silent_until_an_address_is_given_and_no_traffic_is_no_alarm():
    for name, alarm in _alarms().items():
        assert "AlarmActions" not in alarm, name
        assert alarm["TreatMissingData"] == "notBreaching", name
    for name, alarm in _alarms(AlarmEmail="owner@example.com").items():
        assert alarm["AlarmActions"] == ["${AlarmTopic}"], name


def an_alarms_expression_names_its_own_metrics_and_gives_one_line():
    for name, alarm in _alarms().items():
        queries = alarm.get("Metrics", [])
        shown = [query for query in queries if query.get("ReturnData", True)]
        assert not queries or (len(shown) == 1 and "Expression" in shown[0]), name
        # CloudWatch's limit, and no quota that could be raised.
        assert sum("MetricStat" in query for query in queries) <= 10, name
        for query in shown:
            ids = {query["Id"] for query in queries}
            named = set(re.findall(r"\b[a-z]\w*\b", query["Expression"]))
            assert named <= ids, f"{name}: {named - ids}"


def alarms_and_dashboard_watch_metrics_that_are_written():
    functions = {f"${{{name.capitalize()}Function}}" for name in support.Deployed().functions()}
    drawn = [
        (metric[0], metric[1], {(metric[2], metric[3])})
        for widget in _dashboard()
        for metric in widget["properties"].get("metrics", [])
    ]
    known = {
        "wxauth": ("function", functions, _written_by_the_functions()),
        "AWS/Lambda": ("FunctionName", functions, {"Errors", "Invocations", "Throttles"}),
        "AWS/ApiGateway": ("ApiId", {"${Api}"}, {"Count", "4xx", "5xx"}),
        "AWS/DynamoDB": ("TableName", {"${Table}"}, {"ReadThrottleEvents", "WriteThrottleEvents"}),
    }

    for namespace, name, dimensions in itertools.chain(drawn, *map(_metrics, _alarms().values())):
        dimension, values, names = known[namespace]
        assert name in names, name
        ((named, value),) = dimensions
        assert named == dimension and value in values, f"{name}: {dimensions}"


def the_dashboard_shows_every_alarm_and_no_widget_covers_another():
    widgets = _dashboard()

    (shown,) = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert {text[2:].removesuffix(".Arn}") for text in shown} == ALARMS
    covered = set()
    for widget in widgets:
        across = range(widget["x"], widget["x"] + widget["width"])
        down = range(widget["y"], widget["y"] + widget["height"])
        cells = set(itertools.product(across, down))
        assert max(across) < 24
        assert not cells & covered, widget["properties"]["title"]
        covered |= cells


def every_function_is_watched():
    deployed, alarms, widgets = support.Deployed(), _alarms(), _dashboard()
    functions = set(deployed.functions())
    # What serves somebody; rotation has an alarm and a widget of its own.
    serving = functions - {"rotation"}
    named = lambda kind, names: {f"${{{name.capitalize()}{kind}}}" for name in names}
    watched = lambda *names: {value for name in names for *_, it in _metrics(alarms[name]) for _, value in it}
    drawn = {
        widget["properties"]["title"]: {metric[3] for metric in widget["properties"].get("metrics", [])}
        for widget in widgets
    }
    saved = {query["Name"]: query for query in deployed.of_type("AWS::Logs::QueryDefinition").values()}

    assert named("Function", functions) <= watched("ThrottleAlarm", "ThrottleInvokedAlarm")
    assert named("Function", serving) == watched("LatencyAlarm")
    # The gateway's answers stand for the others.
    assert named("Function", serving - set(template.ROUTES.values())) | {"${Api}"} == watched("ServerErrorAlarm")
    for title in ("Requests by function", "Errors by function", "Cold starts", "Throttles"):
        assert drawn[title] - {"${Table}"} == named("Function", serving), title
    for query in ("wxauth/slowest requests", "wxauth/one request"):
        assert named("LogGroup", serving) <= set(saved[query]["LogGroupNames"]), query
    assert set(deployed.outputs["LogGroups"].split()) == named("LogGroup", functions) | {"${AccessLogGroup}"}


def queries_search_groups_that_are_there_for_fields_that_are_written():
    deployed = support.Deployed()
    groups = {f"${{{name}}}" for name in deployed.of_type("AWS::Logs::LogGroup")}
    fields = _written_by_the_functions()
    own = {"answer", "answers", "logins", "refreshes", "p50_ms", "p99_ms", "last_rid"}
    words = {"as", "asc", "by", "desc", "fields", "filter", "limit", "or", "sort", "stats"}
    calls = {"coalesce", "count", "ispresent", "latest", "pct"}
    saved = deployed.of_type("AWS::Logs::QueryDefinition").values()
    queries = [(query["LogGroupNames"], query["QueryString"]) for query in saved]
    for widget in _dashboard():
        if query := widget["properties"].get("query"):
            sources = re.findall(r"SOURCE '([^']+)'", query)
            queries.append((sources, re.sub(r"SOURCE '[^']+'", "", query)))

    for searched, query in queries:
        assert searched and set(searched) <= groups, query
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", query)
        named = set(re.findall(r"(?<![@\w.])[a-z][a-z0-9_.]*", bare))
        assert named <= fields | own | words | calls, f"{named - fields - own - words - calls} in {query}"


def the_six_questions_have_a_saved_query():
    names = {query["Name"] for query in support.Deployed().of_type("AWS::Logs::QueryDefinition").values()}

    assert names == {
        "wxauth/logins by code",
        "wxauth/refreshes by verdict",
        "wxauth/WeChat errcodes",
        "wxauth/slowest requests",
        "wxauth/one user's requests",
        "wxauth/one request",
    }
