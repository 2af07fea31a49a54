"""The API as we call it: its JSON, its status codes, and the one place that sends anything.

client ────────┐                                   ┌─▶ posting (what became of each task)
live_client ───┴─▶ transport ─▶ replies ─▶ wire ───┼─▶ fetching (what an answer says)
access: where each gateway is                      └─▶ live (both in one); aisa: its own errors
"""
