"""The dashboard that is looked at first: is everything there, does it serve, how full is it.

Owns: its panels.
Always: one figure of each thing that an alert is about, before any detail.
"""
from panels import (GREEN, NONE_IS_BEST, NONE_IS_GOOD, ORANGE, RED, YELLOW, bars, lines, stat,
                    steps, variable)
from panels import dashboard as made

C = 'cluster=~"$cluster"'


def now():
    return [
        stat("Drives that answer", "none", "Drives of the map that answer.",
             f'sum(max by (cluster) (holdfast_cluster_drives{{{C},state="up"}}))', "up"),
        stat("Drives away", "none", "Drives that have not answered: suspect, down or out.",
             f"""sum(max by (cluster, state)
                 (holdfast_cluster_drives{{{C},state!="up"}}))""", "away",
             thresholds=NONE_IS_GOOD),
        stat("Objects at margin 0", "short", "Objects that are lost if one more drive is.",
             f'sum(cluster_margin:holdfast_durability_objects:max{{{C},margin="0"}})',
             "objects", thresholds=NONE_IS_GOOD),
        stat("To heal", "short", "Objects, parts and uploads that wait for healing.",
             f"sum(cluster:holdfast_heal_backlog_objects:max{{{C}}})", "objects",
             thresholds=NONE_IS_BEST),
        stat("Free space", "percentunit", "Of all drives together; one may be fuller.",
             f"min(cluster:holdfast_drive_free:ratio{{{C}}})", "free",
             thresholds=steps(RED, (0.05, ORANGE), (0.15, GREEN)), low=0, high=1),
        stat("Alerts", "none", "Alerts that fire.",
             'count(ALERTS{alertname=~"Holdfast.+",alertstate="firing"}) or vector(0)', "alerts",
             thresholds=NONE_IS_GOOD),
        stat("Requests", "reqps", "S3 requests a second, of the last five minutes.",
             f"sum(cluster:holdfast_s3_requests:rate5m{{{C}}})", "requests"),
        stat("Failures now", "percentunit", "S3 requests that ended in 5xx but 501.",
             f"max(cluster:holdfast_s3_failures:ratio_rate5m{{{C}}})", "failures",
             thresholds=steps(GREEN, (0.001, YELLOW), (0.0144, RED))),
        stat("Objects", "short", "Objects of all buckets, parts and uploads to heal among them.",
             f"sum(cluster_margin:holdfast_durability_objects:max{{{C}}})", "objects"),
        stat("Bytes stored", "bytes", "Bytes on drives, redundancy included.",
             f"sum(holdfast_drive_used_bytes{{{C}}})", "used"),
        stat("Processes up", "none", "Gateways and shard nodes that Prometheus reaches.",
             f'sum(up{{{C},job=~"holdfast-.+"}})', "processes"),
        stat("Processes down", "none", "Gateways and shard nodes that do not answer.",
             f'sum(1 - up{{{C},job=~"holdfast-.+"}})', "processes", thresholds=NONE_IS_GOOD),
    ]


def served():
    return [
        lines("Requests by status", "reqps", "S3 requests a second by HTTP status.",
              (f"sum by (code) (rate(holdfast_s3_requests_total{{{C}}}[$__rate_interval]))",
               "{{code}}"), stacked=True),
        lines("Failures", "percentunit", "Share of S3 requests that ended in 5xx but 501.",
              (f"cluster:holdfast_s3_failures:ratio_rate5m{{{C}}}", "{{cluster}} 5 min"),
              (f"cluster:holdfast_s3_failures:ratio_rate1h{{{C}}}", "{{cluster}} 1 h")),
        lines("Bytes", "Bps", "Bodies received and sent.",
              (f"sum(rate(holdfast_s3_received_bytes_total{{{C}}}[$__rate_interval]))",
               "received"),
              (f"sum(rate(holdfast_s3_sent_bytes_total{{{C}}}[$__rate_interval]))", "sent")),
    ]


def stored():
    return [
        lines("Space", "bytes", "Bytes used and free on all drives.",
              (f"sum(holdfast_drive_used_bytes{{{C}}})", "used"),
              (f"sum(holdfast_drive_free_bytes{{{C}}})", "free"), stacked=True, columns=6),
        lines("Drives by state", "none", "up, suspect, down or out, by how long they are silent.",
              (f"sum by (state) (cluster_state:holdfast_cluster_drives:max{{{C}}})", "{{state}}"),
              stacked=True, columns=6),
        lines("Objects of little margin", "short",
              "Objects that can lose no more, or one more: with one parity shard that is whole.",
              (f"""sum by (margin)
                   (cluster_margin:holdfast_durability_objects:max{{{C},margin=~"0|1"}})""",
               "margin {{margin}}"), columns=6),
        lines("Healing", "short", "Objects that wait for healing.",
              (f"cluster:holdfast_heal_backlog_objects:max{{{C}}}", "{{cluster}}"), columns=6),
    ]


def processes():
    return [
        lines("CPU", "short", "Processors that each process uses.",
              (f'rate(process_cpu_seconds_total{{{C},job=~"holdfast-.+"}}[$__rate_interval])',
               "{{instance}}")),
        lines("Memory", "bytes", "Resident memory of each process.",
              (f'process_resident_memory_bytes{{{C},job=~"holdfast-.+"}}', "{{instance}}")),
        bars("Up for", "s", "How long each process has run.",
             f'time() - process_start_time_seconds{{{C},job=~"holdfast-.+"}}', "{{instance}}",
             columns=5),
        bars("Releases", "none", "Processes by the release that runs.",
             f"count by (version) (holdfast_build_info{{{C}}})", "{{version}}", columns=3),
    ]


def dashboard():
    """Cluster overview."""
    return made(
        "holdfast-overview", "Holdfast: cluster overview",
        "Whether everything is there, serves, and has room.",
        [variable("cluster", "Cluster", "holdfast_build_info", "cluster")],
        [("Now", now()), ("Served", served()), ("Stored", stored()), ("Processes", processes())])
