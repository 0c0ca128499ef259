"""procrastinate's side of `claims`: `python claims_procrastinate.py URL prepare COUNT`, or `... URL drain`.

A program of its own that imports nothing of ours, so that procrastinate may be installed elsewhere. `drain` says
"ready" once it is connected, waits for a line, claims and finishes until nothing is left, and says how many that were.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job, Status


async def main(url: str, what: str, *count: str) -> None:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=1))
    async with app.open_async():
        manager = app.job_manager
        if what == "prepare":
            if not await manager.check_connection_async():
                await app.schema_manager.apply_schema_async()
            job = Job(queue="bench", lock=None, queueing_lock=None, task_name="bench", task_kwargs={"subject_id": 1})
            await manager.batch_defer_jobs_async([job] * int(count[0]))
            return
        worker, done = await manager.register_worker(), 0
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while (claimed := await manager.fetch_job(queues=None, worker_id=worker)) is not None:
            await manager.finish_job(claimed, status=Status.SUCCEEDED, delete_job=False)
            done += 1
        sys.stdout.write(f"{done}\n")


if __name__ == "__main__":
    # It says of every program of this kind that its App belongs elsewhere.
    logging.disable(logging.WARNING)
    asyncio.run(main(*sys.argv[1:]))
