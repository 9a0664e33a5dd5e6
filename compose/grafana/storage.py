"""The dashboard of drives: their space, their health, healing, and what is verified.

Owns: its panels.
"""
from panels import (GREEN, NONE_IS_BEST, NONE_IS_GOOD, ORANGE, RED, YELLOW, bars, lines, stat,
                    steps, variable)
from panels import dashboard as made

C = 'cluster=~"$cluster"'
D = 'cluster=~"$cluster",drive=~"$drive"'
NAME = "{{drive}} {{instance}}"


def rate(metric, by="drive, instance", more=""):
    """A drive's counter as a rate."""
    return f"sum by ({by}) (rate({metric}{{{D}{more}}}[$__rate_interval]))"


def worst(metric, more=C):
    """A gauge of a cluster: of several gateways the one at work shows the most."""
    return f"max by (cluster) ({metric}{{{more}}})"


def space():
    return [
        bars("Free", "percentunit", "Share of each drive that new shards may still take.",
             f"drive:holdfast_drive_free:ratio{{{D}}}", NAME,
             thresholds=steps(RED, (0.05, ORANGE), (0.15, GREEN)), high=1),
        lines("Used", "bytes", "Bytes of shards and records on each drive.",
              (f"sum by (drive, instance) (holdfast_drive_used_bytes{{{D}}})", NAME)),
        lines("Full in", "s", "When each drive is full, at the rate of the last hour. Only drives "
              "that fill are shown.",
              (f"""sum by (drive, instance) (holdfast_drive_free_bytes{{{D}}})
                   / (-sum by (drive, instance)
                   (deriv(holdfast_drive_free_bytes{{{D}}}[1h])) > 0)""", NAME)),
        lines("Sealed writes", "short", "Writes that each drive holds.",
              (f"sum by (drive, instance) (holdfast_drive_records{{{D}}})", NAME), columns=6),
        lines("Staged shards", "short", "Shards that were received and are not sealed.",
              (f"sum by (drive, instance) (holdfast_drive_staged_shards{{{D}}})", NAME),
              columns=6),
        lines("Log", "bytes", "Bytes of the chunks of each drive's log.",
              (f"sum by (drive, instance) (holdfast_drive_log_bytes{{{D}}})", NAME), columns=6),
        lines("Drives by state", "none", "up, suspect, down or out, by how long they are silent.",
              (f"sum by (state) (cluster_state:holdfast_cluster_drives:max{{{C}}})", "{{state}}"),
              stacked=True, columns=6),
    ]


def health():
    return [
        lines("Slowness of reads", "none",
              "Time of reads as a multiple of the others' median. Readers go around 4 and more.",
              (f"max by (drive) (holdfast_drive_latency_factor{{{D}}})", "{{drive}}"),
              thresholds=steps(GREEN, (4, RED))),
        lines("Syncs, 99th percentile", "s", "How long a data sync takes; writes wait for it.",
              (f"drive:holdfast_drive_sync_duration_seconds:p99_rate5m{{{D}}}", NAME)),
        lines("Serves no reads for", "s", "Though it answers. After down_after it counts as gone.",
              (f"max by (drive) (holdfast_drive_unread_seconds{{{D}}})", "{{drive}}")),
        lines("Written", "Bps", "Shards, log and space written ahead.",
              (rate("holdfast_drive_written_bytes_total"), NAME), columns=6),
        lines("Read", "Bps", "From memory or medium.",
              (rate("holdfast_drive_read_bytes_total"), NAME), columns=6),
        lines("Syncs", "ops", "Data syncs a second.",
              (rate("holdfast_drive_syncs_total"), NAME), columns=6),
        lines("Entries for each sync", "short", "How many entries share a group commit.",
              (rate("holdfast_drive_batch_entries_sum") + " / "
               + rate("holdfast_drive_batch_entries_count"), NAME), columns=6),
        lines("Errors of the medium", "cps", "By what failed. Any is one too many.",
              (rate("holdfast_drive_errors_total", "drive, instance, reason"),
               NAME + " {{reason}}")),
        lines("Checksums that did not match", "cps", "By where: on the medium, in the log, or "
              "as the bytes arrived.",
              (rate("holdfast_drive_checksum_failures_total", "drive, instance, reason"),
               NAME + " {{reason}}")),
        stat("Partial", "none", "Drives that lost entries of their log.",
             worst("holdfast_drives_partial"), "{{cluster}}", thresholds=NONE_IS_GOOD),
        stat("Compared", "none", "Drives that wait to be compared with the index.",
             worst("holdfast_compare_pending_drives"), "{{cluster}}",
             thresholds=NONE_IS_BEST),
        lines("Rows compared", "cps", "Rows of the index compared with drives.",
              (f"sum by (cluster) (rate(holdfast_compare_rows_total{{{C}}}[$__rate_interval]))",
               "{{cluster}}"), columns=8, height=4),
    ]


