"""metrics.py FILE: what /metrics answers is OpenMetrics, by the reference parser."""

import sys

from prometheus_client.openmetrics import parser

families = list(parser.text_string_to_metric_families(open(sys.argv[1], encoding="utf-8").read()))
samples = sum(len(family.samples) for family in families)
if not samples:
    raise SystemExit("no sample")
print(f"/metrics: {len(families)} families, {samples} samples")
