"""For each alert: figures with which it fires, and figures nearly like them with which it does not.

A series is written as Prometheus' unit tests write it: `1x9` is ten times 1, `0+5x9` counts by 5.
"""
from dataclasses import dataclass


@dataclass
class Case:
    """`fires` and `quiet` are series by name; `labels` are those of the alert that fires.

    `also` has other series with which it fires, and its labels then. The alert is looked for after
    `minutes`; there is a value every `step` minutes.
    """
    labels: dict
    fires: dict
    quiet: dict
    minutes: int = 60
    step: int = 1
    also: tuple = ()


GATEWAY = {"cluster": "c", "instance": "g:9001", "job": "holdfast-gateway"}
NODE = {"cluster": "c", "instance": "n:9101", "job": "holdfast-shard-node"}
DRIVE = {"cluster": "c", "instance": "n:9101", "drive": "d1"}
CLUSTER = {"cluster": "c"}


def _series(name, base, labels):
    inside = ",".join(f'{key}="{value}"' for key, value in {**base, **labels}.items())
    return f"{name}{{{inside}}}"


def gw(name, **labels):
    """A series of the gateway."""
    return _series(name, GATEWAY, labels)


def node(name, **labels):
    """A series of the shard node."""
    return _series(name, NODE, labels)


def buckets(make, name, slow, **labels):
    """A histogram of 50 a minute that took more than a quarter of a second, or less."""
    name, all_of_them = f"{name}_bucket", "0+50x60"
    return {
        make(name, le="0.25", **labels): "0x60" if slow else all_of_them,
        make(name, le="5", **labels): all_of_them,
        make(name, le="+Inf", **labels): all_of_them,
    }


def born(about, name, make, **labels):
    """A counter that appears with its first count, one that goes on, one that counted long ago."""
    series = make(name, **labels)
    return Case(about, {series: "_x54 1x5"}, {series: "7x60"},
                also=((about, {series: "7x54 9x5"}),))


def counted(name, make, quiet="7x60", step=5, **labels):
    """A counter that counts, and one that rests."""
    series = make(name, **labels)
    return {"fires": {series: f"0+{step}x60"}, "quiet": {series: quiet}}


def gauge(name, make, fires, quiet, **labels):
    """A gauge with one value, and with another."""
    series = make(name, **labels)
    return {"fires": {series: f"{fires}x60"}, "quiet": {series: f"{quiet}x60"}}


def requests(failed, served=100, code="503"):
    """S3 requests a minute by how they ended."""
    name = "holdfast_s3_requests_total"
    return {gw(name, op="GetObject", code="200"): f"0+{served}x400",
            gw(name, op="GetObject", code=code): f"0+{failed}x400"}


def space(free, used):
    return {node("holdfast_drive_free_bytes", drive="d1"): free,
            node("holdfast_drive_used_bytes", drive="d1"): used}


AVAILABILITY = {
    "HoldfastNoGateway": Case(
        CLUSTER, {gw("up"): "0x60", node("up"): "1x60"},
        # One of two is enough.
        {gw("up"): "0x60", gw("up", instance="g2:9001"): "1x60"},
        # No gateway is even looked for.
        also=(({"job": "holdfast-gateway"}, {node("up"): "1x60"}),)),
    "HoldfastGatewayDown": Case(
        GATEWAY, {gw("up"): "1x50 0x9"}, {gw("up"): "1x58 0x1"}),
    "HoldfastShardNodeDown": Case(
        NODE, {node("up"): "1x50 0x9"}, {node("up"): "1x58 0x1"}),
    "HoldfastProcessRestarts": Case(
        NODE, {node("process_start_time_seconds"): "10x20 20x10 30x10 40x20"},
        {node("process_start_time_seconds"): "10x20 20x20 30x20"}),
    "HoldfastFilesNearLimit": Case(
        GATEWAY,
        {gw("process_open_fds"): "81x60", gw("process_max_fds"): "100x60"},
        {gw("process_open_fds"): "79x60", gw("process_max_fds"): "100x60"}),
    "HoldfastVersionsDiffer": Case(
        CLUSTER,
        {gw("holdfast_build_info", version="0.2.0"): "1x60",
         node("holdfast_build_info", version="0.1.0"): "1x60"},
        # An upgrade that takes 20 hours.
        {gw("holdfast_build_info", version="0.2.0"): "1x60",
         node("holdfast_build_info", version="0.1.0"): "1x20 _x40"},
        minutes=30 * 60, step=60),
    "HoldfastUnusableKeys": Case(
        CLUSTER, **gauge("holdfast_auth_unusable_keys", gw, 2, 0)),
    "HoldfastNodeHandshakesRefused": Case(
        {"cluster": "c", "instance": "g:9001", "side": "server", "reason": "secret"},
        {gw("holdfast_rpc_handshake_failures_total", side="server", reason="secret"):
            "_x54 1x5"},
        # A node that is away is another alert.
        {gw("holdfast_rpc_handshake_failures_total", side="client", reason="connect"):
            "0+5x60"},
        also=(({"cluster": "c", "instance": "g:9001", "side": "client", "reason": "identity"},
               {gw("holdfast_rpc_handshake_failures_total", side="client", reason="identity"):
                   "0+5x60"}),)),
    "HoldfastNodeCallsFailing": Case(
        CLUSTER,
        {gw("holdfast_rpc_requests_total", side="client", outcome="ok"): "0+90x60",
         gw("holdfast_rpc_requests_total", side="client", outcome="timed_out"): "0+10x60"},
        {gw("holdfast_rpc_requests_total", side="client", outcome="ok"): "0+90x60",
         gw("holdfast_rpc_requests_total", side="client", outcome="timed_out"): "0+1x60",
         gw("holdfast_rpc_requests_total", side="client", outcome="refused"): "0+20x60"}),
}

