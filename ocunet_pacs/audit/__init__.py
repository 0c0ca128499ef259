"""The audit trail of PS3.15 A.5: what happened becomes messages, and messages leave in order, later if need be.

message.py      an event -> the XML of A.5.1, by the tables of A.5.3
syslog.py       XML -> a syslog message (RFC 5424), as PS3.15 A.6 and A.7 say
targets.py      a file, UDP (RFC 5426), TLS (RFC 5425)
spool.py        messages that wait, in files of the store
trail.py        the queue and the thread between all of these
changes.py      what is different in the settings since the last start
"""
