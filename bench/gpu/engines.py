"""The engines of a comparison: their workers, and the turns that they take."""
import statistics
import time

from bench import ANSWER, COMPILED, FIRST_ANSWER, is_torch


class Engines:
    """Workers by name and command. They are kept, since the libraries of a GPU take long to start."""

    def __init__(self, bench):
        self.bench, self.workers = bench, {}
        self.prepared = {}  # by command and line: workers that got their first line while nothing was timed

    def prepare(self, command, line):
        worker = self.bench.worker("prepared " + line, command)
        worker.send(line)
        self.prepared[(*command, line)] = worker

    def settle(self, seconds):
        """Waits until all prepared workers are ready, for so many seconds at most. The others are ended and recorded as left out."""
        end, waiting = time.monotonic() + seconds, dict(self.prepared)
        while waiting:
            waiting = {key: worker for key, worker in waiting.items() if not worker.answers(0)}
            if not waiting or time.monotonic() >= end:
                break
            time.sleep(0.05)
        for key, worker in waiting.items():
            worker.close()
            self.bench.leave_out(f"PyTorch, not compiled in time: {key[-1]}")
            del self.prepared[key]

    def get(self, name, command, line):
        """A worker that runs. One that has ended since its last answer is replaced."""
        worker = self.prepared.get((*command, line))
        if worker is not None and (worker.fault is None or worker.line is None):  # None: its fault is not yet reported
            return worker
        key = (name, *command)
        if key not in self.workers or self.workers[key].fault is not None:
            self.drop(name, command, line)
            self.workers[key] = self.bench.worker(name, command)
        return self.workers[key]

    def drop(self, name, command, line):
        for where, key in ((self.prepared, (*command, line)), (self.workers, (name, *command))):
            if (worker := where.pop(key, None)) is not None:
                worker.close()
                return

    def free(self, name, command, line):
        """Has PyTorch free its memory, which may be most of the device's."""
        worker = self.get(name, command, line)
        if worker.ask("free", ANSWER) is None:
            self.drop(name, command, line)
        worker.line = None

    def close_all(self):
        for worker in [*self.workers.values(), *self.prepared.values()]:
            worker.close()
        self.workers.clear()
        self.prepared.clear()

    def limit(self, worker, command):
        if is_torch(command):
            return COMPILED
        return FIRST_ANSWER if worker.fresh else ANSWER

    def in_turns(self, sides, rounds, seconds=None):
        """sides: {name: (command, first line)} -> {name: {"ready": numbers, "ready_after": seconds until it was
        ready (of a prepared one at most), "seconds": one per round, "timed": how}} of the sides that gave figures, or None.
        Failures are recorded."""
        bench, found, workers = self.bench, {}, {}
        first = next(iter(sides.values()))[1]
        if bench.seconds_left() < bench.o.reserve:
            return bench.leave_out(f"no time was left: {first}")
        seconds = seconds or bench.s["seconds"]
        for name, (command, line) in sides.items():
            if why := bench.dead(command, line):
                bench.leave_out(f"{name}: {line}: this path is dead: {why[:120]}")
                continue
            # One after another: some choose their kernels by timing them, and need the card to themselves.
            workers[name] = self.get(name, command, line)
            ready = workers[name].begin(line, self.limit(workers[name], command))
            words = ready.split() if ready is not None else []
            if words[:1] == ["ready"]:
                found[name] = {"ready": [float(v) for v in words[1:]], "ready_after": workers[name].ready_after, "seconds": []}
            else:
                self.lose(name, sides, workers, ready)
        for r in range(rounds):
            if r > 4 and bench.seconds_left() < bench.o.reserve:
                break
            for name in list(workers) if r % 2 == 0 else list(reversed(workers)):
                answer = workers[name].ask(f"time {seconds} {bench.s['rotated']}", ANSWER + 3 * seconds)
                try:
                    found[name]["seconds"].append(statistics.median(float(v) for v in answer.split()))
                except (AttributeError, ValueError, statistics.StatisticsError):
                    del found[name]
                    self.lose(name, sides, workers, answer)
        for name, worker in list(workers.items()):
            questions = ["timed"] + (["memory"] if name == "fairprune" and sides[name][1].startswith("snnl") else [])
            for question in questions:
                answer = worker.ask(question, ANSWER)
                if answer is None:  # its figures stay
                    self.lose(name, sides, workers, answer)
                    break
                found[name][question] = [float(v) for v in answer.split()] if question == "memory" else answer
        return found or None

    def lose(self, name, sides, workers, answer):
        """Records why a side gave no figure, and drops its worker."""
        command, line = sides[name]
        if workers[name].fault is None:
            self.bench.fail(f"{name}: {line}", f"answered: {(answer or '')[:200]}", self.bench.is_ours(command))
        else:
            self.bench.blame(command, line, workers[name])
        self.drop(name, command, line)
        workers.pop(name)
