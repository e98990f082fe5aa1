"""The report of a run: one HTML page, its figures and its sentences."""

from wilsonian.app.reports.page import report_html, write_report

__all__ = [
    "report_html",
    "write_report",
]
