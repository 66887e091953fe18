"""The tables of bench/RESULTS.md, made of the report of a run. Each names the card."""
import json
import pathlib


def table(columns, rows):
    """In Markdown. A column whose name ends in a colon holds numbers and is aligned to the right."""
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return "\n".join([line(c.removesuffix(":") for c in columns), "|" + "|".join("--:" if c.endswith(":") else "---" for c in columns) + "|", *map(line, rows)]) + "\n"


def micro(seconds):
    return f"{1e6 * seconds:.1f}" if seconds else "-"


def speed(row, name):
    seconds = row["seconds"].get(name)
    if seconds is None:
        return "-"
    return f"{row['count'] / seconds:,.0f}" if row["unit"] == "images/s" else micro(seconds)


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def card(document):
    return document["device"].get("name", "no device")


def head(document):
    d = document["device"]
    out = [f"{d.get('details') or card(document)}; commit {d.get('commit')}, {d.get('date')}; torch {d.get('torch', 'not here')}."]
    if "first_inference_seconds" in d:
        out.append(f"First inference {d['first_inference_seconds']:.2f} s after a process's start.")
    for key, value in d.items():
        if key.startswith("clock and watts"):
            out.append(f"While {key.split(', ')[1]} ran: {value[0]:.0f} MHz, {value[1]:.0f} W.")
    return "\n".join(out) + "\n"


def checks(document):
    told = document["checks"]
    if not told:
        return ""
    out = [f"**Checks** on {card(document)}: {sum(v is True for v in told.values())} of {len(told)} passed."]
    out += [f"- {k}: {'FAILED' if v is False else 'not done'}" for k, v in told.items() if v is not True]
    if tests := document["tests"]:
        out.append("Tests: " + ", ".join(f"{v} {k}" for k, v in tests.items()) + ".")
    if cases := document["verdicts"]:
        out.append(f"Whole tensors: {sum(cases.values())} of {len(cases)} cases passed.")
    for name, told in document["profiles"].get("sanitizer", {}).items():
        out.append(f"{name}: " + ", ".join(f"{v} {k}" for k, v in told.items() if v) + ".")
    return "\n".join(out) + "\n"


def failed(document):
    rows = document["failed"]
    out = [f"**Failed** on {card(document)}: {len(rows)}."] if rows else []
    out += [f"- {r['what']}: {' | '.join(r['why'].splitlines())[:400]}" for r in rows[:60]]
    out += [f"- the path {path} is dead: {' | '.join(why.splitlines())[:200]}" for path, why in document["dead"].items()]
    return "\n".join(out) + "\n" if out else ""


def goals(document):
    if not document["goals"]:
        return ""
    rows = [[g["goal"], g["what"], f"{g['value']:.2f}" if g["value"] is not None else "-", f"{g['floor']:g}", f"{g['moonshot']:g}",
             ("met" if g["met"] else "missed") + (f": {g['why']}" if g.get("why") else "")] for g in document["goals"]]
    return f"**Goals** on {card(document)}.\n\n" + table(["goal", "what", "reached:", "floor:", "moonshot:", ""], rows)


def profiled(document):
    out = []
    for name, p in document["profiles"].items():
        if name != "sanitizer":
            rows = [[f"`{kernel}`", str(count), f"{t:.1f}"] for kernel, count, t in p["dearest"]]
            out.append(f"**{name}** on {card(document)}: {p['kernels']} kernels, {p['microseconds']:.0f} us in them.\n\n"
                       + table(["kernel", "launches:", "us:"], rows))
    for r in document.get("sustained", []):
        watts = r["clock and watts"]
        out.append(f"Sustained, {r['engine']}: {1e3 * r['first']:.3f} ms per step at first, {1e3 * r['last']:.3f} ms at last"
                   + (f"; {watts[0]:.0f} MHz, {watts[1]:.0f} W." if watts else "."))
    return "\n".join(out) + "\n" if out else ""


def machine(document):
    out = []
    if document["machine"]:
        rows = [[r["what"], f"{r['measured']:.3g} {r['unit']}", f"{r['assumed']:.3g}", f"{r['measured'] / r['assumed']:.2f}"] for r in document["machine"]]
        out.append(f"**The machine**, {card(document)}, beside what the models of the kernels take it to be (kernels/cuda/plan/tiling.h, "
                   "kernels/cuda/plan/cost.h).\n\n" + table(["what", "measured:", "assumed:", "measured / assumed:"], rows))
    if probes := document["probes"]:
        told = [f"- {p['probe']}: {p['said']}" for p in probes if not p["held"] or "open" in p["said"]]
        out.append("\n".join([f"{sum(p['held'] for p in probes)} of {len(probes)} probes of the machine layer agree with the emulated machine"
                              + (":" if told else "."), *told]) + "\n")
    return "\n".join(out)


