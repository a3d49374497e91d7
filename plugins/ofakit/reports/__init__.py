"""Reports: each is one HTML file with everything inside.

from ofakit.reports import read_run, run_report

page = run_report(read_run("work_dir/quickstart"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.reports.comparison import comparison_report
    from ofakit.reports.run_files import RunFiles, read_run
    from ofakit.reports.run_report import captions_page, run_report

__all__ = ["RunFiles", "captions_page", "comparison_report", "read_run", "run_report"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.reports.comparison": ["comparison_report"],
        "ofakit.reports.run_files": ["RunFiles", "read_run"],
        "ofakit.reports.run_report": ["captions_page", "run_report"],
    },
)
