"""The stages. None imports another: they meet in the store.

loader ─▶ queue ─▶ submitter ─▶ API ─▶ poller ─▶ writer
                               ready list ─▶ what is due
"""
