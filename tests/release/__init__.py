"""What goes with a release: wheel and source archive, digests, list of parts, licences, and the audit of what is used.

Run in a checkout, as `python -m tests.release`; nothing of it is in the wheel.
"""
