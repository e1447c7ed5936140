"""The report in Markdown."""
from beside.figures import figures, ratios

UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "us"))


def digits(number):
    """Three of them, and no exponent."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:#.3g}".rstrip(".")


def unit_of(seconds):
    return next((unit for unit in UNITS if seconds >= unit[0] / 10), UNITS[-1])


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return [row(head), "|" + "---|" * len(head), *(row(cells) for cells in rows)]


def ratio_words(record, slower, faster):
    if slower not in record["sides"]:
        return ""
    one = ratios(record, slower, faster)
    return f"**{one.median:.2f}** ({one.low:.2f} to {one.high:.2f})"


def summary(records):
    lines = ["How many times as fast seaway is: the median of the rounds' ratios, in brackets their quartiles.", ""]
    names = list(dict.fromkeys(name for record in records for name in record["sides"]))
    others = [name for name in names if name.startswith("Gloo")]
    seaways = [name for name in names if name.startswith("seaway")]
    head = ["", *(f"{ours.partition(', ')[2]} against {theirs}" for ours in seaways for theirs in others), "plaintext against encrypted"]
    rows = [[record["title"], *(ratio_words(record, theirs, ours) for ours in seaways for theirs in others),
             ratio_words(record, seaways[1], seaways[0])] for record in records]
    return [*lines, *table(head, rows)]


def of_setting(record):
    all_figures = {name: figures(record, name) for name in record["sides"]}
    size, unit = unit_of(min(one.p50 for one in all_figures.values()))
    bandwidth, bandwidth_unit = (1e6 / 8, "Mbit/s") if record["lab"] else (1e9, "GB/s")
    columns = {f"p50 {unit}": lambda one: digits(one.p50 / size), f"p99 {unit}": lambda one: digits(one.p99 / size)}
    if record["small"]:
        columns["CPU us per op and peer"] = lambda one: digits(one.cpu * 1e6)
    else:
        columns |= {f"algbw {bandwidth_unit}": lambda one: digits(one.algbw / bandwidth),
                    f"busbw {bandwidth_unit}": lambda one: digits(one.busbw / bandwidth),
                    "CPU s per GiB and peer": lambda one: digits(one.cpu_per_gib)}
    columns |= {"peak MiB": lambda one: f"{one.peak_mib:.0f}", "of it by the ops": lambda one: f"{one.grown_mib:.0f}",
                "threads": lambda one: str(one.threads)}
    if record["lab"]:
        columns["longest / shortest op"] = lambda one: f"{one.longest_over_shortest:.2f}"
    rows = [[name, *(cell(one) for cell in columns.values())] for name, one in all_figures.items()]
    ops = next(iter(all_figures.values())).ops
    lines = [f"**{record['title']}**: {record['rounds']} rounds, {ops} ops of each.", "", *table(["", *columns], rows)]
    notes = []
    copies = [one.copy for one in all_figures.values() if one.copy is not None]
    if copies and not record["small"]:
        notes.append(f"The copy that keeps the input, which Gloo's ops do not contain, takes {digits(min(copies) * 1e3)} ms more.")
    if record.get("late"):
        notes.append(f"Of the lab's deliveries at most {record['late']} % came more than 1 ms late.")
    return [*lines, *(["", " ".join(notes)] if notes else [])]


def report(results):
    lines = ["# seaway beside PyTorch's Gloo", "", f"`{results['command']}`", "", results["machine"], "",
             "An all-reduce of f32, sum, out of place; everybody takes one turn in each round. An op's time is that of its slowest peer. "
             "Memory and threads are those of the peer that has most; Gloo's are those of a Python with torch. CPU time is user and "
             "system, of all threads of a peer, without seaway's master. p99 of fewer "
             "than 100 ops is the longest."]
    if results["records"]:
        lines += ["", *summary(results["records"])]
    for record in results["records"]:
        lines += ["", *of_setting(record)]
    for problem in results["missing"]:
        lines += ["", f"**Missing:** {problem}"]
    return "\n".join(lines) + "\n"
