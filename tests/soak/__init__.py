"""The daemon under load and faults for half an hour: `python -m tests.soak --minutes 30 --seed 24 --out FOLDER`.

timetable   which fault comes when: from the seed alone
cameras     send photographs until they are acknowledged, as many as the daemon can analyse
services    start the daemon's processes again as systemd does
faults      what is done to them, to the database, the archives, the disk and the clock
watching    what arrived in the archive and when; memory, open files and threads of each process
verdict     what must be true at the end
summary     all of it as Markdown and JSON
"""
