"""runner: an async batch job runner for DataForSEO's LLM Responses API."""

__version__ = "0.1.0"
