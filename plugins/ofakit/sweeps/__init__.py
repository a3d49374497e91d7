"""Many runs from one JSON file: grids, random search, TPE with pruning; on this machine or on Ray.

See `ofakit.sweeps.sweep_config` for every key and `docs/sweeps.md` for the guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.sweeps.ledger import Ledger
    from ofakit.sweeps.load_sweep import load_sweep
    from ofakit.sweeps.record import Record
    from ofakit.sweeps.sweep import run_sweep
    from ofakit.sweeps.sweep_config import SweepConfig

__all__ = ["Ledger", "Record", "SweepConfig", "load_sweep", "run_sweep"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.sweeps.sweep_config": ["SweepConfig"],
        "ofakit.sweeps.load_sweep": ["load_sweep"],
        "ofakit.sweeps.record": ["Record"],
        "ofakit.sweeps.ledger": ["Ledger"],
        "ofakit.sweeps.sweep": ["run_sweep"],
    },
)
