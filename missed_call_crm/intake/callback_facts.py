# Copyright 2026 Missed Call CRM contributors
# License LGPL-3.0 or later (https://www.gnu.org/licenses/lgpl).
"""What the calls say about callbacks: the few rows where something is to be done.

Everything here only reads, one statement for a whole company. All of it compares what
is stored with what the calls say now, so a run that was cut short, or whose work was
undone by a late record, is put right by the next one.
"""

from datetime import timedelta

# Closed callbacks are compared this long; records come hours late, not months.
CLOSED_WATCHED = timedelta(days=31)
# Attempts are still added to a closed callback this long (the deepest overlap).
CLOSED_ATTEMPTS = timedelta(days=3)

# A miss whose deadline passed longer ago founds no callback. An outage of our own over
# a weekend is work still; an old year, when somebody switches callbacks on, is not.
OLD_DEBT = timedelta(hours=72)

# An outbound call that reached nobody: ``pbx.call.attempt``, which says it in Python
# (a test compares the two).
_ATTEMPT = """
    o.direction = 'outbound'
    AND o.is_open IS NOT TRUE
    AND (o.contact_at IS NULL OR o.not_reached)
"""

_FACTS = """
WITH watched AS (
    SELECT cb.*, cb.state IN ('todo', 'overdue') AS is_open
      FROM pbx_callback cb
     WHERE cb.company_id = %(company)s
       AND (cb.state IN ('todo', 'overdue')
            OR (cb.state IN ('done', 'late') AND cb.done_at >= %(watched)s))
),
misses AS (
    SELECT c.callback_id AS id,
           count(*) FILTER (WHERE c.resolution <> 'ignored') AS missed,
           count(*) FILTER (WHERE c.resolution IN ('pending', 'unfixed')) AS owed,
           count(*) FILTER (WHERE c.resolution = 'fixed') AS fixed,
           count(*) FILTER (WHERE c.resolution = 'late') AS late,
           count(*) FILTER (WHERE c.resolution = 'dismissed') AS dismissed,
           count(*) FILTER (WHERE c.resolution IS NULL) AS withdrawn,
           min(c.deadline_at) FILTER (WHERE c.resolution IN ('pending', 'unfixed'))
               AS deadline_at,
           min(c.started_at) FILTER (WHERE c.resolution <> 'ignored')
               AS first_missed_at,
           max(COALESCE(c.ended_at, c.started_at))
               FILTER (WHERE c.resolution <> 'ignored') AS last_missed_at,
           max(c.fixed_at) FILTER (WHERE c.resolution IN ('fixed', 'late')) AS done_at,
           (array_agg(c.fix_call_id ORDER BY c.fixed_at DESC NULLS LAST, c.id)
               FILTER (WHERE c.resolution IN ('fixed', 'late')))[1] AS done_call_id
      FROM watched w
      JOIN pbx_call c ON c.callback_id = w.id
     GROUP BY c.callback_id
),
attempts AS (
    SELECT o.attempt_callback_id AS id,
           count(*) AS attempts,
           max(o.started_at) AS last_attempt_at
      FROM watched w
      JOIN pbx_call o ON o.attempt_callback_id = w.id
     GROUP BY o.attempt_callback_id
),
facts AS (
    SELECT w.id, w.is_open, w.state AS old_state,
           COALESCE(m.missed, 0) AS missed_count,
           COALESCE(m.owed, 0) AS owed,
           COALESCE(m.withdrawn, 0) AS withdrawn,
           CASE WHEN m.owed > 0 THEN
                    CASE WHEN m.deadline_at < %(now)s THEN 'overdue' ELSE 'todo' END
                WHEN m.late > 0 THEN 'late'
                WHEN m.fixed > 0 THEN 'done'
                WHEN m.dismissed > 0 THEN 'dismissed'
                ELSE 'cancelled' END AS state,
           m.deadline_at, m.first_missed_at, m.last_missed_at,
           m.done_at, m.done_call_id,
           COALESCE(a.attempts, 0) AS attempt_count, a.last_attempt_at,
           w.deadline_at IS DISTINCT FROM m.deadline_at AS deadline_moved,
           COALESCE(w.missed_count, 0) <> COALESCE(m.missed, 0)
               OR w.first_missed_at IS DISTINCT FROM m.first_missed_at
               OR w.last_missed_at IS DISTINCT FROM m.last_missed_at
               AS misses_differ,
           COALESCE(w.attempt_count, 0) <> COALESCE(a.attempts, 0)
               OR w.last_attempt_at IS DISTINCT FROM a.last_attempt_at
               AS attempts_differ,
           w.done_at IS DISTINCT FROM COALESCE(m.done_at, w.done_at)
               OR w.done_call_id IS DISTINCT FROM m.done_call_id AS proof_differs
      FROM watched w
      LEFT JOIN misses m ON m.id = w.id
      LEFT JOIN attempts a ON a.id = w.id
)
SELECT * FROM facts
 WHERE withdrawn > 0 OR attempts_differ
    OR (is_open AND (state <> old_state OR deadline_moved OR misses_differ))
    OR (NOT is_open AND owed = 0 AND (state <> old_state OR proof_differs
                                      OR misses_differ))
 ORDER BY id
"""


