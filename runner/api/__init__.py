"""The API as we call it: its JSON, its status codes, and the one place that sends anything.

client ─▶ replies ─▶ wire ─▶ posting (what became of each task) | fetching (what an answer says)
"""
