"""What people take away from the store: exports, documents for machines, what to do about failures.

Read-only views: nothing here moves a task.
"""
