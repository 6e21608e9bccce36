"""What a run leaves behind, in no time. It imports nothing of genlab: starting must be cheap."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

trial, run, log, fails, before, lasts = sys.argv[1:]
text = (Path(trial) / "recipe.yaml").read_text()
latent = int(re.search(r"^latent: (\d+)", text, re.MULTILINE)[1])
beta = float(re.search(r"beta: ([\d.]+)", text)[1])
seed = int(re.search(r"^seed: (\d+)", text, re.MULTILINE)[1])
folder = Path(run) if run else Path(trial) / "bars" / f"run-{time.time_ns()}"


def note(what):
    with Path(log).open("a") as stream:
        stream.write(f"{Path(trial).name} {what}\n")


def status(state, message=""):
    loss = latent + beta + seed / 10
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("recipe.yaml", "resolved.yaml"):
        (folder / name).write_text(text)
    (folder / "metrics.jsonl").write_text(json.dumps({"epoch": 2, "step": 2, "val/loss": loss}) + "\n")
    (folder / "timing.jsonl").write_text(json.dumps({"step": 2, "seconds": 1.5}) + "\n")
    content = {
        "status": state, "name": "bars", "pid": os.getpid(), "host": os.uname().nodename, "message": message,
        "started": f"2026-01-01T00:00:{time.time_ns()}", "best": {"val/loss": loss, "val/nll": 2 * loss},
    }  # fmt: skip
    new = folder / "status.new"
    new.write_text(json.dumps(content))
    new.rename(folder / "status.json")


def stop(number, frame):
    status("interrupted", "interrupted")
    note("end")
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, stop)
note("start")
failing = str(latent) in fails.split(",")
if failing and before == "1":
    note("end")
    sys.exit("fetching\nerror: data 'bars': there is none\nnothing was kept")
status("running")
time.sleep(float(lasts))
status(*(("failed", "the loss is not finite at step 7") if failing else ("completed",)))
note("end")
sys.exit(int(failing))
