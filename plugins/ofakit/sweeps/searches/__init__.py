"""Which parameters the next run gets. A member's file name is the `type` of a sweep's `search`."""

from ofakit.registry import Registry

__all__ = ["SEARCHES"]

SEARCHES = Registry("search", __name__)
