"""The tables of bench/RESULTS.md, from the JSON document of a run alone."""


def micro(seconds):
    return f"{1e6 * seconds:.1f}" if seconds else "-"


def speed(row, name):
    seconds = row["seconds"].get(name)
    if seconds is None:
        return "-"
    return f"{row['count'] / seconds:,.0f}" if row["unit"] == "images/s" else micro(seconds)


def head(document):
    d = document["device"]
    out = [f"{d['name']}; commit {d['commit']}, {d['date']}; torch {d.get('torch', 'not here')}; first inference "
           f"{d.get('first_inference_seconds', 0):.2f} s after the start."]
    for key, value in d.items():
        if key.startswith("clock and watts"):
            out.append(f"While {key.split(', ')[1]} ran: {value[0]:.0f} MHz, {value[1]:.0f} W.")
    if checks := document["checks"]:
        out.append("Checks: " + ", ".join(f"{k}: {'passed' if v is True else 'FAILED' if v is False else 'not done' if v is None else v}" for k, v in checks.items()) + ".")
    return "\n".join(out) + "\n"


def goals(document):
    return "| goal | what | reached | floor | moonshot |\n|---|---|--:|--:|--:|\n" + "".join(
        f"| {g['goal']} | {g['what']} | {g['value']:.2f} | {g['floor']:g} | {g['moonshot']:g} |\n" for g in document["goals"])


def machine(document):
    out = []
    if document["machine"]:
        out.append("**The machine**, beside what the models of the kernels take it to be (kernels/tiles.h, bench/gpu/model.h).\n\n"
                   "| what | measured | assumed | measured / assumed |\n|---|--:|--:|--:|")
        out += [f"| {r['what']} | {r['measured']:.3g} {r['unit']} | {r['assumed']:.3g} | {r['measured'] / r['assumed']:.2f} |" for r in document["machine"]]
    if document["probes"]:
        same = [p for p in document["probes"] if p["held"]]
        out.append(f"\n{len(same)} of {len(document['probes'])} probes of the machine layer agree with the emulated machine" +
                   ("." if len(same) == len(document["probes"]) else ":") + "".join(f"\n- {p['probe']}: {p['said']}" for p in document["probes"] if not p["held"] or "open" in p["said"]))
    return "\n".join(out) + "\n"


def pruned(document):
    rows = [r for r in document["rows"] if "keep" in r]
    if not rows:
        return ""
    out = ["**Pruned networks**, images a second; dense and pruned in the same rounds, PyTorch eager in a CUDA graph. The limit is what the "
           "device's own limits leave of the speed-up (all at the roof).\n",
           "| keeps | widths | ours | ours, dense | PyTorch | PyTorch, dense | FLOPs fewer | limit | ours | share of the limit | PyTorch's |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for r in rows:
        own, theirs = r.get("ratio"), r.get("PyTorch_speedup")
        out.append(f"| {r['keep']:.2f} | {r['widths']} | " + " | ".join(speed(r, n) for n in ("fairprune", "dense", "PyTorch", "PyTorch dense"))
                   + f" | {r['flop_ratio']:.2f}x | {r['limit']:.2f}x | " + (f"{own:.2f}x [{r['low']:.2f}, {r['high']:.2f}] | {100 * own / r['limit']:.0f} %" if own else "- | -")
                   + (f" | {theirs:.2f}x |" if theirs else " | - |"))
    return "\n".join(out) + "\n"


def snnl(document):
    rows = [r for r in document["rows"] if "limit_seconds" in r]
    if not rows:
        return ""
    out = ["**SNNL**, float32, one label set, exact. The limit is half of all pairs in three fp16 products each, their exponentials, or reading "
           "the maps once, whichever takes longest, by this run's rates.\n",
           "| layers | N | C | D | ours, ms | limit, ms | share | maps, GB | scratch, GB | scratch / maps |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for r in rows:
        own, maps, limit = r["seconds"].get("fairprune"), 4 * r["n"] * r["c"] * r["d"], r["limit_seconds"]
        scratch = r.get("scratch_bytes", 0)
        if own:
            share = f"{1e3 * limit:.3f} | {100 * limit / own:.0f} %" if limit else "- | -"
            out.append(f"| {r.get('layers', 1)} | {r['n']} | {r['c']} | {r['d']} | {1e3 * own:.3f} | {share} | "
                       f"{maps / 1e9:.2f} | {scratch / 1e9:.2f} | {scratch / maps:.2f} |")
    if whole := document.get("snnl_network"):
        out.append(f"\nAll {whole['channels']} convolution channels of ResNet-18 at 128 pixels on {whole['images']} images: {whole['seconds']:.2f} s, limit "
                   f"{whole['limit_seconds']:.2f} s; {whole['peak_bytes'] / 1e9:.1f} GB of maps and scratch at most.")
    return "\n".join(out) + "\n"


def networks(document):
    rows = [r for r in document["rows"] if r["unit"] == "images/s" and "keep" not in r]
    names = list(dict.fromkeys(name for r in rows for name in r["seconds"]))
    if not rows:
        return ""
    out = ["**Networks**, images a second, and the seconds until each engine was ready (PyTorch's: at most).\n",
           "| goal | case | " + " | ".join(names) + " | over the fastest peer [95 %] | " + " | ".join(f"{n} ready after" for n in names) + " |\n|---|---|" + "--:|" * (2 * len(names) + 1)]
    for r in rows:
        after = r.get("ready_after", {})
        out.append(f"| {r['goal']} | {r['case']} | " + " | ".join(speed(r, n) for n in names) + " | " + (ratio(r) if "ratio" in r else "-")
                   + " | " + " | ".join(f"{after[n]:.1f}" if after.get(n) is not None else "-" for n in names) + " |")
    return "\n".join(out) + "\n"


def ratio(row):
    return (f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" + ("" if row["counts"] else " (does not count)")
            + ("" if row["clear"] else " (even)"))


def cases(document):
    out = ["| goal | case | floor, us | expected, us | fairprune, us | share of floor | fastest peer | peer, us | ratio [95 %] | error / peer's |\n|---|---|--:|--:|--:|--:|---|--:|--:|--:|"]
    for r in document["rows"]:
        own, peer = r["seconds"].get("fairprune"), r.get("best_peer")
        if own is None or "keep" in r:
            continue
        error = r.get("error", {})
        out.append(f"| {r['goal']} | {r['case']} | {micro(r.get('floor'))} | {micro(r.get('expected'))} | {micro(own)} | "
                   + (f"{100 * r['floor'] / own:.0f} %" if r.get("floor") else "-")
                   + (f" | {peer} | {micro(r['seconds'][peer])} | {ratio(r)}" if peer else " | - | - | -")
                   + (f" | {error['fairprune']:.1e} / {error.get(peer, float('nan')):.1e} |" if "fairprune" in error else " | - |"))
    return "\n".join(out) + "\n"


def left_out(document):
    return "Left out: " + "; ".join(document["left_out"]) + ".\n" if document["left_out"] else ""


def summary(document):
    return "\n".join(filter(None, (part(document) for part in (left_out, head, goals, machine, networks, pruned, snnl))))


def markdown(document):
    return "\n".join(filter(None, (part(document) for part in (head, goals, machine, networks, pruned, snnl, cases, left_out)))).rstrip()
