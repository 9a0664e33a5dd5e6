"""The dashboard of what a gateway does inside: index, store, calls to shard nodes, process.

Owns: its panels.
"""
from panels import lines, stat, variable
from panels import dashboard as made

C = 'cluster=~"$cluster"'
I = 'cluster=~"$cluster",instance=~"$instance"'


def rate(metric, by, more=""):
    """A counter's rate, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{I}{more}}}[$__rate_interval]))"


def quantile(q, metric, by=""):
    """A quantile of a histogram, by labels."""
    labels = ", ".join(filter(None, [by, "le"]))
    return (f"histogram_quantile({q}, "
            f"sum by ({labels}) (rate({metric}_bucket{{{I}}}[$__rate_interval])))")


def index():
    commit = "holdfast_index_commit_duration_seconds"
    return [
        lines("Commits", "ops", "Commits by how they ended.",
              (rate("holdfast_index_commits_total", "outcome"), "{{outcome}}")),
        lines("Time of a commit", "s", "From handing a batch over until its outcome is known.",
              (quantile(0.5, commit), "median"),
              (f"cluster:holdfast_index_commit_duration_seconds:p99_rate5m{{{C}}}",
               "99 % {{cluster}}")),
        lines("Commits for each sync", "short", "How many commits share one sync.",
              (rate("holdfast_index_group_commits_sum", "instance") + " / "
               + rate("holdfast_index_group_commits_count", "instance"), "{{instance}}")),
        lines("Syncs", "ops", "Data syncs of the index's journal.",
              (rate("holdfast_index_syncs_total", "instance"), "{{instance}}")),
        lines("Rows read", "ops", "Rows that gets and scans returned.",
              (rate("holdfast_index_rows_read_total", "instance"), "{{instance}}")),
        lines("Stalls", "ops", "Times the committer waited for flushes and compactions.",
              (rate("holdfast_index_stalls_total", "instance"), "{{instance}}")),
    ]


def store():
    return [
        lines("Time of operations, median", "s", "Staging a cell, reading blocks, records until "
              "their quorum.",
              (quantile(0.5, "holdfast_store_duration_seconds", "op"), "{{op}}")),
        lines("Time of operations, 99th percentile", "s", "Staging a cell, reading blocks, "
              "records until their quorum.",
              (quantile(0.99, "holdfast_store_duration_seconds", "op"), "{{op}}")),
        lines("Operations", "ops", "Of the store.",
              (rate("holdfast_store_duration_seconds_count", "op"), "{{op}}")),
        lines("Reads that needed others", "ops", "Stripes that were decoded, reads that did not "
              "wait for a slow shard.",
              (rate("holdfast_store_degraded_reads_total", "instance"), "{{instance}} decoded"),
              (rate("holdfast_store_hedged_reads_total", "instance"), "{{instance}} hedged")),
        lines("Reads of shards that failed", "ops", "By reason; another shard may have served.",
              (rate("holdfast_store_shard_read_errors_total", "reason"), "{{reason}}")),
        lines("Trouble", "ops", "Writes without a quorum, shards late, checksums that failed.",
              (rate("holdfast_store_quorum_failures_total", "kind"), "no quorum: {{kind}}"),
              (rate("holdfast_store_late_shards_total", "cluster"), "late shards"),
              (rate("holdfast_store_checksum_failures_total", "cluster"), "bad checksums")),
        lines("MD5", "Bps", "Bytes hashed for ETags, by how many bodies side by side.",
              (rate("holdfast_store_md5_bytes_total", "bodies"), "{{bodies}}"), stacked=True,
              columns=12),
        lines("Accounts and keys", "none", "Keys whose secret the master key does not open are "
              "of no use.",
              (f"max by (cluster) (holdfast_auth_accounts{{{I}}})", "{{cluster}} accounts"),
              (f"max by (cluster) (holdfast_auth_keys{{{I}}})", "{{cluster}} keys"),
              (f"max by (cluster) (holdfast_auth_unusable_keys{{{I}}})", "{{cluster}} unusable"),
              columns=12),
    ]


def calls():
    return [
        lines("Calls", "ops", "Calls to shard nodes and to gateways, by how they ended.",
              (rate("holdfast_rpc_requests_total", "outcome", ',side="client"'), "{{outcome}}"),
              stacked=True),
        lines("Calls that failed", "percentunit", "Share that was busy, late or unreachable.",
              (f"cluster:holdfast_rpc_failures:ratio_rate5m{{{C}}}", "{{cluster}}")),
        lines("Calls under way", "short", "By side.",
              (f"sum by (instance, side) (holdfast_rpc_in_flight_requests{{{I}}})",
               "{{instance}} {{side}}")),
        lines("Bytes", "Bps", "Of calls and answers.",
              (rate("holdfast_rpc_bytes_total", "side, direction"), "{{side}} {{direction}}")),
        lines("Connections", "short", "Open, by side.",
              (f"sum by (instance, side) (holdfast_rpc_connections{{{I}}})",
               "{{instance}} {{side}}")),
        lines("Connections that failed", "cps", "That were not opened, or ended with an error.",
              (rate("holdfast_rpc_handshake_failures_total", "side, reason"),
               "not opened: {{side}} {{reason}}"),
              (rate("holdfast_rpc_connection_failures_total", "side, reason"),
               "ended: {{side}} {{reason}}")),
    ]


def process():
    return [
        lines("CPU", "short", "Processors that each process uses.",
              (rate("process_cpu_seconds_total", "instance", ',job=~"holdfast-.+"'),
               "{{instance}}"), columns=6),
        lines("Memory", "bytes", "Resident memory, and addresses that are taken.",
              (f'process_resident_memory_bytes{{{I},job=~"holdfast-.+"}}',
               "{{instance}} resident"),
              (f'process_virtual_memory_bytes{{{I},job=~"holdfast-.+"}}',
               "{{instance}} virtual"), columns=6),
        lines("File descriptors", "percentunit", "Of those that the process may have.",
              (f'process_open_fds{{{I},job=~"holdfast-.+"}} / process_max_fds{{{I}}}',
               "{{instance}}"), columns=6),
        lines("Threads", "short", "Of each process.",
              (f'process_threads{{{I},job=~"holdfast-.+"}}', "{{instance}}"), columns=6),
        stat("Restarts in a day", "none", "Starts of all processes within 24 hours.",
             f'sum(changes(process_start_time_seconds{{{I},job=~"holdfast-.+"}}[1d]))',
             "restarts"),
    ]


def dashboard():
    """Gateway internals."""
    return made(
        "holdfast-internals", "Holdfast: gateway internals",
        "The index, the store, calls between processes, and the processes themselves.",
        [variable("cluster", "Cluster", "holdfast_build_info", "cluster"),
         variable("instance", "Process", "holdfast_build_info", "instance",
                  '{cluster=~"$cluster"}')],
        [("Index", index()), ("Store", store()), ("Calls between processes", calls()),
         ("Processes", process())])
