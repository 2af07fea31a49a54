"""What failed tasks have cost in the end, booked when the listing tells it."""

from collections.abc import Sequence
from datetime import datetime

from runner.money import Evidence
from runner.store.auditing import FailureCost
from runner.store.postgres.connection import Db
from runner.store.postgres.reconciling import open_incident
from runner.store.reconciling import IncidentKind, NewIncident


def settle_failures(
    db: Db,
    costs: Sequence[FailureCost],
    incidents: Sequence[NewIncident],
    *,
    now: datetime,
) -> int:
    values = {
        "tasks": [e.task for e in costs],
        "numbers": [e.attempt for e in costs],
        "ids": [e.remote_id for e in costs],
        "booked": [e.booked for e in costs],
        "costs": [e.cost for e in costs],
        "reported": Evidence.REPORTED,
        "double": IncidentKind.DOUBLE_CHARGE,
    }
    # The reserve was given back at the failure: budgets have counted only what was at risk since.
    settled = db.execute(
        """
        UPDATE attempts
           SET at_risk_nanousd = 0, charged_nanousd = e.cost, charge_evidence = %(reported)s,
               refunded_nanousd = greatest(0, advanced_nanousd - e.cost),
               over_reserve_nanousd =
                   greatest(0, over_reserve_nanousd + e.cost - charged_nanousd - at_risk_nanousd)
          FROM unnest(%(tasks)s::bigint[], %(numbers)s::bigint[], %(ids)s::text[],
                      %(booked)s::bigint[], %(costs)s::bigint[])
               AS e(task, number, remote_id, booked, cost)
         WHERE attempts.task_id = e.task AND attempts.number = e.number
           AND attempts.remote_id = e.remote_id AND attempts.state = 'failed'
           AND CASE WHEN charge_evidence IS NOT NULL THEN charged_nanousd END
               IS NOT DISTINCT FROM e.booked
        """,
        values,
    ).rowcount
    extra = db.execute(
        """
        UPDATE extra_charges
           SET at_risk_nanousd = 0, charged_nanousd = e.cost, charge_evidence = %(reported)s,
               refunded_nanousd = greatest(0, advanced_nanousd - e.cost),
               over_reserve_nanousd =
                   greatest(0, over_reserve_nanousd + e.cost - charged_nanousd - at_risk_nanousd)
          FROM unnest(%(ids)s::text[], %(booked)s::bigint[], %(costs)s::bigint[])
               AS e(remote_id, booked, cost)
         WHERE extra_charges.remote_id = e.remote_id AND extra_charges.state = 'failed'
           AND CASE WHEN charge_evidence IS NOT NULL THEN charged_nanousd END
               IS NOT DISTINCT FROM e.booked
        """,
        values,
    ).rowcount
    if extra:
        db.execute(
            """
            UPDATE incidents SET amount_nanousd = x.charged_nanousd
              FROM extra_charges x
             WHERE x.remote_id = incidents.remote_id AND incidents.kind = %(double)s
               AND x.remote_id = ANY(%(ids)s::text[])
            """,
            values,
        )
    if not settled + extra:
        return 0
    return sum(open_incident(db, incident, now=now) for incident in incidents)
