"""The live screen under a pseudo-terminal of 120x36: keys are pressed, the raw output and its rate are kept.

usage: live.py BINARY DEVICE OUTPUT [ARGUMENT...]
"""
import os, pty, select, struct, sys, termios, time, fcntl, signal

binary, device, output = sys.argv[1:4]
SECONDS = 20
# When to press what: the batch is doubled five times, then the network and the precision change.
KEYS = [(6 + i, b"\x1b[C") for i in range(5)] + [(13, b"\x1b[B"), (16, b"p")]

pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm-256color"
    os.execv(binary, [binary, "--device", device, "--network", "resnet50"] + sys.argv[4:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
began, raw, keys = time.monotonic(), bytearray(), list(KEYS)
while time.monotonic() - began < SECONDS:
    if keys and time.monotonic() - began >= keys[0][0]:
        os.write(fd, keys.pop(0)[1])
    if select.select([fd], [], [], 0.1)[0]:
        try:
            raw += os.read(fd, 65536)
        except OSError:
            break
lived = time.monotonic() - began >= SECONDS
if lived:
    os.write(fd, b"q")
    deadline = time.monotonic() + 5
    status = None
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if select.select([fd], [], [], 0.1)[0]:
            try:
                raw += os.read(fd, 65536)
            except OSError:
                pass
    else:
        os.kill(pid, signal.SIGKILL)
        status = None
open(output, "wb").write(raw)
text = raw.decode("utf-8", "replace")
checks = {
    "lived for %d s" % SECONDS: lived,
    "was steady": "STEADY" in text,
    "showed watts": " W" in text if device.startswith("cuda") else "no power sensor" in text,
    "quit cleanly on q": lived and status == 0,
}
print("%.1f kB/s to the terminal" % (len(raw) / 1000 / SECONDS))
for name, ok in checks.items():
    print(("ok  " if ok else "FAIL"), name)
sys.exit(0 if all(checks.values()) else 1)
