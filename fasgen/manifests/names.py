"""The names of a store's files."""

from __future__ import annotations

import re

OURS = re.compile(
    r"current\.json|added/[0-9a-f]{8}\.json|attached/[^/]+/(?:origin\.json|files\.json|root\.txt|seen\.json)"
    r"|(?:retracted|seen)/[0-9a-f]{64}\.json|protocols/[^/]+/(?:report\.json|(?:train|dev|test)\.parquet)"
    r"|identities/[^/]+-[0-9a-f]{8}\.(?:parquet|json)|rows/\d+/(?:\d+\.(?:parquet|sha256)|seen\.bin)|sources/[^/]+/[^/]+"
    r"|[^/]+-[0-9a-f]{8}/(?:plan(?:-\d+)?\.json|(?:roster|rosters/\d{5,})\.(?:parquet|sha256)"
    r"|(?:index|networks|croissant)\.json|README\.md"
    r"|\d{5,}\.(?:parquet|sha256|timing\.parquet|tar)|[^/]+-\d{6,}\.tar|\d{5,}\.zarr/.+)"
)
"""Names that the files of a store have, ``/`` between their parts; others in it are somebody else's."""