def changed(run):
    """Callbacks, open or lately closed, that are not what their calls say.

    :return: dicts with ``id``, ``is_open``, ``old_state``, ``state`` (what it should
        be), ``owed`` and ``withdrawn`` (numbers of misses), ``deadline_moved``,
        ``misses_differ``, and the values of the callback's columns of the same names.
    """
    run.cr.execute(
        _FACTS,
        {
            "company": run.company.id,
            "now": run.now,
            "watched": run.now - CLOSED_WATCHED,
        },
    )
    return run.cr.dictfetchall()


def debts(run):
    """Misses that owe a callback and have none, as rows of :data:`MISS_COLUMNS`.

    Old ones (:data:`OLD_DEBT`) only of clients who are called back anyway: those with
    an open callback to that number, or a miss that is not old.
    """
    # Three statements' worth of conditions, because each has an index of its own. What
    # is recent is found by its deadline, and old misses, of which there may be very
    # many for ever, by the few numbers they matter for; of history only what is still
    # in its window is asked for.
    owed = """
        c.company_id = %(company)s
        AND c.resolution IN ('pending', 'unfixed')
        AND c.callback_id IS NULL
        AND c.client_key IS NOT NULL
        AND c.direction = 'inbound'
        AND c.outcome IN ('missed', 'abandoned')
        AND c.is_open IS NOT TRUE
        AND c.backend_id IN (SELECT b.id FROM pbx_backend b
                              WHERE b.company_id = %(company)s AND b.create_callbacks)
    """
    run.cr.execute(
        f"""
        WITH recent AS (
            SELECT {MISS_COLUMNS}
              FROM pbx_call c
             WHERE {owed}
               AND c.from_history IS NOT TRUE
               AND (c.deadline_at IS NULL OR c.deadline_at >= %(old)s)
        ),
        worked AS (
            SELECT client_key FROM recent
             UNION
            SELECT cb.client_number
              FROM pbx_callback cb
             WHERE cb.company_id = %(company)s
               AND cb.state IN ('todo', 'overdue')
        )
        SELECT * FROM recent
         UNION ALL
        SELECT c.*
          FROM worked w
         CROSS JOIN LATERAL (
            SELECT {MISS_COLUMNS}
              FROM pbx_call c
             WHERE {owed}
               AND c.client_key = w.client_key
               AND c.from_history IS NOT TRUE
               AND c.deadline_at < %(old)s
            OFFSET 0) c
         UNION ALL
        SELECT {MISS_COLUMNS}
          FROM pbx_call c
         WHERE {owed}
           AND c.from_history
           AND c.deadline_at >= %(now)s
           AND %(history)s
         ORDER BY started_at, id
        """,
        {
            "company": run.company.id,
            "history": run.company.pbx_history_callbacks,
            "now": run.now,
            "old": run.now - OLD_DEBT,
        },
    )
    return run.cr.dictfetchall()


