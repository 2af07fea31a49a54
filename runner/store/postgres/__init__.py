"""The store on PostgreSQL: many hosts, one queue. Module by module what ``runner.store.sqlite`` is.

A verb is written for SQLite first. Here it is the same function with another SQL:

    ? and :name ..................... %s and %(name)s, bound by the client
    json_each(a list as JSON) ....... unnest(%s::bigint[]), or = ANY(…), and a plain list
    json_extract(body, '$.x') ....... json_text(body, 'x')
    min(a, b), max(a, b) ............ least, greatest, which pass over NULL
    INSERT OR IGNORE / REPLACE ...... ON CONFLICT … DO NOTHING / DO UPDATE
    a IS b .......................... a IS NOT DISTINCT FROM b
    lastrowid ....................... RETURNING id

and with one thing more to think of: another host writes at the same time. What is read and then
decided upon is locked first, and every move of a task names the state that it leaves.
"""
