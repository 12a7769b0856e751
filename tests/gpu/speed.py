"""images/s of wattscope and of PyTorch on the same device, in turns: ours, eager, compiled, ours, …

Both time a batch alike: the device synchronised at both ends and an element of the logits read back. Each figure is the
median of all batches of all turns; a ratio is ours over theirs, above 1 where wattscope is faster.
"""

import json
import math
import os
import select
import subprocess
import time

from engine import Engine, Failed, OutOfTime, die_with_parent, median

# The most telling first: what is left out when time is over is at the end.
NETWORKS = [
    "resnet50", "mobilenet-v2", "vgg16", "googlenet", "alexnet-owt", "efficientnet-b0", "inception-v3", "densenet121",
    "resnet18", "squeezenet1.1", "resnet101", "inception-v4", "mobilenet-v1", "alexnet", "bn-nin", "enet", "resnet34",
    "googlenet-bn", "vgg19", "resnet152", "bn-alexnet",
]  # fmt: skip
BATCHES = [[1, 32], [8, 128]]
# torch.compile takes 20 to 60 s a network and batch, so only these, and only in the last part of the time.
COMPILED = [("resnet50", 1), ("resnet50", 32), ("mobilenet-v2", 1), ("vgg16", 32)]
COMPILE_SHARE = 0.35
ROUNDS = 3
TURN = 0.12


