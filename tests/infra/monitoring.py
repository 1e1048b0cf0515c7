"""Alarms, dashboard and saved queries: what they name is there, and each alarm says where its remedy stands."""

import itertools
import json
import re

import support

# A search in a widget, which draws one line for each function of the stack.
SEARCH = re.compile(
    r"SEARCH\('\{([\w/]+),(\w+)\} MetricName=\"(\w+)\" (\w+)=([\w-]+)', '(?:Sum|p\d\d)', 300\)"
)


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


def _drawn(widget):
    """Namespace, name and dimensions of every metric that a widget draws, those that its searches find included."""
    drawn = []
    for metric in widget["properties"].get("metrics", []):
        if isinstance(metric[0], str):
            drawn.append((metric[0], metric[1], {(metric[2], metric[3])}))
            continue
        namespace, dimension, name, where, stack = SEARCH.fullmatch(metric[0]["expression"]).groups()
        for function, properties in support.Deployed().functions().items():
            if where == dimension and properties["FunctionName"].startswith(f"{stack}-"):
                drawn.append((namespace, name, {(dimension, f"${{{function.capitalize()}Function}}")}))
    return drawn


def _written_by_the_functions():
    """All texts in the source from which log lines and metrics are made."""
    files = (support.ROOT / "shared" / "src").rglob("*.rs")
    return set(re.findall(r'"([a-z_.]+)"', "\n".join(file.read_text() for file in files)))