DRIVES = {
    "HoldfastDriveDown": Case(
        CLUSTER, **gauge("holdfast_cluster_drives", gw, 1, 0, state="down")),
    "HoldfastSeveralDrivesDown": Case(
        CLUSTER,
        {gw("holdfast_cluster_drives", state="down"): "1x60",
         gw("holdfast_cluster_drives", state="out"): "1x60"},
        # Two gateways that see the same drive.
        {gw("holdfast_cluster_drives", state="down"): "1x60",
         gw("holdfast_cluster_drives", state="down", instance="g2:9001"): "1x60"}),
    "HoldfastDriveWriteErrors": born(
        {**DRIVE, "reason": "sync"}, "holdfast_drive_errors_total", node,
        drive="d1", reason="sync"),
    "HoldfastDriveReadErrors": born(
        DRIVE, "holdfast_drive_errors_total", node, drive="d1", reason="read"),
    "HoldfastDriveCorruption": born(
        {**DRIVE, "reason": "verify"}, "holdfast_drive_checksum_failures_total", node,
        drive="d1", reason="verify"),
    "HoldfastDrivePartial": Case(
        CLUSTER, {gw("holdfast_drives_partial"): "1x60"},
        {gw("holdfast_drives_partial"): "1x20 0x39"}),
    "HoldfastDriveUnread": Case(
        {"cluster": "c", "drive": "d1"},
        **gauge("holdfast_drive_unread_seconds", gw, 40, 20, drive="d1")),
    "HoldfastDriveSlow": Case(
        {"cluster": "c", "drive": "d1"},
        **gauge("holdfast_drive_latency_factor", gw, 6, 3, drive="d1")),
    "HoldfastDriveSyncsSlow": Case(
        DRIVE,
        buckets(node, "holdfast_drive_sync_duration_seconds", True, drive="d1"),
        buckets(node, "holdfast_drive_sync_duration_seconds", False, drive="d1")),
    "HoldfastDriveSpaceLow": Case(DRIVE, space("14x60", "86x60"), space("16x60", "84x60")),
    "HoldfastDriveSpaceCritical": Case(DRIVE, space("4x60", "96x60"), space("6x60", "94x60")),
    "HoldfastDriveFillsSoon": Case(
        # A hundredth of what is left an hour is full in four days; a thousandth is not.
        DRIVE, space("400-5x60", "600+5x60"), space("400-0.1x60", "600+0.1x60"),
        minutes=10 * 60, step=60),
}

DURABILITY = {
    "HoldfastObjectsAtMarginZero": Case(
        {"cluster": "c", "margin": "0"},
        {gw("holdfast_durability_objects", margin="0"): "3x60"},
        {gw("holdfast_durability_objects", margin="0"): "0x60",
         gw("holdfast_durability_objects", margin="1"): "3x60"}),
    "HoldfastHealBacklogNotFalling": Case(
        CLUSTER, {gw("holdfast_heal_backlog_objects"): "500x90"},
        # So much is left, but it gets less.
        {gw("holdfast_heal_backlog_objects"): "1000-5x90"}, minutes=80),
    "HoldfastHealHeldBack": Case(
        CLUSTER, **gauge("holdfast_heal_held_back_drives", gw, 3, 0)),
    "HoldfastHealFailing": Case(
        CLUSTER,
        {gw("holdfast_heal_failures_total"): "0+2x60", gw("holdfast_heal_objects_total"): "0+1x60"},
        {gw("holdfast_heal_failures_total"): "0+2x60",
         gw("holdfast_heal_objects_total"): "0+9x60"}),
    "HoldfastCompareStalled": Case(
        CLUSTER,
        {gw("holdfast_compare_pending_drives"): "1x150",
         gw("holdfast_compare_rows_total"): "9x150"},
        {gw("holdfast_compare_pending_drives"): "1x150",
         gw("holdfast_compare_rows_total"): "0+9x150"}, minutes=140),
    "HoldfastPurgeBacklogGrowing": Case(
        CLUSTER, {gw("holdfast_purge_backlog_entries"): "9000+500x20"},
        {gw("holdfast_purge_backlog_entries"): "30000-500x20"}, minutes=600, step=30),
    "HoldfastScrubBehind": Case(
        {"cluster": "c", "drive": "d1"},
        **gauge("holdfast_scrub_oldest_unscrubbed_seconds", gw, 16 * 86400, 13 * 86400,
                drive="d1"), minutes=65),
    "HoldfastScrubErrors": Case(
        {"cluster": "c", "kind": "shard"},
        **counted("holdfast_scrub_errors_total", gw, kind="shard")),
    "HoldfastReadBackFailed": Case(
        {"cluster": "c", "reason": "differs"},
        **counted("holdfast_scrub_watch_failures_total", gw, reason="differs")),
    "HoldfastSweepSpared": Case(
        CLUSTER, **counted("holdfast_sweep_spared_writes_total", gw)),
}

