"""What failed tasks have cost in the end, booked when the listing tells it."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from runner.money import Evidence
from runner.store.auditing import FailureCost
from runner.store.reconciling import IncidentKind, NewIncident
from runner.store.sqlite.reconciling import open_incident


def settle_failures(
    db: sqlite3.Connection,
    costs: Sequence[FailureCost],
    incidents: Sequence[NewIncident],
    *,
    now: datetime,
) -> int:
    values = {
        "costs": json.dumps([(e.task, e.attempt, e.remote_id, e.booked, e.cost) for e in costs]),
        "reported": Evidence.REPORTED,
        "double": IncidentKind.DOUBLE_CHARGE,
    }
    # The reserve was given back at the failure: budgets have counted only what was at risk since.
    settled = db.execute(
        """
        UPDATE attempts
           SET at_risk_nanousd = 0, charged_nanousd = e.cost, charge_evidence = :reported,
               refunded_nanousd = max(0, advanced_nanousd - e.cost),
               over_reserve_nanousd =
                   max(0, over_reserve_nanousd + e.cost - charged_nanousd - at_risk_nanousd)
          FROM (SELECT json_extract(value, '$[0]') AS task, json_extract(value, '$[1]') AS number,
                       json_extract(value, '$[2]') AS remote_id,
                       json_extract(value, '$[3]') AS booked, json_extract(value, '$[4]') AS cost
                  FROM json_each(:costs)) AS e
         WHERE attempts.task_id = e.task AND attempts.number = e.number
           AND attempts.remote_id = e.remote_id AND attempts.state = 'failed'
           AND CASE WHEN charge_evidence IS NOT NULL THEN charged_nanousd END IS e.booked
        """,
        values,
    ).rowcount
    extra = db.execute(
        """
        UPDATE extra_charges
           SET at_risk_nanousd = 0, charged_nanousd = e.cost, charge_evidence = :reported,
               refunded_nanousd = max(0, advanced_nanousd - e.cost),
               over_reserve_nanousd =
                   max(0, over_reserve_nanousd + e.cost - charged_nanousd - at_risk_nanousd)
          FROM (SELECT json_extract(value, '$[2]') AS remote_id,
                       json_extract(value, '$[3]') AS booked, json_extract(value, '$[4]') AS cost
                  FROM json_each(:costs)) AS e
         WHERE extra_charges.remote_id = e.remote_id AND extra_charges.state = 'failed'
           AND CASE WHEN charge_evidence IS NOT NULL THEN charged_nanousd END IS e.booked
        """,
        values,
    ).rowcount
    if extra:
        db.execute(
            """
            UPDATE incidents SET amount_nanousd = x.charged_nanousd
              FROM extra_charges x
             WHERE x.remote_id = incidents.remote_id AND incidents.kind = :double
               AND x.remote_id IN (SELECT json_extract(value, '$[2]') FROM json_each(:costs))
            """,
            values,
        )
    if not settled + extra:
        return 0
    return sum(open_incident(db, incident, now=now) for incident in incidents)
