"""Set the demo's company up and run the main job once, as people would.

Started by ``scripts/demo`` with the bench's Python: once with ``--prepare`` for the
database all demos are copied from, then for each demo's own copy. Everything goes
through the ORM as the administrator, so that rights and constraints are those of a
person at the screen; the phone system is pulled by the scheduled action itself. What is
printed at the end is read from the database.

Environment: ``DEMO_PBX_HOST``, ``DEMO_PBX_PORT``, ``DEMO_PBX_DB``, ``DEMO_PBX_USER``,
``DEMO_PBX_PASSWORD`` lead to the phone system's database.
"""

import argparse
import logging
import os
import sys
import threading
import time
import unicodedata
from contextlib import contextmanager

from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from odoo.tools import config, format_datetime

ZONE = "Europe/Moscow"
ADDON = "missed_call_crm"
#: Extension → operator, and what the queue log calls his phone.
EXTENSIONS = {
    "201": ("user_anna", ["PJSIP/201"]),
    "202": ("user_boris", ["PJSIP/202"]),
    "203": ("user_clara", ["PJSIP/203"]),
    "204": ("user_dmitri", ["Dmitri", "PJSIP/204", "Local/204@from-queue/n"]),
    "205": ("user_erika", ["Erika", "PJSIP/205", "Local/205@from-queue/n"]),
    "210": ("user_manager", ["PJSIP/210"]),
}
SALES = ["user_anna", "user_boris", "user_clara"]
SUPPORT = ["user_dmitri", "user_erika"]
#: Queue of the phone system → its name for people and its members.
QUEUES = {
    "sales": ("Sales", SALES),
    "support": ("Support", SUPPORT),
    "desk": ("Berlin desk", SUPPORT),
    "deskno": ("Berlin desk (no waiting)", SUPPORT),
    "deskleave": ("Berlin desk (while staffed)", SUPPORT),
}
#: What Odoo asks of or sends to others by itself: not from a demo.
OUTWARD_ACTIONS = (
    "mail.ir_cron_module_update_notification",
    "crm_iap_enrich.ir_cron_lead_enrichment",
    "digest.ir_cron_digest_scheduler_action",
)
#: What a browser loads first; made in advance, or the first page takes seconds.
BUNDLES = {
    "web.assets_frontend": ("css",),
    "web.assets_frontend_lazy": ("js",),
    "web.assets_frontend_minimal": ("js",),
    "web.assets_web": ("css", "js"),
    "web.assets_web_print": ("css",),
    "bus.websocket_worker_assets": ("js",),
}
#: The laboratory's calls are brief: with the usual 5 s some real misses would be short.
SHORT_SECONDS = 3
#: So are its talks.
MIN_TALK_SECONDS = 2


class DemoFailed(Exception):
    """What went wrong, in words for the person at the terminal."""


@contextmanager
def step(what):
    """Say how long something took."""
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)


# ----------------------------------------------------------------------
# Setting up
# ----------------------------------------------------------------------


def prepare(env):
    """What every demo has in common and takes a while."""
    for name in OUTWARD_ACTIONS:
        if action := env.ref(name, raise_if_not_found=False):
            action.active = False
    company = env.company
    if "iap_enrich_auto_done" in company._fields:
        company.iap_enrich_auto_done = True
    for bundle, kinds in BUNDLES.items():
        assets = env["ir.qweb"]._get_asset_bundle(
            bundle, css="css" in kinds, js="js" in kinds
        )
        for kind in kinds:
            getattr(assets, kind)()