class PyTorch:
    """The worker process; one that does not answer in time is ended, and the next command starts another."""

    def __init__(self, log):
        self.log, self.process, self.loaded = log, None, None

    def start(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorch.py")
        self.process = subprocess.Popen(
            [os.environ["PYTHON"], script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            bufsize=1, preexec_fn=die_with_parent,
        )  # fmt: skip

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process, self.loaded = None, None

    def ask(self, deadline, **command):
        if not self.process:
            self.start()
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        ready = select.select([self.process.stdout], [], [], max(0.1, deadline - time.monotonic()))[0]
        line = self.process.stdout.readline() if ready else None
        if not line:
            self.close()
            raise OutOfTime("PyTorch did not answer in the time there was") if line is None else Failed("PyTorch's process is gone: see pytorch.log")
        said = json.loads(line)
        if "error" in said:
            raise Failed(said["error"])
        return said

    def turn(self, network, variant, batch, seconds, deadline):
        if self.loaded != network:
            self.ask(deadline, do="load", network=network)
            self.loaded = network
        return self.ask(deadline, do="turn", variant=variant, batch=batch, seconds=seconds)["ms"]


def variants(precision):
    """What ours is compared with: the same precision as PyTorch has it, in its layouts."""
    if precision == "f16":
        return ["f16", "f16 channels_last"]
    return ["f32", "tf32"] if precision == "tf32" else ["f32"]


def configuration(engine, torch, network, batch, precision, theirs, device, deadline):
    """One configuration in turns. A side that fails says why in its place; the other is measured all the same."""
    row = {"network": network, "batch": batch, "precision": precision, "torch": {}, "failures": {}, "out_of_time": []}
    times = {}
    try:
        found = engine.run(network, batch, precision, device, deadline)
        row |= {"tuning_s": found["first_s"], "graph": found["graph"], "memory_bytes": found["memory"]}
        engine.stop()
        times["ours"] = []
    except Failed as failed:
        fail(row, "ours", failed)
        raise Broken(row) from None
    sides = ["ours", *theirs]
    for round in range(ROUNDS):
        for side in list(sides):
            try:
                if side == "ours":
                    found = engine.turn(TURN, deadline)
                else:
                    found = torch.turn(network, side, batch, TURN, deadline)
                times.setdefault(side, []).append(found)
            except Failed as failed:
                fail(row, side, failed)
                if side == "ours":
                    raise Broken(row) from None
                sides.remove(side)
        if time.monotonic() > deadline:
            break
    for side, turns in times.items():
        if not turns:
            continue
        all_ms = [ms for turn in turns for ms in turn]
        middle = median(all_ms)
        rounds = [median(turn) for turn in turns]
        figure = {"ms": middle, "images_per_s": 1e3 * batch / middle, "batches": len(all_ms), "ms_of_rounds": rounds}
        if side == "ours":
            row["ours"] = figure
        else:
            row["torch"][side] = figure
    for side, figure in row["torch"].items():
        if "ours" in row:
            figure["ratio"] = figure["ms"] / row["ours"]["ms"]
    return row


def fail(row, side, failed):
    row["failures"][side] = str(failed)
    if isinstance(failed, OutOfTime):
        row["out_of_time"].append(side)


class Broken(Exception):
    """Our engine can't go on as it is; what is known of the configuration."""


def best(row, compiled=None):
    """PyTorch's fastest: eager alone, compiled alone, or of both."""
    of = [f for v, f in row["torch"].items() if compiled is None or v.endswith("compile") == compiled]
    return min(of, key=lambda f: f["ms"], default=None)


def geometric_mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def summarise(rows):
    """Geometric means by precision: against each variant, and against the fastest eager one of each configuration."""
    means = {}
    for precision in dict.fromkeys(row["precision"] for row in rows):
        of = [row for row in rows if row["precision"] == precision and "ours" in row]
        names = dict.fromkeys(variant for row in of for variant in row["torch"])
        # A configuration that was compiled was measured with the others before: its eager figures would count twice.
        once = [row for row in of if not row.get("compiled")]
        found = {
            name: [r["torch"][name]["ratio"] for r in (of if name.endswith("compile") else once) if name in r["torch"]]
            for name in names
        }
        found["fastest eager"] = [best(r, False)["ratio"] for r in once if best(r, False)]
        means[precision] = {
            name: {"geometric_mean": geometric_mean(ratios), "configurations": len(ratios), "at_least_1": sum(r >= 1 for r in ratios)}
            for name, ratios in found.items()
            if ratios
        }
    return means


def table(rows, means, left_out, versions):
    """Markdown."""
    text = [f"PyTorch {versions.get('torch')}, CUDA {versions.get('cuda')}, cuDNN {versions.get('cudnn')}, {versions.get('card') or 'on the CPU, to try the script: the turns are too short to compare anything'}"]
    text += ["", "| precision | against | geometric mean of ours / theirs | configurations | at least 1 |", "|---|---|---|---|---|"]
    for precision, found in means.items():
        for name, mean in found.items():
            text.append(f"| {precision} | {name} | {mean['geometric_mean']:.2f} | {mean['configurations']} | {mean['at_least_1']} |")
    text += ["", "| network | batch | precision | graph | ours, images/s | ours, ms | PyTorch: images/s (ours / theirs) |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        graph = row.get("graph")
        word = "–" if not graph else "yes" if graph["used"] else f"no: {graph['why']}"
        ours = row.get("ours")
        mine = f"{ours['images_per_s']:.0f} | {ours['ms']:.3f}" if ours else f"{row['failures'].get('ours', '–')} | –"
        theirs = [f"{name} {f['images_per_s']:.0f} ({f['ratio']:.2f})" if "ratio" in f else f"{name} {f['images_per_s']:.0f}" for name, f in row["torch"].items()]
        theirs += [f"{name}: {why}" for name, why in row["failures"].items() if name != "ours"]
        text.append(f"| {row['network']} | {row['batch']} | {row['precision']} | {word} | {mine} | {'; '.join(theirs) or '–'} |")
    text += ["", left_out_of(left_out)]
    return "\n".join(text) + "\n"


def left_out_of(names, most=12):
    """What was not measured, in a line; all of it is in the JSON."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"not measured for want of time: {len(names)}" + (": " if names else "") + ", ".join(names[:most]) + more


def measure(device, precisions, work, seconds, networks=NETWORKS, batches=BATCHES, compiled=COMPILED, tell=print):
    """Measures as much as there is time for, the most telling first. Gives everything that was found."""
    began = time.monotonic()
    end = began + seconds
    eager_end = began + seconds * (1 - COMPILE_SHARE) if compiled else end
    eager = [(n, b, p) for some in batches for n in networks for p in precisions for b in some]
    rows, left_out, versions, failures = [], [], {}, []
    log = open(os.path.join(work, "pytorch.log"), "ab")
    torch, engine = PyTorch(log), None

    def one(network, batch, precision, theirs, deadline, **more):
        nonlocal engine
        if engine is None:
            engine = Engine(log=os.path.join(work, "speed-engine.log"))
        try:
            row = configuration(engine, torch, network, batch, precision, theirs, device, deadline)
        except Broken as broken:
            (row,) = broken.args
            engine.__exit__()
            engine = None
        row |= more
        name = f"{network} batch {batch} {precision}"
        failures.extend(f"{name}, {side}: {why}" for side, why in row["failures"].items() if side not in row["out_of_time"])
        left_out.extend(f"{name}: {side}" for side in row["out_of_time"])
        rows.append(row)
        tell(line(row))

    try:
        # PyTorch takes its time to come up; ours tunes its first configuration meanwhile.
        torch.start()
        first = eager[0]
        engine = Engine(log=os.path.join(work, "speed-engine.log"))
        try:
            engine.run(first[0], first[1], first[2], device, eager_end)
            engine.stop()
        except Failed:
            # It is measured again below, and says what is wrong there.
            engine.__exit__()
            engine = None
        try:
            versions = torch.ask(time.monotonic() + 40, do="versions")
            names = variants
        except Failed as failed:
            # Ours are worth the time all the same.
            failures.append(f"no comparison: {failed}")
            names, compiled, eager_end = lambda precision: [], [], end
        for network, batch, precision in eager:
            # What a configuration takes is not known before: tuning may take minutes. It gets the time that is left.
            if time.monotonic() + 4 > eager_end:
                left_out.append(f"{network} batch {batch} {precision}")
                continue
            one(network, batch, precision, names(precision), eager_end)
        for network, batch in compiled:
            # Half precision first.
            for precision in reversed(precisions):
                if time.monotonic() + 15 > end:
                    left_out.append(f"{network} batch {batch} {precision} compiled")
                    continue
                fastest = variants(precision)[-1]
                one(network, batch, precision, [fastest, f"{fastest} compile"], end, compiled=True)
    except Failed as failed:
        failures.append(str(failed))
    finally:
        if engine:
            engine.__exit__()
        torch.close()
        log.close()
    means = summarise(rows)
    return {"versions": versions, "rows": rows, "means": means, "left_out": left_out, "failures": failures,
            "table": table(rows, means, left_out, versions)}  # fmt: skip


def line(row):
    head = f"  {row['network']:<16} batch {row['batch']:>3} {row['precision']:<5}"
    ours = f" ours {row['ours']['ms']:9.3f} ms" if "ours" in row else ""
    theirs = "".join(f"  {name} {f['ms']:.3f} ({f.get('ratio', float('nan')):.2f})" for name, f in row["torch"].items())
    graph = "  graph" if (row.get("graph") or {}).get("used") else ""
    failed = "".join(f"  {side}: {why}" for side, why in row["failures"].items())
    tuned = f"  first batch after {row['tuning_s']:.1f} s" if row.get("tuning_s") else ""
    return head + ours + theirs + graph + tuned + failed


def farthest(rows, count=2):
    """The networks whose ratio to PyTorch's fastest eager is lowest, the worst configuration of each."""
    known = [(best(row, False)["ratio"], row["network"], row["batch"], row["precision"]) for row in rows if "ours" in row and best(row, False)]
    worst = {}
    for ratio, network, batch, precision in sorted(known):
        worst.setdefault(network, (ratio, batch, precision))
    return [(network, *found) for network, found in list(worst.items())[:count]]
