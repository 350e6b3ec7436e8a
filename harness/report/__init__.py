"""What a release manager reads: one HTML file, one terminal table, one Markdown summary, all from one view model.

Owns presentation only. Must not decide anything: every verdict, interval and sentence comes from `harness.gate`, every
formatted quantity from `harness.units`. jinja2, numpy and pandas are imported where they are used, so that importing
this package costs nothing.
"""