S3 = {
    "HoldfastErrorBudgetBurnsFast": Case(
        CLUSTER, requests(failed=3), requests(failed=30, code="501"), minutes=120),
    "HoldfastErrorBudgetBurns": Case(
        CLUSTER, requests(failed=1), requests(failed=1, served=400), minutes=390),
    "HoldfastQuorumFailures": Case(
        {"cluster": "c", "kind": "coded"},
        **counted("holdfast_store_quorum_failures_total", gw, kind="coded")),
    "HoldfastOverloaded": Case(
        {"cluster": "c", "instance": "g:9001", "reason": "busy"},
        {gw("holdfast_s3_rejected_total", reason="busy"): "0+60x60"},
        {gw("holdfast_s3_rejected_total", reason="malformed_signature"): "0+60x60"}),
    "HoldfastNotServing": Case(
        {"cluster": "c", "instance": "g:9001"},
        {gw("holdfast_s3_rejected_total", reason="not_serving"): "0+60x60"},
        {gw("holdfast_s3_rejected_total", reason="not_serving"): "0+60x40 2400x19"}),
    "HoldfastSignaturesWrong": Case(
        {"cluster": "c", "instance": "g:9001"},
        {gw("holdfast_s3_rejected_total", reason="signature"): "0+90x60"},
        {gw("holdfast_s3_rejected_total", reason="signature"): "0+30x60"}),
    "HoldfastRequestsSlow": Case(
        {"cluster": "c", "op": "HeadObject"},
        buckets(gw, "holdfast_s3_request_duration_seconds", True, op="HeadObject"),
        # A large body takes as long as it takes.
        buckets(gw, "holdfast_s3_request_duration_seconds", True, op="PutObject")),
    "HoldfastIndexSlow": Case(
        CLUSTER, buckets(gw, "holdfast_index_commit_duration_seconds", True),
        buckets(gw, "holdfast_index_commit_duration_seconds", False)),
    "HoldfastIndexStalls": Case(
        CLUSTER, {gw("holdfast_index_stalls_total"): "0+12x60"},
        {gw("holdfast_index_stalls_total"): "0+3x60"}),
}

SERVICES = {
    "HoldfastEventsDropped": born(
        {"cluster": "c", "target": "hook"}, "holdfast_notify_dropped_events_total", gw,
        target="hook"),
    "HoldfastEventsQueueGrowing": Case(
        {"cluster": "c", "target": "hook"},
        {gw("holdfast_notify_queued_events", target="hook"): "0+50x60"},
        {gw("holdfast_notify_queued_events", target="hook"): "5000-50x60"}),
    "HoldfastEventsNotTaken": Case(
        {"cluster": "c", "target": "hook"},
        {gw("holdfast_notify_failures_total", target="hook"): "0+1x60",
         gw("holdfast_notify_delivered_events_total", target="hook"): "40x60"},
        {gw("holdfast_notify_failures_total", target="hook"): "0+1x60",
         gw("holdfast_notify_delivered_events_total", target="hook"): "0+40x60"}),
    "HoldfastAccessLogFailing": Case(
        CLUSTER, **counted("holdfast_access_log_failures_total", gw)),
    "HoldfastAccessLogDropped": Case(
        CLUSTER, {gw("holdfast_access_log_records_total", outcome="dropped"): "_x54 9x5"},
        {gw("holdfast_access_log_records_total", outcome="delivered"): "_x54 9x5"},
        also=((CLUSTER, {gw("holdfast_access_log_records_total", outcome="dropped"): "0+9x60"}),)),
    "HoldfastInventoryFailing": Case(
        CLUSTER, {gw("holdfast_inventory_lists_total", outcome="failed"): "0+1x60"},
        # One that failed once and was written then.
        {gw("holdfast_inventory_lists_total", outcome="failed"): "_x24 1x35",
         gw("holdfast_inventory_lists_total", outcome="written"): "_x25 1x34"},
        minutes=590, step=10),
    "HoldfastLifecycleLate": Case(
        GATEWAY, {gw("holdfast_lifecycle_backlog_entries"): "80x60"},
        # Each midnight brings some, and they are done.
        {gw("holdfast_lifecycle_backlog_entries"): "80x9 0x1 80x9 0x1 80x9 0x1 80x9 0x1 80x9"},
        minutes=480, step=10),
    "HoldfastLifecycleFailing": Case(
        CLUSTER, {gw("holdfast_lifecycle_failures_total"): "0+2x150"},
        {gw("holdfast_lifecycle_failures_total"): "0x10 2x139"}, minutes=140),
}

CASES = {**AVAILABILITY, **DRIVES, **DURABILITY, **S3, **SERVICES}