def _anchors(document):
    headings = re.findall(r"^#+ (.+)$", (support.ROOT / document).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _remedies():
    """The heading that each alarm points at: document and anchor."""
    pointer = re.compile(r"See (infra/\w+\.md)#([\w-]+)$")
    return {name: pointer.search(alarm["AlarmDescription"]).groups() for name, alarm in _alarms().items()}


def there_is_an_alarm_for_each_thing_that_needs_a_person():
    documents = {document for document, _ in _remedies().values()}

    told = {anchor for document in documents for anchor in _anchors(document) if anchor.endswith("alarm")}

    assert told == {name.lower() for name in _alarms()}


def every_alarm_points_at_a_heading_that_says_what_to_do():
    for name, (document, anchor) in _remedies().items():
        assert anchor == name.lower()
        assert anchor in _anchors(document), name


def an_alarm_is_silent_until_an_address_is_given_and_no_traffic_is_no_alarm():
    for name, alarm in _alarms().items():
        assert "AlarmActions" not in alarm, name
        assert alarm["TreatMissingData"] == "notBreaching", name
    for name, alarm in _alarms(AlarmEmail="owner@example.com").items():
        assert alarm["AlarmActions"] == ["${AlarmTopic}"], name


def alarms_go_to_a_topic_that_exists_already():
    topic = "arn:aws:sns:us-east-1:123456789012:ops"

    for name, alarm in _alarms(AlarmTopicArn=topic).items():
        assert alarm["AlarmActions"] == [topic], name
    assert not support.Deployed(AlarmTopicArn=topic).of_type("AWS::SNS::Topic")


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
    known = {
        "wxauth": ("function", functions, _written_by_the_functions()),
        # The gateway writes no metric of 429; a filter of its log does.
        "wxauth/gateway": ("api", {"${Api}"}, {"rate_limited"}),
        "AWS/Lambda": ("FunctionName", functions, {"Errors", "Invocations", "Throttles"}),
        "AWS/ApiGateway": ("ApiId", {"${Api}"}, {"Count", "4xx", "5xx"}),
        "AWS/DynamoDB": ("TableName", {"${Table}"}, {"ReadThrottleEvents", "WriteThrottleEvents"}),
    }

    for namespace, name, dimensions in itertools.chain(*map(_drawn, _dashboard()), *map(_metrics, _alarms().values())):
        dimension, values, names = known[namespace]
        assert name in names, name
        ((named, value),) = dimensions
        assert named == dimension and value in values, f"{name}: {dimensions}"


def the_dashboard_shows_every_alarm_and_no_widget_covers_another():
    widgets = _dashboard()

    (shown,) = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert {text[2:].removesuffix(".Arn}") for text in shown} == set(_alarms())
    covered = set()
    for widget in widgets:
        across = range(widget["x"], widget["x"] + widget["width"])
        down = range(widget["y"], widget["y"] + widget["height"])
        cells = set(itertools.product(across, down))
        assert max(across) < 24
        assert not cells & covered, widget["properties"]["title"]
        covered |= cells


def a_push_that_is_not_read_whole_or_taken_by_nobody_rings_and_a_strangers_does_not():
    watched = set()
    for _, name, dimensions in itertools.chain(*map(_metrics, _alarms().values())):
        if name.startswith("push_"):
            ((_, value),) = dimensions
            watched.add((name, value))

    assert watched == {("push_refused", "${PushFunction}"), ("push_untaken", "${PushFunction}")}


def every_function_is_watched():
    deployed = support.Deployed()
    functions = set(deployed.functions())
    # What serves somebody; rotation has an alarm and a widget of its own.
    serving = functions - {"rotation"}
    named = lambda kind, names: {f"${{{name.capitalize()}{kind}}}" for name in names}
    watched = {}
    for namespace, metric, dimensions in itertools.chain(*map(_metrics, _alarms().values())):
        watched.setdefault((namespace, metric), set()).update(value for _, value in dimensions)
    saved = {query["Name"]: query for query in deployed.of_type("AWS::Logs::QueryDefinition").values()}

    assert watched["AWS/Lambda", "Throttles"] == named("Function", functions)
    assert watched["wxauth", "duration_ms"] == named("Function", serving)
    # The gateway's answers stand for the functions with a route.
    assert watched["AWS/ApiGateway", "5xx"] == {"${Api}"}
    assert watched["AWS/Lambda", "Errors"] == named("Function", deployed.invoked() | {"rotation"})
    for title in ("Requests by function", "Errors by function", "Latency: p50 and p99", "Cold starts", "Throttles"):
        (widget,) = [it for it in _dashboard() if it["properties"]["title"] == title]
        drawn = {value for *_, dimensions in _drawn(widget) for _, value in dimensions}
        assert drawn - {"${Table}"} == named("Function", functions), title
    for query in ("wxauth/slowest requests", "wxauth/one request"):
        assert named("LogGroup", serving) <= set(saved[query]["LogGroupNames"]), query
    assert set(deployed.outputs["LogGroups"].split()) == named("LogGroup", functions) | {"${AccessLogGroup}"}


def what_an_alarm_watches_is_on_the_dashboard():
    drawn = {(namespace, name) for widget in _dashboard() for namespace, name, _ in _drawn(widget)}

    for alarm, properties in _alarms().items():
        assert {(namespace, name) for namespace, name, _ in _metrics(properties)} <= drawn, alarm


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


def _rings(alarm, **sums):
    """Whether an alarm rings when its metrics have these sums; a metric without a value is not sent."""
    (expression,) = [query["Expression"] for query in alarm["Metrics"] if "Expression" in query]
    words = {
        "IF": lambda condition, yes, no: yes if condition else no,
        "FILL": lambda value, otherwise: otherwise if value is None else value,
        "MAX": max,
    }
    values = {query["Id"]: sums.get(query["Id"]) for query in alarm["Metrics"] if "MetricStat" in query}
    return eval(expression, words | values) > alarm["Threshold"]  # an expression of our own template


def junk_rings_whether_it_comes_to_login_or_refresh_and_little_of_it_does_not():
    alarms = _alarms()

    for all_of, refused in (("logins", "nologins"), ("refreshes", "norefreshes")):
        assert _rings(alarms["RefusedAlarm"], **{all_of: 3000, refused: 2900})
        assert not _rings(alarms["RefusedAlarm"], **{all_of: 3000, refused: 1400})
        assert not _rings(alarms["RefusedAlarm"], **{all_of: 90, refused: 90})
    assert not _rings(alarms["RefusedAlarm"])
    assert _rings(alarms["RateLimitedAlarm"], gateway=60, login=41) and not _rings(alarms["RateLimitedAlarm"], login=100)


def what_the_gateway_throttles_is_counted_from_its_log():
    deployed = support.Deployed()
    (rule,) = deployed.of_type("AWS::Logs::MetricFilter").values()
    (stage,) = deployed.of_type("AWS::ApiGatewayV2::Stage").values()
    fields = json.loads(stage["AccessLogSettings"]["Format"])

    assert rule["LogGroupName"] == "${AccessLogGroup}"
    assert set(re.findall(r"\$\.(\w+)", rule["FilterPattern"])) <= set(fields)
    (metric,) = rule["MetricTransformations"]
    assert (metric["MetricNamespace"], metric["MetricName"]) == ("wxauth/gateway", "rate_limited")
    ((key, value),) = [(it["Key"], it["Value"]) for it in metric["Dimensions"]]
    assert fields[value.removeprefix("$.")] == "$context.apiId" and key == "api"


def the_seven_questions_have_a_saved_query():
    names = {query["Name"] for query in support.Deployed().of_type("AWS::Logs::QueryDefinition").values()}

    assert names == {
        "wxauth/logins by code",
        "wxauth/refused requests by source",
        "wxauth/refreshes by verdict",
        "wxauth/WeChat errcodes",
        "wxauth/slowest requests",
        "wxauth/one user's requests",
        "wxauth/one request",
    }