def owed_again(run):
    """Misses that owe a callback again while theirs is closed; latest first."""
    run.cr.execute(
        f"""
        SELECT {MISS_COLUMNS}, cb.state AS callback_state, cb.client_number
          FROM pbx_call c
          JOIN pbx_callback cb ON cb.id = c.callback_id
         WHERE c.company_id = %(company)s
           AND c.resolution IN ('pending', 'unfixed')
           AND cb.state NOT IN ('todo', 'overdue')
         ORDER BY c.callback_id DESC, c.started_at, c.id
        """,
        {"company": run.company.id},
    )
    return run.cr.dictfetchall()


def strays(run):
    """Misses owed in open callbacks whose own number is owed no more.

    :return: rows of :data:`MISS_COLUMNS`, the most urgent first.
    """
    run.cr.execute(
        f"""
        SELECT {MISS_COLUMNS}
          FROM pbx_callback cb
          JOIN pbx_call c ON c.callback_id = cb.id
         WHERE cb.company_id = %(company)s
           AND cb.state IN ('todo', 'overdue')
           AND c.resolution IN ('pending', 'unfixed')
           AND c.client_key IS NOT NULL
           AND NOT EXISTS (
                SELECT FROM pbx_call own
                 WHERE own.callback_id = cb.id
                   AND own.client_key = cb.client_number
                   AND own.resolution IN ('pending', 'unfixed'))
         ORDER BY c.callback_id, c.deadline_at, c.id
        """,
        {"company": run.company.id},
    )
    return run.cr.dictfetchall()


def alike(run):
    """Numbers of open callbacks that are on one contact, or in one company.

    Those that may be one client's; ``partners.Clients`` knows whether they are.

    :return: list of numbers.
    """
    scope = run.company.pbx_match_scope
    if scope == "number":
        return []
    owner = "p.id" if scope == "contact" else "p.commercial_partner_id"
    run.cr.execute(
        f"""
        WITH open_callbacks AS (
            SELECT client_number AS number
              FROM pbx_callback
             WHERE company_id = %(company)s AND state IN ('todo', 'overdue')
        ),
        owners AS (
            SELECT cb.number, {owner} AS owner
              FROM open_callbacks cb
              JOIN res_partner p ON p.phone_sanitized = cb.number
             UNION
            SELECT cb.number, {owner}
              FROM open_callbacks cb
              JOIN pbx_partner_number n ON n.number_e164 = cb.number
              JOIN res_partner p ON p.id = n.partner_id
        )
        SELECT DISTINCT number
          FROM (SELECT number, count(*) OVER (PARTITION BY owner) AS numbers
                  FROM owners) found
         WHERE numbers > 1
         ORDER BY number
        """,
        {"company": run.company.id},
    )
    return [row[0] for row in run.cr.fetchall()]


def misses_of(run, callback_ids):
    """All misses of these callbacks, as rows of :data:`MISS_COLUMNS`."""
    run.cr.execute(
        f"""
        SELECT {MISS_COLUMNS}
          FROM pbx_call c
         WHERE c.callback_id = ANY(%s)
         ORDER BY c.started_at, c.id
        """,
        [list(callback_ids)],
    )
    return run.cr.dictfetchall()


MISS_COLUMNS = """
    c.id, c.callback_id, c.client_key, c.client_name, c.partner_id, c.lead_id,
    c.queue_id, c.backend_id, c.started_at, c.ended_at, c.deadline_at
"""


def attempts(run):
    """Outbound calls that were tries to call a client back: ``{callback: calls}``.

    From the start of the first miss until the client was reached, to any number he was
    missed from or, by the company's setting, any number of the same contact.
    """
    scope = run.company.pbx_match_scope
    routes = [_ROUTE_NUMBER]
    if scope == "contact":
        routes.append(_ROUTE_CONTACT)
    elif scope == "company":
        routes.append(_ROUTE_COMPANY)
    run.cr.execute(
        f"""
        WITH watched AS (
            SELECT cb.id, cb.company_id, cb.partner_id,
                   min(c.started_at) AS since,
                   COALESCE(cb.done_at, 'infinity') AS until,
                   array_agg(DISTINCT c.client_key) AS numbers
              FROM pbx_callback cb
              JOIN pbx_call c ON c.callback_id = cb.id
             WHERE cb.company_id = %(company)s
               AND (cb.state IN ('todo', 'overdue')
                    OR (cb.state IN ('done', 'late') AND cb.done_at >= %(watched)s))
             GROUP BY cb.id
        ),
        found AS ({" UNION ALL ".join(routes)})
        SELECT DISTINCT ON (call_id) callback_id, call_id
          FROM found
         ORDER BY call_id, route, callback_id
        """,
        {"company": run.company.id, "watched": run.now - CLOSED_ATTEMPTS},
    )
    by_callback = {}
    for callback_id, call_id in run.cr.fetchall():
        by_callback.setdefault(callback_id, []).append(call_id)
    return by_callback


