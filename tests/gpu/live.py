"""The live screen under a pseudo-terminal of 150×40: keys are pressed, and what it shows is kept as text before each.

usage: live.py BINARY DEVICE FOLDER SECONDS [ARGUMENT…]
"""

import codecs
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

binary, device, folder, seconds = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])
WIDTH, HEIGHT = 150, 40
CARD = device.startswith("cuda")
RIGHT, DOWN, UP = b"\x1b[C", b"\x1b[B", b"\x1b[A"
# What is pressed, in equal steps of the time: batch sizes, the other screens, the network, a pin, the network and the precision
# before. On a card the batch sizes are those that other parts have tuned.
BATCHES = (b"b32\r", b"b1\r") if CARD else (b"b2\r", b"b1\r")
KEYS = [BATCHES[0], b"2", b"1", DOWN, b"c", b"3", b"1", UP, b"p", b"5", b"4", b"1", BATCHES[1], RIGHT, b"?", b"?"]
NETWORK = "resnet50" if CARD else "squeezenet1.1"
START, END = (8, 4) if CARD else (4, 3)


class Terminal:
    """As much of a terminal as the screen uses: the cursor is set, text is written, lines and the screen are erased."""

    TOKEN = re.compile(r"\x1b\[([?<>=]?)([0-9;]*)([@-~])|\x1b[()][A-Z0-9]|\x1b[=>78cM]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|([^\x1b])")

    def __init__(self):
        self.cells = [[" "] * WIDTH for _ in range(HEIGHT)]
        self.x = self.y = 0
        self.pending = ""

    def feed(self, text):
        text = self.pending + text
        at = 0
        while at < len(text):
            token = self.TOKEN.match(text, at)
            if not token and len(text) - at < 64:
                # A sequence may be cut in two by a read.
                break
            if not token:
                at += 1
                continue
            at = token.end()
            private, numbers, final, character = token.groups()
            if character:
                self.put(character)
            elif final and not private:
                self.control(final, [int(n or 0) for n in numbers.split(";")])
        self.pending = text[at:]

    def control(self, final, numbers):
        first = numbers[0]
        if final in "Hf":
            self.y = min(max(first, 1), HEIGHT) - 1
            self.x = min(max(numbers[1] if len(numbers) > 1 else 1, 1), WIDTH) - 1
        elif final in "ABCD":
            step = max(first, 1)
            self.x += {"C": step, "D": -step}.get(final, 0)
            self.y += {"B": step, "A": -step}.get(final, 0)
        elif final == "G":
            self.x = max(first, 1) - 1
        elif final == "d":
            self.y = max(first, 1) - 1
        elif final == "J":
            rows = range(HEIGHT) if first == 2 else range(self.y + 1, HEIGHT)
            for y in rows:
                self.cells[y] = [" "] * WIDTH
        elif final == "K":
            self.cells[self.y][self.x :] = [" "] * (WIDTH - self.x)
        self.x, self.y = min(max(self.x, 0), WIDTH - 1), min(max(self.y, 0), HEIGHT - 1)

    def put(self, character):
        if character == "\r":
            self.x = 0
        elif character == "\n":
            self.y = min(self.y + 1, HEIGHT - 1)
        elif character >= " " and self.x < WIDTH:
            self.cells[self.y][self.x] = character
            self.x += 1

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells) + "\n"


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(binary, [binary, "--device", device, "--network", NETWORK, *sys.argv[5:]])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    began, terminal, total, seen = time.monotonic(), Terminal(), 0, ""
    step = (seconds - START - END) / len(KEYS)
    keys = [(START + i * step, key) for i, key in enumerate(KEYS)]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    dumps = 0

    def read(wait):
        nonlocal total, seen
        if not select.select([fd], [], [], wait)[0]:
            return True
        try:
            some = os.read(fd, 65536)
        except OSError:
            return False
        total += len(some)
        terminal.feed(decoder.decode(some))
        return bool(some)

    def dump():
        nonlocal dumps, seen
        text = terminal.text()
        seen += text
        (folder / f"screen-{dumps:02}.txt").write_text(text)
        dumps += 1

    alive = True
    while alive and time.monotonic() - began < seconds:
        if keys and time.monotonic() - began >= keys[0][0]:
            dump()
            os.write(fd, keys.pop(0)[1])
        alive = read(0.05)
    lived = alive
    rate = total / 1000 / max(time.monotonic() - began, 1)
    dump()
    status = None
    if lived:
        os.write(fd, b"q")
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            read(0.05)
        else:
            os.kill(pid, signal.SIGKILL)
            status = None
    else:
        _, status = os.waitpid(pid, 0)
    checks = {
        f"lived for {seconds} s": lived,
        "was steady": "STEADY" in seen,
        "showed watts" + ("" if CARD else ", or why there are none"): re.search(r"[0-9] +W\b" + ("" if CARD else "|no power"), seen) is not None,
        "said whether a graph is replayed": not CARD or "graph" in seen,
        "quit on q with 0": lived and status == 0,
        "nothing panicked": "panicked" not in seen,
    }
    print(f"{rate:.1f} kB/s to the terminal, {dumps} screens")
    for name, right in checks.items():
        print(("ok   " if right else "WRONG"), name)
    sys.exit(0 if all(checks.values()) else 1)


main()
