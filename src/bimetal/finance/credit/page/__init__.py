"""A page for a phone: the scorer of a credit model, installable and offline.

`writer` makes it; `verify` believes what it sends, as far as that can be believed. Import from these:
a server that verifies needs no exporter.
"""