def healing():
    per_second = "sum by (cluster) (rate({}{{" + C + "}}[$__rate_interval]))"
    return [
        lines("To heal", "short", "Objects that wait, and those that are worked on.",
              (f"cluster:holdfast_heal_backlog_objects:max{{{C}}}", "{{cluster}} wait"),
              (worst("holdfast_heal_active_objects"), "{{cluster}} at work")),
        lines("Missing shards", "short", "Shards and copies that are known to be missing.",
              (worst("holdfast_heal_missing_shards"), "{{cluster}}")),
        lines("Objects by margin", "short", "How many more shards or copies they can lose.",
              (f"sum by (margin) (cluster_margin:holdfast_durability_objects:max{{{C}}})",
               "margin {{margin}}"), stacked=True),
        lines("Healed", "ops", "Objects healed, and attempts that failed.",
              (per_second.format("holdfast_heal_objects_total"), "{{cluster}} healed"),
              (per_second.format("holdfast_heal_failures_total"), "{{cluster}} failed")),
        lines("Bytes healed", "Bps", "Written by healing.",
              (per_second.format("holdfast_heal_bytes_total"), "{{cluster}}")),
        stat("Held back", "none", "Drives that vanished at once: healing waits for them.",
             worst("holdfast_heal_held_back_drives"), "{{cluster}}", thresholds=NONE_IS_GOOD),
        stat("Nearly swept", "none", "Writes that a second look knew: a fault to report.",
             f"sum by (cluster) (holdfast_sweep_spared_writes_total{{{C}}})", "{{cluster}}",
             thresholds=NONE_IS_GOOD),
        lines("To purge", "short", "Entries of the purge queue, writes in the trash.",
              (worst("holdfast_purge_backlog_entries"), "{{cluster}} to purge"),
              (worst("holdfast_sweep_trash_writes"), "{{cluster}} in the trash")),
        lines("Purged", "cps", "Writes purged for each drive, and calls that drives did not do.",
              (per_second.format("holdfast_purge_writes_total"), "{{cluster}} purged"),
              (per_second.format("holdfast_purge_failures_total"), "{{cluster}} not done")),
        lines("Swept", "cps", "Voids for failed writes, writes nobody knows, uploads given up.",
              (per_second.format("holdfast_sweep_voids_total"), "{{cluster}} voids"),
              (per_second.format("holdfast_sweep_unknown_writes_total"), "{{cluster}} unknown"),
              (per_second.format("holdfast_sweep_abandoned_uploads_total"),
               "{{cluster}} uploads")),
    ]


def verification():
    per_second = "sum by ({}) (rate({}{{" + C + "}}[$__rate_interval]))"
    return [
        bars("Verified at most so long ago", "s", "The oldest verification on each drive.",
             f"max by (drive) (holdfast_scrub_oldest_unscrubbed_seconds{{{D}}})", "{{drive}}",
             thresholds=steps(GREEN, (14 * 86400, YELLOW), (15 * 86400, RED))),
        bars("Present pass", "percentunit", "How much of it is done; 0 while none runs.",
             f"max by (drive) (holdfast_scrub_progress_ratio{{{D}}})", "{{drive}}", high=1),
        bars("Since the last pass", "s", "Since the last pass over each drive was complete.",
             f"time() - max by (drive) "
             f"(holdfast_scrub_last_complete_timestamp_seconds{{{D}}} > 0)", "{{drive}}"),
        lines("Scrubbed", "Bps", "Bytes read and verified.",
              (per_second.format("cluster", "holdfast_scrub_bytes_total"), "{{cluster}}"),
              columns=6),
        lines("Writes scrubbed", "ops", "Writes verified, once for each drive.",
              (per_second.format("cluster", "holdfast_scrub_records_total"), "{{cluster}}"),
              columns=6),
        lines("Found bad", "cps", "What the scrub found bad; it is healed.",
              (per_second.format("kind", "holdfast_scrub_errors_total"), "{{kind}}"), columns=6),
        lines("Read back", "ops", "Fresh objects read back, and those that failed.",
              (per_second.format("how", "holdfast_scrub_watched_objects_total"), "{{how}}"),
              (per_second.format("reason", "holdfast_scrub_watch_failures_total"),
               "failed: {{reason}}"), columns=6),
    ]


def dashboard():
    """Drives and healing."""
    return made(
        "holdfast-drives", "Holdfast: drives and healing",
        "Space and health of each drive, what is healed, purged and verified.",
        [variable("cluster", "Cluster", "holdfast_build_info", "cluster"),
         variable("drive", "Drive", "holdfast_drive_used_bytes", "drive",
                  '{cluster=~"$cluster"}')],
        [("Space", space()), ("Health", health()), ("Healing and sweeping", healing()),
         ("Verification", verification())])