def set_up(env):
    """Company, queue groups, extensions and phone system; returns the last."""
    set_up_company(env)
    backend = set_up_backend(env)
    manager = demo(env, "user_manager")
    env["pbx.extension"].create(
        [
            {
                "backend_id": backend.id,
                "number": number,
                "name": demo(env, user).name,
                "aliases": "\n".join(aliases),
                "user_id": demo(env, user).id,
            }
            for number, (user, aliases) in EXTENSIONS.items()
        ]
    )
    env["pbx.queue"].create(
        [
            {
                "backend_id": backend.id,
                "code": code,
                "name": name,
                "member_ids": [demo(env, member).id for member in members],
                "supervisor_ids": [manager.id],
                "short_seconds": SHORT_SECONDS,
            }
            for code, (name, members) in QUEUES.items()
        ]
    )
    return backend


def set_up_company(env):
    """Where the company is: its clocks, and how it writes numbers."""
    manager = demo(env, "user_manager")
    company = env.company
    company.write(
        {
            "street": "Тверская улица, 1",
            "zip": "125009",
            "city": "Москва",
            "state_id": False,
            "country_id": env.ref("base.ru").id,
            "phone": "+7 495 555-00-01",
            "pbx_callback_user_id": manager.id,
            "pbx_callback_supervisor_ids": [manager.id],
        }
    )
    company.partner_id.tz = ZONE
    env.user.tz = ZONE


def set_up_backend(env):
    """The phone system, and the test of its connection."""
    backend = env["pbx.backend"].create(
        {
            "name": "Asterisk, Moscow and Berlin",
            "provider": "asterisk_pg",
            "tz": ZONE,
            "country_id": env.ref("base.ru").id,
            "other_country_ids": [env.ref("base.de").id],
            "min_talk_seconds": MIN_TALK_SECONDS,
            "interval_minutes": 1,
            "db_host": os.environ["DEMO_PBX_HOST"],
            "db_port": int(os.environ["DEMO_PBX_PORT"]),
            "db_name": os.environ["DEMO_PBX_DB"],
            "db_user": os.environ["DEMO_PBX_USER"],
            "db_password": os.environ["DEMO_PBX_PASSWORD"],
        }
    )
    found = backend.action_test()["params"]
    if found["type"] == "danger":
        raise DemoFailed(f"{found['title']}:\n{found['message']}")
    return backend


def demo(env, name):
    """A record of the addon's demo data."""
    record = env.ref(f"{ADDON}.{name}", raise_if_not_found=False)
    if not record:
        raise DemoFailed(f"The database has no demo data ({ADDON}.{name} is missing).")
    return record


# ----------------------------------------------------------------------
# The main job
# ----------------------------------------------------------------------


def run_scheduled(env, name):
    """Run a scheduled action now, the way the button on its form does."""
    # It has a transaction of its own, which sees only what is committed.
    env.cr.commit()
    result = env.ref(f"{ADDON}.{name}").method_direct_trigger()
    env.cr.commit()
    env.invalidate_all()
    if isinstance(result, dict):  # how the button is told about an exception
        data = result.get("params", {}).get("data", {})
        raise DemoFailed(f"The scheduled action {name} failed: {data.get('message')}")


def check_pull(backend):
    """A demo without calls, or of half of them, would be worse than none."""
    if backend.error_date:
        raise DemoFailed(f"The pull failed: {backend.error_message}")
    log = backend.log_ids[:1]
    if log.state != "done":
        raise DemoFailed(
            f"The pull did not finish ({log.state or 'no pull at all'}): {log.error}"
        )
    if not backend.call_count:
        raise DemoFailed(f"The pull read {log.row_count} rows but found no calls.")


# ----------------------------------------------------------------------
# What came of it
# ----------------------------------------------------------------------


def labels(env, model, field):
    """``{value: label}`` of a selection field."""
    return dict(env[model]._fields[field]._description_selection(env))


def summarize(env, backend):
    """Print calls, misses, what became of them, and who has to call back."""
    print_calls(env)
    print_misses(env)
    print_callbacks(env)
    print_sources(env, backend)