# Each route looks into the index of calls once per open callback. OFFSET 0 keeps the
# planner from joining with the whole history of calls instead.
_PROBE = f"""
    CROSS JOIN LATERAL (
        SELECT o.id
          FROM pbx_call o
         WHERE o.company_id = w.company_id
           AND {{condition}}
           AND o.started_at >= w.since
           AND o.started_at <= w.until
           AND o.attempt_callback_id IS NULL
           AND {_ATTEMPT}
        OFFSET 0) o
"""
_ROUTE_NUMBER = """
    SELECT w.id AS callback_id, o.id AS call_id, 0 AS route
      FROM watched w
     CROSS JOIN LATERAL unnest(w.numbers) AS k(number)
    """ + _PROBE.format(condition="o.client_key = k.number")
# A person's further lines may be kept in child contacts; a company's children are its
# people, who are other clients.
_ROUTE_CONTACT = """
    SELECT w.id, o.id, 1
      FROM watched w
      JOIN res_partner p ON p.id = w.partner_id
      JOIN res_partner s
        ON s.id = p.id OR (s.parent_id = p.id AND p.is_company IS NOT TRUE)
    """ + _PROBE.format(condition="o.partner_id = s.id")
_ROUTE_COMPANY = """
    SELECT w.id, o.id, 1
      FROM watched w
      JOIN res_partner p ON p.id = w.partner_id
      JOIN res_partner s ON s.commercial_partner_id = p.commercial_partner_id
    """ + _PROBE.format(condition="o.partner_id = s.id")


def no_attempts(run):
    """Calls counted as attempts that reached the client after all: call ids."""
    run.cr.execute(
        f"""
        SELECT o.id
          FROM pbx_callback cb
          JOIN pbx_call o ON o.attempt_callback_id = cb.id
         WHERE cb.company_id = %(company)s
           AND cb.state IN ('todo', 'overdue')
           AND NOT ({_ATTEMPT})
        """,
        {"company": run.company.id},
    )
    return [row[0] for row in run.cr.fetchall()]


def activities(run):
    """Open callbacks without activity, or whose activity another person has.

    A callback said to be done waits for its proof, without activity.

    :return: dicts with ``id``, ``user_id``, ``said_done`` (it waited in vain),
        ``activity_id`` and ``activity_user_id`` (None without activity).
    """
    run.cr.execute(
        """
        SELECT cb.id, cb.user_id, cb.said_done_at IS NOT NULL AS said_done,
               a.id AS activity_id, a.user_id AS activity_user_id
          FROM pbx_callback cb
          LEFT JOIN (
                SELECT DISTINCT ON (res_id) res_id, id, user_id
                  FROM mail_activity
                 WHERE res_model = 'pbx.callback'
                   AND activity_type_id = %(type)s
                   AND active
                 ORDER BY res_id, automated DESC, id) a ON a.res_id = cb.id
         WHERE cb.company_id = %(company)s
           AND cb.state IN ('todo', 'overdue')
           AND ((a.id IS NULL AND (cb.said_done_at IS NULL
                                   OR cb.said_done_at <= %(said)s))
                OR a.user_id IS DISTINCT FROM cb.user_id AND a.id IS NOT NULL)
         ORDER BY cb.id
        """,
        {
            "company": run.company.id,
            "type": run.activity_type.id,
            "said": run.now - timedelta(hours=run.company.pbx_proof_hours),
        },
    )
    return run.cr.dictfetchall()
