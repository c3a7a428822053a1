"""One process that pulls, as a cron worker does: `worker.py DATABASE [ROWS A BATCH]`.

Run by test_processes.py, which kills it at any moment.
"""

import os
import sys

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry


def main(database, rows):
    odoo.tools.config.parse_config(
        ["-c", os.environ["ODOO_RC"], "-d", database, "--log-level", "error"],
        setup_logging=True,
    )
    registry = Registry(database)
    from odoo.addons.missed_call_crm.intake import pull

    pull.BATCH_ROWS = rows
    print("ready", flush=True)
    sys.stdin.readline()
    with registry.cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        env["pbx.backend"]._cron_pull()
        cr.commit()
        env["pbx.callback"]._cron_follow_up()
        cr.commit()
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200)
