"""The parts of `tests/gpu/run`: `parts.py PART SECONDS`, or `parts.py bundle 0`. Each prints what it finds as it goes, leaves
its figures in $WORK/figures, ends within its seconds, and exits 1 where something is wrong."""

import csv
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import speed
from engine import Engine, Failed, OutOfTime, die_with_parent, median

BINARY, DEVICE = os.environ["WATTSCOPE"], os.environ["DEVICE"]
WORK, OUT = pathlib.Path(os.environ["WORK"]), pathlib.Path(os.environ["OUT"])
CARD = DEVICE != "cpu"
HERE = pathlib.Path(__file__).resolve().parent
BEGAN = time.monotonic()
PARTS = {}
# Most that one file of the results may take, and all of them together.
LARGEST = 15 << 20


class Part:
    """What a part has found: figures, words for the report, and what is wrong."""

    def __init__(self, name, seconds):
        self.name, self.seconds = name, seconds
        self.figures, self.text, self.wrong = {}, [], []
        self.folder = WORK / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def left(self):
        return self.seconds - (time.monotonic() - BEGAN)

    def deadline(self):
        return BEGAN + self.seconds

    def say(self, line=""):
        print(line)
        self.text.append(line)

    def fail(self, line):
        print(f"WRONG: {line}")
        self.wrong.append(line)

    def expect(self, right, line):
        print(f"{'ok   ' if right else 'WRONG'} {line}")
        if not right:
            self.wrong.append(line)

    def wattscope(self, *arguments, seconds=None, **options):
        """Runs it to its end, or until the time is over: exit code (none then) and output; stderr goes to a log."""
        log = open(self.folder / "wattscope.stderr", "ab")
        log.write(f"$ wattscope {' '.join(map(str, arguments))}\n".encode())
        log.flush()
        process = subprocess.Popen([BINARY, *map(str, arguments)], stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent, **options)
        try:
            out, _ = process.communicate(timeout=max(1, seconds or self.left() - 1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                out, _ = process.communicate(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                out, _ = process.communicate()
            return None, out
        return process.returncode, out

    def records(self, *arguments, **options):
        """The JSON lines of a command."""
        code, out = self.wattscope(*arguments, **options)
        return code, [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def close(self):
        folder = WORK / "figures"
        folder.mkdir(exist_ok=True)
        took = time.monotonic() - BEGAN
        kept = {"part": self.name, "seconds": round(took, 1), "wrong": self.wrong, "text": self.text, "figures": self.figures}
        (folder / f"{self.name}.json").write_text(json.dumps(kept, indent=1))
        return 1 if self.wrong else 0


def part(function):
    PARTS[function.__name__] = function
    return function


def networks():
    return [n["id"] for n in json.loads(subprocess.run([BINARY, "networks", "--json"], capture_output=True, check=True).stdout)]


def precisions():
    return next(d for d in json.loads((WORK / "devices.json").read_text()) if d["name"] == DEVICE)["precisions"]


def half():
    """The precision that a card is bought for; the CPU's only fast one."""
    return "f16" if CARD else "f32"


def run(command, seconds=10):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        return (done.stdout + done.stderr).strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"


@part
def devices(p):
    devices = json.loads((WORK / "devices.json").read_text())
    for device in devices:
        p.say(f"{device['name']}: {device['title']}: {', '.join(device['precisions']) or device['absent']}")
    version = run([BINARY, "--version"])
    smi = run(["nvidia-smi", "--query-gpu=index,name,uuid,driver_version,memory.total,power.limit,clocks.max.sm,compute_cap,mig.mode.current", "--format=csv"])
    (p.folder / "nvidia-smi-q.txt").write_text(run(["nvidia-smi", "-q"]))
    p.say(f"{version}\n{smi}")
    versions = run([os.environ["PYTHON"], "-c", "import torch, torchvision, timm; print(torch.__version__, torchvision.__version__, timm.__version__, torch.version.cuda, torch.cuda.is_available())"], 15)
    p.say(f"PyTorch, torchvision, timm, CUDA, there: {versions.splitlines()[-1] if versions else 'nothing said'}")
    p.say(f"{os.cpu_count()} processors, {os.uname().release}")
    p.figures = {"devices": devices, "nvidia_smi": smi, "wattscope": version, "pytorch": versions}
    if CARD:
        p.expect(smi.startswith("index"), "nvidia-smi answers")
        ours = [d["uuid"] for d in devices if d["name"] == DEVICE]
        p.expect(bool(ours[0]) and ours[0] in smi, "wattscope and nvidia-smi name the same card")


@part
def check(p):
    todo, wanted = networks(), precisions()
    if not CARD:
        todo = todo[:2]
    want = len(todo) * len(wanted)
    done, out_of_time = [], False
    # A network that ends the process must not take the others with it.
    while todo and p.left() > 4:
        arguments = [BINARY, "check", *todo, "--precision", ",".join(wanted), "--device", DEVICE, "--json"]
        log = open(p.folder / "check.stderr", "ab")
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent)
        out_of_time = follow(process, p.deadline() - 2, lambda line: checked(p, done, line))
        if out_of_time or process.returncode in (0, 1):
            break
        # In the order asked for: the one after the last that was finished is the one that ended it.
        finished = sum(1 for row in done if row["network"] in todo)
        todo = todo[finished // len(wanted) :]
        if not todo:
            break
        p.fail(f"{todo[0]}: the process died in it, exit code {process.returncode}: {last_line(p.folder / 'check.stderr')}")
        todo = todo[1:]
    p.figures = {"checks": done, "wanted": want}
    bad = [row for row in done if not row["pass"]]
    p.say(f"{len(done) - len(bad)} of {len(done)} within bounds; {want - len(done)} of {want} not reached in {p.seconds:.0f} s")
    p.expect(out_of_time or p.left() <= 4 or len(done) == want, "none is missing that there was time for")
    for row in bad:
        p.fail(f"{row['network']} {row['precision']}: {row.get('failure') or row.get('error')}, bound {row.get('bound')}")
    for precision in wanted:
        errors = [row["error"] for row in done if row["precision"] == precision and row.get("error") is not None]
        if errors:
            p.say(f"{precision}: largest error {max(errors):.1e}, median {median(errors):.1e}, {len(errors)} networks")
    p.expect(bool(done), "at least one network was checked")


def checked(p, done, line):
    row = json.loads(line)
    done.append(row)
    error = row.get("failure") or f"{row['error']:.1e} of {row['bound']:.0e}" if row.get("error") is not None or row.get("failure") else "not finite"
    print(f"  {'pass' if row['pass'] else 'FAIL'}  {row['network']:<16} {row['precision']:<5} {error}")


def follow(process, deadline, each):
    """Gives each line of a process as it comes; true where it had to be ended because the time was over."""
    os.set_blocking(process.stdout.fileno(), False)
    pending, descriptor = "", process.stdout.fileno()
    while True:
        try:
            some = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                return True
            time.sleep(0.02)
            continue
        if not some:
            process.wait()
            return False
        pending += some.decode(errors="replace")
        *lines, pending = pending.split("\n")
        for line in filter(None, lines):
            each(line)


def last_line(path):
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing said"


@part
def speed_part(p):
    some = {}
    wanted = precisions()[:1] + ["f16"]
    if not CARD:
        wanted = ["f32"]
        some = {"networks": ["squeezenet1.1", "alexnet-owt", "mobilenet-v2"], "batches": [[1], [4]], "compiled": [("squeezenet1.1", 1)]}
    found = speed.measure(DEVICE, wanted, str(p.folder), p.seconds - 2, **some)
    p.text.append(found.pop("table"))
    p.figures = found
    for name, means in found["means"].items():
        for against, mean in means.items():
            print(f"{name} against {against}: {mean['geometric_mean']:.2f} over {mean['configurations']}, at least 1 in {mean['at_least_1']}")
    print(speed.left_out_of(found["left_out"]))
    for failure in found["failures"]:
        p.fail(failure)
    p.expect(any("ours" in row and row["torch"] for row in found["rows"]), "at least one configuration has both sides")


PARTS["speed"] = PARTS.pop("speed_part")


@part
def flops(p):
    batch = 256 if CARD else 4
    code, records = p.records("run", "--network", "resnet50", "--batch", batch, "--precision", half(), "--device", DEVICE, "--seconds", 3, "--log", p.folder / "flops.log", "--json")
    p.expect(code == 0 and len(records) == 1, f"`run` ends with 0 and one record (exit code {code})")
    if not records or "error" in records[0]:
        p.fail(records[0]["error"] if records else "no record")
        return
    r = records[0]
    p.figures = r
    macs = next(n["macs"] for n in json.loads(subprocess.run([BINARY, "networks", "--json"], capture_output=True, check=True).stdout) if n["id"] == "resnet50")
    achieved = 2 * macs * r["images_per_s"]
    p.say(f"ResNet-50 {half()} batch {batch}: {r['images_per_s']:.0f} images/s, {r['latency_ms']['p50']:.3f} ms, {achieved / 1e12:.2f} TFLOP/s")
    p.expect(bool(r["peak_flops"]), "a peak was measured")
    if r["peak_flops"]:
        share = 100 * achieved / r["peak_flops"]
        p.say(f"peak {r['peak_flops'] / 1e12:.1f} TFLOP/s by {r['peak_source']}: FLOP utilisation {share:.1f} %")
        p.expect(abs(share - r["flop_utilisation_percent"]) < 0.5, f"the record says the same: {r['flop_utilisation_percent']:.1f} %")
        p.expect(0 < share <= 100, "between 0 and 100 %")


@part
def choices(p):
    wanted = ["resnet50", "mobilenet-v2", "googlenet"] if CARD else ["squeezenet1.1", "mobilenet-v2"]
    batches = [1, 32] if CARD else [1]
    ways = {"as it is": [], "--no-fold": ["--no-fold"], "--no-graph": ["--no-graph"]}
    rows = []
    cache_time = 0.4 * p.seconds
    end = p.deadline() - cache_time
    engines = {}
    for network, batch in [(network, batch) for batch in batches for network in wanted]:
        if time.monotonic() + 5 > end:
            p.say(f"not measured for want of time: {network} batch {batch}")
            continue
        for way, flags in ways.items():
            if way not in engines:
                engines[way] = Engine(*flags, log=p.folder / f"engine-{way.strip('-').replace(' ', '-')}.log")
        try:
            rows.append(compare(p, engines, network, batch, end))
        except Failed as failed:
            (p.say if isinstance(failed, OutOfTime) else p.fail)(str(failed))
            # Whichever it was: none of them is where it should be, and new ones find what was compiled and tuned.
            while engines:
                engines.popitem()[1].__exit__()
    for engine in engines.values():
        engine.__exit__()
    p.say(f"\n| network | batch | as it is, ms | {' | '.join(f'{way}, ms (times)' for way in list(ways)[1:])} | graph |")
    p.say("|---|---|---|---|---|---|")
    for row in rows:
        base = row["ms"]["as it is"]
        others = " | ".join(f"{row['ms'][way]:.3f} ({row['ms'][way] / base:.2f})" for way in list(ways)[1:])
        p.say(f"| {row['network']} | {row['batch']} | {base:.3f} | {others} | {row['graph']['why'] if row['graph'] else '–'} |")
    p.say()
    starts = cache(p)
    p.figures = {"rows": rows, "cache": starts}
    p.expect(bool(rows), "at least one configuration was compared")
    if CARD:
        told = [row["graph"] for row in rows]
        p.expect(all(told), "every run says whether it replays a graph")
        used = [g for g in told if g and g["used"]]
        p.say(f"{len(used)} of {len(told)} replay a graph" + "".join(f"; not: {g['why']}" for g in told if g and not g["used"]))
        failed = [g["why"] for g in told if g and g["why"].startswith("failed")]
        for why in failed:
            p.fail(f"a graph could not be captured: {why}")


def compare(p, engines, network, batch, end):
    """One configuration in each way, in turns."""
    times = {way: [] for way in engines}
    graph = None
    for way, engine in engines.items():
        found = engine.run(network, batch, half(), DEVICE, end)
        if way == "as it is":
            graph = found["graph"]
        engine.stop()
    for _ in range(3):
        for way, engine in engines.items():
            times[way].append(engine.turn(0.15, end))
    for engine in engines.values():
        engine.rest()
    ms = {way: median([ms for turn in turns for ms in turn]) for way, turns in times.items()}
    print(f"  {network} batch {batch}: " + ", ".join(f"{way} {value:.3f} ms" for way, value in ms.items()))
    return {"network": network, "batch": batch, "precision": half(), "ms": ms, "graph": graph}


def cache(p):
    """A first start, with nothing kept, beside a second and a third."""
    network, batch = ("resnet18", 32) if CARD else ("squeezenet1.1", 1)
    folder = p.folder / "cache"
    starts = []
    for name in ("first", "second", "third"):
        try:
            with Engine(env={"XDG_CACHE_HOME": str(folder)}, log=p.folder / "cache.log") as engine:
                found = engine.run(network, batch, half(), DEVICE, p.deadline() - 2)
        except Failed as failed:
            (p.say if isinstance(failed, OutOfTime) else p.fail)(f"{name} start: {failed}")
            break
        kept = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        starts.append({"start": name, "first_batch_s": found["first_s"], "steady_s": found["steady_s"], "kept_bytes": kept})
        p.say(f"{name} start, {network} batch {batch} {half()}: first measured batch after {found['first_s']:.2f} s, steady after {found['steady_s']:.2f} s; {kept} bytes are kept")
    if CARD and len(starts) > 1:
        p.expect(starts[0]["kept_bytes"] > 0, "tuning results and compiled kernels are in the cache folder")
        p.expect(starts[1]["first_batch_s"] < starts[0]["first_batch_s"], "the second start is faster")
    shutil.rmtree(folder, ignore_errors=True)
    return starts


@part
def layers(p):
    if "unrecognized subcommand" in run([BINARY, "layers", "--help"]):
        p.fail("this binary has no `wattscope layers`")
        return
    batch = 32 if CARD else 1
    wanted = [("resnet50", batch, half())]
    known = WORK / "figures" / "speed.json"
    if known.exists():
        farthest = speed.farthest(json.loads(known.read_text())["figures"].get("rows", []), 3)
        p.say("farthest from PyTorch: " + (", ".join(f"{n} batch {b} {pr} ({ratio:.2f})" for n, ratio, b, pr in farthest) or "not known"))
        wanted += [(n, b, pr) for n, _, b, pr in farthest if (n, b, pr) != wanted[0]]
    for network, batch, precision in wanted:
        if p.left() < 4:
            p.say(f"not measured for want of time: {network} batch {batch} {precision}")
            continue
        arguments = ["layers", network, "--batch", batch, "--precision", precision, "--device", DEVICE]
        code, records = p.records(*arguments, "--json", seconds=p.left() - 2)
        name = f"{network} batch {batch} {precision}"
        record = records[0] if records else {}
        rows = record.get("layers", [])
        p.expect(code == 0 and bool(rows), f"layers of {name} (exit code {code}) {record.get('error', '')}")
        p.figures[name] = record
        if rows:
            slowest(p, name, record, rows)


def slowest(p, name, record, rows):
    """The layers that take most, and what they reach."""
    p.say(f"\n{name}: {len(rows)} layers, {record['sum_ms']:.3f} ms by the {record['clock']} clock, the whole {record['whole_ms']:.3f} ms")
    p.say("\n| layer | kind | detail | ms | share, % | TFLOP/s | GB/s | roof | of it, % |\n|---|---|---|---|---|---|---|---|---|")
    number = lambda value, unit: "–" if value is None else f"{value / unit:.4g}"
    for row in sorted(rows, key=lambda row: row["time_ms"] or 0, reverse=True)[:10]:
        figures = [number(row[key], unit) for key, unit in (("time_ms", 1), ("share", 0.01), ("flops", 1e12), ("bytes_per_s", 1e9))]
        p.say(f"| {row['number']} | {row['kind']} | {row['detail']} | {' | '.join(figures)} | {row['roof'] or '–'} | {number(row['roof_share'], 0.01)} |")


@part
def oom(p):
    # On a card, VGG-19's first activations alone are 105 GB; on the CPU the inputs are beyond the limit that is set.
    network, batch, limit = ("vgg19", 8192, []) if CARD else ("squeezenet1.1", 2048, ["--memory-limit", "1GiB"])
    code, records = p.records("run", "--network", network, "--batch", f"{batch},1", "--precision", half(), "--device", DEVICE, "--seconds", 1, *limit, "--log", p.folder / "oom.log", "--json")
    p.figures = {"records": records}
    p.expect(code == 1, f"exit code 1, as something failed: {code}")
    p.expect(len(records) == 2, f"two records: {len(records)}")
    first, second = (records + [{}, {}])[:2]
    p.say(f"batch {batch}: {first.get('error')}; asked for {first.get('requested_bytes')} bytes")
    p.expect(first.get("out_of_memory") is True, "the first is out of memory")
    p.expect("latency_ms" in second, f"the second runs: {second.get('latency_ms', {}).get('p50')} ms {second.get('error', '')}")


@part
def live(p):
    seconds = min(60, int(p.left()) - 6)
    record = p.folder / "live.jsonl.zst"
    arguments = [os.environ["PYTHON"], str(HERE / "live.py"), BINARY, DEVICE, str(p.folder), str(seconds), "--record", str(record), "--log", str(p.folder / "live.log")]
    code = subprocess.run(arguments, timeout=seconds + 15).returncode
    p.expect(code == 0, f"the live screen lived for {seconds} s, showed what it should and ended as asked (exit code {code})")
    p.expect(record.exists() and record.stat().st_size > 1000, "the recording is there")
    code, out = p.wattscope("export", record, "--table", "runs", "--format", "json", seconds=20)
    rows = json.loads(out) if code == 0 and out.strip() else []
    measured = [row for row in rows if row["outcome"] == "measured"]
    p.figures = {"seconds": seconds, "runs": rows, "recording_bytes": record.stat().st_size if record.exists() else 0}
    for row in rows:
        p.say(f"  {row['network']} batch {row['batch_images']} {row['precision']}: {row['outcome']}, {row['latency_p50_ms']} ms, {row['power_gross_w']} W, graph: {row.get('graph_why')}")
    p.expect(len(measured) >= 3, f"the keys made at least three runs that were measured: {len(measured)}")
    screens = sorted(p.folder.glob("screen-*.txt"))
    p.expect(bool(screens), f"{len(screens)} screens were dumped")
    if screens:
        print(screens[-1].read_text())


@part
def power(p):
    session = p.folder / "power.jsonl"
    witness = p.folder / "nvidia-smi.csv"
    sampler = None
    fields = "timestamp,power.draw.instant,power.draw.average,clocks.sm,temperature.gpu,utilization.gpu"
    if shutil.which("nvidia-smi"):
        index = DEVICE.partition(":")[2] or "0"
        sampler = subprocess.Popen(["nvidia-smi", "-i", index, f"--query-gpu={fields}", "--format=csv,noheader,nounits", "-lms", "100"], stdout=open(witness, "w"), stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    some = ("resnet50,vgg16", "1,32") if CARD else ("squeezenet1.1", "1,2")
    try:
        arguments = ["sweep", "--network", some[0], "--batch", some[1], "--precision", half(), "--device", DEVICE, "--seconds", 2, "--repeat", 1, "--order", "given", "--cooldown", "500ms", "-o", session, "--log", p.folder / "power.log"]
        code, records = p.records(*arguments, "--json", seconds=p.left() - 4)
    finally:
        if sampler:
            sampler.send_signal(signal.SIGTERM)
            sampler.wait()
    p.expect(code in (0, None), f"the sweep ended with 0 (exit code {code})")
    if code is None:
        p.say("the sweep was ended because its time was over")
    stream = [json.loads(line) for line in open(session)] if session.exists() else []
    p.expect(bool(stream), "the session is there")
    watts(p, stream, records, read_smi(witness) if witness.exists() else [], complete=code is not None)


def read_smi(path):
    """Rows of nvidia-smi: seconds since 1970 and its figures; what is not a number is none."""
    rows = []
    zone = datetime.datetime.now().astimezone().tzinfo
    for row in csv.reader(open(path)):
        try:
            then = datetime.datetime.strptime(row[0].strip(), "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=zone).timestamp()
        except (ValueError, IndexError):
            continue
        numbers = []
        for cell in row[1:]:
            try:
                numbers.append(float(cell))
            except ValueError:
                numbers.append(None)
        rows.append((then, *numbers))
    return rows


def watts(p, stream, records, smi, complete):
    """What the session says of power, beside the witness: run by run, and idle before and after."""
    sensors = {s["id"]: s for event in stream if event["type"] == "sensors" for s in event["sensors"]}
    of = lambda quantity: next((i for i, s in sensors.items() if s["device"] == DEVICE and s["quantity"] == quantity and not s.get("absent")), None)
    instant, average, energy = of("power_instant"), of("power_average"), of("energy")
    absent = [s["absent"] for s in sensors.values() if s["quantity"].startswith("power") and s.get("absent")]
    if instant is None and average is None:
        p.say(f"no power sensor of {DEVICE}: {'; '.join(dict.fromkeys(absent)) or 'none is announced'}")
        p.expect(not CARD, "a card has a power sensor")
        p.expect(all(r.get("power_w") is None and r.get("power_note") for r in records if "latency_ms" in r), "the records say so, too")
        return
    readings = [(event["t"] / 1e9, dict(event["values"])) for event in stream if event["type"] == "samples"]
    header = next(event for event in stream if event["type"] == "header")
    zero = datetime.datetime.fromisoformat(header["started"].replace("Z", "+00:00")).timestamp()
    within = lambda sensor, a, b: [(t, v[sensor]) for t, v in readings if a <= t <= b and v.get(sensor) is not None] if sensor is not None else []
    mean = lambda values: sum(values) / len(values) if values else None
    rows = []
    for name, config, a, b in stretches(stream):
        ours = within(instant if instant is not None else average, a, b)
        if len(ours) < 5:
            continue
        theirs = [row[1] for row in smi if a <= row[0] - zero <= b and row[1] is not None]
        values = [v for _, v in ours]
        middle = mean(values)
        counter = within(energy, a, b)
        integral = sum((t1 - t0) * (v0 + v1) / 2 for (t0, v0), (t1, v1) in zip(ours, ours[1:]))
        row = {
            "what": name, "config": config, "seconds": b - a, "readings": len(ours), "instant_w": middle,
            "deviation_w": mean([(v - middle) ** 2 for v in values]) ** 0.5,
            "average_w": mean([v for _, v in within(average, a, b)]),
            "nvidia_smi_instant_w": mean(theirs), "nvidia_smi_readings": len(theirs),
            "counter_w": (counter[-1][1] - counter[0][1]) / (counter[-1][0] - counter[0][0]) if len(counter) > 1 and counter[-1][0] > counter[0][0] else None,
            "integral_w": integral / (ours[-1][0] - ours[0][0]),
        }  # fmt: skip
        rows.append(row)
    p.figures = {"stretches": rows, "records": records, "sensors": list(sensors.values())}
    number = lambda value: "–" if value is None else f"{value:.1f}"
    p.say("\n| what | s | instant, W | ± | average, W | nvidia-smi, W | counter, W | integral, W |\n|---|---|---|---|---|---|---|---|")
    for r in rows:
        p.say(f"| {r['what']} | {r['seconds']:.1f} | {number(r['instant_w'])} | {number(r['deviation_w'])} | {number(r['average_w'])} | {number(r['nvidia_smi_instant_w'])} ({r['nvidia_smi_readings']}) | {number(r['counter_w'])} | {number(r['integral_w'])} |")
    p.say()
    p.expect(any(r["what"] == "idle before" for r in rows), "idle power was read before the first engine")
    if complete:
        p.expect(any(r["what"] == "idle after" for r in rows), "and after the last one")
    loads = [r for r in rows if not r["what"].startswith("idle")]
    p.expect(bool(loads), "power was read under load")
    for r in loads:
        near = lambda other, share: other is not None and abs(other - r["instant_w"]) <= share * r["instant_w"]
        if smi:
            p.expect(near(r["nvidia_smi_instant_w"], 0.1), f"{r['what']}: nvidia-smi's mean is within 10 %")
        if energy is not None:
            p.expect(near(r["counter_w"], 0.1), f"{r['what']}: the counter's mean is within 10 % of the integral's")
    p.expect(bool(smi) or not CARD, "nvidia-smi was a witness")


def stretches(stream):
    """Idle before, each steady run from one second on, idle after: name, configuration, from, to; seconds of the session."""
    settled, cooling = 1.0, 3.0
    first = next((e["t"] / 1e9 for e in stream if e["type"] == "engine_started"), None)
    begin = next((e["t"] / 1e9 for e in stream if e["type"] == "samples"), 0.0)
    if first:
        yield "idle before", None, begin, first
    running, since = None, None
    for event in stream:
        t = event["t"] / 1e9
        kind = event["type"]
        if kind == "phase" and event["phase"] == "steady":
            running, since = event["config"], t + settled
        elif kind in ("step_done", "resting", "phase", "out_of_memory", "engine_died", "failing") and running:
            if t > since:
                yield f"{running['network']} batch {running['batch']} {running['precision']}", running, since, t
            running = None
    stopped = [e["t"] / 1e9 for e in stream if e["type"] == "resting" and e["engine_stopped"]]
    if stopped:
        yield "idle after", None, stopped[-1] + cooling, stream[-1]["t"] / 1e9


@part
def sweep(p):
    session = p.folder / "sweep.jsonl.zst"
    some = ("all", "32", "0.3") if CARD else ("alexnet-owt,squeezenet1.1,resnet18", "1,2", "0.5")
    arguments = ["sweep", "--network", some[0], "--batch", some[1], "--precision", half(), "--device", DEVICE, "--seconds", some[2], "--repeat", 1, "--order", "given", "--cooldown", "0s", "-o", session, "--log", p.folder / "sweep.log"]
    code, records = p.records(*arguments, "--json", seconds=p.left() - 8)
    p.figures = {"records": records}
    for r in records:
        p.say(f"  {r['network']:<16} batch {r['batch']:>3} " + (f"{r['latency_ms']['p50']:.3f} ms, {r['images_per_s']:.0f} images/s, {r['power_w']} W, {r['joules_per_image']} J/image" if "latency_ms" in r else r["error"]))
    p.say(f"{len(records)} configurations" + ("; ended because its time was over" if code is None else f"; exit code {code}"))
    p.expect(code in (0, None), "nothing failed")
    p.expect(bool(records), "at least one was measured")
    code, out = p.wattscope("report", session, "-o", p.folder / "report", seconds=p.left() - 1)
    p.expect(code == 0, f"the report was made (exit code {code})")
    p.expect((p.folder / "report" / "report.html").exists(), "report.html is there")


def bundle():
    """Everything in four files: OUT is small, and what is too large for it is named."""
    done = sorted((WORK / "figures").glob("*.json"), key=lambda f: f.stat().st_mtime) if (WORK / "figures").exists() else []
    found = [json.loads(f.read_text()) for f in done]
    (OUT / "results.json").write_text(json.dumps({f["part"]: f for f in found}))
    text = ["# tests/gpu/run\n"]
    for f in found:
        text.append(f"## {f['part']} ({f['seconds']:.0f} s)\n")
        text += [line if line.startswith("|") or "\n|" in line else line + "  " for line in f["text"]]
        text += ["", *(f"- WRONG: {line}" for line in f["wrong"]), ""]
    (OUT / "results.md").write_text("\n".join(text))
    rebuilt = ("cache", "figures", "wattscope", "wattscope.part")
    files = [f for f in WORK.rglob("*") if f.is_file() and f.relative_to(WORK).parts[0] not in rebuilt and f.parent.name != "sessions"]
    left_out = []
    target = OUT / "files.tar.gz"
    while True:
        with tarfile.open(target, "w:gz", compresslevel=6) as archive:
            for f in files:
                archive.add(f, f.relative_to(WORK))
        if target.stat().st_size <= LARGEST or not files:
            break
        largest = max(files, key=lambda f: f.stat().st_size)
        files.remove(largest)
        left_out.append(str(largest.relative_to(WORK)))
    if left_out:
        print(f"too large for the results, left out: {', '.join(left_out)}")
    return 0


def main():
    name, seconds = sys.argv[1], float(sys.argv[2])
    if name == "bundle":
        return bundle()
    p = Part(name, seconds)
    try:
        PARTS[name](p)
    except Exception as error:
        import traceback

        traceback.print_exc()
        p.fail(f"the part itself broke: {type(error).__name__}: {error}")
    return p.close()


if __name__ == "__main__":
    sys.exit(main())
