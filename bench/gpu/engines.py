"""The engines of a comparison: processes that answer lines (worker.cpp, torch_worker.py), and turns among them."""
import select
import statistics
import subprocess
import time


class Worker:
    """One engine. An answer that does not come in time ends it: a kernel that hangs must not hang the run."""

    def __init__(self, command, environment=None):
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.sent = self.sent_at = self.took = None  # a line whose answer is still to come, since when, how long it took
        self.line = self.ready = self.ready_after = None  # what it is at, its answer to that, the seconds it took

    def send(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            self.sent, self.sent_at, self.took = line, time.monotonic(), None
        except BrokenPipeError:
            self.sent = None

    def ask(self, line, timeout=120):
        """The answer's words, or None where the worker has ended or its time is up."""
        if self.sent != line:
            self.send(line)
        if self.sent is None or not self.answers(timeout):
            self.process.kill()
            return None
        self.sent = None
        return self.process.stdout.readline().split() or None  # an empty line: it has ended

    def begin(self, line):
        """The answer to a case's first line, and the seconds it took; what it is at already it does not begin again."""
        if line != self.line:
            self.line, self.ready = line, self.ask(line)
            self.ready_after = self.took
        return self.ready

    def answers(self, timeout):
        """Whether there is something to read within so many seconds. took: seconds until that was seen."""
        there = bool(select.select([self.process.stdout], [], [], max(0, timeout))[0])
        if there and self.took is None:
            self.took = time.monotonic() - self.sent_at
        return there

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Engines:
    """Workers by name and command; they stay, since a GPU's libraries take long to start."""

    def __init__(self, environment=None):
        self.environment, self.workers = environment, {}
        self.prepared = {}  # by command and line: told what to do while nothing is timed

    def prepare(self, command, line):
        worker = Worker(command, self.environment)
        worker.send(line)
        self.prepared[(*command, line)] = worker

    def settle(self, seconds):
        """Waits until all that is prepared is ready, so long at most; who is not is ended. Answers those lines."""
        late, end = [], time.monotonic() + seconds
        for key, worker in list(self.prepared.items()):
            if not worker.answers(end - time.monotonic()):
                worker.process.kill()
                late.append(key[-1])
                del self.prepared[key]
        return late

    def get(self, name, command, line):
        if (worker := self.prepared.get((*command, line))) is not None:
            return worker
        key = (name, *command)
        if key not in self.workers:
            self.workers[key] = Worker(command, self.environment)
        return self.workers[key]

    def drop(self, name, command, line):
        for where, key in ((self.prepared, (*command, line)), (self.workers, (name, *command))):
            if (worker := where.pop(key, None)) is not None:
                worker.process.kill()
                worker.close()
                return

    def free(self, name, command, line):
        """Has PyTorch give back its memory, which may be most of the device's."""
        worker = self.get(name, command, line)
        worker.ask("free")
        worker.line = None

    def close(self):
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def close_all(self):
        self.close()
        for worker in self.prepared.values():
            worker.process.kill()
            worker.close()
        self.prepared.clear()

    def in_turns(self, sides, rounds, seconds, left):
        """sides: {name: (command, first line)} -> ({name: {"ready": numbers, "ready_after": seconds of setting up and
        tuning, "seconds": a round each}}, what failed)."""
        found, workers, failed = {}, {}, []
        for name, (command, line) in sides.items():
            worker = self.get(name, command, line)
            ready = worker.begin(line)
            if ready is None or ready[0] != "ready":
                failed.append(f"{name}: {line}" + (f" ({' '.join(ready)})" if ready else ""))
                self.drop(name, command, line)
                continue
            workers[name], found[name] = worker, {"ready": [float(v) for v in ready[1:]], "ready_after": worker.ready_after, "seconds": []}
        for r in range(rounds):
            if r > 4 and left() < 0:
                break
            for name in list(workers) if r % 2 == 0 else list(reversed(workers)):
                answer = workers[name].ask(f"time {seconds}")
                if answer is None:
                    failed.append(f"{name}, while it was timed: {sides[name][1]}")
                    self.drop(name, *sides[name])
                    del workers[name], found[name]
                    continue
                found[name]["seconds"].append(statistics.median(float(v) for v in answer))
        for name, worker in workers.items():
            for question, lines in (("error", ("conv ",)), ("memory", ("snnl ",))):
                if name == "fairprune" or question == "error":
                    if sides[name][1].startswith(lines) and "torch_worker" not in " ".join(sides[name][0]) and (answer := worker.ask(question)):
                        found[name][question] = [float(v) for v in answer]
        return found, failed
