"""The API on this machine: an account that behaves as API.md says, without costing anything.

    server.py        HTTP, and connections that break on purpose
      router.py      who may call, how often, and what goes wrong (faults.py)
        endpoints.py, live.py, listing.py, profile.py   what each call answers
        aisa.py                                         and what the reseller's face says
          account.py       the state machine: accepted, running, ended, collected
            validation.py  which requests are taken     answers.py   what comes back
            ledger.py      the money; tests ask it      journal.py   its records in a file

A second reading of API.md: nothing here imports ``api/`` or ``parameters.py``, so that one
misreading cannot pass on both sides. Everything except ``server.py`` and ``journal.py`` is free of
I/O; clock and random source come from outside. All faults are off until a scenario, the control
endpoint or a test switches them on. Not thread-safe: one event loop owns an account.
"""
