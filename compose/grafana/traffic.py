"""The dashboard of what clients ask for: how much, how well, how fast; and what buckets have told.

Owns: its panels.
"""
from panels import GREEN, RED, YELLOW, lines, stat, steps, variable
from panels import dashboard as made

C = 'cluster=~"$cluster",instance=~"$gateway"'
ALL = 'cluster=~"$cluster"'


def per_second(metric, by="", more=""):
    """A counter's rate, summed by labels."""
    by = f" by ({by})" if by else ""
    return f"sum{by} (rate({metric}{{{C}{more}}}[$__rate_interval]))"


def quantile(q, metric, by="", more=""):
    """A quantile of a histogram, by labels."""
    labels = ", ".join(filter(None, [by, "le"]))
    return (f"histogram_quantile({q}, sum by ({labels}) "
            f"(rate({metric}_bucket{{{C}{more}}}[$__rate_interval])))")


def requests():
    name = "holdfast_s3_requests_total"
    return [
        lines("Requests by operation", "reqps", "S3 requests a second.",
              (per_second(name, "op"), "{{op}}"), stacked=True, columns=12),
        lines("Requests by gateway", "reqps", "S3 requests a second at each gateway.",
              (per_second(name, "instance"), "{{instance}}"), stacked=True, columns=6),
        lines("In flight", "short", "Requests whose answer is not finished.",
              (f"sum by (instance) (holdfast_s3_requests_in_flight{{{C}}})", "{{instance}}"),
              columns=6),
        stat("Failures, 5 min", "percentunit", "Requests that ended in 5xx but 501.",
             f"max(cluster:holdfast_s3_failures:ratio_rate5m{{{ALL}}})", "failures", columns=4,
             thresholds=steps(GREEN, (0.001, YELLOW), (0.0144, RED))),
        stat("Failures, 6 h", "percentunit", "Requests that ended in 5xx but 501.",
             f"max(cluster:holdfast_s3_failures:ratio_rate6h{{{ALL}}}) or vector(0)",
             "failures", columns=4, thresholds=steps(GREEN, (0.001, YELLOW), (0.006, RED))),
        stat("Budget left, 6 h", "percentunit",
             "Of the failures that six hours may have, if 99.9 % of requests are to be served.",
             f"1 - (max(cluster:holdfast_s3_failures:ratio_rate6h{{{ALL}}}) or vector(0)) / 0.001",
             "left", columns=4, thresholds=steps(RED, (0, YELLOW), (0.5, GREEN))),
        lines("Refused", "reqps",
              "Requests and connections refused before they were an operation, by reason.",
              (per_second("holdfast_s3_rejected_total", "reason"), "{{reason}}"),
              columns=12, height=4),
        lines("Failures by operation", "reqps", "Answers 5xx but 501.",
              (per_second(name, "op, code", ',code=~"5..",code!="501"'), "{{op}} {{code}}")),
        lines("Clients' errors by operation", "reqps", "Answers 4xx, and 501.",
              (per_second(name, "op, code", ',code=~"4..|501"'), "{{op}} {{code}}")),
        lines("Status", "reqps", "Answers by HTTP status.",
              (per_second(name, "code"), "{{code}}"), stacked=True),
    ]


def time():
    duration = "holdfast_s3_request_duration_seconds"
    return [
        lines("Median by operation", "s", "From the head of a request to its answer's last byte.",
              (quantile(0.5, duration, "op"), "{{op}}")),
        lines("99th percentile by operation", "s",
              "From the head of a request to its answer's last byte, as alerts see it.",
              (f"cluster_op:holdfast_s3_request_duration_seconds:p99_rate5m{{{ALL}}}", "{{op}}")),
        lines("Head of the answer", "s", "From the head of a request to the head of its answer.",
              (quantile(0.5, "holdfast_s3_first_byte_seconds"), "median"),
              (quantile(0.9, "holdfast_s3_first_byte_seconds"), "90 %"),
              (quantile(0.99, "holdfast_s3_first_byte_seconds"), "99 %")),
        lines("Bytes", "Bps", "Bodies received, framing included, and sent.",
              (per_second("holdfast_s3_received_bytes_total"), "received"),
              (per_second("holdfast_s3_sent_bytes_total"), "sent")),
        lines("Mean body", "bytes", "Bytes for each PutObject and GetObject, all bodies counted.",
              (per_second("holdfast_s3_received_bytes_total") + " / "
               + per_second("holdfast_s3_requests_total", "", ',op=~"PutObject|UploadPart"'),
               "received"),
              (per_second("holdfast_s3_sent_bytes_total") + " / "
               + per_second("holdfast_s3_requests_total", "", ',op="GetObject"'), "sent")),
        lines("Writes without a quorum", "reqps", "Writes that found too few drives: 503.",
              (per_second("holdfast_store_quorum_failures_total", "kind"), "{{kind}}")),
    ]


def services():
    return [
        lines("Events that wait", "short", "By webhook. At notify_queue_max new ones are dropped.",
              (f"max by (target) (holdfast_notify_queued_events{{{C}}})", "{{target}}"),
              columns=6),
        lines("Events", "cps", "Events told, dropped, and batches that were not taken.",
              (per_second("holdfast_notify_delivered_events_total", "target"),
               "{{target}} told"),
              (per_second("holdfast_notify_dropped_events_total", "target"),
               "{{target}} dropped"),
              (per_second("holdfast_notify_failures_total", "target"), "{{target}} not taken"),
              columns=6),
        lines("Access logs", "cps", "Records delivered and dropped, log objects that failed.",
              (per_second("holdfast_access_log_records_total", "outcome"), "{{outcome}}"),
              (per_second("holdfast_access_log_failures_total"), "failed objects"), columns=6),
        lines("Access logs that wait", "bytes", "Records in memory.",
              (f"sum by (instance) (holdfast_access_log_buffered_bytes{{{C}}})", "{{instance}}"),
              columns=6),
        lines("Lifecycle", "cps", "What rules did, and keys on which they failed.",
              (per_second("holdfast_lifecycle_expired_total", "action"), "{{action}}"),
              (per_second("holdfast_lifecycle_failures_total"), "failed")),
        lines("Lifecycle that is due", "short", "Entries that are due, keys that are to move.",
              (f"max(holdfast_lifecycle_backlog_entries{{{C}}})", "due"),
              (f"max(holdfast_lifecycle_moving_entries{{{C}}})", "to move"),
              (f"max(holdfast_lifecycle_backfills{{{C}}})", "buckets with new rules")),
        lines("Inventories", "cps", "Rows written, attempts by how they ended.",
              (per_second("holdfast_inventory_rows_total"), "rows"),
              (per_second("holdfast_inventory_lists_total", "outcome"), "lists {{outcome}}")),
    ]


def dashboard():
    """S3 traffic."""
    return made(
        "holdfast-s3", "Holdfast: S3 traffic", "What clients ask for, and what they get.",
        [variable("cluster", "Cluster", "holdfast_build_info", "cluster"),
         variable("gateway", "Gateway", "holdfast_s3_requests_in_flight", "instance",
                  '{cluster=~"$cluster"}')],
        [("Requests", requests()), ("Time and bytes", time()),
         ("Events, logs, rules, inventories", services())])
