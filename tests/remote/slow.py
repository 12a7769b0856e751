"""A link between stdin/stdout and a TCP port that takes its time: for ssh's ProxyCommand.

usage: slow.py HOST PORT BYTES_PER_S DELAY_MS
"""
import queue, socket, sys, threading, time

host, port, rate, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]) / 1e3
link = socket.create_connection((host, port))


def pump(read, write):
    waiting = queue.Queue(64)

    def reader():
        while True:
            data = read()
            waiting.put((time.monotonic() + delay, data))
            if not data:
                return

    threading.Thread(target=reader, daemon=True).start()
    while True:
        due, data = waiting.get()
        time.sleep(max(0, due - time.monotonic()))
        if not data:
            return
        write(data)
        time.sleep(len(data) / rate)


def out(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


threading.Thread(target=pump, args=(lambda: sys.stdin.buffer.read1(4096), link.sendall), daemon=True).start()
pump(lambda: link.recv(4096), out)