def pruned(document):
    rows = []
    for r in (r for r in document["rows"] if "keep" in r):
        own, theirs = r.get("ratio"), r.get("PyTorch_speedup")
        rows.append([f"{r['keep']:.2f}", r["widths"], *(speed(r, n) for n in ("fairprune", "dense", "PyTorch", "PyTorch dense")), f"{r['flop_ratio']:.2f}x" if "flop_ratio" in r else "-",
                     f"{r['limit']:.2f}x", *([f"{own:.2f}x [{r['low']:.2f}, {r['high']:.2f}]", f"{100 * own / r['limit']:.0f} %"] if own else ["-", "-"]),
                     f"{theirs:.2f}x" if theirs else "-", r.get("PyTorch_how", "") + ("" if r["counts"] else ", does not count")])
    if not rows:
        return ""
    return (f"**Pruned networks** on {card(document)}, images per second; dense and pruned in the same rounds. The limit is the speed-up that the "
            "arithmetic and the bytes of all layers allow on this device.\n\n"
            + table(["keeps:", "widths", "ours:", "ours, dense:", "PyTorch:", "PyTorch, dense:", "FLOPs fewer:", "limit:", "ours:", "share of the limit:",
                     "PyTorch's:", ""], rows))


def snnl(document):
    rows = []
    for r in (r for r in document["rows"] if "limit_seconds" in r and "fairprune" in r["seconds"]):
        own, maps, limit, scratch = r["seconds"]["fairprune"], 4 * r["n"] * r["c"] * r["d"], r["limit_seconds"], r.get("scratch_bytes", 0)
        rows.append([str(r.get("layers", 1)), str(r["n"]), str(r["c"]), str(r["d"]), f"{1e3 * own:.3f}",
                     *([f"{1e3 * limit:.3f}", f"{100 * limit / own:.0f} %"] if limit else ["-", "-"]),
                     (f"{r['error']:.1e}" if r.get("error") is not None else "-") + ("" if r["counts"] else " (does not count)"),
                     f"{maps / 1e9:.2f}", f"{scratch / 1e9:.2f}", f"{scratch / maps:.2f}"])
    if not rows:
        return ""
    out = (f"**SNNL** on {card(document)}, float32, one label set, exact. The limit is the longest of: half of all pairs in three fp16 products each, "
           "their exponentials, reading the maps once, by this run's rates.\n\n"
           + table(["layers:", "N:", "C:", "D:", "ours, ms:", "limit, ms:", "share:", "from double:", "maps, GB:", "scratch, GB:", "scratch / maps:"], rows))
    if whole := document.get("snnl_network"):
        out += (f"\nAll {whole['channels']} convolution channels of ResNet-18 at 128 pixels on {whole['images']} images: {whole['seconds']:.2f} s, limit "
                f"{whole['limit_seconds']:.2f} s; {whole['peak_bytes'] / 1e9:.1f} GB of maps and scratch at most.\n")
    return out


def networks(document):
    found = [r for r in document["rows"] if r["unit"] == "images/s" and "keep" not in r]
    if not found:
        return ""
    names = list(dict.fromkeys(name for r in found for name in r["seconds"]))
    rows = []
    for r in found:
        after = r.get("ready_after", {})
        rows.append([r["goal"], r["case"], *(speed(r, n) for n in names), ratio(r) if "ratio" in r else "-",
                     *(f"{after[n]:.1f}" if after.get(n) is not None else "-" for n in names)])
    return (f"**Networks** on {card(document)}, images per second, and the seconds until each engine was ready (PyTorch's: at most).\n\n"
            + table(["goal", "case", *(f"{n}:" for n in names), "over the fastest peer [95 %]:", *(f"{n} ready after:" for n in names)], rows))


def ratio(row):
    return (f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" + ("" if row["counts"] else " (does not count)")
            + ("" if row["clear"] else " (even)"))


def cases(document):
    rows = []
    for r in (r for r in document["rows"] if "fairprune" in r["seconds"] and "keep" not in r):
        own, peer = r["seconds"]["fairprune"], r.get("best_peer")
        rows.append([r["goal"], r["case"], micro(r.get("floor")), micro(r.get("expected")), micro(own), f"{100 * r['floor'] / own:.0f} %" if r.get("floor") else "-",
                     *([peer, micro(r["seconds"][peer]), ratio(r)] if peer else ["-", "-", "-" if r["counts"] else "does not count"]), r["timed"].get("fairprune", "")])
    if not rows:
        return ""
    columns = ["goal", "case", "floor, us:", "expected, us:", "fairprune, us:", "share of floor:", "fastest peer", "peer, us:", "ratio [95 %]:", "timed as"]
    return f"**Every case** on {card(document)}.\n\n" + table(columns, rows)


def left_out(document):
    return "Left out: " + "; ".join(document["left_out"]) + ".\n" if document["left_out"] else ""


def summary(document):
    return "\n".join(filter(None, (part(document) for part in (left_out, head, machine, networks, pruned, snnl, goals, checks, failed))))


def markdown(document):
    return "\n".join(filter(None, (part(document) for part in (head, goals, checks, failed, machine, networks, pruned, snnl, cases, profiled, left_out)))).rstrip()