def print_calls(env):
    """Calls by direction and outcome."""
    calls = env["pbx.call"]
    counts = {
        (direction, outcome): count
        for direction, outcome, count in calls._read_group(
            [("is_open", "=", False)], ["direction", "outcome"], ["__count"]
        )
    }
    outcomes = labels(env, "pbx.call", "outcome")
    rows = []
    for direction, label in labels(env, "pbx.call", "direction").items():
        row = [counts.get((direction, outcome), 0) for outcome in outcomes]
        rows.append([label, *row, sum(row)])
    rows.append(["All", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    print_table("Calls", ["", *outcomes.values(), "All"], rows)
    if in_progress := calls.search_count([("is_open", "=", True)]):
        print(f"  {in_progress} still in progress or not settled: not judged yet")


def print_misses(env):
    """Misses by reason, and what became of each."""
    calls = env["pbx.call"]
    misses = [
        ("direction", "=", "inbound"),
        ("outcome", "in", ("missed", "abandoned")),
        ("is_open", "=", False),
    ]
    groups = calls._read_group(misses, ["reason", "outcome"], ["__count"])
    counts = {(reason, outcome): count for reason, outcome, count in groups}
    rows = []
    for reason, label in labels(env, "pbx.call", "reason").items():
        row = [counts.get((reason, outcome), 0) for outcome in ("missed", "abandoned")]
        if any(row):
            rows.append([label, *row, sum(row)])
    print_table("Misses by reason", ["", "Missed", "Abandoned", "All"], rows)

    def count(*terms):
        return calls.search_count([*misses, *terms])

    fixed, ignored = ("resolution", "=", "fixed"), ("resolution", "=", "ignored")
    rows = [
        ["Fixed", count(fixed)],
        ["  called back", count(fixed, ("fixed_by", "=", "callback"))],
        ["  rang again", count(fixed, ("fixed_by", "=", "client"))],
        ["Not fixed", count(("is_not_fixed", "=", True))],
        ["  pending, the deadline is ahead", count(("resolution", "=", "pending"))],
        ["  unfixed, the deadline is over", count(("resolution", "=", "unfixed"))],
        ["  late, reached after the deadline", count(("resolution", "=", "late"))],
        ["Dismissed", count(("resolution", "=", "dismissed"))],
        ["Ignored, no callback owed", count(ignored)],
        ["  anonymous", count(ignored, ("is_anonymous", "=", True))],
        [
            "  short",
            count(ignored, ("is_anonymous", "=", False), ("is_short", "=", True)),
        ],
        [
            "  other",
            count(ignored, ("is_anonymous", "=", False), ("is_short", "=", False)),
        ],
        ["All", count()],
    ]
    print_table("What became of them", ["", "Misses"], rows)
    if unresolved := count(("resolution", "=", False)):
        raise DemoFailed(f"{unresolved} misses have no resolution.")


def print_callbacks(env):
    """Who has to call whom back, until when."""
    callbacks = env["pbx.callback"]
    states = labels(env, "pbx.callback", "state")
    found = callbacks._read_group([], ["state"], ["__count"])
    total = sum(count for _state, count in found)
    counted = ", ".join(f"{count} {states[state].lower()}" for state, count in found)
    opened = callbacks.search([("is_open", "=", True)], order="deadline_at, id")
    rows = [
        [
            callback.client_number,
            who(callback),
            callback.missed_count,
            format_datetime(env, callback.deadline_at, ZONE, "d MMM HH:mm"),
            callback.user_id.name or "nobody",
        ]
        for callback in opened
    ]
    print_table(
        f"Callbacks: {total} ({counted})" if total else "Callbacks: none",
        ["Client", "Contact or lead", "Misses", f"Deadline ({ZONE})", "Responsible"],
        rows,
    )
    activities = env["mail.activity"].search_count([("res_model", "=", "pbx.callback")])
    print(f"  open: {len(opened)}, with {activities} activities")
    per_user = callbacks._read_group([("is_open", "=", True)], ["user_id"], ["__count"])
    for user, count in sorted(per_user, key=lambda group: -group[1]):
        print(f"  {count:3} {user.name or 'nobody'}")


def who(callback):
    """Contact or lead of a callback, as far as known."""
    partner, lead = callback.partner_id, callback.lead_id
    if partner:
        company = partner.parent_id.name
        return f"{partner.name}, {company}" if company else partner.name
    if lead:
        return f"{lead.contact_name or lead.name} (lead)"
    if any(callback.missed_call_ids.mapped("partner_is_ambiguous")):
        return "(several contacts)"
    return ""


def print_sources(env, backend):
    """What was read, and up to when."""
    log = backend.log_ids[:1]
    print_heading("Phone system")
    print(
        f"  {backend.name}: {log.row_count} rows read, {backend.record_count} records, "
        f"{backend.call_count} calls, {backend.rejected_count} rejected"
    )
    newest = format_datetime(env, backend.newest_record_at, ZONE, "d MMM y HH:mm:ss")
    up_to = format_datetime(env, backend.last_success_at, ZONE, "d MMM y HH:mm:ss")
    print(f"  data up to {up_to} ({ZONE}), the newest record is of {newest}")
    for line in (backend.warning_message or "").splitlines():
        print(f"  note: {line}")


def print_logins(env):
    """Who can log in; the password is the login."""
    rows = []
    for number, (name, _aliases) in EXTENSIONS.items():
        user = demo(env, name)
        queues = env["pbx.queue"].search([("member_ids", "in", user.ids)])
        role = ", ".join(queues.mapped("name")) or "Supervisor"
        rows.append([user.login, user.login, user.name, number, role])
    rows.append(["admin", "admin", env.user.name, "", "Administrator"])
    print_table(
        "Log in as", ["Login", "Password", "Name", "Extension", "Queue groups"], rows
    )


# ----------------------------------------------------------------------
# Printing
# ----------------------------------------------------------------------


def width(text):
    """Columns a text takes on a terminal."""
    return sum(
        0
        if unicodedata.combining(char) or unicodedata.category(char) == "Cf"
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def print_heading(title):
    print(f"\n{title}\n{'-' * width(title)}")


def print_table(title, header, rows):
    """Numbers to the right, words to the left."""
    print_heading(title)
    widths = [
        max(width(str(value)) for value in column)
        for column in zip(header, *rows, strict=True)
    ]
    right = [
        any(isinstance(value, int) for value in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(header)
    for row in [header, *rows]:
        cells = []
        for value, size, is_right in zip(row, widths, right, strict=True):
            text = str(value)
            gap = " " * (size - width(text))
            cells.append(gap + text if is_right else text + gap)
        print(("  " + "  ".join(cells)).rstrip())


# ----------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", required=True)
    parser.add_argument("--logfile", required=True)
    parser.add_argument("--prepare", action="store_true")
    args = parser.parse_args()

    config.parse_config(
        ["-d", args.database, "--logfile", args.logfile], setup_logging=True
    )
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(terminal)
    threading.current_thread().dbname = args.database

    with Registry(args.database).cursor() as cr:
        admin = api.Environment(cr, SUPERUSER_ID, {}).ref("base.user_admin")
        env = api.Environment(cr, admin.id, {"lang": admin.lang, "tz": ZONE})
        try:
            if args.prepare:
                return prepare(env)
            with step("company, queue groups, extensions and phone system set up"):
                backend = set_up(env)
            with step("scheduled action: phone systems pulled"):
                run_scheduled(env, "ir_cron_pull")
            check_pull(backend)
            with step("scheduled action: callbacks followed up"):
                run_scheduled(env, "ir_cron_follow_up")
            summarize(env, backend)
            print_logins(env)
        except (DemoFailed, UserError) as error:
            sys.stdout.flush()
            sys.exit(f"\ndemo: {error}\n      The log: {args.logfile}")


if __name__ == "__main__":
    main()
