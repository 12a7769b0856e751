"""`wattscope engine` driven as its agent does it: a command a line in, an event a line out, and stopped between turns.

One process runs every configuration, so that starting, compiling and tuning are paid once; between turns it is stopped
with SIGSTOP, as the live screen does when it is suspended, and the device is the other's.
"""

import ctypes
import json
import os
import queue
import signal
import subprocess
import threading
import time


class Failed(Exception):
    """A configuration that can't run, or an engine that is gone; the text says which and why."""


class OutOfTime(Failed):
    """Nothing is known to be wrong: it took longer than there was time for."""


def die_with_parent():
    """A stopped process does not notice that its pipe is gone: the kernel ends it with this one."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Engine:
    def __init__(self, *flags, env=None, log=None):
        self.began = time.monotonic()
        epoch = str(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        self.log = open(log or os.devnull, "ab")
        self.said_before = self.log.tell()
        self.process = subprocess.Popen(
            [os.environ["WATTSCOPE"], "engine", "--epoch", epoch, *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1,
            env={**os.environ, "RUST_BACKTRACE": "0", **(env or {})}, preexec_fn=die_with_parent,
        )  # fmt: skip
        self.events = queue.Queue()
        self.runs = 0
        self.stopped = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def _next(self, deadline, what):
        try:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            raise OutOfTime(f"{what}: not within the time there was") from None
        if event is None:
            raise Failed(f"{what}: the engine is gone, exit code {self.process.wait()}: {self._last_words()}")
        if event["type"] == "out_of_memory" and event["run"] == self.runs:
            raise Failed(f"out of memory: {event['message']}")
        if event["type"] == "failing" and event["run"] == self.runs:
            raise Failed(event["reason"])
        return event

    def _last_words(self):
        self.log.flush()
        try:
            with open(self.log.name, errors="replace") as log:
                log.seek(self.said_before)
                lines = log.read().strip().splitlines()
        except OSError:
            lines = []
        # The first panic is the cause, where there is one; what it logged before is not.
        panics = [line for line in lines if line.startswith("panic: ")]
        return " | ".join(panics[:1] or lines[-3:])[:600] or "it said nothing"

    def run(self, network, batch, precision, device, deadline):
        """Runs a configuration until it is steady. Gives seconds from the command, or from the start of the process for
        the first one, to the first measured batch and to steady, whether a graph is replayed, and the memory in use."""
        self.resume()
        since = self.began if self.runs == 0 else time.monotonic()
        self.runs += 1
        config = {"network": network, "batch": batch, "precision": precision, "device": device}
        self._send({"type": "run", "run": self.runs, "config": config})
        found = {"first_s": None, "graph": None, "memory": None, "warm_up": None}
        what = f"{network} batch {batch} {precision}"
        while True:
            event = self._next(deadline, what)
            if event.get("run") != self.runs:
                continue
            if event["type"] == "batches" and found["first_s"] is None:
                found["first_s"] = time.monotonic() - since
            elif event["type"] == "graph":
                found["graph"] = {key: event.get(key) for key in ("used", "why", "eager_ns", "replay_ns")}
            elif event["type"] == "memory":
                found["memory"] = event["in_use"]
            elif event["type"] == "phase" and event["phase"] == "steady":
                found["steady_s"] = time.monotonic() - since
                found["warm_up"] = event["warm_up"]
                return found

    def _send(self, command):
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"the engine is gone: {self._last_words()}") from None

    def turn(self, seconds, deadline, least=3):
        """Lets it run for some time, and for some batches at least; gives their latencies in ms."""
        skip = self.stopped
        self.resume()
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end or len(times) < least:
            event = self._next(deadline, "a turn")
            if event["type"] != "batches" or event["run"] != self.runs or not event["steady"] or not event["wall_ns"]:
                continue
            if skip:
                # The batch that it was stopped in is in the first report.
                skip = False
                continue
            for value in event["wall_ns"]:
                time_ns, count = value if isinstance(value, list) else (value, 1)
                times += [time_ns / 1e6] * count
        self.stop()
        return times

    def rest(self):
        """Measures nothing any more, and keeps what it has compiled."""
        self.resume()
        self._send({"type": "rest"})

    def stop(self):
        if not self.stopped:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True
        # What it has said by now belongs to the turn that is over.
        time.sleep(0.01)
        while not self.events.empty():
            if self.events.queue[0] is None:
                return
            self.events.get()

    def resume(self):
        if self.stopped:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = False


def median(values):
    """The middle one, or the mean of the two in the middle."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
